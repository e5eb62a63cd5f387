//! Signatures: Ed25519 (RFC 8032). The instance key certifies what this installation says of itself;
//! nothing secret is ever recovered from a signature.

use super::sha256;
use crate::codec::hex;
use crate::secret::{InstanceSeed, LogSeed};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use std::fmt;

/// Bytes of a public key.
pub const PUBLIC_LEN: usize = 32;

/// Bytes of a signature.
pub const SIGNATURE_LEN: usize = 64;

/// The signature is not of this key over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signature does not verify")]
pub struct BadSignature;

/// The instance key, ready to sign.
pub struct InstanceKey(Ed25519KeyPair);

impl InstanceKey {
    /// From its seed.
    ///
    /// # Errors
    /// [`BadSignature`] when ring refuses the seed; it takes any 32 bytes.
    pub fn new(seed: &InstanceSeed) -> Result<Self, BadSignature> {
        Self::from_seed(seed.expose_bytes())
    }

    pub(super) fn from_seed(seed: &[u8]) -> Result<Self, BadSignature> {
        Ed25519KeyPair::from_seed_unchecked(seed)
            .map(Self)
            .map_err(|_| BadSignature)
    }

    /// Signs the bytes; the same bytes always give the same signature.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(self.0.sign(bytes).as_ref());
        signature
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        let mut public = [0; PUBLIC_LEN];
        public.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(public)
    }
}

impl fmt::Debug for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstanceKey(<redacted>, public {})", self.public())
    }
}

/// A log key, ready to sign checkpoints of the audit log. The instance key certifies it.
#[derive(Debug)]
pub struct LogKey(InstanceKey);

impl LogKey {
    /// From its seed.
    ///
    /// # Errors
    /// As [`InstanceKey::new`].
    pub fn new(seed: &LogSeed) -> Result<Self, BadSignature> {
        InstanceKey::from_seed(seed.expose_bytes()).map(Self)
    }

    /// Signs the bytes of a checkpoint.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(bytes)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.0.public()
    }
}

/// The public half of an instance or log key. Shown as its fingerprint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; PUBLIC_LEN]);

impl PublicKey {
    /// The signature must be this key's over exactly these bytes.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, bytes: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(bytes, signature)
            .map_err(|_| BadSignature)
    }

    /// `sha256:` and 64 hex digits: SHA-256 of the 32 bytes.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(sha256(&[&self.0]))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fingerprint().fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// SHA-256 of a public key, as it stands in the configuration and on shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// From `sha256:` and 64 lower-case hex digits; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:")?;
        let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn unhex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    /// RFC 8032, section 7.1: tests 1 to 3 (seed, public key, message, signature).
    const RFC_8032: [[&str; 4]; 3] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];

    #[test]
    fn rfc_8032_vectors() {
        for [seed, public, message, signature] in RFC_8032 {
            let key = InstanceKey::from_seed(&unhex(seed)).unwrap();
            assert_eq!(hex(&key.public().0), public);
            assert_eq!(hex(&key.sign(&unhex(message))), signature);
            key.public()
                .verify(&unhex(message), &unhex(signature))
                .unwrap();
        }
    }

    #[test]
    fn any_other_message_key_or_signature_is_refused() {
        let key = InstanceKey::from_seed(&[1; 32]).unwrap();
        let other = InstanceKey::from_seed(&[2; 32]).unwrap();
        let signature = key.sign(b"checkpoint");
        assert!(key.public().verify(b"checkpoinT", &signature).is_err());
        assert!(other.public().verify(b"checkpoint", &signature).is_err());
        assert!(
            key.public()
                .verify(b"checkpoint", &signature[..63])
                .is_err()
        );
        for place in 0..SIGNATURE_LEN {
            let mut changed = signature;
            changed[place] ^= 1;
            assert!(key.public().verify(b"checkpoint", &changed).is_err());
        }
    }

    #[test]
    fn fingerprints_read_as_written() {
        let print = InstanceKey::from_seed(&[1; 32])
            .unwrap()
            .public()
            .fingerprint();
        assert_eq!(Fingerprint::parse(&print.to_string()), Some(print));
        for bad in ["", "sha256:", "sha256:00", &hex(&print.0)] {
            assert_eq!(Fingerprint::parse(bad), None);
        }
    }

    #[test]
    fn debug_shows_no_seed_byte() {
        let key = InstanceKey::from_seed(&[0xAB; 32]).unwrap();
        assert!(!format!("{key:?}").contains("abab"));
    }
}
