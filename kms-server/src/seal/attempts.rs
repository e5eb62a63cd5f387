//! Guards unsealing: at most two Argon2id at a time (each may take 256 MiB), and wrong passphrases are
//! limited before anything is hashed, for each certificate by itself: while sealed even a revoked one may ask, and
//! must not take away the tries of who knows the passphrase. Never remembers a passphrase.

use super::passphrase::Passphrase;
use super::{Keyring, UnsealError, Unsealed};
use crate::system::clock::Clock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Argon2id computations at one time.
pub const HASHING_MAX: usize = 2;
/// Failures in a row that cost no waiting.
pub const FAILURES_FREE: u32 = 5;
/// After them, one attempt in this time.
pub const FAILURE_INTERVAL: Duration = Duration::from_secs(10);

/// Certificates whose tries are counted by themselves; full buckets are forgotten first, and what comes beyond them
/// shares one.
const ASKERS_MAX: usize = 1_024;

/// SHA-256 of the certificate that asks.
pub type Asker = [u8; 32];

/// The gate before every unsealing.
pub struct Attempts {
    clock: Arc<dyn Clock>,
    hashing: Semaphore,
    left: Mutex<HashMap<Asker, Left>>,
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
        Self {
            clock,
            hashing: Semaphore::new(HASHING_MAX),
            left: Mutex::default(),
        }
    }

    /// Unseals on a thread of the blocking pool. `asker` is `None` for the daemon's own passphrase file.
    ///
    /// # Errors
    /// [`UnsealError::TooManyAttempts`] before anything is computed, or as [`Keyring::unseal`].
    pub async fn unseal(
        &self,
        keyring: Arc<Keyring>,
        passphrase: Passphrase,
        asker: Option<&Asker>,
    ) -> Result<Unsealed, UnsealError> {
        // Taken before hashing and given back on success: attempts at the same time count too.
        let asker = asker.map(|asker| self.take(asker)).transpose()?;
        let permit = self.hashing.acquire().await;
        let result = tokio::task::spawn_blocking(move || keyring.unseal(&passphrase)).await;
        drop(permit);
        let result = result.unwrap_or(Err(UnsealError::WrongPassphrase));
        if let (Ok(_), Some(asker)) = (&result, asker) {
            self.left().remove(&asker);
        }
        result
    }

    /// Under which bucket it was counted.
    fn take(&self, asker: &Asker) -> Result<Asker, UnsealError> {
        let now = self.clock.monotonic();
        let mut all = self.left();
        if all.len() >= ASKERS_MAX {
            all.retain(|_, left| !left.is_full(now));
        }
        let fits = all.len() < ASKERS_MAX || all.contains_key(asker);
        let asker = if fits { *asker } else { [0; 32] };
        let left = all.entry(asker).or_insert(Left {
            attempts: FAILURES_FREE,
            filled: now,
        });
        if !left.is_full(now) && left.attempts == 0 {
            let retry_after = (left.filled + FAILURE_INTERVAL).saturating_sub(now);
            return Err(UnsealError::TooManyAttempts { retry_after });
        }
        left.attempts -= 1;
        Ok(asker)
    }

    fn left(&self) -> std::sync::MutexGuard<'_, HashMap<Asker, Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Left {
    /// What time has filled; whether that is all.
    fn is_full(&mut self, now: Duration) -> bool {
        while self.attempts < FAILURES_FREE && self.filled + FAILURE_INTERVAL <= now {
            self.attempts += 1;
            self.filled += FAILURE_INTERVAL;
        }
        let full = self.attempts == FAILURES_FREE;
        if full {
            self.filled = now;
        }
        full
    }
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attempts({} askers)", self.left().len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{keyring, passphrase};
    use super::*;
    use crate::system::clock::ManualClock;
    use kms_core::time::Timestamp;

    const ADA: Option<&Asker> = Some(&[1; 32]);
    const MALLORY: Option<&Asker> = Some(&[2; 32]);

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
            let result = attempts.unseal(keyring.clone(), wrong(), ADA).await;
            assert_eq!(result.unwrap_err(), UnsealError::WrongPassphrase);
        }
        // Even the right one waits now: the answer would tell nothing a guesser may have.
        let again = Passphrase::new(right.expose_text());
        let result = attempts.unseal(keyring.clone(), again, ADA).await;
        let retry_after = FAILURE_INTERVAL;
        assert_eq!(
            result.unwrap_err(),
            UnsealError::TooManyAttempts { retry_after }
        );
        clock.advance(FAILURE_INTERVAL);
        let result = attempts.unseal(keyring.clone(), wrong(), ADA).await;
        assert_eq!(result.unwrap_err(), UnsealError::WrongPassphrase);
        assert!(attempts.take(&[1; 32]).is_err());
        clock.advance(FAILURE_INTERVAL);
        attempts.unseal(keyring, right, ADA).await.unwrap();
        assert!((0..FAILURES_FREE).all(|_| attempts.take(&[1; 32]).is_ok()));
        assert!(attempts.take(&[1; 32]).is_err());
    }

    #[tokio::test]
    async fn nobody_takes_the_tries_of_another_or_of_the_daemon() {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let attempts = Attempts::new(clock);
        let (keyring, right) = keyring();
        let keyring = Arc::new(keyring);
        for _ in 0..FAILURES_FREE {
            let result = attempts.unseal(keyring.clone(), wrong(), MALLORY).await;
            assert_eq!(result.unwrap_err(), UnsealError::WrongPassphrase);
        }
        assert!(attempts.take(&[2; 32]).is_err());
        let again = || Passphrase::new(right.expose_text());
        let opened = attempts.unseal(keyring.clone(), again(), ADA).await;
        assert!(opened.is_ok());
        assert!(attempts.unseal(keyring, again(), None).await.is_ok());
        // more certificates than are counted by themselves share one bucket, and no memory is lost
        for number in 0..2 * ASKERS_MAX {
            let mut asker = [3; 32];
            asker[..8].copy_from_slice(&number.to_be_bytes());
            let _ = attempts.take(&asker);
        }
        assert!(attempts.left().len() <= ASKERS_MAX + 1);
    }

    #[test]
    fn a_quiet_year_fills_no_more_than_the_bucket() {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let attempts = Attempts::new(clock.clone());
        let take = || attempts.take(&[1; 32]);
        assert!((0..FAILURES_FREE).all(|_| take().is_ok()));
        clock.advance(Duration::from_hours(24 * 365));
        assert!((0..FAILURES_FREE).all(|_| take().is_ok()));
        assert!(take().is_err());
    }
}
