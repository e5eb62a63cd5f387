//! The writer against real engines, engines with faults, and a naive model.

mod model;

use super::{Change, ChangeError, Counts};
use crate::store::tests::scene::{
    End, Fault, Faulty, Scene, block_on, memory, put, records, shred, shred_key, sled,
};
use crate::store::{Store, StoreError, load};
use kms_core::format::place::{RecordKey, Revision, Tree};
use kms_core::key::record::{Expect, Record, ShredState, Write};
use kms_core::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;

fn create(id: u64) -> Vec<Write> {
    vec![put(
        shred_key(id),
        Expect::Absent,
        shred(id, ShredState::Active),
    )]
}

fn destroy(id: u64, expect: Expect) -> Vec<Write> {
    let at = Timestamp::from_micros(9);
    vec![put(
        shred_key(id),
        expect,
        shred(id, ShredState::Destroyed { at }),
    )]
}

fn leaf() -> Vec<Vec<u8>> {
    vec![vec![0; 100]]
}

/// Submits all while the writer is busy with a change of its own, so that they wait together.
fn together(scene: &Scene, submit: impl FnOnce() -> Vec<End>) -> Vec<End> {
    // else it could still stand at the gate, where it would wait for the next burst
    block_on(scene.writer.settle());
    let gate = scene.sink.gate.lock().unwrap();
    let seen = || scene.sink.seen.lock().unwrap().len();
    let before = seen();
    let busy = scene.submit(Vec::new(), leaf());
    while seen() == before {
        std::thread::yield_now();
    }
    let ends = submit();
    drop(gate);
    busy.blocking_recv().unwrap().unwrap();
    ends
}

fn ends(ends: Vec<End>) -> Vec<Result<u64, ChangeError>> {
    let end = |end: End| end.blocking_recv().unwrap().map(|p| p.change);
    ends.into_iter().map(end).collect()
}

#[test]
fn changes_that_wait_share_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let store = sled(dir.path());
    let scene = Scene::new(Arc::clone(&store) as Arc<dyn Store>);
    let before = (scene.writer.counts(), store.syncs());
    let submitted = together(&scene, || {
        (0..16).map(|i| scene.submit(create(i), leaf())).collect()
    });
    let numbers: Vec<_> = ends(submitted).into_iter().map(Result::unwrap).collect();
    assert_eq!(numbers, (2..18).collect::<Vec<_>>());
    // one for the change that kept the writer busy, one for the sixteen
    assert_eq!(store.syncs() - before.1, 2);
    let counts = scene.writer.counts();
    assert_eq!(counts.transactions - before.0.transactions, 2);
    assert_eq!(counts.changes - before.0.changes, 17);
    let seen = scene.sink.seen.lock().unwrap();
    let revisions: Vec<_> = seen.iter().map(|seen| seen.revision).collect();
    assert!(revisions[1..].iter().all(|revision| *revision == 3));
    let heads = seen.iter().map(|s| s.leaves[0][..8].to_vec());
    let stamped: Vec<_> = (1_u64..18).map(|i| i.to_be_bytes().to_vec()).collect();
    assert_eq!(heads.collect::<Vec<_>>(), stamped);
}

#[test]
fn a_restriction_ends_its_group_and_outdates_what_was_decided_before() {
    let scene = Scene::new(memory());
    let created = scene.change(create(1)).unwrap();
    let submitted = together(&scene, || {
        let expect = Expect::Unchanged(created.revision);
        vec![
            scene.submit(create(2), leaf()),
            scene.submit_with(destroy(1, expect), leaf(), 0, true),
            scene.submit_with(create(3), leaf(), 0, false),
            scene.submit_with(create(4), leaf(), 1, false),
        ]
    });
    let expected = [Ok(3), Ok(4), Err(ChangeError::Conflict), Ok(5)];
    assert_eq!(ends(submitted), expected);
    let seen = scene.sink.seen.lock().unwrap();
    let revisions: Vec<_> = seen.iter().map(|seen| seen.revision).collect();
    assert_eq!(revisions, [2, 3, 4, 4, 5]);
}

