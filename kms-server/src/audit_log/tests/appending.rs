//! Appending: order, groups, wake-ups, what is refused.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc;

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let (log, opened) = open(dir.path());
    assert_eq!((opened.next_sequence, opened.cut_bytes), (0, 0));
    assert_eq!(log.append_blocking(status_call(0)), Ok(0));
    assert_eq!(log.append_blocking(batch_call(1, 2)), Ok(1));
    assert_eq!(log.append_blocking(status_call(2)), Ok(4));
    assert_eq!(log.len(), 5);
    let ids = all_ids(&log);
    assert_eq!(ids, [id(0), id(1), id(1), id(1), id(2)]);
    drop(log);
    let (log, opened) = open(dir.path());
    assert_eq!((opened.next_sequence, opened.cut_bytes), (5, 0));
    assert_eq!(opened.last_time, Some(time(2)));
    assert_eq!(all_ids(&log), ids);
    assert_eq!(log.append_blocking(status_call(3)), Ok(5));
}

#[test]
fn segments_follow_one_another_without_a_gap() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    for n in 0..600 {
        log.append_blocking(batch_call(n, 1)).unwrap();
    }
    assert!(log.figures().segments >= 2);
    assert_eq!(log.figures().failures, 0);
    let ids = all_ids(&log);
    log.close();
    assert_eq!(log.append_blocking(status_call(9)), Err(AuditUnavailable));
    let files = segment_files(dir.path());
    assert_eq!(files.len() as u64, log.figures().segments + 1);
    for file in files {
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        assert_eq!(metadata.len(), SMALL.segment_bytes);
    }
    drop(log);
    assert_eq!(all_ids(&open(dir.path()).0), ids);
}

#[test]
fn a_submission_longer_than_a_segment_gets_a_long_one() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let mut call = batch_call(0, 1_000);
    assert_eq!(call.leaves.len(), 1_001);
    call.space = Space::Operator;
    assert_eq!(log.append_blocking(call), Ok(0));
    assert_eq!(log.append_blocking(status_call(1)), Ok(1_001));
    drop(log);
    assert_eq!(open(dir.path()).1.next_sequence, 1_002);
}

#[test]
fn what_is_no_submission_is_refused() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let too_long = vec![0; kms_core::audit::leaf::LEAF_MAX + 1];
    for leaves in [vec![], vec![too_long], vec![vec![0; 64]; 4_097]] {
        let refused = log.append_blocking(submission(leaves));
        assert_eq!(refused, Err(AuditUnavailable));
    }
    assert_eq!(log.figures().refused, 3);
    assert_eq!(log.append_blocking(status_call(0)), Ok(0));
}

/// Stops the committer at the end of a group, so that the next one is what came meanwhile.
fn while_committing(log: &AuditLog, meanwhile: impl FnOnce()) {
    let held = lock(&log.shared.usage);
    let first = log.append(status_call(1_000_000));
    while log.shared.queue.waiting() > 0 {
        std::thread::yield_now();
    }
    meanwhile();
    drop(held);
    futures_block(first).unwrap();
}

fn futures_block<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

#[test]
fn all_that_waits_is_one_write_and_one_sync_and_each_runtime_is_woken_once() {
    const RUNTIMES: u64 = 2;
    const CALLS: u64 = 100;
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let (queued, ready) = mpsc::channel();
    let mut runtimes = Vec::new();
    while_committing(&log, || {
        for runtime in 0..RUNTIMES {
            let (log, queued) = (log.clone(), queued.clone());
            runtimes.push(std::thread::spawn(move || {
                futures_block(async move {
                    let local = log.local();
                    let calls = runtime * CALLS..(runtime + 1) * CALLS;
                    let all: Vec<_> = calls.map(|n| local.append(status_call(n))).collect();
                    queued.send(()).unwrap();
                    for (nth, one) in all.into_iter().enumerate() {
                        one.await.unwrap_or_else(|_| panic!("call {nth}"));
                    }
                });
            }));
        }
        (0..RUNTIMES).for_each(|_| ready.recv().unwrap());
    });
    runtimes
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let figures = log.figures();
    assert_eq!(figures.entries, 1 + RUNTIMES * CALLS);
    assert_eq!((figures.groups, figures.syncs), (2, 2));
    assert_eq!(figures.wake_ups, RUNTIMES);
    let mut ids = all_ids(&log);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len() as u64, 1 + RUNTIMES * CALLS);
}

#[test]
fn a_dropped_call_is_still_written_and_its_slot_used_again() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let outer = log.clone();
    futures_block(async move {
        let local = log.local();
        for n in 0..50 {
            drop(local.append(status_call(n)));
            assert_eq!(local.append(status_call(n)).await, Ok(2 * n + 1));
        }
        assert!(local.slots() <= 3, "{}", local.slots());
        log.close();
        assert_eq!(local.append(status_call(9)).await, Err(AuditUnavailable));
    });
    assert_eq!(outer.len(), 100);
}
