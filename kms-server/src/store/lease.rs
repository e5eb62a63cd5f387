//! Leases of embedded engines: held in memory, because they end with the process that took them. Tokens come
//! from the store's stamps, so that none is used twice, restarts included.

use crate::system::clock::Clock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A lease that was taken. A transaction that carries it fails once another has taken it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    name: Box<str>,
    token: u64,
}

impl Lease {
    /// What it is for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Larger than every earlier holder's.
    #[must_use]
    pub const fn token(&self) -> u64 {
        self.token
    }
}

/// Who holds what until when, on the given clock's monotonic time.
pub(super) struct Leases {
    clock: Arc<dyn Clock>,
    held: Mutex<HashMap<Box<str>, (u64, Duration)>>,
}

impl Leases {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            held: Mutex::default(),
        }
    }

    /// `token` is used only when the lease is free.
    pub(super) fn acquire<E>(
        &self,
        name: &str,
        ttl: Duration,
        token: impl FnOnce() -> Result<u64, E>,
    ) -> Result<Option<Lease>, E> {
        let now = self.clock.monotonic();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.get(name).is_some_and(|(_, until)| *until > now) {
            return Ok(None);
        }
        let token = token()?;
        held.insert(name.into(), (token, now.saturating_add(ttl)));
        Ok(Some(Lease {
            name: name.into(),
            token,
        }))
    }

    pub(super) fn renew(&self, lease: &Lease, ttl: Duration) -> bool {
        let until = self.clock.monotonic().saturating_add(ttl);
        self.with_held(lease, |entry| *entry = until)
    }

    /// Expired and not taken over counts as lost: its holder may have slept for long.
    pub(super) fn holds(&self, lease: &Lease) -> bool {
        self.with_held(lease, |_| ())
    }

    pub(super) fn release(&self, lease: &Lease) {
        self.with_held(lease, |until| *until = Duration::ZERO);
    }

    fn with_held(&self, lease: &Lease, change: impl FnOnce(&mut Duration)) -> bool {
        let now = self.clock.monotonic();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get_mut(&lease.name) {
            Some((token, until)) if *token == lease.token && *until > now => {
                change(until);
                true
            }
            _ => false,
        }
    }
}
