//! One accepted connection and what its peer presented. Holds no decision: whether the peer is
//! (still) acceptable is asked of [`super::Identity`] on every call.

use super::certificate::Presented;
use kms_core::audit::leaf::PrincipalId;
use kms_core::name::PrincipalName;
use kms_core::policy::{Authentication, Principal};
use kms_core::time::Timestamp;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU16, AtomicU64, Ordering};
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
    /// The id that stands for the principal, once the directory's key was at hand.
    pub principal: OnceLock<PrincipalId>,
    /// Number of the month in which it was introduced last; 0: not yet.
    month: AtomicU16,
    /// The operator who spoke over it last, and the month of that introduction.
    operator: Mutex<Option<(PrincipalName, u16)>>,
}

impl Introduction {
    /// Whether the log must be told who `principal` is, in this month; asked once, it is not due again.
    pub fn is_due(&self, principal: &Principal, month: u16) -> bool {
        if principal.authentication != Authentication::OperatorSession {
            return self.month.swap(month, Ordering::Relaxed) != month;
        }
        let mut last = self.operator.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.as_ref();
        let is_known = known.is_some_and(|(name, of)| *name == principal.name && *of == month);
        if !is_known {
            *last = Some((principal.name.clone(), month));
        }
        !is_known
    }
}

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
                month: AtomicU16::new(0),
                operator: Mutex::new(None),
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
