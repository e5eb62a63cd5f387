//! What is stored and verified beside the calls.

use crate::scene::{Scene, dataset};
use kms_core::audit::Outcome;
use kms_core::audit::leaf::{BootId, Coordinates, SystemEvent, encode_system};
use kms_core::key::record::{Expect, Record, RecordKey, ShredRecord, ShredState, Write};
use kms_core::name::{
    AccountName, CallId, DatasetName, RetentionClass, SecretId, SecretKind, ShredScope,
    VersionNumber,
};
use kms_core::secret::ShredSecret;
use kms_server::audit_log::{Space, Submission, UsageMark};
use kms_server::jobs::PASS_EVERY;
use kms_server::store::{StoreKey, Transaction};
use kms_server::system::clock::Clock;
use std::time::Duration;

#[test]
fn uses_are_stored_and_a_restart_neither_loses_nor_doubles_them() {
    let mut scene = Scene::new(vec![dataset("customers", &[])]);
    let name = DatasetName::parse("customers").unwrap();
    let live = scene.live();
    let key_id = live
        .state
        .hold()
        .snapshot
        .by_name(&name)
        .unwrap()
        .record
        .key_id;
    drop(live);
    let version = VersionNumber::FIRST;
    let at = Coordinates {
        time: scene.clock.now(),
        monotonic: Duration::ZERO,
        node: 0,
        boot: BootId::default(),
    };
    // a leaf that the recount of the tail does not count: what remains of it is what the job stored
    let leaf = encode_system(SystemEvent::Resumed, Outcome::Ok, "", CallId([1; 16]), at);
    let submission = Submission {
        leaves: vec![leaf.unwrap()],
        usage: vec![UsageMark {
            key_id,
            version,
            items: 3,
            at: at.time,
        }],
        space: Space::Operator,
    };
    scene.audit().append_blocking(submission).unwrap();
    scene.advance(PASS_EVERY);
    let stored = scene.live().records.get(&RecordKey::usage(key_id, version));
    match stored.unwrap().unwrap().record {
        Some(Record::Usage(usage)) => assert_eq!((usage.uses, usage.last_used_at), (3, at.time)),
        other => panic!("{other:?}"),
    }
    scene.stop();
    scene.start(Vec::new());
    assert_eq!(scene.audit().usage(key_id, version).uses, 3);
}

#[test]
fn a_damaged_record_is_found_and_named() {
    let mut scene = Scene::new(Vec::new());
    let id = SecretId([0xAB; 16]);
    let key = RecordKey::shred(id);
    let (nobody, class) = (
        AccountName::parse("").unwrap(),
        RetentionClass::parse("customer").unwrap(),
    );
    scene.write(Write {
        key: key.clone(),
        expect: Expect::Absent,
        record: Some(Record::Shred(ShredRecord {
            id,
            scope: ShredScope::new(SecretKind::Subject, nobody, "jane", class).unwrap(),
            state: ShredState::Active,
            created_at: scene.clock.now(),
            succeeds: None,
            secret: Some(ShredSecret::take_bytes(&mut [7; 32])),
        })),
    });
    let damaged = Transaction {
        puts: vec![(StoreKey::from(&key), vec![1; 100])],
        ..Transaction::default()
    };
    scene.live().records.store().transact(damaged).unwrap();
    let entries = scene.audit().len();
    // the next look at the whole store begins within ten minutes, beside the other jobs: their passes say
    // nothing of its end, so it is given many
    let told = (0..1_000).any(|_| {
        scene.advance(PASS_EVERY);
        let alarms = scene.live().alarms.texts();
        let named = alarms.iter().any(|text| text.contains(&id.to_string()));
        named && scene.audit().len() > entries
    });
    assert!(told, "in the status, and with an entry of its own");
}

#[test]
fn what_was_put_back_at_rest_is_named_at_unseal_and_the_clock_is_doubted() {
    let mut scene = Scene::new(vec![dataset("customers", &[])]);
    let key = StoreKey::from(&RecordKey::time_mark());
    let value = |scene: &Scene| {
        let store = scene.live().records.store().get(&key);
        store.unwrap().unwrap().value
    };
    let old = value(&scene);
    scene.advance(Duration::from_mins(30));
    assert_ne!(value(&scene), old, "the mark is written every ten minutes");
    let put_back = Transaction {
        puts: vec![(key.clone(), old)],
        ..Transaction::default()
    };
    scene.live().records.store().transact(put_back).unwrap();
    scene.stop();
    scene.start(Vec::new());
    assert!(scene.mark().paused);
    let named = (0..100).any(|_| {
        scene.advance(PASS_EVERY);
        let alarms = scene.live().alarms.texts();
        alarms.iter().any(|text| text.contains("System records"))
    });
    assert!(named, "{:?}", scene.live().alarms.texts());
    // an operator looked into it: timers run again, and no later pass doubts the same thing again
    scene.confirm();
    scene.advance(PASS_EVERY);
    scene.advance(PASS_EVERY);
    assert!(!scene.mark().paused);
}
