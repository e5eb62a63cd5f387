//! After an unseal: changes that the store has and the log may not. Found by entry id, appended in the order
//! of their numbers, each exactly once.

use super::reading::walk_forward;
use super::usage::UsageMark;
use super::{AuditLog, Space, Submission};
use kms_core::audit::leaf::{Kind, Prefix, decode};
use kms_core::key::record::OutboxRecord;
use kms_core::name::CallId;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::ControlFlow;

/// What was found and done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reconciled {
    /// The greatest change number in the log from the given sequence on, the appended ones included; 0 when
    /// there is none. A root record behind it is an old one.
    pub last_change: u64,
    /// Changes whose leaves were missing and have been appended.
    pub appended: Vec<u64>,
}

/// See [`AuditLog::reconcile`].
pub(super) fn reconcile(
    log: &AuditLog,
    outbox: &[OutboxRecord],
    from_sequence: u64,
) -> io::Result<Reconciled> {
    let mut changes: BTreeMap<u64, BTreeMap<u16, &OutboxRecord>> = BTreeMap::new();
    for record in outbox {
        changes
            .entry(record.change)
            .or_default()
            .insert(record.part, record);
    }
    let logged = logged_changes(log, from_sequence)?;
    let mut done = Reconciled {
        last_change: logged.values().copied().max().unwrap_or(0),
        appended: Vec::new(),
    };
    for (change, parts) in changes {
        let leaves: Vec<Vec<u8>> = parts
            .values()
            .flat_map(|part| part.leaves.iter().cloned())
            .collect();
        let heads = leaves.iter().filter_map(|leaf| Prefix::read(leaf).ok());
        let known = heads
            .filter(|prefix| prefix.kind == Kind::Head)
            .any(|prefix| logged.get(&prefix.id) == Some(&change));
        if !known && !leaves.is_empty() {
            append(log, leaves)?;
            done.appended.push(change);
        }
        done.last_change = done.last_change.max(change);
    }
    Ok(done)
}

/// Entry ids and numbers of the changes in the log.
fn logged_changes(log: &AuditLog, from_sequence: u64) -> io::Result<HashMap<CallId, u64>> {
    let mut logged = HashMap::new();
    walk_forward(&log.shared.segments, from_sequence, |_, leaf| {
        if let Ok(prefix) = Prefix::read(leaf)
            && prefix.kind == Kind::Head
            && prefix.change > 0
        {
            logged.insert(prefix.id, prefix.change);
        }
        ControlFlow::Continue(())
    })?;
    Ok(logged)
}

fn append(log: &AuditLog, leaves: Vec<Vec<u8>>) -> io::Result<()> {
    let used = leaves.iter().filter_map(|leaf| {
        let entry = decode(leaf).ok()?;
        let used = entry.used()?;
        Some(UsageMark {
            key_id: used.key_id,
            version: used.version,
            items: used.items,
            at: entry.prefix.at.time,
        })
    });
    let usage = used.collect();
    log.append_blocking(Submission {
        leaves,
        usage,
        space: Space::Operator,
    })
    .map(drop)
    .map_err(io::Error::other)
}
