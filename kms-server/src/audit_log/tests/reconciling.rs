//! The outbox against the log: each change exactly once.

use super::*;
use kms_core::audit::leaf::stamp_change;

/// Change `n` as the store wrote it beside itself, in two parts.
fn outbox(change: u64) -> [OutboxRecord; 2] {
    let mut leaves = batch_call(change, 3).leaves;
    stamp_change(&mut leaves[0], change);
    let second = leaves.split_off(2);
    [(0, leaves), (1, second)].map(|(part, leaves)| OutboxRecord {
        change,
        part,
        leaves,
    })
}

fn changes(log: &AuditLog) -> Vec<u64> {
    let mut changes = Vec::new();
    reading::walk_forward(&log.shared.segments, 0, |_, leaf| {
        let entry = decode(leaf).unwrap();
        if entry.prefix.change > 0 {
            changes.push(entry.prefix.change);
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    changes
}

#[test]
fn each_change_is_logged_exactly_once_in_order() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let all: Vec<_> = (1..=5).flat_map(outbox).collect();
    log.append_blocking(status_call(100)).unwrap();
    // changes 1 and 2 were logged, 3 to 5 were not; the parts come in any order
    assert_eq!(log.reconcile(&all[..4], 0).unwrap().appended, [1, 2]);
    let mut shuffled = all.clone();
    shuffled.reverse();
    let reconciled = log.reconcile(&shuffled, 0).unwrap();
    assert_eq!(reconciled.appended, [3, 4, 5]);
    assert_eq!(reconciled.last_change, 5);
    assert_eq!(changes(&log), [1, 2, 3, 4, 5]);
    assert_eq!(log.len(), 1 + 5 * 4);
    let again = log.reconcile(&all, 0).unwrap();
    assert_eq!((again.appended, again.last_change), (vec![], 5));
    drop(log);
    let (log, _) = open(dir.path());
    assert!(log.reconcile(&all, 0).unwrap().appended.is_empty());
    // an empty outbox: the log still says how far it knows the store
    assert_eq!(log.reconcile(&[], 1).unwrap().last_change, 5);
    assert_eq!(log.reconcile(&[], log.len()).unwrap().last_change, 0);
}
