//! How long and for how much a remembered data key may serve, and the clock that tells.

use crate::error::Error;
use std::time::{Duration, Instant};

/// Bounds of a cache. All of them hold at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLimits {
    /// Longest life of an entry, 1 s to 1 h. As long may a rotation, a disabled version or an erased
    /// subject go unnoticed by this process.
    pub age: Duration,
    /// Most messages encrypted, or openings answered, by one entry; at least 1.
    pub messages: u64,
    /// Most plaintext bytes encrypted under one data key; at least 1.
    pub bytes: u64,
    /// Most entries for encryption, and as many for opening; at least 1.
    pub entries: usize,
    /// Whether the service is told how often remembered keys were used: else its log knows only when they were
    /// fetched.
    pub report: bool,
}

impl Default for CacheLimits {
    /// 5 minutes, 100,000 messages, 1 GiB, 10,000 entries, and uses are reported.
    fn default() -> Self {
        Self {
            age: Duration::from_secs(300),
            messages: 100_000,
            bytes: 1 << 30,
            entries: 10_000,
            report: true,
        }
    }
}

impl CacheLimits {
    pub(super) fn check(&self) -> Result<(), Error> {
        let ages = Duration::from_secs(1)..=Duration::from_secs(3600);
        if !ages.contains(&self.age) {
            return Err(Error::invalid("age", "1 s to 1 h"));
        }
        if self.messages == 0 || self.bytes == 0 || self.entries == 0 {
            return Err(Error::invalid("messages, bytes and entries", "at least 1"));
        }
        Ok(())
    }
}

/// A clock that only goes forward.
pub trait CacheClock: Send + Sync {
    /// Time since any fixed moment.
    fn now(&self) -> Duration;
}

/// The process's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Monotonic(Instant);

impl Default for Monotonic {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl CacheClock for Monotonic {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
