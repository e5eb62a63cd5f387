//! Generations of access policies as calls see them. Few and small, so all of them are in memory.

use crate::key::record::{PolicyGeneration, Record, Stored, Tree};
use crate::time::Timestamp;
use std::sync::Arc;

/// The generation that stands for the table of roles.
pub const ROLE_TABLE: u64 = 1;

/// All of them.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    by_number: imbl::OrdMap<u64, Arc<PolicyGeneration>>,
    /// A record was found damaged or put back from an older copy: which one decides cannot be said.
    pub quarantined: bool,
}

impl Policies {
    /// The one in force; `None`: the table of roles.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<PolicyGeneration>> {
        self.by_number.get_max().map(|(_, generation)| generation)
    }

    /// Its number.
    #[must_use]
    pub fn current_number(&self) -> u64 {
        self.current()
            .map_or(ROLE_TABLE, |generation| generation.number)
    }

    /// By number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Arc<PolicyGeneration>> {
        self.by_number.get(&number)
    }

    /// The one that was in force at `at`; `None`: the table of roles.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> Option<&Arc<PolicyGeneration>> {
        let mut all = self.by_number.values().rev();
        all.find(|generation| generation.applied_at <= at)
    }

    /// Whether the texts that `fingerprint` stands for may be put into force without being asked about again: they were
    /// before, by somebody who might.
    #[must_use]
    pub fn was_approved(&self, fingerprint: &str) -> bool {
        let mut all = self.by_number.values();
        all.any(|generation| *generation.fingerprint == *fingerprint)
    }

    /// Takes over what lies in its tree; the rest comes back.
    pub(super) fn apply(&mut self, stored: Stored) -> Option<Stored> {
        match (stored.key.tree, stored.record) {
            (Tree::Policies, Some(Record::Policies(record))) => {
                self.by_number.insert(record.number, Arc::new(record));
                None
            }
            (_, record) => Some(Stored {
                key: stored.key,
                revision: stored.revision,
                record,
            }),
        }
    }
}
