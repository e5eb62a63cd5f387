//! Verification, slice by slice, of the records that are too many to verify at unseal. Runs on the writer's
//! thread between groups, so that it sees neither half a transaction nor a root of another moment.
//!
//! Never reads more than it was told to in one go, and never mends anything.

use super::fold::Written;
use super::{Records, StoreError};
use kms_core::format::place::{RecordKey, Tree};
use kms_core::format::root::{Root, SetHash, Shard, Sum};
use std::collections::HashMap;

/// What a slice showed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slice {
    /// Records looked at.
    pub records: usize,
    /// Records that do not open.
    pub damaged: Vec<RecordKey>,
    /// Shards that do not add up: a record in them was removed, does not open, or was put back from an older copy.
    pub shards: Vec<(Tree, Shard)>,
    /// The pass has come to its end; the next slice begins anew.
    pub finished: bool,
}

/// Where a pass has come to.
#[derive(Debug)]
pub(super) struct Scrub {
    /// Shards still to do, the present one last.
    todo: Vec<(Tree, Shard)>,
    /// Last key looked at in the present tree.
    after: Option<RecordKey>,
    sum: Sum,
}

impl Scrub {
    pub(super) fn new() -> Self {
        let trees = Tree::ALL.iter().filter(|tree| !tree.verified_at_unseal());
        let shards = trees.flat_map(|tree| Shard::of_tree(*tree).map(|shard| (*tree, shard)));
        let mut todo: Vec<_> = shards.collect();
        todo.reverse();
        Self {
            todo,
            after: None,
            sum: Sum::default(),
        }
    }

    /// Looks at the next `limit` records at most.
    pub(super) fn slice(
        &mut self,
        records: &Records,
        set_hash: &SetHash,
        root: &Root,
        limit: usize,
    ) -> Result<Slice, StoreError> {
        let mut slice = Slice::default();
        while let Some((tree, _)) = self.todo.last().copied() {
            let after = self.after.as_ref().filter(|key| key.tree == tree);
            let left = limit.saturating_sub(slice.records);
            if left == 0 {
                return Ok(slice);
            }
            let after = after.map(|key| &*key.key);
            let items = records.store().range(tree as u8, after, left)?;
            let at_end = items.len() < left;
            for (key, item) in items {
                let key = RecordKey { tree, key };
                self.leave_shards(Some(&key), root, &mut slice);
                slice.records += 1;
                match records.open(key.clone(), &item) {
                    Ok(found) => {
                        let revision = found.stored.revision;
                        let element = set_hash.element(&key, revision, &found.hash);
                        self.sum.add(&element);
                    }
                    Err(key) => slice.damaged.push(key),
                }
                self.after = Some(key);
            }
            if at_end {
                self.leave_tree(tree, root, &mut slice);
            }
        }
        *self = Self::new();
        slice.finished = true;
        Ok(slice)
    }

    /// Follows a transaction: what was already looked at counts as it is now.
    pub(super) fn adjust(&mut self, written: &HashMap<RecordKey, Written>) {
        let Some((tree, shard)) = self.todo.last().copied() else {
            return;
        };
        for (key, written) in written {
            let passed = self.after.as_ref().is_some_and(|after| key <= after);
            if key.tree != tree || Shard::of(key) != shard || !passed {
                continue;
            }
            if let Some(element) = &written.before {
                self.sum.remove(element);
            }
            if let Some((element, _)) = &written.after {
                self.sum.add(element);
            }
        }
    }

    /// Compares the shards before the one that `next` lies in.
    fn leave_shards(&mut self, next: Option<&RecordKey>, root: &Root, slice: &mut Slice) {
        let target = next.map(Shard::of);
        while let Some((tree, shard)) = self.todo.last().copied()
            && target != Some(shard)
        {
            self.leave_shard(tree, shard, root, slice);
        }
    }

    fn leave_tree(&mut self, tree: Tree, root: &Root, slice: &mut Slice) {
        while let Some((of, shard)) = self.todo.last().copied()
            && of == tree
        {
            self.leave_shard(tree, shard, root, slice);
        }
    }

    fn leave_shard(&mut self, tree: Tree, shard: Shard, root: &Root, slice: &mut Slice) {
        if root.sum(shard) != self.sum {
            slice.shards.push((tree, shard));
        }
        self.sum = Sum::default();
        self.todo.pop();
    }
}

#[cfg(test)]
mod tests;
