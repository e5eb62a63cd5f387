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
        encrypt::<AesGcm128, X25519HkdfSha256>(&mode, &public, BOUND, PLAINTEXT, &entropy).unwrap();
    assert_eq!(
        hex(&message),
        "37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431\
         f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a9\
         6d8770ac83d07bea87e13c512a"
    );
    let opened =
        decrypt::<AesGcm128, X25519HkdfSha256>(&OpModeR::Base, &private, BOUND, &message).unwrap();
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
        encrypt::<AesGcm128, X25519HkdfSha256>(&mode, &public, BOUND, PLAINTEXT, &entropy).unwrap();
    assert_eq!(
        hex(&message),
        "0ad0950d9fb9588e59690b74f1237ecdf1d775cd60be2eca57af5a4b0471c91b\
         e52c6fed7f758d0cf7145689f21bc1be6ec9ea097fef4e959440012f4feb73fb\
         611b946199e681f4cfc34db8ea"
    );
    let mode = OpModeR::Psk(bundle);
    let opened = decrypt::<AesGcm128, X25519HkdfSha256>(&mode, &private, BOUND, &message).unwrap();
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
    let encrypt = |public: &[u8]| encrypt_to_seal(public, right, INFO, b"", PLAINTEXT, &entropy);
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
