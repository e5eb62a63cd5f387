//! What stands before every password: attempts on one account go one after the other, each certificate has a
//! bucket of attempts that time fills, and two Argon2id run at a time, on threads that yield to those that
//! serve calls. Never knows whether an account exists.

use super::password::check_new;
use crate::system::background::Background;
use crate::system::clock::Clock;
use kms_core::cipher::password::{Cost, SALT_LEN, derive_key};
use kms_core::cipher::sha256;
use kms_core::engine::Refusal;
use kms_core::entropy::{Entropy, EntropyUnavailable, make_bytes};
use kms_core::name::{OperatorName, PrincipalName};
use kms_core::reason::Reason;
use kms_core::secret::PasswordHash;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Mutex as Turn, MutexGuard};
use zeroize::Zeroizing;

/// Attempts of one certificate that cost no waiting.
pub(super) const ATTEMPTS_FREE: u32 = 20;
/// After them, one attempt in this time.
pub(super) const ATTEMPT_EVERY: Duration = Duration::from_secs(10);
/// Argon2id computations at one time; each takes 64 MiB.
const HASHING_MAX: usize = 2;
/// Computations that wait for those.
const WAITING_MAX: usize = 32;
/// Turns; accounts that share one wait for one another, which tells nothing but patience.
const TURNS: usize = 64;
/// Buckets kept; full ones are forgotten first.
const BUCKETS_MAX: usize = 10_000;

/// See the module.
pub(super) struct Gatekeeper {
    clock: Arc<dyn Clock>,
    turns: Vec<Turn<()>>,
    buckets: Mutex<HashMap<PrincipalName, Bucket>>,
    hashing: Background,
    /// The salt of accounts that do not exist.
    nobody: [u8; SALT_LEN],
    hashed: AtomicU64,
}

struct Bucket {
    left: u32,
    /// Monotonic time up to which filling is accounted for.
    filled: Duration,
}

impl Gatekeeper {
    /// Every bucket is full.
    pub(super) fn new(
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyUnavailable> {
        Ok(Self {
            clock,
            turns: (0..TURNS).map(|_| Turn::new(())).collect(),
            buckets: Mutex::default(),
            hashing: Background::new("kms-hash", HASHING_MAX, WAITING_MAX),
            nobody: make_bytes(entropy)?,
            hashed: AtomicU64::new(0),
        })
    }

    /// Waits until it is this account's turn.
    pub(super) async fn turn(&self, account: Option<&OperatorName>) -> Option<MutexGuard<'_, ()>> {
        let name = account.map_or("", OperatorName::as_str);
        let [first, ..] = sha256(&[name.as_bytes()]);
        let turn = self.turns.get(usize::from(first) % TURNS)?;
        Some(turn.lock().await)
    }

    /// The salt for an account that has none.
    pub(super) const fn salt_of_nobody(&self) -> [u8; SALT_LEN] {
        self.nobody
    }

    /// Argon2id computations so far: known and unknown accounts cost the same.
    pub(super) fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    /// What Argon2id makes of a password, at an operator's cost.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED before anything is computed, when the certificate's bucket is empty or too many wait.
    pub(super) async fn hash(
        &self,
        certificate: &PrincipalName,
        password: Zeroizing<Vec<u8>>,
        salt: [u8; SALT_LEN],
    ) -> Result<PasswordHash, Reason> {
        self.take(certificate)?;
        let work = move || derive_key(&password, &salt, Cost::OPERATOR);
        let done = self
            .hashing
            .run(work)
            .await
            .ok_or(Reason::ResourceExhausted)?;
        self.hashed.fetch_add(1, Ordering::Relaxed);
        let key = done.map_err(|error| {
            tracing::error!(%error, "a password was not hashed");
            Reason::Internal
        })?;
        Ok(PasswordHash::take_bytes(&mut key.expose_bytes().clone()))
    }

    /// Whether a new password is hard enough to guess. Judging costs time that the caller chooses, so it is an attempt of
    /// the certificate, on the threads that hash; a good one is given back.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED as of [`Self::hash`]; INVALID_ARGUMENT naming `field`.
    pub(super) async fn judge(
        &self,
        certificate: &PrincipalName,
        password: &str,
        user: &str,
        field: &'static str,
    ) -> Result<(), Refusal> {
        self.take(certificate)?;
        let (password, user) = (Zeroizing::new(password.to_owned()), user.to_owned());
        let judged = self.hashing.run(move || check_new(&password, &user, field));
        judged.await.ok_or(Reason::ResourceExhausted)??;
        self.give_back(certificate);
        Ok(())
    }

    /// A right password: the attempt is given back.
    pub(super) fn give_back(&self, certificate: &PrincipalName) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = buckets.get_mut(certificate) {
            bucket.left = bucket.left.saturating_add(1).min(ATTEMPTS_FREE);
        }
    }

    /// One attempt of the certificate's; time fills its bucket.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED.
    pub(super) fn take(&self, certificate: &PrincipalName) -> Result<(), Reason> {
        let now = self.clock.monotonic();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| {
                bucket.fill(now);
                bucket.left < ATTEMPTS_FREE
            });
        }
        let bucket = buckets.entry(certificate.clone()).or_insert(Bucket {
            left: ATTEMPTS_FREE,
            filled: now,
        });
        bucket.fill(now);
        bucket.left = bucket
            .left
            .checked_sub(1)
            .ok_or(Reason::ResourceExhausted)?;
        Ok(())
    }
}

impl Bucket {
    fn fill(&mut self, now: Duration) {
        while self.left < ATTEMPTS_FREE && self.filled + ATTEMPT_EVERY <= now {
            self.left += 1;
            self.filled += ATTEMPT_EVERY;
        }
        if self.left == ATTEMPTS_FREE {
            self.filled = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::clock::ManualClock;
    use kms_core::cipher::system_entropy::SystemEntropy;
    use kms_core::time::Timestamp;

    fn principal(text: &str) -> PrincipalName {
        PrincipalName::parse(text).unwrap()
    }

    #[test]
    fn each_certificate_has_its_own_bucket_and_time_fills_it() {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let keeper = Gatekeeper::new(clock.clone(), &SystemEntropy::new()).unwrap();
        let (one, other) = (principal("one"), principal("other"));
        assert!((0..ATTEMPTS_FREE).all(|_| keeper.take(&one).is_ok()));
        assert_eq!(keeper.take(&one), Err(Reason::ResourceExhausted));
        assert_eq!(keeper.take(&other), Ok(()));
        clock.advance(ATTEMPT_EVERY);
        assert_eq!(keeper.take(&one), Ok(()));
        assert!(keeper.take(&one).is_err());
        keeper.give_back(&one);
        assert_eq!(keeper.take(&one), Ok(()));
        clock.advance(Duration::from_hours(24));
        assert!((0..ATTEMPTS_FREE).all(|_| keeper.take(&one).is_ok()));
        assert!(keeper.take(&one).is_err());
    }
}
