//! `[services]`: the built-in certificate authority. Without the table it is off, and an outside PKI certifies.

use kms_core::name::{Purpose, TrustDomain};
use std::time::Duration;

/// What the built-in authority makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Services {
    /// Principals below its `/service/` and `/desk/` are the authority's own.
    pub trust_domain: TrustDomain,
    /// How long a service's certificate is valid.
    pub certificate_life: Duration,
    /// How long a desk's is: a person may be away for weeks.
    pub desk_certificate_life: Duration,
}

impl Services {
    /// How long a certificate is valid.
    #[must_use]
    pub const fn life(&self, purpose: Purpose) -> Duration {
        match purpose {
            Purpose::Service => self.certificate_life,
            Purpose::Desk => self.desk_certificate_life,
        }
    }
}
