//! Operators and failed attempts as calls see them. Few, so all of them are in memory.

use crate::key::record::{
    AttemptsRecord, OperatorRecord, Record, RecordKey, Revision, Stored, Tree,
};
use crate::name::OperatorName;
use std::sync::Arc;

/// An operator as stored.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Its record.
    pub record: Arc<OperatorRecord>,
    /// The record's revision.
    pub revision: Revision,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Operators {
    by_name: imbl::OrdMap<OperatorName, Operator>,
    attempts: imbl::HashMap<Box<[u8]>, (AttemptsRecord, Revision)>,
    /// A record was found damaged or put back from an older copy: nobody is let in.
    pub quarantined: bool,
}

impl Operators {
    /// By name; removed ones too.
    #[must_use]
    pub fn get(&self, name: &OperatorName) -> Option<&Operator> {
        self.by_name.get(name)
    }

    /// All, by name, from after `after`.
    pub fn after<'a>(&'a self, after: Option<&OperatorName>) -> impl Iterator<Item = &'a Operator> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
        self.by_name
            .range((from, Bound::Unbounded))
            .map(|(_, operator)| operator)
    }

    /// Failed attempts that lie at `key`.
    #[must_use]
    pub fn attempts(&self, key: &RecordKey) -> Option<(AttemptsRecord, Revision)> {
        self.attempts.get(&key.key).copied()
    }

    /// Counters of failed attempts, in no order.
    pub fn all_attempts(&self) -> impl Iterator<Item = (RecordKey, AttemptsRecord, Revision)> + '_ {
        self.attempts.iter().map(|(key, (record, revision))| {
            let key = RecordKey {
                tree: Tree::Operator,
                key: key.clone(),
            };
            (key, *record, *revision)
        })
    }

    /// Takes over what lies in its tree; the rest comes back.
    pub(super) fn apply(&mut self, stored: Stored) -> Option<Stored> {
        let revision = stored.revision;
        match (stored.key.tree, stored.record) {
            (Tree::Operator, Some(Record::Operator(record))) => {
                let record = Arc::new(record);
                let name = record.name.clone();
                self.by_name.insert(name, Operator { record, revision });
                None
            }
            (Tree::Operator, Some(Record::Attempts(record))) => {
                self.attempts.insert(stored.key.key, (record, revision));
                None
            }
            (Tree::Operator, None) => {
                self.attempts.remove(&stored.key.key);
                None
            }
            (_, record) => Some(Stored {
                key: stored.key,
                revision,
                record,
            }),
        }
    }
}
