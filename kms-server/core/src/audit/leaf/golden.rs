//! Leaves that must come out the same for ever, byte by byte. A failure here means that the format was
//! changed, and it must not be.

use super::tests::{Counting, at, call, caller, detail, directory, month_keys, service};
use super::*;
use crate::audit::facts::{Detail, Facts, Outcome};
use crate::codec::hex;
use crate::name::{CallId, DatasetName, KeyId, PrincipalName};
use crate::policy::Action;
use crate::reason::Reason;
use crate::time::Timestamp;

/// One of each kind and form.
pub(super) fn leaves() -> Vec<(&'static str, Vec<u8>)> {
    let month = month_keys(1);
    let keys = LeafKeys::Unsealed(&month);
    let entropy = Counting::new();
    let name = service();
    let mut plain = detail();
    plain.personal.clear();
    let encode =
        |facts: &Facts| encode_call(facts, &caller(&name), &call(), keys, &entropy).unwrap();
    let single = encode(&Facts::single(Action::GenerateDataKey, plain)).remove(0);
    let mut refused = Detail::new(Outcome::Refused(Reason::Denied));
    refused.note = "no".into();
    let batch = encode(&Facts::batch(Action::UnwrapDataKey, [detail(), refused]));
    let person = PrincipalName::parse("spiffe://crm.example/operator/jane").unwrap();
    let introduction = |name, person| CallerIntroduction {
        principal: directory().principal_id(name),
        name,
        person,
        connection: 12,
        personal: &[("address", "192.0.2.77")],
    };
    let introduce = |name, is_person| {
        let caller = introduction(name, is_person);
        let directory = directory();
        encode_caller_introduction(&caller, call().id, at(), keys, Some(&directory), &entropy)
    };
    let dataset = DatasetName::parse("customers").unwrap();
    let counted = Count {
        source: Some("192.0.2.77"),
        reason: Reason::Unauthenticated,
        count: 1_000,
        from: Timestamp::from_micros(1_795_392_000_000_000),
        until: Timestamp::from_micros(1_795_392_009_000_000),
    };
    let id = CallId([0xC0; 16]);
    vec![
        ("single", single),
        ("batch head", batch[0].clone()),
        ("detail with a personal group", batch[1].clone()),
        ("refused detail", batch[2].clone()),
        ("service", introduce(&name, false).unwrap()),
        ("operator", introduce(&person, true).unwrap()),
        (
            "dataset",
            encode_dataset_introduction(KeyId([0xDA; 16]), &dataset, id, at()).unwrap(),
        ),
        (
            "counted",
            encode_counted(&counted, id, at(), keys, &entropy).unwrap(),
        ),
        (
            "system",
            encode_system(SystemEvent::Start, Outcome::Ok, "0.1.0", id, at()).unwrap(),
        ),
    ]
}

#[test]
fn the_format_is_final() {
    let made: Vec<_> = leaves()
        .into_iter()
        .map(|(name, leaf)| format!("{name}: {}", hex(&leaf)))
        .collect();
    let pinned: Vec<_> = include_str!("golden.txt").lines().collect();
    assert_eq!(made, pinned);
}
