//! Encryption to a public key: HPKE (RFC 9180) with HKDF-SHA256 and AES-256-GCM. Never keeps a private
//! key: callers hold it in its own secret type.
//!
//! Two key encapsulations: X25519 for the audit intake, X-Wing (ML-KEM-768 with X25519,
//! draft-connolly-cfrg-xwing-kem; in HPKE by draft-ietf-hpke-pq) for seals, whose messages must stay
//! closed when one of the two is broken. Seals use PSK mode: only who knows the pre-shared key could
//! have made the message.

use super::Undecryptable;
use crate::entropy::{Entropy, EntropyUnavailable};
use crate::secret::SealPsk;
use hpke::aead::{Aead, AesGcm256};
use hpke::kdf::HkdfSha256;
use hpke::kem::{Kem, X25519HkdfSha256, XWing};
use hpke::rand_core::{Infallible, TryCryptoRng, TryRng};
use hpke::{Deserializable, OpModeR, OpModeS, PskBundle, Serializable};
use zeroize::Zeroizing;

/// Bytes of a private key of both kinds, and of a public key of X25519.
pub const KEY_LEN: usize = 32;

/// Bytes that an X25519 message is longer than its plaintext: encapsulated key and tag.
pub const OVERHEAD: usize = 32 + 16;

/// Number of the seals' suite in our formats.
pub const SEAL_SUITE: u8 = 1;

/// Bytes of a seal's public half: ML-KEM-768 and X25519.
pub const SEAL_PUBLIC_LEN: usize = 1_184 + 32;

/// Bytes that a seal's message is longer than its plaintext: encapsulated key and tag.
pub const SEAL_OVERHEAD: usize = 1_088 + 32 + 16;

/// Nothing could be encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEncrypted {
    /// The random source failed.
    #[error("no randomness available")]
    Entropy,
    /// The public key is no point that a private key can have.
    #[error("not a usable public key")]
    PublicKey,
}

impl From<EntropyUnavailable> for NotEncrypted {
    fn from(_: EntropyUnavailable) -> Self {
        Self::Entropy
    }
}

/// What a key and its id add to a message: who made it.
#[derive(Debug, Clone, Copy)]
pub struct PreShared<'a> {
    /// The key.
    pub key: &'a SealPsk,
    /// Its id, 1 byte or more; public.
    pub id: &'a [u8],
}

/// The public half of an X25519 private key. Any 32 random bytes are a private key (RFC 7748).
#[must_use]
pub fn public_of(private: &[u8; KEY_LEN]) -> [u8; KEY_LEN] {
    let mut public = [0; KEY_LEN];
    // 32 bytes always parse; should that ever change, the zero key that remains fails the self test.
    if let Ok(private) = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(private) {
        X25519HkdfSha256::sk_to_pk(&private).write_exact(&mut public);
    }
    public
}

/// The public half of a seal's private half: [`SEAL_PUBLIC_LEN`] bytes. Any 32 random bytes are a
/// private half.
#[must_use]
pub fn seal_public_of(private: &[u8; KEY_LEN]) -> Box<[u8; SEAL_PUBLIC_LEN]> {
    let mut public = Box::new([0; SEAL_PUBLIC_LEN]);
    // As above.
    if let Ok(private) = <XWing as Kem>::PrivateKey::from_bytes(private) {
        XWing::sk_to_pk(&private).write_exact(public.as_mut_slice());
    }
    public
}

