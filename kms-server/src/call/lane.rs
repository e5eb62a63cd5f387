//! What one runtime keeps for itself: its way into the log, salts drawn ahead, datasets introduced.

use crate::audit_log::LocalAudit;
use crate::system::clock::Clock;
use kms_core::audit::leaf::Month;
use kms_core::entropy::{Entropy, EntropyUnavailable};
use kms_core::name::KeyId;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// See the module.
pub struct Lane {
    pub(super) audit: LocalAudit,
    pub(super) salts: Salts,
    /// Months in which datasets were introduced last by this runtime.
    pub(super) datasets: RefCell<HashMap<KeyId, Month>>,
}

impl Lane {
    pub(super) fn new(audit: LocalAudit, entropy: Arc<dyn Entropy>, clock: Arc<dyn Clock>) -> Self {
        Self {
            audit,
            salts: Salts::new(entropy, clock),
            datasets: RefCell::default(),
        }
    }
}

/// Most bytes drawn ahead.
const AHEAD: usize = 4 * 1024;
/// Longest time that they are kept: a resumed snapshot of a virtual machine must not repeat many.
const KEPT: Duration = Duration::from_secs(1);

/// Salts, drawn ahead from the system. Never used for key material.
pub(super) struct Salts {
    entropy: Arc<dyn Entropy>,
    clock: Arc<dyn Clock>,
    /// Locked by its own runtime only.
    pool: Mutex<Pool>,
}

struct Pool {
    bytes: Box<[u8; AHEAD]>,
    used: usize,
    drawn: Duration,
}

impl Salts {
    fn new(entropy: Arc<dyn Entropy>, clock: Arc<dyn Clock>) -> Self {
        let pool = Pool {
            bytes: Box::new([0; AHEAD]),
            used: AHEAD,
            drawn: Duration::ZERO,
        };
        Self {
            entropy,
            clock,
            pool: Mutex::new(pool),
        }
    }
}

impl Entropy for Salts {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        if bytes.len() > AHEAD / 8 {
            return self.entropy.fill(bytes);
        }
        let now = self.clock.monotonic();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let stale = now.saturating_sub(pool.drawn) > KEPT;
        if stale || AHEAD - pool.used < bytes.len() {
            self.entropy.fill(&mut *pool.bytes)?;
            pool.used = 0;
            pool.drawn = now;
        }
        let from = pool.used;
        pool.used += bytes.len();
        let until = pool.used;
        let taken = pool.bytes.get(from..until).ok_or(EntropyUnavailable)?;
        bytes.copy_from_slice(taken);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::clock::ManualClock;
    use kms_core::time::Timestamp;
    use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

    #[derive(Default)]
    struct Counting(AtomicUsize, AtomicU8);

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
            self.0.fetch_add(1, Ordering::Relaxed);
            bytes.fill(self.1.fetch_add(1, Ordering::Relaxed));
            Ok(())
        }
    }

    #[test]
    fn salts_are_drawn_ahead_and_not_kept_for_long() {
        let entropy = Arc::new(Counting::default());
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let salts = Salts::new(Arc::clone(&entropy) as _, Arc::clone(&clock) as _);
        let draws = || entropy.0.load(Ordering::Relaxed);
        let mut salt = [0; 24];
        for _ in 0..AHEAD / 24 {
            salts.fill(&mut salt).unwrap();
        }
        assert_eq!(draws(), 1);
        salts.fill(&mut salt).unwrap();
        assert_eq!((draws(), salt[0]), (2, 1), "an empty pool is drawn anew");
        clock.advance(Duration::from_millis(1_001));
        salts.fill(&mut salt).unwrap();
        assert_eq!((draws(), salt[0]), (3, 2), "a stale pool is thrown away");
        salts.fill(&mut [0; AHEAD]).unwrap();
        assert_eq!(draws(), 4, "what is large is not taken from the pool");
    }
}
