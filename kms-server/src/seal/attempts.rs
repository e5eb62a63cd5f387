//! Guards unsealing: at most two Argon2id at a time (each may take 256 MiB), and wrong passphrases are
//! limited before anything is hashed. Never remembers a passphrase.

use super::passphrase::Passphrase;
use super::{Keyring, UnsealError, Unsealed};
use crate::system::clock::Clock;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Argon2id computations at one time.
pub const HASHING_MAX: usize = 2;
/// Failures in a row that cost no waiting.
pub const FAILURES_FREE: u32 = 5;
/// After them, one attempt in this time.
pub const FAILURE_INTERVAL: Duration = Duration::from_secs(10);

/// The gate before every unsealing.
pub struct Attempts {
    clock: Arc<dyn Clock>,
    hashing: Semaphore,
    left: Mutex<Left>,
}

/// A bucket of attempts, filled by time.
struct Left {
    attempts: u32,
    /// Monotonic time up to which filling is accounted for.
    filled: Duration,
}

impl Attempts {
    /// All attempts free.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let left = Mutex::new(Left {
            attempts: FAILURES_FREE,
            filled: clock.monotonic(),
        });
        Self {
            clock,
            hashing: Semaphore::new(HASHING_MAX),
            left,
        }
    }

    /// Unseals on a thread of the blocking pool.
    ///
    /// # Errors
    /// [`UnsealError::TooManyAttempts`] before anything is computed, or as [`Keyring::unseal`].
    pub async fn unseal(
        &self,
        keyring: Arc<Keyring>,
        passphrase: Passphrase,
    ) -> Result<Unsealed, UnsealError> {
        // Taken before hashing and given back on success: attempts at the same time count too.
        self.take()?;
        let permit = self.hashing.acquire().await;
        let result = tokio::task::spawn_blocking(move || keyring.unseal(&passphrase)).await;
        drop(permit);
        let result = result.unwrap_or(Err(UnsealError::WrongPassphrase));
        if result.is_ok() {
            self.left().attempts = FAILURES_FREE;
        }
        result
    }

    fn take(&self) -> Result<(), UnsealError> {
        let now = self.clock.monotonic();
        let mut left = self.left();
        while left.attempts < FAILURES_FREE && left.filled + FAILURE_INTERVAL <= now {
            left.attempts += 1;
            left.filled += FAILURE_INTERVAL;
        }
        if left.attempts == FAILURES_FREE {
            left.filled = now;
        }
        if left.attempts == 0 {
            let retry_after = (left.filled + FAILURE_INTERVAL).saturating_sub(now);
            return Err(UnsealError::TooManyAttempts { retry_after });
        }
        left.attempts -= 1;
        Ok(())
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attempts({} left)", self.left().attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keyring, passphrase};
    use super::*;
    use crate::system::clock::ManualClock;
    use kms_core::time::Timestamp;

    fn wrong() -> Passphrase {
        passphrase("nobody's passphrase at all")
    }

    #[tokio::test]
    async fn failures_are_limited_before_hashing_and_success_clears_them() {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let attempts = Attempts::new(clock.clone());
        let (keyring, right) = keyring();
        let keyring = Arc::new(keyring);
        for _ in 0..FAILURES_FREE {
            let result = attempts.unseal(keyring.clone(), wrong()).await;
            assert_eq!(result.unwrap_err(), UnsealError::WrongPassphrase);
        }
        // Even the right one waits now: the answer would tell nothing a guesser may have.
        let again = Passphrase::new(right.expose_text());
        let result = attempts.unseal(keyring.clone(), again).await;
        let retry_after = FAILURE_INTERVAL;
        assert_eq!(
            result.unwrap_err(),
            UnsealError::TooManyAttempts { retry_after }
        );
        clock.advance(FAILURE_INTERVAL);
        let result = attempts.unseal(keyring.clone(), wrong()).await;
        assert_eq!(result.unwrap_err(), UnsealError::WrongPassphrase);
        assert!(attempts.take().is_err());
        clock.advance(FAILURE_INTERVAL);
        attempts.unseal(keyring, right).await.unwrap();
        assert!((0..FAILURES_FREE).all(|_| attempts.take().is_ok()));
        assert!(attempts.take().is_err());
    }

    #[test]
    fn a_quiet_year_fills_no_more_than_the_bucket() {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let attempts = Attempts::new(clock.clone());
        assert!((0..FAILURES_FREE).all(|_| attempts.take().is_ok()));
        clock.advance(Duration::from_hours(24 * 365));
        assert!((0..FAILURES_FREE).all(|_| attempts.take().is_ok()));
        assert!(attempts.take().is_err());
    }
}