#[test]
fn expectations_are_checked_against_store_and_group() {
    let scene = Scene::new(memory());
    let first = scene.change(create(1)).unwrap().revision;
    let conflict = Err(ChangeError::Conflict);
    assert_eq!(scene.change(create(1)), conflict);
    let stale = Expect::Unchanged(Revision(first.0 + 1));
    assert_eq!(scene.change(destroy(1, stale)), conflict);
    let missing = Expect::Unchanged(first);
    assert_eq!(scene.change(destroy(2, missing)), conflict);
    let twice = [create(3), create(3)].into_iter().flatten().collect();
    assert_eq!(scene.change(twice), conflict);
    // a change that fails in part writes nothing of the rest
    let mixed = [create(4), create(1)].into_iter().flatten().collect();
    assert_eq!(scene.change(mixed), conflict);
    assert!(scene.records.get(&shred_key(4)).unwrap().is_none());
    let race = together(&scene, || {
        (0..3).map(|_| scene.submit(create(5), leaf())).collect()
    });
    assert_eq!(ends(race), [Ok(3), conflict_of(), conflict_of()]);
    scene.change(destroy(1, Expect::Unchanged(first))).unwrap();
    scene.change(destroy(1, Expect::Anything)).unwrap();
    assert_eq!(scene.writer.counts().conflicts, 7);
}

const fn conflict_of() -> Result<u64, ChangeError> {
    Err(ChangeError::Conflict)
}

#[test]
fn held_changes_are_refused_even_when_they_wait_already() {
    let scene = Scene::new(memory());
    let submitted = together(&scene, || {
        let waiting = scene.submit(create(1), leaf());
        scene.writer.hold(true);
        vec![waiting, scene.submit(create(2), leaf())]
    });
    assert_eq!(ends(submitted), [Err(ChangeError::Held); 2]);
    scene.writer.hold(false);
    scene.change(create(1)).unwrap();
}

#[test]
fn leaves_wait_in_the_outbox_until_they_are_logged() {
    let scene = Scene::new(memory());
    let leaves = |len| vec![vec![1; 20_000]; len];
    let numbers = [5, 1].map(|len| {
        let end = scene.submit(create(len as u64), leaves(len));
        end.blocking_recv().unwrap().unwrap().change
    });
    assert_eq!(numbers, [1, 2]);
    let housekeeping = scene.submit(create(9), Vec::new());
    assert_eq!(housekeeping.blocking_recv().unwrap().unwrap().change, 0);
    let (scene, loaded) = Scene::resume(scene.stop());
    let shape = loaded
        .outbox
        .iter()
        .map(|r| (r.change, r.part, r.leaves.len()));
    let expected = [(1, 0, 2), (1, 1, 2), (1, 2, 1), (2, 0, 1)];
    assert_eq!(shape.collect::<Vec<_>>(), expected);
    assert_eq!(loaded.root.last_change, 2);
    // cleared together with the next change; parts of before the restart, too
    scene.writer.logged(1, 50);
    scene.change(create(10)).unwrap();
    let loaded = load(&scene.records).unwrap();
    let left: Vec<_> = loaded.outbox.iter().map(|r| r.change).collect();
    assert_eq!(left, [2, 3]);
    assert_eq!(
        (loaded.root.logged_change, loaded.root.logged_sequence),
        (1, 50)
    );
    // cleared by a transaction of its own
    let before = scene.writer.counts().transactions;
    scene.writer.logged(3, 70);
    scene.writer.logged(2, 60);
    block_on(scene.writer.settle());
    let loaded = load(&scene.records).unwrap();
    assert!(loaded.outbox.is_empty() && loaded.shards.is_empty());
    assert_eq!(
        (loaded.root.logged_change, loaded.root.logged_sequence),
        (3, 70)
    );
    block_on(scene.writer.settle());
    assert_eq!(scene.writer.counts().transactions, before + 1);
}

#[test]
fn too_large_a_leaf_is_refused_alone() {
    let scene = Scene::new(memory());
    let submitted = together(&scene, || {
        vec![
            scene.submit(create(1), vec![vec![0; super::LEAF_MAX]]),
            scene.submit(create(2), vec![vec![0; super::LEAF_MAX + 1]]),
        ]
    });
    assert_eq!(ends(submitted), [Ok(2), Err(ChangeError::Unavailable)]);
}

#[test]
fn another_writer_of_the_same_store_is_no_conflict_of_records() {
    let one = Scene::new(memory());
    let two = Scene::resume(one.records.clone()).0;
    for id in 0..6 {
        let scene = if id % 2 == 0 { &one } else { &two };
        assert_eq!(scene.change(create(id)).unwrap().change, id + 1);
    }
    assert_eq!(one.change(create(5)), Err(ChangeError::Conflict));
    let loaded = load(&one.records).unwrap();
    assert!(loaded.quarantined.is_empty() && loaded.shards.is_empty());
    assert_eq!(loaded.root.last_change, 6);
}

fn faulty() -> (Arc<Faulty>, Scene) {
    let store = Faulty::new(memory());
    let scene = Scene::new(Arc::clone(&store) as Arc<dyn Store>);
    (store, scene)
}

fn fail_next(store: &Faulty, fault: Fault) {
    store.faults.lock().unwrap().push_back(fault);
}

