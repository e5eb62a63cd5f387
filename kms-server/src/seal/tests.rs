use super::passphrase::{Strength, Weak};
use super::*;
use kms_core::cipher::system_entropy::SystemEntropy;
use proptest::prelude::*;
use zeroize::Zeroizing;

pub(super) fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.as_bytes().to_vec()))
}

fn publics() -> Publics {
    Publics {
        instance: PublicKey([1; 32]),
        intake: [2; 32],
    }
}

/// A keyring with one generated passphrase, and that passphrase.
pub(super) fn keyring() -> (Keyring, Passphrase) {
    let entropy = SystemEntropy::new();
    let right = Passphrase::generate(&entropy).unwrap();
    let seals = [NewSeal::Passphrase(&right)];
    let (keyring, _) = Keyring::create(publics(), &seals, Timestamp::default(), &entropy).unwrap();
    (keyring, right)
}

fn first_key(unsealed: &Unsealed) -> [u8; 32] {
    *unsealed.master_keys.keys()[&1].expose_bytes()
}

#[test]
fn what_is_saved_is_what_unseals() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("keyring");
    let entropy = SystemEntropy::new();
    let right = Passphrase::generate(&entropy).unwrap();
    let (made, unsealed) = Keyring::create(
        publics(),
        &[NewSeal::Passphrase(&right)],
        Timestamp::from_micros(5),
        &entropy,
    )
    .unwrap();
    made.save(&path).unwrap();
    let read = Keyring::open(&path).unwrap();
    assert_eq!(read, made);
    assert_eq!(read.publics(), &publics());
    let again = read.unseal(&right).unwrap();
    assert_eq!(again.master_keys.current(), 1);
    assert_eq!(first_key(&again), first_key(&unsealed));
    assert_eq!(again.psk.expose_bytes(), unsealed.psk.expose_bytes());
    let wrong = Passphrase::generate(&entropy).unwrap();
    assert_eq!(
        read.unseal(&wrong).unwrap_err(),
        UnsealError::WrongPassphrase
    );
}

#[test]
fn any_one_of_several_seals_opens_the_same_keys() {
    let entropy = SystemEntropy::new();
    let own = passphrase("a passphrase of a person");
    let made = Passphrase::generate(&entropy).unwrap();
    let seals = [NewSeal::Passphrase(&own), NewSeal::Passphrase(&made)];
    let (keyring, _) = Keyring::create(publics(), &seals, Timestamp::default(), &entropy).unwrap();
    let (by_own, by_made) = (
        keyring.unseal(&own).unwrap(),
        keyring.unseal(&made).unwrap(),
    );
    assert_eq!(first_key(&by_own), first_key(&by_made));
    assert_ne!(by_own.seal, by_made.seal);
    let costs: Vec<_> = keyring
        .seals()
        .iter()
        .map(|seal| match &seal.method {
            Method::Passphrase(protected) => protected.strength(),
            Method::Unknown { .. } => panic!("a method that nobody made"),
        })
        .collect();
    assert_eq!(costs, [Strength::Typed, Strength::Generated]);
}

#[test]
fn seals_are_refused_when_weak_missing_or_too_many() {
    let entropy = SystemEntropy::new();
    let create = |seals: &[NewSeal<'_>]| {
        let made = Keyring::create(publics(), seals, Timestamp::default(), &entropy);
        made.map(|_| ()).unwrap_err()
    };
    assert_eq!(create(&[]), NotMade::Seals);
    let weak = passphrase("short");
    assert_eq!(create(&[NewSeal::Passphrase(&weak)]), NotMade::Weak(Weak));
    let many = vec![NewSeal::Passphrase(&weak); SEALS_MAX + 1];
    assert_eq!(create(&many), NotMade::Seals);
}

#[test]
fn a_flipped_byte_is_damage() {
    let (keyring, _) = keyring();
    let bytes = file::encode(&keyring);
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << bit;
            assert_eq!(file::decode(&changed), Err(file::Problem::Damaged));
        }
    }
    for len in 0..bytes.len() {
        assert_eq!(file::decode(&bytes[..len]), Err(file::Problem::Damaged));
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(file::decode(&longer), Err(file::Problem::Damaged));
}

fn with_checksum(mut content: Vec<u8>) -> Vec<u8> {
    let checksum = sha256(&[&content]);
    content.extend_from_slice(&checksum);
    content
}

