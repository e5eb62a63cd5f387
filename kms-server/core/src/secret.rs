//! One type for each meaning of 32 secret bytes: boxed, wiped on drop, never copied, compared or printed.
//!
//! `expose_bytes` is the only way out; `tests/tidy` holds the list of files that may say it.

use crate::entropy::{Entropy, EntropyUnavailable};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Bytes in every secret.
pub const SECRET_LEN: usize = 32;

macro_rules! secret {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub struct $name(Box<Zeroizing<[u8; SECRET_LEN]>>);

        impl $name {
            /// Draws a new one.
            ///
            /// # Errors
            /// [`EntropyUnavailable`] when the source fails.
            pub fn make_random(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
                let mut secret = Self(Box::new(Zeroizing::new([0; SECRET_LEN])));
                entropy.fill(&mut **secret.0)?;
                Ok(secret)
            }

            /// Takes the bytes over and wipes where they came from.
            #[must_use]
            pub fn take_bytes(bytes: &mut [u8; SECRET_LEN]) -> Self {
                let mut secret = Self(Box::new(Zeroizing::new([0; SECRET_LEN])));
                secret.0.copy_from_slice(bytes.as_slice());
                bytes.zeroize();
                secret
            }

            /// Builds it from bytes that stay with the caller; `None` when they are not 32.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                let mut secret = Self(Box::new(Zeroizing::new([0; SECRET_LEN])));
                if bytes.len() != SECRET_LEN {
                    return None;
                }
                secret.0.copy_from_slice(bytes);
                Some(secret)
            }

            /// The bytes themselves.
            #[must_use]
            pub fn expose_bytes(&self) -> &[u8; SECRET_LEN] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(<redacted>)"))
            }
        }
    )+};
}

secret!(
    /// Encrypts the store. In memory only while unsealed.
    MasterKey,
    /// One version of a dataset key.
    VersionKey,
    /// Made for a caller, handed out, never stored.
    DataKey,
    /// Takes part in wrapping data keys; destroying it destroys exactly that data.
    ShredSecret,
    /// Keys the hashes by which records are found; a random record of the store, never derived.
    IndexKey,
    /// Keys the set hash of the root record; a random record of the store, never derived.
    SetHashKey,
    /// Seed of the instance key (Ed25519, RFC 8032).
    InstanceSeed,
    /// Seed of the built-in certificate authority's key (Ed25519, RFC 8032).
    AuthoritySeed,
    /// Seed of a log key, which signs the audit log's checkpoints (Ed25519, RFC 8032).
    LogSeed,
    /// X25519 private key of the audit intake.
    IntakeKey,
    /// One month's key of the audit log's personal groups and secret hashes.
    AuditMonthKey,
    /// A key derived for one use.
    DerivedKey,
    /// X25519 private half of a seal; in memory only while its seal is being opened.
    SealPrivateKey,
    /// The pre-shared key that lies with the seals' private halves.
    SealPsk,
    /// What Argon2id made of an operator's password.
    PasswordHash,
    /// What proves an operator's session: held by the client, known to the service by its hash only.
    SessionToken,
);

/// Bytes of a TOTP secret: what HMAC-SHA-1 yields (RFC 4226, section 4).
pub const TOTP_SECRET_LEN: usize = 20;

/// What an operator's authenticator and the service share: boxed and wiped on drop, as the others.
pub struct TotpSecret(Box<Zeroizing<[u8; TOTP_SECRET_LEN]>>);

impl TotpSecret {
    /// Draws a new one.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] when the source fails.
    pub fn make_random(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        let mut secret = Self(Box::new(Zeroizing::new([0; TOTP_SECRET_LEN])));
        entropy.fill(&mut **secret.0)?;
        Ok(secret)
    }

    /// Builds it from bytes that stay with the caller; `None` when they are not 20.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.try_into().ok()?;
        Some(Self(Box::new(Zeroizing::new(bytes))))
    }

    /// The bytes themselves.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; TOTP_SECRET_LEN] {
        &self.0
    }
}

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_name_and_no_byte() {
        let key = MasterKey::take_bytes(&mut [0xAB; SECRET_LEN]);
        assert_eq!(format!("{key:?}"), "MasterKey(<redacted>)");
        let totp = TotpSecret::from_slice(&[0xAB; TOTP_SECRET_LEN]).unwrap();
        assert_eq!(format!("{totp:?}"), "TotpSecret(<redacted>)");
        assert!(TotpSecret::from_slice(&[1; 32]).is_none());
    }

    #[test]
    fn taking_bytes_wipes_their_source() {
        let mut bytes = [7; SECRET_LEN];
        let key = DataKey::take_bytes(&mut bytes);
        assert_eq!(bytes, [0; SECRET_LEN]);
        assert_eq!(key.expose_bytes(), &[7; SECRET_LEN]);
    }

    #[test]
    fn a_slice_of_another_length_is_no_secret() {
        assert!(ShredSecret::from_slice(&[1; 31]).is_none());
        assert!(ShredSecret::from_slice(&[1; 33]).is_none());
    }
}
