//! Work that may take long and must not be felt: a few threads of the lowest priority, a bounded queue. What
//! finds the queue full is refused, never kept waiting without end.

use rustix::process::nice;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Least priority (nice(2)); on Linux it is the calling thread's alone.
const NICE: i32 = 19;

type Work = Box<dyn FnOnce() + Send>;

/// The threads; they end when it is dropped and the queue is empty.
#[derive(Debug, Clone)]
pub struct Background(SyncSender<Work>);

impl Background {
    /// Starts `threads` threads; `waiting` pieces of work may wait for them.
    #[must_use]
    pub fn new(name: &str, threads: usize, waiting: usize) -> Self {
        let (sender, queue) = sync_channel::<Work>(waiting);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            let thread = std::thread::Builder::new().name(format!("{name}-{number}"));
            if let Err(error) = thread.spawn(move || serve(&queue)) {
                tracing::error!(%error, name, "a background thread cannot be had");
            }
        }
        Self(sender)
    }

    /// What `work` gives; `None` when too much waits already, or it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (done, end) = oneshot::channel();
        let work = Box::new(move || drop(done.send(work())));
        self.0.try_send(work).ok()?;
        end.await.ok()
    }
}

fn serve(queue: &Mutex<Receiver<Work>>) {
    // without the right to it the work is felt more, and still bounded
    let _ = nice(NICE);
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // the thread outlives what it runs; the one who waits hears of it by a dropped answer
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_finds_the_queue_full_is_refused_and_a_panic_ends_nothing() {
        let background = Background::new("test", 1, 1);
        let none: Option<()> = background.run(|| panic!("for the test")).await;
        assert!(none.is_none());
        assert_eq!(background.run(|| 7).await, Some(7));
    }
}
