//! One accepted connection and what its peer presented. Holds no decision: whether the peer is
//! (still) acceptable is asked of [`super::Identity`] on every call.

use super::certificate::Presented;
use kms_core::audit::leaf::PrincipalId;
use kms_core::name::PrincipalName;
use kms_core::time::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// An accepted connection, after its handshake.
#[derive(Debug)]
pub struct Connection {
    number: u64,
    peer: SocketAddr,
    presented: Option<Presented>,
    // trust generation under which the chain was last found good (0: never), and when
    generation: AtomicU64,
    verified_at: AtomicI64,
    /// What the audit log knows of it.
    pub introduction: Introduction,
}

/// What the audit log knows of a connection's caller.
#[derive(Debug, Default)]
pub struct Introduction {
    /// The id that stands for the certificate's principal, once the directory's key was at hand.
    pub principal: OnceLock<PrincipalId>,
    // when it was introduced last; 0: not yet
    last: AtomicU32,
    // the same for those whom tokens named over this connection
    others: Mutex<BTreeMap<PrincipalName, u32>>,
}

/// Principals of one connection whose introduction is remembered; with more, some are introduced again.
const OTHERS_MAX: usize = 64;

impl Connection {
    /// `number` is unique within this start of the daemon, from 1.
    #[must_use]
    pub const fn new(number: u64, peer: SocketAddr, presented: Option<Presented>) -> Self {
        Self {
            number,
            peer,
            presented,
            generation: AtomicU64::new(0),
            verified_at: AtomicI64::new(0),
            introduction: Introduction {
                principal: OnceLock::new(),
                last: AtomicU32::new(0),
                others: Mutex::new(BTreeMap::new()),
            },
        }
    }

    /// Its number; unique within this start of the daemon.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The other end.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The client's certificate; `None` when it showed none.
    #[must_use]
    pub const fn presented(&self) -> Option<&Presented> {
        self.presented.as_ref()
    }

    /// Whether `name` is the one in its certificate.
    #[must_use]
    pub fn is_own(&self, name: &PrincipalName) -> bool {
        let own = self.presented.as_ref().map(Presented::name);
        own.is_some_and(|own| own == Ok(name))
    }

    /// Whether `name` must be introduced in this month over this connection; says so once while sealed, when nobody but
    /// the month's key can tell the name again, and once while unsealed.
    #[must_use]
    pub fn to_introduce(&self, name: &PrincipalName, month: u16, is_sealed: bool) -> bool {
        let now = u32::from(month) * 2 + u32::from(!is_sealed);
        let known = &self.introduction;
        if self.is_own(name) {
            return known.last.swap(now, Ordering::Relaxed) != now;
        }
        let mut others = known.others.lock().unwrap_or_else(PoisonError::into_inner);
        if others.len() >= OTHERS_MAX && !others.contains_key(name) {
            others.clear();
        }
        others.insert(name.clone(), now) != Some(now)
    }

    pub(super) fn is_verified(&self, generation: u64, now: Timestamp, within: Duration) -> bool {
        // one connection lives on one runtime: the two need no order between them
        let at = Timestamp::from_micros(self.verified_at.load(Ordering::Relaxed));
        self.generation.load(Ordering::Relaxed) == generation
            && now.since(at).max(at.since(now)) < within
    }

    pub(super) fn set_verified(&self, generation: u64, now: Timestamp) {
        self.verified_at.store(now.as_micros(), Ordering::Relaxed);
        self.generation.store(generation, Ordering::Relaxed);
    }
}
