use super::*;
use crate::audit::facts::{Detail, Facts, Outcome};
use crate::entropy::{Entropy, EntropyUnavailable};
use crate::name::{CallId, DatasetName, KeyContext, KeyId, PrincipalName, SecretId, VersionNumber};
use crate::policy::{Action, Authentication};
use crate::reason::Reason;
use crate::secret::{AuditMonthKey, IndexKey, IntakeKey};
use crate::time::Timestamp;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Counts up: every draw differs, every run is the same.
pub(super) struct Counting(AtomicU8);

impl Counting {
    pub(super) fn new() -> Self {
        Self(AtomicU8::new(0))
    }
}

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

struct Dry;

impl Entropy for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyUnavailable> {
        Err(EntropyUnavailable)
    }
}

pub(super) fn month_keys(byte: u8) -> MonthKeys {
    let month = Month::of(Timestamp::from_micros(1_795_392_000_000_000));
    MonthKeys::new(month, &AuditMonthKey::take_bytes(&mut [byte; 32]))
}

pub(super) fn directory() -> DirectoryKeys {
    DirectoryKeys::new(1, &IndexKey::take_bytes(&mut [9; 32]))
}

pub(super) fn at() -> Coordinates {
    Coordinates {
        time: Timestamp::from_micros(1_795_392_000_123_456),
        monotonic: Duration::from_micros(77_000_001),
        node: 3,
        boot: BootId([0xB0; 8]),
    }
}

pub(super) fn call() -> CallFacts {
    CallFacts {
        id: CallId([0x1D; 16]),
        at: at(),
        trace: Some([0x7A; 16]),
        policy_revision: 5,
        subject: None,
    }
}

pub(super) fn caller(name: &PrincipalName) -> CallerFacts<'_> {
    CallerFacts {
        principal: directory().principal_id(name),
        name: Some(name),
        authentication: Some(Authentication::Certificate),
        mfa_age: None,
        connection: 12,
    }
}

pub(super) fn service() -> PrincipalName {
    PrincipalName::parse("spiffe://crm.example/service/web").unwrap()
}

pub(super) fn detail() -> Detail {
    let pairs = [("tenant", "acme"), ("ticket", "Jane Doe called")];
    let pairs = pairs.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let context = KeyContext::new(pairs.into()).unwrap();
    let mut detail = Detail::new(Outcome::Ok).with_context(&context, &["tenant".into()]);
    detail.dataset = Some(KeyId([0xDA; 16]));
    detail.version = VersionNumber::new(2);
    detail.secrets = vec![SecretId([0x5E; 16])];
    detail
}

pub(super) fn encode(facts: &Facts, keys: LeafKeys<'_>) -> Result<Vec<Vec<u8>>, EncodeError> {
    encode_call(facts, &caller(&service()), &call(), keys, &Counting::new())
}

#[test]
fn a_call_reads_back_as_it_was() {
    let month = month_keys(1);
    let facts = Facts::single(Action::UnwrapDataKey, detail());
    let mut leaves = encode(&facts, LeafKeys::Unsealed(&month)).unwrap();
    assert_eq!(leaves.len(), 1);
    stamp_sequence(&mut leaves[0], 41);
    stamp_change(&mut leaves[0], 7);
    let entry = decode(&leaves[0]).unwrap();
    assert_eq!(entry.prefix.sequence, 41);
    assert_eq!(entry.prefix.change, 7);
    assert_eq!(entry.prefix.id, call().id);
    assert_eq!(entry.prefix.at, at());
    assert_eq!(entry.prefix.month.unwrap().to_string(), "2026-11");
    assert_eq!(entry.action(), Some(Action::UnwrapDataKey));
    assert_eq!(entry.outcome(), Some(Outcome::Ok));
    let Body::Head(head) = &entry.body else {
        panic!("a head");
    };
    assert_eq!(head.principal, directory().principal_id(&service()));
    assert_eq!((head.connection, head.policy_revision), (12, 5));
    assert_eq!(head.trace, Some([0x7A; 16]));
    assert_eq!(head.details, None);
    let item = entry.item().unwrap();
    assert_eq!(item.dataset, Some(KeyId([0xDA; 16])));
    assert_eq!(item.lasting, [("tenant".into(), "acme".into())]);
    assert_eq!(item.secrets, [month.secret_hash(SecretId([0x5E; 16]))]);
    assert_eq!(entry.used().unwrap().items, 1);
    assert_eq!(
        entry.open_personal(PersonalKey::Month(&month)).unwrap(),
        [("ticket".to_owned(), "Jane Doe called".to_owned())]
    );
}

