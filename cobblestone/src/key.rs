//! The input key, the salt, and what HKDF-Expand makes of them for one message
//! (c2sp.org/chunked-encryption, "Key derivation"). Never hands out key bytes, and never gives a
//! chunk key for opening before the commitment has been compared.

use std::fmt;

use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::error::Unspecified;
use ring::hkdf;
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::chunk::ChunkKey;
use crate::error::Error;
use crate::layout::{COMMITMENT_LEN, HEADER_LEN, SALT_LEN};

/// Binds scheme, version and AEAD into the derivation; the zero byte ends the AEAD's name.
const INFO_PREFIX: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;

/// The salt of one message: 24 bytes, public, never twice under one key.
///
/// [`Salt::random`] is right nearly always. A salt of your own choice that repeats under one key
/// with the same context is nonce reuse: it gives up both plaintexts and the authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; SALT_LEN]);

impl Salt {
    /// A salt chosen by the caller, who promises never to use it again with the same key.
    pub const fn from_bytes(bytes: [u8; SALT_LEN]) -> Self {
        Self(bytes)
    }

    /// A fresh salt from the operating system. 192 random bits do not repeat.
    ///
    /// # Errors
    /// [`Error::RandomUnavailable`].
    pub fn random() -> Result<Self, Error> {
        let mut bytes = [0; SALT_LEN];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|Unspecified| Error::RandomUnavailable)?;
        Ok(Self(bytes))
    }

    /// The 24 bytes, as they stand at the head of the message.
    pub const fn as_bytes(&self) -> &[u8; SALT_LEN] {
        &self.0
    }
}

/// An input key: 32 uniformly random bytes, kept as prepared HMAC-SHA-512 state, so that a
/// message costs two HMACs and no key set-up. Share one between threads and messages.
///
/// Boxed, so that moving it leaves no copies behind; `ring` does not wipe its own state on drop,
/// which a zeroising global allocator makes up for. Neither `Clone` nor comparable, and `Debug`
/// shows no bytes.
pub struct Key(Box<hkdf::Prk>);

impl Key {
    /// Prepares `key`, which must be uniformly random (made by a CSPRNG or a KDF; never a
    /// password). The caller's copy stays the caller's to wipe.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Box::new(hkdf::Prk::new_less_safe(hkdf::HKDF_SHA512, key)))
    }

    /// The keys of a new message and the header to put before its chunks.
    pub(crate) fn seal_message(&self, context: &[u8], salt: &Salt) -> ([u8; HEADER_LEN], ChunkKey) {
        let (chunk_key, commitment) = self.derive(context, salt);
        let mut header = [0; HEADER_LEN];
        for (to, from) in header.iter_mut().zip(salt.0.iter().chain(&commitment)) {
            *to = *from;
        }
        (header, chunk_key)
    }

    /// The chunk key of the message that begins with `header`: "implementations MUST check the
    /// commitment matches the derived value before continuing". Compared in constant time.
    pub(crate) fn open_message(
        &self,
        context: &[u8],
        header: &[u8; HEADER_LEN],
    ) -> Result<ChunkKey, Error> {
        let (salt, commitment) = header
            .split_first_chunk::<SALT_LEN>()
            .ok_or(Error::Undecryptable)?;
        let (chunk_key, expected) = self.derive(context, &Salt(*salt));
        if bool::from(expected.as_slice().ct_eq(commitment)) {
            Ok(chunk_key)
        } else {
            Err(Error::Undecryptable)
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "ring refuses an output or a key only for its length; both are fixed by type"
    )]
    fn derive(&self, context: &[u8], salt: &Salt) -> (ChunkKey, [u8; COMMITMENT_LEN]) {
        self.expand(context, salt)
            .expect("76 bytes are less than HKDF's limit, 32 bytes are an AES-256 key")
    }

    /// `key || base nonce || commitment = HKDF-Expand(input key, info = prefix || salt || context)`
    fn expand(
        &self,
        context: &[u8],
        salt: &Salt,
    ) -> Result<(ChunkKey, [u8; COMMITMENT_LEN]), Unspecified> {
        let mut derived = Zeroizing::new([0; DerivedLen::BYTES]);
        self.0
            .expand(&[INFO_PREFIX, &salt.0, context], DerivedLen)?
            .fill(derived.as_mut_slice())?;
        let (key, rest) = derived.split_first_chunk::<KEY_LEN>().ok_or(Unspecified)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unspecified)?;
        let commitment = rest.first_chunk().ok_or(Unspecified)?;
        let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?);
        Ok((ChunkKey::new(aead, nonce), *commitment))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

/// Tells ring how much to expand.
#[derive(Clone, Copy)]
struct DerivedLen;

impl DerivedLen {
    const BYTES: usize = KEY_LEN + NONCE_LEN + COMMITMENT_LEN;
}

impl hkdf::KeyType for DerivedLen {
    fn len(&self) -> usize {
        Self::BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_bytes() {
        assert_eq!(format!("{:?}", Key::new(&[0x41; 32])), "Key([redacted])");
    }

    #[test]
    fn keys_are_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Key>();
    }

    #[test]
    fn random_salts_differ() {
        assert_ne!(Salt::random().unwrap(), Salt::random().unwrap());
    }
}