/// Encrypts to an X25519 key in base mode: [`OVERHEAD`] bytes more than `plaintext`. `info` separates
/// uses, `aad` binds what else must match.
///
/// # Errors
/// [`NotEncrypted`].
pub fn encrypt_to(
    public: &[u8; KEY_LEN],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, NotEncrypted> {
    let bound = Bound { info, aad };
    encrypt::<AesGcm256, X25519HkdfSha256>(&OpModeS::Base, public, bound, plaintext, entropy)
}

/// Opens what [`encrypt_to`] made.
///
/// # Errors
/// [`Undecryptable`].
pub fn decrypt_with(
    private: &[u8; KEY_LEN],
    info: &[u8],
    aad: &[u8],
    message: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
    let bound = Bound { info, aad };
    decrypt::<AesGcm256, X25519HkdfSha256>(&OpModeR::Base, private, bound, message)
}

/// Encrypts to a seal's public half in PSK mode: [`SEAL_OVERHEAD`] bytes more than `plaintext`.
///
/// # Errors
/// [`NotEncrypted`].
pub fn encrypt_to_seal(
    public: &[u8],
    pre_shared: PreShared<'_>,
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, NotEncrypted> {
    let bundle = PskBundle::new(pre_shared.key.expose_bytes(), pre_shared.id)
        .map_err(|_| NotEncrypted::PublicKey)?;
    let bound = Bound { info, aad };
    encrypt::<AesGcm256, XWing>(&OpModeS::Psk(bundle), public, bound, plaintext, entropy)
}

/// Opens what [`encrypt_to_seal`] made.
///
/// # Errors
/// [`Undecryptable`].
pub fn decrypt_with_seal(
    private: &[u8; KEY_LEN],
    pre_shared: PreShared<'_>,
    info: &[u8],
    aad: &[u8],
    message: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
    let bundle =
        PskBundle::new(pre_shared.key.expose_bytes(), pre_shared.id).map_err(|_| Undecryptable)?;
    let bound = Bound { info, aad };
    decrypt::<AesGcm256, XWing>(&OpModeR::Psk(bundle), private, bound, message)
}

/// What a message is bound to.
#[derive(Clone, Copy)]
struct Bound<'a> {
    info: &'a [u8],
    aad: &'a [u8],
}

fn encrypt<A: Aead, K: Kem>(
    mode: &OpModeS<'_, K>,
    public: &[u8],
    bound: Bound<'_>,
    plaintext: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, NotEncrypted> {
    let public = K::PublicKey::from_bytes(public).map_err(|_| NotEncrypted::PublicKey)?;
    let mut drawn = Drawn {
        entropy,
        failed: false,
    };
    let made = hpke::single_shot_seal_with_rng::<A, HkdfSha256, K>(
        mode, &public, bound.info, plaintext, bound.aad, &mut drawn,
    );
    if drawn.failed {
        return Err(NotEncrypted::Entropy);
    }
    let (encapsulated, ciphertext) = made.map_err(|_| NotEncrypted::PublicKey)?;
    let mut message = encapsulated.to_bytes().to_vec();
    message.extend_from_slice(&ciphertext);
    Ok(message)
}

fn decrypt<A: Aead, K: Kem>(
    mode: &OpModeR<'_, K>,
    private: &[u8],
    bound: Bound<'_>,
    message: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
    let (encapsulated, ciphertext) = message
        .split_at_checked(K::EncappedKey::size())
        .ok_or(Undecryptable)?;
    let private = K::PrivateKey::from_bytes(private).map_err(|_| Undecryptable)?;
    let encapsulated = K::EncappedKey::from_bytes(encapsulated).map_err(|_| Undecryptable)?;
    hpke::single_shot_open::<A, HkdfSha256, K>(
        mode,
        &private,
        &encapsulated,
        bound.info,
        ciphertext,
        bound.aad,
    )
    .map(Zeroizing::new)
    .map_err(|_| Undecryptable)
}

/// Our random source in the shape that `hpke` wants, which knows no failure: a failed draw is
/// remembered, and what was made from it is thrown away.
struct Drawn<'a> {
    entropy: &'a dyn Entropy,
    failed: bool,
}

impl Drawn<'_> {
    fn draw<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.failed |= self.entropy.fill(&mut bytes).is_err();
        bytes
    }
}

impl TryRng for Drawn<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.draw()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.draw()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.failed |= self.entropy.fill(bytes).is_err();
        Ok(())
    }
}

impl TryCryptoRng for Drawn<'_> {}

#[cfg(test)]
mod tests;