#[test]
fn no_personal_byte_stands_in_the_clear() {
    let month = month_keys(1);
    let facts = Facts::single(Action::UnwrapDataKey, detail());
    let person = PrincipalName::parse("spiffe://crm.example/operator/jane").unwrap();
    let introduction = CallerIntroduction {
        principal: directory().principal_id(&person),
        name: &person,
        person: true,
        connection: 12,
        personal: &[("address", "192.0.2.77")],
    };
    let keys = LeafKeys::Unsealed(&month);
    let mut leaves = encode(&facts, keys).unwrap();
    let introduce = |keys, directory: Option<&DirectoryKeys>| {
        let entropy = Counting::new();
        encode_caller_introduction(&introduction, call().id, at(), keys, directory, &entropy)
    };
    leaves.push(introduce(keys, Some(&directory())).unwrap());
    let intake = month_keys(4).intake();
    leaves.push(introduce(LeafKeys::Sealed(&intake), None).unwrap());
    leaves.push(introduce(LeafKeys::Missing, None).unwrap());
    for leaf in &leaves {
        for word in ["Jane", "jane", "ticket", "192.0.2"] {
            let found = leaf.windows(word.len()).any(|part| part == word.as_bytes());
            assert!(!found, "{word}");
        }
    }
}

#[test]
fn destroying_the_months_key_takes_the_personal_fields_and_nothing_else() {
    let facts = Facts::single(Action::Decrypt, detail());
    let leaves = {
        let month = month_keys(1);
        encode(&facts, LeafKeys::Unsealed(&month)).unwrap()
    };
    let entry = decode(&leaves[0]).unwrap();
    // whatever other key is left
    let other = month_keys(2);
    assert!(entry.open_personal(PersonalKey::Month(&other)).is_err());
    let intake = IntakeKey::take_bytes(&mut [1; 32]);
    assert!(entry.open_personal(PersonalKey::Intake(&intake)).is_err());
    assert_eq!(entry.item().unwrap().lasting[0].1, "acme".into());
    assert_eq!(entry.item().unwrap().dataset, Some(KeyId([0xDA; 16])));
    assert_eq!(
        entry.principal(),
        Some(directory().principal_id(&service()))
    );
}

#[test]
fn the_key_of_one_entry_opens_that_entry_alone() {
    let month = month_keys(1);
    let facts = Facts::batch(
        Action::Decrypt,
        [detail(), {
            let mut other = detail();
            other.personal[0].1 = "John Doe called".into();
            other
        }],
    );
    let leaves = encode(&facts, LeafKeys::Unsealed(&month)).unwrap();
    assert_eq!(leaves.len(), 3);
    let entries: Vec<_> = leaves.iter().map(|leaf| decode(leaf).unwrap()).collect();
    let Personal::Month { nonce, .. } = &entries[1].personal else {
        panic!("a personal group");
    };
    let key = month.derive_entry_key(nonce);
    assert_eq!(
        entries[1].open_personal(PersonalKey::Entry(&key)).unwrap()[0].1,
        "Jane Doe called"
    );
    assert!(entries[2].open_personal(PersonalKey::Entry(&key)).is_err());
    // nor does a group open in another leaf
    let mut moved = entries[2].clone();
    moved.personal = entries[1].personal.clone();
    assert!(moved.open_personal(PersonalKey::Month(&month)).is_err());
}

