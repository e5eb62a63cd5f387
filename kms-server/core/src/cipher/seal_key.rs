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
mod tests {
    use super::*;
    use crate::cipher::system_entropy::SystemEntropy;
    use crate::codec::hex;
    use data_encoding::HEXLOWER;
    use hpke::aead::AesGcm128;
    use proptest::prelude::*;

    /// Gives out these bytes once.
    struct Fixed(Vec<u8>);

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
            if bytes.len() != self.0.len() {
                return Err(EntropyUnavailable);
            }
            bytes.copy_from_slice(&self.0);
            Ok(())
        }
    }

    fn unhex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    const INFO: &[u8] = b"Ode on a Grecian Urn";
    const PLAINTEXT: &[u8] = b"Beauty is truth, truth beauty";
    const BOUND: Bound<'_> = Bound {
        info: INFO,
        aad: b"Count-0",
    };

    /// RFC 9180, A.1.1: base mode, AES-128-GCM (the RFC prints none with AES-256-GCM).
    #[test]
    fn rfc_9180_base_mode() {
        let private = unhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8");
        let public = unhex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d");
        let entropy = Fixed(unhex(
            "7268600d403fce431561aef583ee1613527cff655c1343f29812e66706df3234",
        ));
        assert_eq!(
            public_of(private.as_slice().try_into().unwrap()).as_slice(),
            public
        );
        let mode = OpModeS::Base;
        let message =
            encrypt::<AesGcm128, X25519HkdfSha256>(&mode, &public, BOUND, PLAINTEXT, &entropy)
                .unwrap();
        assert_eq!(
            hex(&message),
            "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431\
             f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a9\
             6d8770ac83d07bea87e13c512a"
        );
        let opened =
            decrypt::<AesGcm128, X25519HkdfSha256>(&OpModeR::Base, &private, BOUND, &message)
                .unwrap();
        assert_eq!(opened.as_slice(), PLAINTEXT);
    }

    /// RFC 9180, A.1.2: PSK mode, AES-128-GCM.
    #[test]
    fn rfc_9180_psk_mode() {
        let private = unhex("c5eb01eb457fe6c6f57577c5413b931550a162c71a03ac8d196babbd4e5ce0fd");
        let public = unhex("9fed7e8c17387560e92cc6462a68049657246a09bfa8ade7aefe589672016366");
        let psk = unhex("0247fd33b913760fa1fa51e1892d9f307fbe65eb171e8132c2af18555a738b82");
        let bundle = PskBundle::new(&psk, b"Ennyn Durin aran Moria").unwrap();
        let entropy = Fixed(unhex(
            "78628c354e46f3e169bd231be7b2ff1c77aa302460a26dbfa15515684c00130b",
        ));
        let mode = OpModeS::Psk(bundle);
        let message =
            encrypt::<AesGcm128, X25519HkdfSha256>(&mode, &public, BOUND, PLAINTEXT, &entropy)
                .unwrap();
        assert_eq!(
            hex(&message),
            "0ad0950d9fb9588e59690b74f1237ecdf1d775cd60be2eca57af5a4b0471c91b\
             e52c6fed7f758d0cf7145689f21bc1be6ec9ea097fef4e959440012f4feb73fb\
             611b946199e681f4cfc34db8ea"
        );
        let mode = OpModeR::Psk(bundle);
        let opened =
            decrypt::<AesGcm128, X25519HkdfSha256>(&mode, &private, BOUND, &message).unwrap();
        assert_eq!(opened.as_slice(), PLAINTEXT);
    }

    #[test]
    fn a_failed_draw_makes_no_message() {
        let public = public_of(&[7; 32]);
        assert_eq!(
            encrypt_to(&public, INFO, b"", PLAINTEXT, &Fixed(vec![])),
            Err(NotEncrypted::Entropy)
        );
    }

    #[test]
    fn a_point_of_low_order_is_no_public_key() {
        for public in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            assert_eq!(
                encrypt_to(&public, INFO, b"", PLAINTEXT, &SystemEntropy::new()),
                Err(NotEncrypted::PublicKey)
            );
        }
    }

    #[test]
    fn a_seal_opens_with_its_own_key_psk_and_id_alone() {
        let entropy = SystemEntropy::new();
        let private = [9; 32];
        let (key, other) = (
            SealPsk::make_random(&entropy).unwrap(),
            SealPsk::make_random(&entropy).unwrap(),
        );
        let right = PreShared {
            key: &key,
            id: b"id",
        };
        let public = seal_public_of(&private);
        let encrypt =
            |public: &[u8]| encrypt_to_seal(public, right, INFO, b"", PLAINTEXT, &entropy);
        let message = encrypt(&public[..]).unwrap();
        assert_eq!(message.len(), PLAINTEXT.len() + SEAL_OVERHEAD);
        let opened = decrypt_with_seal(&private, right, INFO, b"", &message).unwrap();
        assert_eq!(opened.as_slice(), PLAINTEXT);
        for wrong in [
            PreShared {
                key: &other,
                id: b"id",
            },
            PreShared {
                key: &key,
                id: b"di",
            },
        ] {
            assert!(decrypt_with_seal(&private, wrong, INFO, b"", &message).is_err());
        }
        assert!(decrypt_with_seal(&[8; 32], right, INFO, b"", &message).is_err());
        assert!(decrypt_with_seal(&private, right, INFO, b"x", &message).is_err());
        for place in (0..message.len()).step_by(29) {
            let mut changed = message.clone();
            changed[place] ^= 1;
            assert!(decrypt_with_seal(&private, right, INFO, b"", &changed).is_err());
        }
        assert_eq!(encrypt(&public[1..]), Err(NotEncrypted::PublicKey));
    }

    proptest! {
        #[test]
        fn opens_only_unchanged(
            plaintext in proptest::collection::vec(any::<u8>(), 0..200),
            place in any::<proptest::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let private = [5; 32];
            let entropy = SystemEntropy::new();
            let mut message =
                encrypt_to(&public_of(&private), b"info", b"aad", &plaintext, &entropy).unwrap();
            let opened = decrypt_with(&private, b"info", b"aad", &message).unwrap();
            prop_assert_eq!(opened.as_slice(), plaintext.as_slice());
            prop_assert!(decrypt_with(&private, b"inf0", b"aad", &message).is_err());
            prop_assert!(decrypt_with(&private, b"info", b"aa", &message).is_err());
            prop_assert!(decrypt_with(&[6; 32], b"info", b"aad", &message).is_err());
            let place = place.index(message.len());
            // The top bit of an X25519 coordinate is ignored (RFC 7748, section 5), but HPKE binds it.
            message[place] ^= 1 << bit;
            prop_assert!(decrypt_with(&private, b"info", b"aad", &message).is_err());
            prop_assert!(decrypt_with(&private, b"info", b"aad", &message[..place]).is_err());
        }
    }
}
