//! A store whose files were edited behind the daemon's back.

use super::*;
use crate::store::memory::MemoryStore;
use crate::store::tests::scene::{SEALS, Scene, made, memory, put, records, system_keys};
use crate::store::{Item, Store, Transaction};
use kms_core::cipher::system_entropy::SystemEntropy;
use kms_core::format::place::Revision;
use kms_core::key::record::{Expect, TimeMark, UsageRecord};
use kms_core::name::{KeyId, VersionNumber};
use kms_core::time::Timestamp;
use std::sync::Arc;

/// Key ids in different shards.
const A: KeyId = KeyId([0x10; 16]);
const B: KeyId = KeyId([0x20; 16]);

fn version(id: KeyId, number: u32) -> RecordKey {
    RecordKey::version(id, VersionNumber::new(number).unwrap())
}

/// Any record will do as a value: what it says does not matter here.
fn value(micros: i64) -> Record {
    Record::TimeMark(TimeMark {
        high_water: Timestamp::from_micros(micros),
        paused: false,
    })
}

/// Two datasets with two versions each; version 1 of A was rewritten once. Gives the item before that, too.
fn scene() -> (Arc<MemoryStore>, Scene, Item) {
    let store = memory();
    let scene = Scene::new(Arc::clone(&store) as Arc<dyn Store>);
    for id in [A, B] {
        let keys = [RecordKey::dataset(id), version(id, 1), version(id, 2)];
        let mut writes: Vec<_> = keys
            .into_iter()
            .map(|key| put(key, Expect::Absent, value(1)))
            .collect();
        let name = RecordKey::dataset_name([id.0[0]; 32]);
        writes.push(put(name, Expect::Absent, Record::DatasetName(id)));
        scene.change(writes).unwrap();
    }
    let old = item(&store, &version(A, 1));
    let write = put(version(A, 1), Expect::Anything, value(2));
    scene.change(vec![write]).unwrap();
    (store, scene, old)
}

fn item(store: &MemoryStore, key: &RecordKey) -> Item {
    store.get(&key.into()).unwrap().unwrap()
}

fn edit(store: &MemoryStore, put: Option<(&RecordKey, Vec<u8>)>, delete: Option<&RecordKey>) {
    let transaction = Transaction {
        puts: put.into_iter().map(|(k, v)| (k.into(), v)).collect(),
        deletes: delete.into_iter().map(Into::into).collect(),
        ..Transaction::default()
    };
    store.transact(transaction).unwrap();
}

fn of_a() -> Vec<RecordKey> {
    vec![RecordKey::dataset(A), version(A, 1), version(A, 2)]
}

#[test]
fn an_untouched_store_adds_up() {
    let (_, scene, _) = scene();
    let loaded = load(&scene.records).unwrap();
    assert!(loaded.quarantined.is_empty() && loaded.shards.is_empty());
    // system keys, two datasets, their names, four versions
    assert_eq!(loaded.stored.len(), 1 + 2 + 2 + 4);
    assert_eq!(loaded.outbox.len(), 3);
    assert_eq!((loaded.root.last_change, loaded.root.seals), (3, SEALS));
    assert_eq!(loaded.root.revision, Revision(4));
}

#[test]
fn an_older_record_put_back_is_named_and_the_neighbour_is_not() {
    let (store, scene, old) = scene();
    edit(&store, Some((&version(A, 1), old.value)), None);
    let loaded = load(&scene.records).unwrap();
    assert_eq!(loaded.quarantined, of_a());
    assert_eq!(loaded.shards, [Shard::of(&RecordKey::dataset(A))]);
}

#[test]
fn a_removed_record_is_noticed() {
    let (store, scene, _) = scene();
    edit(&store, None, Some(&version(A, 2)));
    let loaded = load(&scene.records).unwrap();
    assert_eq!(loaded.quarantined, of_a()[..2]);
}

#[test]
fn a_dataset_removed_as_a_whole_is_named_by_what_points_at_it() {
    let (store, scene, _) = scene();
    for key in of_a() {
        edit(&store, None, Some(&key));
    }
    let loaded = load(&scene.records).unwrap();
    assert_eq!(loaded.quarantined, of_a()[..1]);
    assert_eq!(loaded.shards, [Shard::of(&RecordKey::dataset(A))]);
}