#[test]
fn whoever_can_write_the_file_but_holds_no_seal_gets_nothing_in() {
    let (keyring, right) = keyring();
    let bytes = file::encode(&keyring);
    let content = &bytes[..bytes.len() - 32];
    // Each attempt costs an Argon2id: of the public half and the messages every 13th byte is enough.
    let long = 118..118 + seal_key::SEAL_PUBLIC_LEN;
    let messages = content.len() - seal_key::SEAL_OVERHEAD - 180;
    let thinned = |place: usize| long.contains(&place) || place >= messages;
    let places = (0..content.len()).filter(|place| !thinned(*place) || place % 13 == 0);
    for place in places {
        let mut changed = content.to_vec();
        changed[place] ^= 1;
        if let Ok(parsed) = file::decode(&with_checksum(changed)) {
            let told = parsed.unseal(&right).unwrap_err();
            let named = [
                UnsealError::WrongPassphrase,
                UnsealError::Altered,
                UnsealError::NoSuchSeal,
            ];
            assert!(named.contains(&told), "byte {place}: {told}");
        }
    }
}

#[test]
fn another_instance_key_or_seal_is_called_an_alteration() {
    let (keyring, right) = keyring();
    let mut planted = keyring.clone();
    planted.publics.instance = PublicKey([9; 32]);
    assert_eq!(planted.unseal(&right).unwrap_err(), UnsealError::Altered);
    let mut planted = keyring.clone();
    planted.generation += 1;
    assert_eq!(planted.unseal(&right).unwrap_err(), UnsealError::Altered);
    // A second seal beside the first, as someone might who waits for the next master key.
    let (other, _) = self::keyring();
    let mut planted = keyring.clone();
    planted.seals.extend(other.seals.clone());
    planted.wraps.extend(other.wraps.clone());
    assert_eq!(planted.unseal(&right).unwrap_err(), UnsealError::Altered);
    assert_ne!(planted.public_halves(), keyring.public_halves());
}

#[test]
fn a_seal_of_a_later_version_is_kept_and_stepped_over() {
    let (mut keyring, right) = keyring();
    keyring.seals.insert(
        0,
        Seal {
            id: [7; 16],
            created_at: Timestamp::default(),
            method: Method::Unknown {
                number: 3,
                bytes: vec![1, 2, 3],
            },
            suite: 9,
            public: vec![7; 40],
        },
    );
    keyring.wraps.insert(0, vec![4, 5, 6]);
    let read = file::decode(&file::encode(&keyring)).unwrap();
    assert_eq!(read, keyring);
    assert_eq!(read.seals()[0].method.name(), "unknown to this version");
    // The first keyring was sealed without it, so this is an alteration, but not a wrong passphrase.
    assert_eq!(read.unseal(&right).unwrap_err(), UnsealError::Altered);
}

#[test]
fn a_later_format_is_named() {
    let (keyring, _) = keyring();
    let bytes = file::encode(&keyring);
    let mut content = bytes[..bytes.len() - 32].to_vec();
    content[8] = 2;
    assert_eq!(
        file::decode(&with_checksum(content)),
        Err(file::Problem::Format(2))
    );
}

#[test]
fn a_torn_write_leaves_the_old_keyring() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("keyring");
    let (keyring, right) = keyring();
    keyring.save(&path).unwrap();
    // A crash in the middle of the next write leaves half of it beside.
    let next = file::encode(&self::keyring().0);
    std::fs::write(place.path().join("keyring.new"), &next[..next.len() / 2]).unwrap();
    let read = Keyring::open(&path).unwrap();
    assert!(read.unseal(&right).is_ok());
    read.save(&path).unwrap();
    assert!(!place.path().join("keyring.new").exists());
}

#[test]
fn a_keyring_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("keyring");
    keyring().0.save(&path).unwrap();
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&path, open).unwrap();
    let told = Keyring::open(&path).unwrap_err().to_string();
    assert!(told.contains("chmod 600"), "{told}");
}

#[test]
fn the_instance_key_is_compared_with_the_configured_fingerprint() {
    let (keyring, _) = keyring();
    let found = PublicKey([1; 32]).fingerprint();
    assert_eq!(keyring.check_instance(None), Ok(()));
    assert_eq!(keyring.check_instance(Some(found)), Ok(()));
    let other = PublicKey([3; 32]).fingerprint();
    assert_eq!(keyring.check_instance(Some(other)), Err(found));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_keyring(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let content = [b"kms-keys\x01".as_slice(), &bytes].concat();
        // Whatever it decodes to must encode to the same bytes, or it is refused.
        let whole = with_checksum(content);
        if let Ok(keyring) = file::decode(&whole) {
            prop_assert_eq!(file::encode(&keyring), whole);
        }
    }
}