#[test]
fn while_sealed_the_intake_key_opens_what_was_said() {
    let intake = month_keys(4).intake();
    let private = month_keys(4).derive_intake();
    let name = service();
    let mut caller = caller(&name);
    caller.principal = PrincipalId::default();
    let facts = Facts::single(
        Action::Unseal,
        Detail::new(Outcome::Refused(Reason::UnsealFailed)),
    );
    let keys = LeafKeys::Sealed(&intake);
    let leaves = encode_call(&facts, &caller, &call(), keys, &Counting::new()).unwrap();
    let entry = decode(&leaves[0]).unwrap();
    // so that it is known which month takes it along
    assert_eq!(entry.prefix.month, Some(intake.month));
    assert_eq!(
        entry.open_personal(PersonalKey::Intake(&private)).unwrap(),
        [("principal".to_owned(), name.as_str().to_owned())]
    );
    assert!(
        matches!(entry.personal, Personal::Intake { intake: id, .. } if id[..] == intake.public[..8])
    );
    assert!(
        entry
            .open_personal(PersonalKey::Intake(&month_keys(5).derive_intake()))
            .is_err()
    );
    // no installation yet: said to be missing, not pretended to be empty
    let leaves = encode_call(
        &facts,
        &caller,
        &call(),
        LeafKeys::Missing,
        &Counting::new(),
    )
    .unwrap();
    assert_eq!(decode(&leaves[0]).unwrap().personal, Personal::Withheld);
}

#[test]
fn introductions_name_services_openly_and_people_under_the_directorys_key() {
    let keys = directory();
    let month = month_keys(1);
    for (text, person) in [("spiffe://a/service/x", false), ("spiffe://a/op/y", true)] {
        let name = PrincipalName::parse(text).unwrap();
        let introduction = CallerIntroduction {
            principal: keys.principal_id(&name),
            name: &name,
            person,
            connection: 1,
            personal: &[("address", "192.0.2.1")],
        };
        let leaf = encode_caller_introduction(
            &introduction,
            call().id,
            at(),
            LeafKeys::Unsealed(&month),
            Some(&keys),
            &Counting::new(),
        )
        .unwrap();
        let entry = decode(&leaf).unwrap();
        let Body::Introduction(Introduction::Caller {
            principal, naming, ..
        }) = &entry.body
        else {
            panic!("an introduction");
        };
        assert_eq!(naming.resolve(*principal, Some(&keys)), Some(name.clone()));
        assert_eq!(naming.resolve(*principal, None), (!person).then_some(name));
        let other = DirectoryKeys::new(1, &IndexKey::take_bytes(&mut [8; 32]));
        assert_eq!(naming.resolve(*principal, Some(&other)).is_some(), !person);
    }
}

#[test]
fn the_head_covers_its_details_whatever_numbers_they_get() {
    let month = month_keys(1);
    let mut second = detail();
    second.outcome = Outcome::Refused(Reason::Undecryptable);
    let facts = Facts::batch(Action::UnwrapDataKey, [detail(), second]);
    let mut leaves = encode(&facts, LeafKeys::Unsealed(&month)).unwrap();
    for (sequence, leaf) in (100..).zip(&mut leaves) {
        stamp_sequence(leaf, sequence);
        stamp_change(leaf, 9);
    }
    let Body::Head(head) = decode(&leaves[0]).unwrap().body else {
        panic!("a head");
    };
    assert_eq!(head.items, 2);
    assert_eq!(head.details, Some((2, details_hash(&leaves[1..]))));
    let last = leaves[2].len() - 1;
    leaves[2][last - 3] ^= 1;
    assert_ne!(head.details.unwrap().1, details_hash(&leaves[1..]));
}