#[test]
fn swapped_moved_and_damaged_records_are_named() {
    let (store, scene, _) = scene();
    let (one, two) = (item(&store, &version(A, 1)), item(&store, &version(A, 2)));
    edit(&store, Some((&version(A, 1), two.value.clone())), None);
    edit(&store, Some((&version(A, 2), one.value.clone())), None);
    assert_eq!(load(&scene.records).unwrap().quarantined, of_a());
    edit(&store, Some((&version(A, 1), one.value.clone())), None);
    let mut flipped = two.value.clone();
    *flipped.last_mut().unwrap() ^= 1;
    edit(&store, Some((&version(A, 2), flipped)), None);
    assert_eq!(load(&scene.records).unwrap().quarantined, of_a());
    edit(&store, Some((&version(A, 2), two.value)), None);
    assert!(load(&scene.records).unwrap().quarantined.is_empty());
    // a copy of a version under a number that never was
    edit(&store, Some((&version(B, 3), one.value)), None);
    let loaded = load(&scene.records).unwrap();
    assert!(loaded.quarantined.contains(&version(B, 3)));
}

#[test]
fn a_removed_outbox_record_is_noticed() {
    let (store, scene, _) = scene();
    edit(&store, None, Some(&RecordKey::outbox(2, 0)));
    let loaded = load(&scene.records).unwrap();
    assert_eq!(loaded.shards, [Shard::of(&RecordKey::outbox(2, 0))]);
    let left: Vec<_> = loaded.outbox.iter().map(|part| part.change).collect();
    assert_eq!(left, [1, 3]);
}

#[test]
fn an_older_root_does_not_pass_for_the_present_one() {
    let (store, scene, _) = scene();
    let root = store.get(&StoreKey::root()).unwrap().unwrap();
    let write = put(version(A, 2), Expect::Anything, value(3));
    scene.change(vec![write]).unwrap();
    let transaction = Transaction {
        puts: vec![(StoreKey::root(), root.value)],
        ..Transaction::default()
    };
    store.transact(transaction).unwrap();
    let loaded = load(&scene.records).unwrap();
    assert_eq!(loaded.quarantined[..3], of_a());
}

#[test]
fn a_store_that_cannot_be_used_says_why() {
    let store = memory();
    let other = records(Arc::clone(&store) as Arc<dyn Store>);
    assert!(matches!(load(&other), Err(LoadError::NotCreated)));
    let entropy = SystemEntropy::new();
    let nothing = create(&other, SEALS, Vec::new(), &entropy);
    assert!(matches!(nothing, Err(CreateError::NoSystemKeys)));
    let records = made(Arc::clone(&store) as Arc<dyn Store>);
    let again = create(&records, SEALS, vec![system_keys()], &entropy);
    assert!(matches!(again, Err(CreateError::Exists)));
    load(&records).unwrap();
    let master = [(1, kms_core::secret::MasterKey::take_bytes(&mut [9; 32]))].into();
    let master = kms_core::format::stored::MasterKeys::new(1, master).unwrap();
    let cipher = kms_core::format::stored::RecordCipher::new(&master);
    let wrong = Records::new(Arc::clone(&store) as Arc<dyn Store>, Arc::new(cipher));
    assert!(matches!(load(&wrong), Err(LoadError::RootDamaged)));
    edit(&store, None, Some(&RecordKey::system_keys()));
    assert!(matches!(load(&records), Err(LoadError::SystemKeysDamaged)));
}

#[test]
fn usage_is_loaded_and_verified() {
    let (store, scene, _) = scene();
    let key = RecordKey::usage(A, VersionNumber::FIRST);
    let usage = |uses| {
        Record::Usage(UsageRecord {
            uses,
            ..UsageRecord::default()
        })
    };
    scene
        .change(vec![put(key.clone(), Expect::Absent, usage(1))])
        .unwrap();
    let old = item(&store, &key);
    scene
        .change(vec![put(key.clone(), Expect::Anything, usage(2))])
        .unwrap();
    edit(&store, Some((&key, old.value)), None);
    assert_eq!(load(&scene.records).unwrap().quarantined, [key]);
}