#[test]
fn a_refused_transaction_changes_nothing_and_stops_nothing() {
    let (store, scene) = faulty();
    for (error, expected) in [
        (StoreError::Full, ChangeError::Full),
        (StoreError::Corrupted, ChangeError::Unavailable),
    ] {
        fail_next(&store, Fault::Refused(error));
        assert_eq!(scene.change(create(1)), Err(expected));
    }
    assert_eq!(scene.change(create(1)).unwrap().change, 1);
}

#[test]
fn after_an_unknown_end_nothing_is_committed_before_the_truth_is_known() {
    for (fault, applied) in [(Fault::LostAfter, true), (Fault::LostBefore, false)] {
        let (store, scene) = faulty();
        store.recovers.store(false, Ordering::SeqCst);
        fail_next(&store, fault);
        assert_eq!(scene.change(create(1)), Err(ChangeError::Unknown));
        for _ in 0..2 {
            assert_eq!(scene.change(create(2)), Err(ChangeError::Unavailable));
        }
        assert!(scene.sink.seen.lock().unwrap().is_empty());
        assert_eq!(block_on(scene.writer.scrub(10)), Err(StoreError::Stopped));
        store.recovers.store(true, Ordering::SeqCst);
        let next = scene.change(create(2)).unwrap();
        assert_eq!(next.change, if applied { 2 } else { 1 });
        // what turned out to be committed is handed on, before what came later
        let seen = scene.sink.seen.lock().unwrap();
        let keys: Vec<_> = seen.iter().map(|s| s.records[0].0.clone()).collect();
        let both = [shred_key(1), shred_key(2)];
        assert_eq!(keys, both[usize::from(!applied)..]);
    }
}

#[test]
fn what_is_read_back_differently_is_never_handed_on() {
    let (store, scene) = faulty();
    fail_next(&store, Fault::Altered);
    assert_eq!(scene.change(create(1)), Err(ChangeError::Unknown));
    assert_eq!(scene.change(create(2)), Err(ChangeError::Unavailable));
    assert!(scene.sink.seen.lock().unwrap().is_empty());
    assert_eq!(scene.writer.counts(), Counts::default());
}

#[test]
fn a_stopped_writer_refuses() {
    let scene = Scene::new(memory());
    block_on(scene.writer.stop());
    assert_eq!(scene.change(create(1)), Err(ChangeError::Unavailable));
    block_on(scene.writer.stop());
}

#[test]
fn a_writer_does_not_start_on_another_root_than_was_loaded() {
    let scene = Scene::new(memory());
    let loaded = load(&scene.records).unwrap();
    scene.change(create(1)).unwrap();
    let parts = super::WriterParts {
        records: scene.records.clone(),
        root: loaded.root,
        set_hash: loaded.set_hash,
        sink: scene.sink.clone(),
        entropy: Arc::new(kms_core::cipher::system_entropy::SystemEntropy::new()),
        stamp_change: crate::store::tests::scene::stamp_change,
    };
    assert!(super::Writer::start(parts).is_err());
}

#[test]
fn a_caller_who_hangs_up_changes_nothing() {
    let scene = Scene::new(memory());
    let (done, end) = tokio::sync::oneshot::channel();
    drop(end);
    scene.writer.submit(Change {
        writes: create(1),
        leaves: leaf(),
        generation: 0,
        restricts: false,
        done,
    });
    block_on(scene.writer.settle());
    assert!(scene.records.get(&shred_key(1)).unwrap().is_some());
}

/// A batch call of 1,000 shred secrets: 2,000 records, one transaction, every one of them read back.
#[test]
fn a_large_batch_is_one_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let store = sled(dir.path());
    let scene = Scene::new(Arc::clone(&store) as Arc<dyn Store>);
    let names = (0..1_000).map(|id| {
        let id = crate::store::tests::scene::secret_id(id);
        let hash = kms_core::cipher::sha256(&[&id.0]);
        let key = RecordKey::shred_name(hash);
        put(key, Expect::Absent, Record::ShredName(id))
    });
    let writes = (0..1_000).flat_map(create).chain(names).collect();
    let before = store.syncs();
    scene
        .submit(writes, vec![vec![0; 30_000]; 2])
        .blocking_recv()
        .unwrap()
        .unwrap();
    assert_eq!(store.syncs(), before + 1);
    let seen = scene.sink.seen.lock().unwrap();
    assert_eq!(seen[0].records.len(), 2_000);
    assert!(seen[0].records.iter().all(|(_, there)| *there));
    drop(seen);
    let records = scene.stop();
    drop(store);
    drop(records);
    let records = self::records(sled(dir.path()));
    let page = records.range(Tree::Shred, None, 2_000).unwrap();
    assert_eq!((page.stored.len(), page.damaged.len()), (1_000, 0));
}
