//! Approvals, approvers' keys and the roster as calls see them. Few, so all of them are in memory.

use crate::key::record::{
    ApprovalRecord, ApproverRecord, Record, Revision, RosterRecord, Stored, Tree,
};
use crate::name::{ApprovalId, OperatorName};
use std::sync::Arc;

/// A record with its revision.
#[derive(Debug, Clone)]
pub struct Kept<T> {
    /// The record.
    pub record: Arc<T>,
    /// Its revision.
    pub revision: Revision,
}

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Approvals {
    by_id: imbl::OrdMap<ApprovalId, Kept<ApprovalRecord>>,
    approvers: imbl::OrdMap<OperatorName, Kept<ApproverRecord>>,
    /// How the roster was declared; `None` while nobody did.
    pub roster: Option<Kept<RosterRecord>>,
}

impl Approvals {
    /// One, pending or over.
    #[must_use]
    pub fn get(&self, id: ApprovalId) -> Option<&Kept<ApprovalRecord>> {
        self.by_id.get(&id)
    }

    /// All, by id, from after `after`.
    pub fn after(
        &self,
        after: Option<ApprovalId>,
    ) -> impl Iterator<Item = &Kept<ApprovalRecord>> + use<'_> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.by_id.range((from, Bound::Unbounded));
        rest.map(|(_, kept)| kept)
    }

    /// An approver's keys.
    #[must_use]
    pub fn approver(&self, name: &OperatorName) -> Option<&Kept<ApproverRecord>> {
        self.approvers.get(name)
    }

    /// Everybody's keys, by name.
    pub fn approvers(&self) -> impl Iterator<Item = &Kept<ApproverRecord>> {
        self.approvers.values()
    }

    /// Takes over what lies in its trees; the rest comes back.
    pub(super) fn apply(&mut self, stored: Stored) -> Option<Stored> {
        let revision = stored.revision;
        match (stored.key.tree, stored.record) {
            (Tree::Approval, Some(Record::Approval(record))) => {
                let (id, record) = (record.id, Arc::new(record));
                self.by_id.insert(id, Kept { record, revision });
                None
            }
            (Tree::Approval, None) => {
                if let Ok(id) = <[u8; 16]>::try_from(&*stored.key.key) {
                    self.by_id.remove(&ApprovalId(id));
                }
                None
            }
            (Tree::Approver, Some(Record::Approver(record))) => {
                let (name, record) = (record.operator.clone(), Arc::new(record));
                self.approvers.insert(name, Kept { record, revision });
                None
            }
            (Tree::Roster, Some(Record::Roster(record))) => {
                let record = Arc::new(record);
                self.roster = Some(Kept { record, revision });
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
