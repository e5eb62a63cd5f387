//! Shred secrets edited behind the daemon's back, and changes under a running scrub.

use super::*;
use crate::store::memory::MemoryStore;
use crate::store::tests::scene::{Scene, block_on, memory, put, shred, shred_key};
use crate::store::{Item, Store, Transaction, load};
use kms_core::key::record::{Expect, ShredState};
use kms_core::time::Timestamp;
use std::sync::Arc;

const SECRETS: u64 = 300;

fn scene() -> (Arc<MemoryStore>, Scene) {
    let store = memory();
    let scene = Scene::new(Arc::clone(&store) as Arc<dyn Store>);
    let create = |id| put(shred_key(id), Expect::Absent, shred(id, ShredState::Active));
    scene.change((0..SECRETS).map(create).collect()).unwrap();
    (store, scene)
}

fn destroy(scene: &Scene, id: u64) {
    let at = Timestamp::from_micros(1);
    let record = shred(id, ShredState::Destroyed { at });
    let write = put(shred_key(id), Expect::Anything, record);
    scene.change(vec![write]).unwrap();
}

fn item(store: &MemoryStore, id: u64) -> Item {
    store.get(&(&shred_key(id)).into()).unwrap().unwrap()
}

fn edit(store: &MemoryStore, id: u64, value: Option<Vec<u8>>) {
    let key = || (&shred_key(id)).into();
    let mut transaction = Transaction::default();
    match value {
        Some(value) => transaction.puts.push((key(), value)),
        None => transaction.deletes.push(key()),
    }
    store.transact(transaction).unwrap();
}

/// One whole pass in slices of `limit`.
fn pass(scene: &Scene, limit: usize) -> Slice {
    let mut all = Slice::default();
    while !all.finished {
        let slice = block_on(scene.writer.scrub(limit)).unwrap();
        all.records += slice.records;
        all.damaged.extend(slice.damaged);
        all.shards.extend(slice.shards);
        all.finished = slice.finished;
    }
    all
}

fn in_shard(id: u64) -> Vec<(Tree, Shard)> {
    vec![(Tree::Shred, Shard::of(&shred_key(id)))]
}

#[test]
fn a_pass_sees_every_record_once() {
    let (_, scene) = scene();
    for limit in [1, 7, 299, 300, 301, 10_000] {
        let all = pass(&scene, limit);
        assert_eq!(all.records as u64, SECRETS, "{limit}");
        assert!(all.damaged.is_empty() && all.shards.is_empty(), "{limit}");
    }
}

#[test]
fn a_destroyed_secret_put_back_is_found() {
    let (store, scene) = scene();
    let old = item(&store, 5);
    destroy(&scene, 5);
    assert!(pass(&scene, 50).shards.is_empty());
    let tombstone = item(&store, 5);
    edit(&store, 5, Some(old.value));
    let found = pass(&scene, 50);
    assert_eq!((found.shards, found.damaged), (in_shard(5), Vec::new()));
    // unseal does not read shred secrets and cannot see it
    assert!(load(&scene.records).unwrap().shards.is_empty());
    edit(&store, 5, Some(tombstone.value));
    assert!(pass(&scene, 50).shards.is_empty());
}

#[test]
fn a_removed_tombstone_is_found() {
    let (store, scene) = scene();
    destroy(&scene, 6);
    edit(&store, 6, None);
    assert_eq!(pass(&scene, 50).shards, in_shard(6));
}

#[test]
fn a_damaged_secret_is_named() {
    let (store, scene) = scene();
    let mut value = item(&store, 7).value;
    value[20] ^= 1;
    edit(&store, 7, Some(value));
    let found = pass(&scene, 50);
    assert_eq!(found.damaged, [shred_key(7)]);
    assert_eq!(found.shards, in_shard(7));
}

#[test]
fn a_change_of_what_was_put_back_does_not_hide_it() {
    let (store, scene) = scene();
    let old = item(&store, 8);
    destroy(&scene, 8);
    edit(&store, 8, Some(old.value));
    destroy(&scene, 8);
    assert_eq!(pass(&scene, 50).shards, in_shard(8));
}

#[test]
fn changes_between_slices_are_no_mismatch() {
    let (_, scene) = scene();
    let mut seen = 0;
    for id in 0..SECRETS {
        // before, at and behind the place that the pass has come to, as the ids fall
        let slice = block_on(scene.writer.scrub(3)).unwrap();
        assert!(slice.shards.is_empty(), "{id}");
        seen += slice.records;
        destroy(&scene, id);
        let new = 1_000 + id;
        let write = put(
            shred_key(new),
            Expect::Absent,
            shred(new, ShredState::Active),
        );
        scene.change(vec![write]).unwrap();
    }
    assert!(seen > SECRETS as usize);
    assert_eq!(pass(&scene, 100).shards, Vec::new());
    assert_eq!(pass(&scene, 100).records as u64, 2 * SECRETS);
}
