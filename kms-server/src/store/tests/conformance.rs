//! What every engine must do, run against each.

use super::scene::clock;
use crate::store::{
    Item, Stamp, Store, StoreError, StoreKey, TransactError, Transaction, VALUE_MAX,
};
use crate::system::clock::ManualClock;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

macro_rules! conformance {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[test]
            fn $name() {
                let clock = super::clock();
                let store = crate::store::memory::MemoryStore::new(clock.clone());
                super::$name(&store, &clock);
            })+
        }

        mod sled {
            $(#[test]
            fn $name() {
                let dir = tempfile::tempdir().unwrap();
                let clock = super::clock();
                let store = crate::store::sled::SledStore::open(dir.path(), clock.clone()).unwrap();
                super::$name(&store, &clock);
            })+
        }
    };
}

conformance!(
    puts_gets_and_deletes,
    stamps_rise_and_are_shared_by_a_transaction,
    a_failed_compare_writes_nothing,
    ranges_keep_to_their_tree_and_order,
    values_have_a_limit,
    watchers_hear_of_keys_in_order,
    a_slow_watcher_is_told_that_it_missed_some,
    leases_expire_and_fence,
    behaves_like_a_map,
    racing_writers_are_serialised,
);

fn key(tree: u8, key: &[u8]) -> StoreKey {
    StoreKey {
        tree,
        key: key.into(),
    }
}

fn puts(store: &dyn Store, pairs: &[(StoreKey, &[u8])]) -> Stamp {
    let puts = pairs.iter().map(|(k, v)| (k.clone(), v.to_vec()));
    let transaction = Transaction {
        puts: puts.collect(),
        ..Transaction::default()
    };
    store.transact(transaction).unwrap()
}

fn puts_gets_and_deletes(store: &dyn Store, _: &ManualClock) {
    let (a, b) = (key(1, b"a"), key(1, b"b"));
    assert_eq!(store.get(&a).unwrap(), None);
    puts(store, &[(a.clone(), b"1"), (b.clone(), b"")]);
    let value = |k| store.get(k).unwrap().map(|item: Item| item.value);
    assert_eq!(value(&a), Some(b"1".to_vec()));
    assert_eq!(value(&b), Some(Vec::new()));
    let transaction = Transaction {
        puts: vec![(b.clone(), b"2".to_vec())],
        deletes: vec![a.clone(), key(1, b"never there")],
        ..Transaction::default()
    };
    store.transact(transaction).unwrap();
    assert_eq!(value(&a), None);
    assert_eq!(value(&b), Some(b"2".to_vec()));
}

fn stamps_rise_and_are_shared_by_a_transaction(store: &dyn Store, _: &ManualClock) {
    let (a, b) = (key(1, b"a"), key(2, b"b"));
    let first = puts(store, &[(a.clone(), b"1"), (b.clone(), b"1")]);
    let stamp = |k| store.get(k).unwrap().unwrap().stamp;
    assert_eq!((stamp(&a), stamp(&b)), (first, first));
    let second = puts(store, &[(a.clone(), b"1")]);
    assert!(second > first);
    assert_eq!((stamp(&a), stamp(&b)), (second, first));
}

fn a_failed_compare_writes_nothing(store: &dyn Store, _: &ManualClock) {
    let (a, b) = (key(1, b"a"), key(1, b"b"));
    let try_with = |compares: Vec<(StoreKey, Option<Stamp>)>| {
        store.transact(Transaction {
            compares,
            puts: vec![(b.clone(), b"new".to_vec())],
            deletes: vec![a.clone()],
            fence: None,
        })
    };
    let stamp = puts(store, &[(a.clone(), b"1")]);
    let absent = (b.clone(), None);
    let wrong = [
        (a.clone(), None),
        (a.clone(), Some(Stamp(stamp.0 + 1))),
        (b.clone(), Some(stamp)),
    ];
    for compare in wrong {
        let result = try_with(vec![absent.clone(), compare]);
        assert_eq!(result, Err(TransactError::Conflict));
        assert_eq!(store.get(&a).unwrap().unwrap().stamp, stamp);
        assert_eq!(store.get(&b).unwrap(), None);
    }
    try_with(vec![absent, (a.clone(), Some(stamp))]).unwrap();
    assert_eq!(store.get(&a).unwrap(), None);
    // a removed key does not compare equal to its last stamp
    let again = try_with(vec![(a.clone(), Some(stamp))]);
    assert_eq!(again, Err(TransactError::Conflict));
}

