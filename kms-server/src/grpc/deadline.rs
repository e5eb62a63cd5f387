//! Ends what takes too long, on the daemon's clock, and keeps a panic within its call.

use crate::system::clock::{Clock, Wait};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// How a bounded piece of work ended.
#[derive(Debug)]
pub(super) enum Ended<T> {
    /// By itself.
    Done(T),
    /// By the deadline.
    Late,
    /// By a panic.
    Panicked,
}

/// Polls `work` until it ends or `clock` reaches `at`; the timer is made only when it has to wait.
pub(super) async fn within<T>(
    clock: &dyn Clock,
    at: Duration,
    work: impl Future<Output = T>,
) -> Ended<T> {
    let mut work = pin!(work);
    let mut timer: Option<Wait<'_>> = None;
    poll_fn(|cx| {
        // a future that panicked is never polled again: it is dropped with what it holds
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Ready(value)) => return Poll::Ready(Ended::Done(value)),
            Ok(Poll::Pending) => {}
            Err(_) => return Poll::Ready(Ended::Panicked),
        }
        timer
            .get_or_insert_with(|| clock.wait_until(at))
            .as_mut()
            .poll(cx)
            .map(|()| Ended::Late)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::clock::ManualClock;
    use kms_core::time::Timestamp;
    use std::task::{Context, Waker};

    #[test]
    fn the_clock_ends_what_waits() {
        let clock = ManualClock::new(Timestamp::default());
        let at = Duration::from_secs(5);
        let mut bounded = pin!(within(&clock, at, std::future::pending::<()>()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(bounded.as_mut().poll(&mut cx).is_pending());
        clock.advance(Duration::from_secs(4));
        assert!(bounded.as_mut().poll(&mut cx).is_pending());
        clock.advance(Duration::from_secs(1));
        assert!(matches!(
            bounded.as_mut().poll(&mut cx),
            Poll::Ready(Ended::Late)
        ));
    }

    #[test]
    fn a_panic_stays_within() {
        let clock = ManualClock::new(Timestamp::default());
        let work = async { panic!("a defect") };
        let mut bounded = pin!(within::<()>(&clock, Duration::ZERO, work));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(
            bounded.as_mut().poll(&mut cx),
            Poll::Ready(Ended::Panicked)
        ));
    }
}
