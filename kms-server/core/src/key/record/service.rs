//! What the store keeps of services and desks that the built-in authority certifies, and of that authority.

use crate::name::{Purpose, ServiceName};
use crate::secret::AuthoritySeed;
use crate::time::Timestamp;

/// Whether certificates of it are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ServiceState {
    /// Those that its record names.
    Open,
    /// None, until it is permitted to enrol again.
    Revoked {
        /// Since when.
        at: Timestamp,
    },
}

/// A permission to enrol, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceToken {
    /// Keyed hash of the token.
    pub hash: [u8; 32],
    /// Not taken from here on.
    pub expires_at: Timestamp,
}

/// A certificate that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certified {
    /// SHA-256 of its DER.
    pub sha256: [u8; 32],
    /// When it was made.
    pub issued_at: Timestamp,
    /// Not valid after.
    pub expires_at: Timestamp,
}

/// A service or desk. At most two certificates of it are taken: the newest, and the one that it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRecord {
    /// The one spelling.
    pub name: ServiceName,
    /// What its certificates are for.
    pub purpose: Purpose,
    /// Whether they are taken.
    pub state: ServiceState,
    /// An enrolment that may happen.
    pub token: Option<ServiceToken>,
    /// The newest certificate.
    pub current: Option<Certified>,
    /// The one that the newest was made for; good until it expires, or until the newest is renewed.
    pub previous: Option<Certified>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl ServiceRecord {
    /// Whether the certificate with this hash is one that counts.
    #[must_use]
    pub fn takes(&self, sha256: &[u8; 32]) -> bool {
        let mut counted = self.current.iter().chain(&self.previous);
        self.state == ServiceState::Open && counted.any(|known| known.sha256 == *sha256)
    }
}

/// The built-in certificate authority.
#[derive(Debug)]
pub struct AuthorityRecord {
    /// Of its key.
    pub seed: AuthoritySeed,
    /// Its certificate, in DER; public.
    pub certificate: Box<[u8]>,
}
