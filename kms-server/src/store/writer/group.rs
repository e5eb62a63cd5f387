//! The changes of one transaction: which of those that wait go in, and what each of them wrote.

use super::outbox::{self, Parts};
use super::{Change, ChangeError, Committed};
use crate::store::fold::{Fold, FoldError, Folded};
use crate::store::records::{ReadError, Records};
use kms_core::format::place::{RecordKey, Tree};
use kms_core::key::record::{Expect, Stored, Write};
use std::collections::{HashMap, HashSet, VecDeque};

/// A change that is in the transaction.
pub(super) struct Accepted {
    pub(super) change: Change,
    pub(super) number: u64,
    pub(super) parts: Parts,
}

/// All that a transaction was asked for.
#[derive(Default)]
pub(super) struct Group {
    pub(super) accepted: Vec<Accepted>,
    /// Answered after the others, so that who gathers again finds what came between.
    pub(super) refused: Vec<(Change, ChangeError)>,
}

/// What became of a change.
enum Verdict {
    Accepted,
    Refused(ChangeError),
    /// It writes what an earlier change of the group writes: the next group's.
    Deferred,
}

/// By what changes are judged.
#[derive(Clone, Copy)]
pub(super) struct Rules {
    pub(super) held: bool,
    pub(super) generation: u64,
    pub(super) stamp_change: fn(&mut [u8], u64),
}

impl Group {
    /// Takes changes from the front of `waiting` into the transaction: until it is full, a change restricts,
    /// or one writes the same record as another.
    ///
    /// # Errors
    /// [`FoldError::Entropy`]; the transaction is then useless, the group whole.
    pub(super) fn gather(
        &mut self,
        fold: &mut Fold<'_>,
        waiting: &mut VecDeque<Change>,
        rules: Rules,
    ) -> Result<(), FoldError> {
        while !fold.is_full()
            && let Some(change) = waiting.pop_front()
        {
            match judge(fold, &change, rules) {
                Verdict::Refused(error) => self.refused.push((change, error)),
                Verdict::Deferred => {
                    waiting.push_front(change);
                    return Ok(());
                }
                Verdict::Accepted => {
                    let restricts = change.restricts;
                    self.accept(fold, change, rules)?;
                    if restricts {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    fn accept(
        &mut self,
        fold: &mut Fold<'_>,
        change: Change,
        rules: Rules,
    ) -> Result<(), FoldError> {
        let mut accepted = Accepted {
            change,
            number: 0,
            parts: Parts::new(),
        };
        let result = fold_in(fold, &mut accepted, rules);
        self.accepted.push(accepted);
        result
    }

    /// Puts all changes back in front of those that wait.
    pub(super) fn give_back(self, waiting: &mut VecDeque<Change>) {
        let accepted = self.accepted.into_iter().map(|accepted| accepted.change);
        let refused = self.refused.into_iter().map(|(change, _)| change);
        let all: Vec<_> = accepted.chain(refused).collect();
        all.into_iter()
            .rev()
            .for_each(|change| waiting.push_front(change));
    }
}

fn judge(fold: &mut Fold<'_>, change: &Change, rules: Rules) -> Verdict {
    if rules.held {
        return Verdict::Refused(ChangeError::Held);
    }
    if !outbox::fits(&change.leaves) {
        return Verdict::Refused(ChangeError::Unavailable);
    }
    let keys: HashSet<_> = change.writes.iter().map(|write| &write.key).collect();
    if change.generation < rules.generation || keys.len() < change.writes.len() {
        return Verdict::Refused(ChangeError::Conflict);
    }
    if keys.iter().any(|key| fold.touches(key)) {
        return Verdict::Deferred;
    }
    for Write { key, expect, .. } in &change.writes {
        let revision = match fold.revision(key) {
            Ok(revision) => revision,
            Err(ReadError::Store(error)) => return Verdict::Refused(error.into()),
            Err(ReadError::Damaged(_)) => return Verdict::Refused(ChangeError::Unavailable),
        };
        let holds = match expect {
            Expect::Absent => revision.is_none(),
            Expect::Unchanged(expected) => revision == Some(*expected),
            Expect::Anything => true,
        };
        if !holds {
            return Verdict::Refused(ChangeError::Conflict);
        }
    }
    Verdict::Accepted
}

fn fold_in(fold: &mut Fold<'_>, accepted: &mut Accepted, rules: Rules) -> Result<(), FoldError> {
    let change = &mut accepted.change;
    for write in &change.writes {
        fold.put(&write.key, write.record.as_ref())?;
    }
    if let Some(head) = change.leaves.first_mut() {
        fold.root.last_change = fold.root.last_change.saturating_add(1);
        accepted.number = fold.root.last_change;
        (rules.stamp_change)(head, accepted.number);
        accepted.parts = outbox::put_leaves(fold, accepted.number, &change.leaves)?;
    }
    Ok(())
}

/// What was written is not what is read back.
#[derive(Debug, thiserror::Error)]
#[error("a record is not what was written")]
pub(super) struct ReadBackFailed;

/// Reads every record back from the store, opens it and compares.
pub(super) fn read_back(
    records: &Records,
    folded: &Folded,
    accepted: &[Accepted],
) -> Result<HashMap<RecordKey, Stored>, ReadBackFailed> {
    let writes = accepted.iter().flat_map(|a| &a.change.writes);
    let mut all = HashMap::new();
    for write in writes.filter(|write| is_read_back(write.key.tree)) {
        let found = records.find(&write.key).map_err(|_| ReadBackFailed)?;
        let written = folded.written.get(&write.key);
        let expected = written.and_then(|written| written.after.as_ref());
        let stored = match (found, expected) {
            (Some(found), Some((_, hash)))
                if found.hash == *hash && found.stored.revision == folded.root.revision =>
            {
                found.stored
            }
            (None, None) => Stored {
                key: write.key.clone(),
                revision: folded.root.revision,
                record: None,
            },
            _ => return Err(ReadBackFailed),
        };
        all.insert(write.key.clone(), stored);
    }
    Ok(all)
}

/// Nobody decrypts anything with the others.
const fn is_read_back(tree: Tree) -> bool {
    !matches!(tree, Tree::Outbox | Tree::Request | Tree::Usage)
}

impl Accepted {
    /// The change as committed, with its records as read back.
    pub(super) fn commit(
        self,
        folded: &Folded,
        read: &mut HashMap<RecordKey, Stored>,
    ) -> Committed {
        let revision = folded.root.revision;
        let stored = self.change.writes.into_iter().map(|write| {
            read.remove(&write.key).unwrap_or(Stored {
                key: write.key,
                revision,
                record: write.record,
            })
        });
        Committed {
            change: self.number,
            revision,
            stored: stored.collect(),
            leaves: self.change.leaves,
            restricts: self.change.restricts,
            done: self.change.done,
        }
    }
}