fn ranges_keep_to_their_tree_and_order(store: &dyn Store, _: &ManualClock) {
    let keys: [&[u8]; 5] = [b"", b"\x00", b"a", b"a\x00", b"\xff\xff"];
    let pairs = [0, 1, 2, 254].map(|tree| keys.map(|k| (key(tree, k), k)));
    puts(store, pairs.as_flattened());
    let range = |tree, after: Option<&[u8]>, limit| {
        let found = store.range(tree, after, limit).unwrap();
        found
            .into_iter()
            .map(|(k, item)| {
                assert_eq!(*k, *item.value);
                k.to_vec()
            })
            .collect::<Vec<_>>()
    };
    for tree in [0, 1, 2, 254] {
        assert_eq!(range(tree, None, 10), keys);
        assert_eq!(range(tree, Some(b""), 10), keys[1..]);
        assert_eq!(range(tree, Some(b"a"), 10), keys[3..]);
        assert_eq!(range(tree, Some(b"a"), 1), keys[3..4]);
        assert_eq!(range(tree, Some(b"b"), 10), keys[4..]);
        assert_eq!(range(tree, Some(b"\xff\xff"), 10), keys[5..]);
        assert_eq!(range(tree, None, 0), keys[..0]);
    }
    assert!(range(3, None, 10).is_empty());
}

fn values_have_a_limit(store: &dyn Store, _: &ManualClock) {
    let largest = vec![7; VALUE_MAX];
    puts(store, &[(key(1, b"a"), &largest)]);
    assert_eq!(store.get(&key(1, b"a")).unwrap().unwrap().value, largest);
    let transaction = Transaction {
        puts: vec![(key(1, b"b"), vec![7; VALUE_MAX + 1])],
        ..Transaction::default()
    };
    let refused = Err(TransactError::NotApplied(StoreError::TooLarge));
    assert_eq!(store.transact(transaction), refused);
    assert_eq!(store.get(&key(1, b"b")).unwrap(), None);
}

fn watchers_hear_of_keys_in_order(store: &dyn Store, _: &ManualClock) {
    puts(store, &[(key(1, b"before"), b"1")]);
    let mut watch = store.watch();
    let first = puts(store, &[(key(1, b"a"), b"1"), (key(2, b"b"), b"1")]);
    let second = store
        .transact(Transaction {
            deletes: vec![key(1, b"a")],
            ..Transaction::default()
        })
        .unwrap();
    let event = watch.try_next().unwrap().unwrap();
    assert_eq!(event.stamp, first);
    assert_eq!(*event.keys, [key(1, b"a"), key(2, b"b")]);
    let event = watch.try_next().unwrap().unwrap();
    assert_eq!((event.stamp, &*event.keys), (second, &[key(1, b"a")][..]));
    assert_eq!(watch.try_next().unwrap(), None);
}

fn a_slow_watcher_is_told_that_it_missed_some(store: &dyn Store, _: &ManualClock) {
    let mut watch = store.watch();
    for _ in 0..1_100 {
        // a compare that fails is no event
        let compares = vec![(key(1, b"a"), Some(Stamp(u64::MAX)))];
        let transaction = Transaction {
            compares,
            ..Transaction::default()
        };
        assert!(store.transact(transaction).is_err());
    }
    assert_eq!(watch.try_next().unwrap(), None);
    for _ in 0..1_100 {
        store.transact(Transaction::default()).unwrap();
    }
    assert!(watch.try_next().is_err());
    assert!(watch.try_next().unwrap().is_some());
}

