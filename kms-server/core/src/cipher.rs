//! The only place of the service that names `ring`: hashes, derivations, authenticated encryption.
//!
//! Never invents a construction: messages are C2SP chunked-encryption (crate `cobblestone`),
//! derivations HKDF-SHA-512 (RFC 5869), keyed hashes HMAC-SHA-256 (RFC 2104).

pub mod authority;
pub mod jws;
pub mod label;
pub mod password;
pub mod seal_key;
pub mod self_test;
pub mod signature;
pub mod ssh_signature;
pub mod system_entropy;
pub mod totp;

use crate::entropy::{Entropy, EntropyUnavailable, make_bytes};
use crate::secret::DerivedKey;
use ring::{digest, hkdf, hmac};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// It does not open: wrong key, wrong context or damaged bytes. One error for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not open")]
pub struct Undecryptable;

/// A key for Cobblestone messages, with its HMAC state computed once.
pub struct MessageKey(cobblestone::Key);

impl MessageKey {
    /// From a derived key.
    #[must_use]
    pub fn new(key: &DerivedKey) -> Self {
        Self(cobblestone::Key::new(key.expose_bytes()))
    }

    /// Encrypts `plaintext`, bound to `context`, after what `out` holds. Adds
    /// [`cobblestone::sealed_len`] bytes.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] when no salt can be drawn; `out` is then as before.
    pub fn seal_into(
        &self,
        context: &[u8],
        plaintext: &[u8],
        entropy: &dyn Entropy,
        out: &mut Vec<u8>,
    ) -> Result<(), EntropyUnavailable> {
        let salt = cobblestone::Salt::from_bytes(make_bytes(entropy)?);
        cobblestone::seal_into(&self.0, context, &salt, plaintext, out)
            .map_err(|_| EntropyUnavailable)
    }

    /// Opens a message; nothing unauthenticated is returned.
    ///
    /// # Errors
    /// [`Undecryptable`].
    pub fn open(
        &self,
        context: &[u8],
        message: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
        cobblestone::open(&self.0, context, message).map_err(|_| Undecryptable)
    }
}

impl std::fmt::Debug for MessageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MessageKey(<redacted>)")
    }
}

struct Len32;

impl hkdf::KeyType for Len32 {
    fn len(&self) -> usize {
        32
    }
}

/// HKDF-SHA-512 (RFC 5869): extract with `salt` from `ikm`, expand with the parts of `info` to 32 bytes.
#[must_use]
pub fn derive_key(salt: &[u8], ikm: &[u8; 32], info: &[&[u8]]) -> DerivedKey {
    Derivation::new(salt, ikm).derive(info)
}

/// HKDF-SHA-512 (RFC 5869) with its extract step done once, for keys from which many are derived.
pub struct Derivation(hkdf::Prk);

impl Derivation {
    /// Extracts with `salt` from `ikm`.
    #[must_use]
    pub fn new(salt: &[u8], ikm: &[u8; 32]) -> Self {
        Self(hkdf::Salt::new(hkdf::HKDF_SHA512, salt).extract(ikm))
    }

    /// Expands with the parts of `info` to 32 bytes.
    #[must_use]
    pub fn derive(&self, info: &[&[u8]]) -> DerivedKey {
        let mut bytes = [0; 32];
        // 32 bytes are within the 255 x 64 that RFC 5869 allows, so `expand` and `fill` cannot fail;
        // should they ever, the zero key that remains fails the self test and every verification.
        if let Ok(okm) = self.0.expand(info, Len32) {
            let _ = okm.fill(&mut bytes);
        }
        DerivedKey::take_bytes(&mut bytes)
    }
}

impl std::fmt::Debug for Derivation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Derivation(<redacted>)")
    }
}

/// SHA-256 (FIPS 180-4) of the parts, one after the other.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finish()
}

/// SHA-256 in steps.
pub struct Sha256(digest::Context);

impl Sha256 {
    /// Nothing hashed yet.
    #[must_use]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        out
    }
}

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

/// A key for HMAC-SHA-256 (RFC 2104), with its state computed once.
pub struct HashKey(hmac::Key);

impl HashKey {
    /// From 32 secret bytes; which secret is said by the caller's type.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// HMAC of the parts, one after the other. Callers length-prefix what could be cut differently.
    #[must_use]
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        parts.iter().for_each(|part| context.update(part));
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        out
    }
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(<redacted>)")
    }
}

/// Equal, in time that does not depend on where they differ.
#[must_use]
pub fn constant_time_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
