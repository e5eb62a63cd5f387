//! Trying again, only where that can neither create nor hand out twice: data-plane calls, which are
//! idempotent, and changes that bear a request id. Never past the deadline, never as a storm.
//!
//! At most three tries with full jitter, only when the service says UNAVAILABLE (or the connection
//! broke) or RESOURCE_EXHAUSTED with a time to wait; and at most one retry for ten calls in the long run.

use crate::error::{Error, ErrorKind};
use ring::rand::{SecureRandom, SystemRandom};
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Tries of one call, the first included.
const TRIES: u32 = 3;
/// Bounds of the pause before the second try and before any.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Retries of one client and its clones.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    budget: Budget,
}

impl Retry {
    /// Makes the call until it succeeds, fails for good, or `deadline` comes. `call` gets the time
    /// that is left.
    ///
    /// # Errors
    /// The last try's, or [`ErrorKind::DeadlineExceeded`].
    pub(crate) async fn run<T, Call, Answer>(
        &self,
        deadline: Instant,
        call: Call,
    ) -> Result<T, Error>
    where
        Call: Fn(Duration) -> Answer,
        Answer: Future<Output = Result<T, Error>>,
    {
        self.budget.earn();
        let mut tries = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let error = match timeout(left, call(left)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                Err(_) => return Err(deadline_exceeded()),
            };
            tries += 1;
            let pause = pause(tries, &error, random_fraction());
            let left = deadline.saturating_duration_since(Instant::now());
            match pause.filter(|pause| *pause < left && self.budget.spend()) {
                Some(pause) => sleep(pause).await,
                None => return Err(error),
            }
        }
    }
}

fn deadline_exceeded() -> Error {
    let message = "the deadline passed before the answer came";
    Error::new(ErrorKind::DeadlineExceeded, message)
}

/// The pause after the `tries`-th failure; `None` when another try cannot help or is not safe.
/// `fraction` is uniform in 0..1.
fn pause(tries: u32, error: &Error, fraction: f64) -> Option<Duration> {
    if tries >= TRIES {
        return None;
    }
    let jitter = (PAUSE_FIRST * 2_u32.pow(tries - 1))
        .min(PAUSE_MAX)
        .mul_f64(fraction);
    match (error.kind(), error.reason(), error.retry_after()) {
        // only a person can help
        (ErrorKind::Unavailable, Some("SEALED" | "QUARANTINED"), _) => None,
        (ErrorKind::Unavailable | ErrorKind::Throttled, _, Some(asked)) => Some(asked + jitter),
        (ErrorKind::Unavailable, _, None) => Some(jitter),
        _ => None,
    }
}

fn random_fraction() -> f64 {
    let mut bytes = [0; 4];
    // without randomness the longest pause: the call itself will not need any from here
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    }
}

/// A bucket of retries, in tenths: a call earns one tenth, a retry costs ten, a hundred fit in.
#[derive(Debug)]
struct Budget(AtomicU32);

impl Budget {
    const FULL: u32 = 100;
    const COST: u32 = 10;

    fn earn(&self) {
        let add = |tenths: u32| (tenths < Self::FULL).then(|| tenths + 1);
        // full: nothing to add
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    fn spend(&self) -> bool {
        let take = |tenths: u32| tenths.checked_sub(Self::COST);
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(Self::FULL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_jitter_and_end() {
        let error = Error::new(ErrorKind::Unavailable, "later");
        let whole = |tries| pause(tries, &error, 1.0);
        assert_eq!(whole(1), Some(PAUSE_FIRST));
        assert_eq!(whole(2), Some(PAUSE_FIRST * 2));
        assert_eq!(whole(3), None);
        assert_eq!(pause(1, &error, 0.0), Some(Duration::ZERO));
        let throttled = Error::new(ErrorKind::Throttled, "slower");
        assert_eq!(pause(1, &throttled, 1.0), None);
    }

    #[test]
    fn the_budget_earns_a_tenth_and_never_overflows() {
        let budget = Budget::default();
        (0..1_000).for_each(|_| budget.earn());
        assert_eq!((0..99).filter(|_| budget.spend()).count(), 10);
        (0..9).for_each(|_| budget.earn());
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend());
    }
}
