//! What must hold for whatever a call says.

use super::tests::{encode, month_keys};
use super::*;
use crate::audit::facts::{Detail, Facts, Outcome};
use crate::name::{KeyId, SecretId, VersionNumber};
use crate::policy::Action;
use crate::reason::Reason;
use proptest::prelude::*;

fn any_text(max: usize) -> impl Strategy<Value = Box<str>> {
    proptest::collection::vec(any::<char>(), 0..max)
        .prop_map(|chars| chars.into_iter().collect::<String>().into())
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    (0..=Reason::ALL.len()).prop_map(|n| {
        n.checked_sub(1)
            .map_or(Outcome::Ok, |n| Outcome::Refused(Reason::ALL[n]))
    })
}

fn any_detail() -> impl Strategy<Value = Detail> {
    let pairs = || proptest::collection::vec((any_text(9), any_text(20)), 0..4);
    (
        (any::<Option<[u8; 16]>>(), any::<u32>(), any_outcome()),
        (
            pairs(),
            pairs(),
            proptest::collection::vec(any::<[u8; 16]>(), 0..5),
        ),
        (any::<u32>(), any_text(30)),
    )
        .prop_map(
            |((dataset, version, outcome), (lasting, personal, secrets), (count, note))| Detail {
                dataset: dataset.map(KeyId),
                version: VersionNumber::new(version),
                outcome,
                lasting,
                personal,
                secrets: secrets.into_iter().map(SecretId).collect(),
                count,
                note,
                subject: None,
            },
        )
}

fn any_facts() -> impl Strategy<Value = Facts> {
    let action = (0..Action::ALL.len()).prop_map(|n| Action::ALL[n]);
    let details = proptest::collection::vec(any_detail(), 0..4);
    (action, details, any::<bool>(), any_outcome()).prop_map(|(action, details, batch, outcome)| {
        Facts {
            action,
            details,
            batch,
            outcome,
            approval: None,
        }
    })
}

fn check_item(item: &Item, detail: &Detail, month: &MonthKeys) {
    assert_eq!(item.dataset, detail.dataset);
    assert_eq!(item.version, detail.version);
    assert_eq!(item.outcome, detail.outcome);
    assert_eq!(item.lasting, detail.lasting);
    assert_eq!(item.note, detail.note);
    assert_eq!(item.count, detail.count);
    let secrets: Vec<_> = detail
        .secrets
        .iter()
        .map(|id| month.secret_hash(*id))
        .collect();
    assert_eq!(item.secrets, secrets);
}

proptest! {
    #[test]
    fn everything_said_is_read_back(facts in any_facts()) {
        let month = month_keys(1);
        let leaves = encode(&facts, LeafKeys::Unsealed(&month)).unwrap();
        let entries: Vec<_> = leaves.iter().map(|leaf| decode(leaf).unwrap()).collect();
        let items: Vec<_> = entries.iter().filter(|entry| entry.item().is_some()).collect();
        prop_assert_eq!(items.len(), facts.details.len());
        prop_assert_eq!(entries[0].outcome(), Some(facts.outcome));
        for (entry, detail) in items.iter().zip(&facts.details) {
            check_item(entry.item().unwrap(), detail, &month);
            prop_assert_eq!(entry.action(), Some(facts.action));
            let personal: Vec<_> = detail.personal.iter()
                .map(|(k, v)| (k.to_string(), v.to_string())).collect();
            prop_assert_eq!(entry.open_personal(PersonalKey::Month(&month)).unwrap(), personal);
        }
    }

    #[test]
    fn a_flipped_bit_is_refused_or_means_something_else(facts in any_facts(), place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let month = month_keys(1);
        for leaf in encode(&facts, LeafKeys::Unsealed(&month)).unwrap() {
            let mut flipped = leaf.clone();
            flipped[place.index(leaf.len())] ^= 1 << bit;
            if let Ok(other) = decode(&flipped) {
                prop_assert_ne!(other, decode(&leaf).unwrap());
            }
        }
    }

    #[test]
    fn any_bytes_decode_or_are_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), kind in 0..7_u8) {
        let _ = decode(&bytes);
        if bytes.len() > 1 {
            bytes[0] = 1;
            bytes[1] = kind;
            let _ = decode(&bytes);
            let _ = Prefix::read(&bytes);
        }
    }
}