fn leases_expire_and_fence(store: &dyn Store, clock: &ManualClock) {
    let ttl = Duration::from_secs(10);
    let fenced = |lease: &crate::store::Lease| {
        store.transact(Transaction {
            fence: Some(lease.clone()),
            ..Transaction::default()
        })
    };
    let first = store.acquire("purge", ttl).unwrap().unwrap();
    assert_eq!(store.acquire("purge", ttl).unwrap(), None);
    let other = store.acquire("rotate", ttl).unwrap().unwrap();
    assert_eq!((first.name(), other.name()), ("purge", "rotate"));
    clock.advance(Duration::from_secs(9));
    assert!(store.renew(&first, ttl).unwrap());
    clock.advance(Duration::from_secs(9));
    assert_eq!(store.acquire("purge", ttl).unwrap(), None);
    fenced(&first).unwrap();
    assert!(!store.renew(&other, ttl).unwrap());
    clock.advance(Duration::from_secs(1));
    assert_eq!(fenced(&first), Err(TransactError::Conflict));
    let second = store.acquire("purge", ttl).unwrap().unwrap();
    assert!(second.token() > first.token());
    assert!(!store.renew(&first, ttl).unwrap());
    assert_eq!(fenced(&first), Err(TransactError::Conflict));
    fenced(&second).unwrap();
    // the late holder's release takes nothing away from its successor
    store.release(first).unwrap();
    fenced(&second).unwrap();
    store.release(second).unwrap();
    assert!(store.acquire("purge", ttl).unwrap().is_some());
}

fn racing_writers_are_serialised(store: &dyn Store, _: &ManualClock) {
    let count = key(1, b"count");
    puts(store, &[(count.clone(), &0_u32.to_be_bytes())]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5 {
                    loop {
                        let item = store.get(&count).unwrap().unwrap();
                        let value = u32::from_be_bytes(item.value.try_into().unwrap()) + 1;
                        let transaction = Transaction {
                            compares: vec![(count.clone(), Some(item.stamp))],
                            puts: vec![(count.clone(), value.to_be_bytes().to_vec())],
                            ..Transaction::default()
                        };
                        if store.transact(transaction).is_ok() {
                            break;
                        }
                    }
                }
            });
        }
    });
    assert_eq!(store.get(&count).unwrap().unwrap().value, [0, 0, 0, 20]);
}

#[derive(Debug, Clone)]
struct Step {
    puts: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    deletes: Vec<(u8, Vec<u8>)>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = || (0_u8..4, prop::collection::vec(0_u8..3, 0..3));
    let value = prop::collection::vec(any::<u8>(), 0..40);
    let step = (
        prop::collection::btree_map(key(), value, 0..5),
        prop::collection::vec(key(), 0..3),
    );
    prop::collection::vec(
        step.prop_map(|(puts, deletes)| Step { puts, deletes }),
        1..10,
    )
}

fn behaves_like_a_map(store: &dyn Store, _: &ManualClock) {
    let model = std::cell::RefCell::new(BTreeMap::new());
    let config = ProptestConfig::with_cases(32);
    proptest!(config, |(steps in steps())| {
        let mut model = model.borrow_mut();
        for mut step in steps {
            step.deletes.retain(|key| !step.puts.contains_key(key));
            let flat = |(tree, k): &(u8, Vec<u8>)| key(*tree, k);
            store.transact(Transaction {
                puts: step.puts.iter().map(|(k, v)| (flat(k), v.clone())).collect(),
                deletes: step.deletes.iter().map(flat).collect(),
                ..Transaction::default()
            }).unwrap();
            for key in step.deletes {
                model.remove(&key);
            }
            model.extend(step.puts);
        }
        for tree in 0..4 {
            let found = store.range(tree, None, 1_000).unwrap();
            let found: Vec<_> = found.into_iter().map(|(k, i)| (k.to_vec(), i.value)).collect();
            let mut expected = Vec::new();
            for ((of, k), v) in model.iter() {
                if *of == tree {
                    expected.push((k.clone(), v.clone()));
                }
            }
            prop_assert_eq!(found, expected);
        }
    });
}

/// Stamps must not repeat after a restart.
#[test]
fn sled_goes_on_with_its_stamps() {
    let dir = tempfile::tempdir().unwrap();
    let open =
        || crate::store::sled::SledStore::open(dir.path(), clock() as Arc<ManualClock>).unwrap();
    let store = open();
    let last = puts(&store, &[(key(1, b"a"), b"1")]);
    drop(store);
    let store = open();
    assert_eq!(store.get(&key(1, b"a")).unwrap().unwrap().stamp, last);
    assert!(puts(&store, &[(key(1, b"a"), b"1")]) > last);
}