#[test]
fn long_lists_of_secrets_go_on_in_details() {
    let month = month_keys(1);
    let mut long = detail();
    long.secrets = (0..2_500_u32)
        .map(|n| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_be_bytes());
            SecretId(id)
        })
        .collect();
    let facts = Facts::single(Action::CreateShredSecret, long);
    let leaves = encode(&facts, LeafKeys::Unsealed(&month)).unwrap();
    assert!(leaves.iter().all(|leaf| leaf.len() <= LEAF_MAX));
    let entries: Vec<_> = leaves.iter().map(|leaf| decode(leaf).unwrap()).collect();
    let count: u32 = entries.iter().map(|e| e.item().unwrap().count).sum();
    let secrets: usize = entries
        .iter()
        .map(|e| e.item().unwrap().secrets.len())
        .sum();
    assert_eq!((count, secrets), (1, 2_500));
}

#[test]
fn what_cannot_be_said_is_an_error() {
    let facts = Facts::single(Action::Encrypt, detail());
    assert_eq!(
        encode(&facts, LeafKeys::Missing).err(),
        Some(EncodeError::KeyMissing)
    );
    let month = month_keys(1);
    let keys = LeafKeys::Unsealed(&month);
    let name = service();
    assert_eq!(
        encode_call(&facts, &caller(&name), &call(), keys, &Dry).err(),
        Some(EncodeError::Entropy)
    );
    let mut long = detail();
    long.personal = vec![("k".into(), "v".repeat(LEAF_MAX).into())];
    let facts = Facts::single(Action::Encrypt, long);
    assert_eq!(encode(&facts, keys).err(), Some(EncodeError::TooLong));
}

#[test]
fn notes_are_cut_between_characters() {
    let mut noted = Detail::new(Outcome::Ok);
    noted.note = "ä".repeat(300).into();
    let facts = Facts::single(Action::EmergencyRotateDataset, noted);
    let leaves = encode(&facts, LeafKeys::Missing).unwrap();
    assert_eq!(decode(&leaves[0]).unwrap().item().unwrap().note.len(), 512);
}

#[test]
fn a_plain_head_is_small() {
    let month = month_keys(1);
    let mut plain = detail();
    plain.personal.clear();
    let facts = Facts::single(Action::UnwrapDataKey, plain);
    let leaves = encode(&facts, LeafKeys::Unsealed(&month)).unwrap();
    assert_eq!(leaves[0].len(), 190);
}

#[test]
fn every_bit_of_each_kind_counts() {
    for (name, leaf) in golden::leaves() {
        let original = decode(&leaf).unwrap();
        for place in 0..leaf.len() * 8 {
            let mut flipped = leaf.clone();
            flipped[place / 8] ^= 1 << (place % 8);
            if let Ok(other) = decode(&flipped) {
                assert_ne!(other, original, "{name}, bit {place}");
            }
        }
        for len in 0..leaf.len() {
            assert!(decode(&leaf[..len]).is_err(), "{name} cut to {len}");
        }
        let mut longer = leaf.clone();
        longer.push(0);
        assert!(decode(&longer).is_err(), "{name} with a byte more");
    }
}

#[test]
fn sections_of_later_versions_are_kept() {
    let (_, mut leaf) = golden::leaves().remove(0);
    assert_eq!(leaf.pop(), Some(0));
    let mut unordered = leaf.clone();
    leaf.extend_from_slice(&[2, 1, 0, 1, 0xAA, 7, 0, 0]);
    let sections = decode(&leaf).unwrap().sections;
    assert_eq!(sections.len(), 2);
    assert_eq!((sections[0].tag, &sections[0].bytes[..]), (1, &[0xAA][..]));
    unordered.extend_from_slice(&[2, 7, 0, 0, 7, 0, 0]);
    assert!(decode(&unordered).is_err());
}

#[test]
fn months_follow_the_calendar() {
    for (micros, text) in [(0, "1970-01"), (1_795_392_000_000_000, "2026-11")] {
        assert_eq!(Month::of(Timestamp::from_micros(micros)).to_string(), text);
    }
    assert_eq!(Month::of(Timestamp::from_micros(i64::MIN)).number(), 1);
    let name = DatasetName::parse("customers").unwrap();
    let leaf = encode_dataset_introduction(KeyId([1; 16]), &name, call().id, at()).unwrap();
    assert_eq!(decode(&leaf).unwrap().dataset(), Some(KeyId([1; 16])));
}
