//! Leaves in the store until they are known to be in the log: cut into parts, and remembered so that
//! clearing them needs no reading.

use super::LEAF_MAX;
use crate::store::fold::{Fold, FoldError};
use crate::store::load::LoadError;
use crate::store::records::Records;
use kms_core::format::place::{RecordKey, Tree};
use kms_core::format::root::{Element, SetHash};
use kms_core::key::record::{OUTBOX_PART_MAX, OutboxRecord, Record, Stored};
use std::collections::BTreeMap;

/// Records of the outbox read at once.
const SLICE: usize = 64;

/// Outbox records with their elements.
pub(super) type Parts = Vec<(RecordKey, Element)>;

/// Outbox records in the store by change number.
#[derive(Debug, Default)]
pub(super) struct Outbox(BTreeMap<u64, Parts>);

impl Outbox {
    /// What the store holds. Damaged ones stay for ever: they have been named at unseal.
    pub(super) fn read(records: &Records, set_hash: &SetHash) -> Result<Self, LoadError> {
        let mut outbox = Self::default();
        let tree = Tree::Outbox;
        let mut after: Option<Box<[u8]>> = None;
        loop {
            let store = records.store();
            let items = store.range(tree as u8, after.as_deref(), SLICE)?;
            let more = items.len() == SLICE;
            for (key, item) in items {
                after = Some(key.clone());
                let Ok(found) = records.open(RecordKey { tree, key }, &item) else {
                    continue;
                };
                let Stored { key, revision, .. } = found.stored;
                let element = set_hash.element(&key, revision, &found.hash);
                if let Some(Record::Outbox(record)) = found.stored.record {
                    outbox
                        .0
                        .entry(record.change)
                        .or_default()
                        .push((key, element));
                }
            }
            if !more {
                return Ok(outbox);
            }
        }
    }

    /// Takes the parts of a committed change in.
    pub(super) fn insert(&mut self, change: u64, parts: Parts) {
        self.0.insert(change, parts);
    }

    /// Removes the records of all changes up to `through` in a transaction.
    pub(super) fn clear_in(&self, fold: &mut Fold<'_>, through: u64) {
        for (key, element) in self.0.range(..=through).flat_map(|(_, parts)| parts) {
            fold.remove_known(key, *element);
        }
    }

    /// Forgets them, once that transaction is committed.
    pub(super) fn forget(&mut self, through: u64) {
        self.0.retain(|change, _| *change > through);
    }
}

/// Writes a change's leaves into the transaction.
pub(super) fn put_leaves(
    fold: &mut Fold<'_>,
    change: u64,
    leaves: &[Vec<u8>],
) -> Result<Parts, FoldError> {
    let mut parts = Parts::new();
    for record in cut(change, leaves) {
        let key = RecordKey::outbox(change, record.part);
        if let Some(element) = fold.put(&key, Some(&Record::Outbox(record)))? {
            parts.push((key, element));
        }
    }
    Ok(parts)
}

/// Leaves that the outbox can hold.
pub(super) fn fits(leaves: &[Vec<u8>]) -> bool {
    // every part but the last is more than a quarter full, so the parts stay far below 65,536
    leaves.iter().all(|leaf| leaf.len() <= LEAF_MAX) && leaves.len() <= usize::from(u16::MAX)
}

/// Parts of at most [`OUTBOX_PART_MAX`] bytes, lengths included.
fn cut(change: u64, leaves: &[Vec<u8>]) -> Vec<OutboxRecord> {
    let mut parts: Vec<OutboxRecord> = Vec::new();
    let mut room = 0;
    for leaf in leaves {
        let len = leaf.len() + 2;
        if len > room || parts.is_empty() {
            room = OUTBOX_PART_MAX;
            parts.push(OutboxRecord {
                change,
                part: u16::try_from(parts.len()).unwrap_or(u16::MAX),
                leaves: Vec::new(),
            });
        }
        room = room.saturating_sub(len);
        if let Some(part) = parts.last_mut() {
            part.leaves.push(leaf.clone());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parts_are_small_and_hold_all_leaves_in_order(
            lens in prop::collection::vec(1..=LEAF_MAX, 0..40)
        ) {
            let leaf = |(i, len)| vec![i as u8; len];
            let leaves: Vec<_> = lens.into_iter().enumerate().map(leaf).collect();
            let parts = cut(7, &leaves);
            for (i, part) in parts.iter().enumerate() {
                prop_assert_eq!((part.change, usize::from(part.part)), (7, i));
                let size: usize = part.leaves.iter().map(|leaf| leaf.len() + 2).sum();
                prop_assert!(size <= OUTBOX_PART_MAX);
            }
            let joined: Vec<_> = parts.into_iter().flat_map(|part| part.leaves).collect();
            prop_assert_eq!(joined, leaves);
        }
    }
}
