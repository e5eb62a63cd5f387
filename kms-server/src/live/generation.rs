//! Generations of the snapshot: a restriction starts a new one and waits until the last call that gathered
//! under the old one is done. Never counts calls: a call holds the snapshot, the snapshot its generation.

use std::sync::Arc;
use tokio::sync::oneshot;

/// Held by every snapshot of its time, and by that by every call that gathered from one.
#[derive(Debug)]
pub struct Generation {
    number: u64,
    /// Never sent on: that it is dropped is the message.
    _last: oneshot::Sender<()>,
}

/// Ends when nobody holds the old generation any more.
#[derive(Debug)]
pub struct Drained(oneshot::Receiver<()>);

impl Generation {
    /// A new one and what waits for its end.
    #[must_use]
    pub fn start(number: u64) -> (Arc<Self>, Drained) {
        let (last, drained) = oneshot::channel();
        let generation = Self {
            number,
            _last: last,
        };
        (Arc::new(generation), Drained(drained))
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl Drained {
    /// Waits.
    pub async fn wait(self) {
        // an error says that the sender is gone, which is what is waited for
        let _ = self.0.await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drains_when_the_last_holder_lets_go() {
        let (generation, drained) = Generation::start(1);
        let second = Arc::clone(&generation);
        let mut wait = std::pin::pin!(drained.wait());
        drop(generation);
        assert!(futures_poll(wait.as_mut()).is_pending());
        drop(second);
        wait.await;
    }

    fn futures_poll(future: std::pin::Pin<&mut impl Future<Output = ()>>) -> std::task::Poll<()> {
        future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
    }
}
