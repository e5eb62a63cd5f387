//! Months of the audit log: which have a key, which were anonymised and when. Never the keys themselves.

use crate::audit::leaf::Month;
use crate::key::record::{Record, Revision, Stored, Tree};
use crate::time::Timestamp;

/// What stands in the store for a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthKey {
    /// Of its record.
    pub revision: Revision,
    /// When the key was destroyed; `None` while it exists.
    pub anonymised_at: Option<Timestamp>,
}

/// All months that ever had a key.
#[derive(Debug, Clone, Default)]
pub struct Months(imbl::OrdMap<Month, MonthKey>);

impl Months {
    /// One of them.
    #[must_use]
    pub fn get(&self, month: Month) -> Option<MonthKey> {
        self.0.get(&month).copied()
    }

    /// Those whose key exists, oldest first.
    pub fn open(&self) -> impl Iterator<Item = Month> {
        let is_open = |(_, key): &(&Month, &MonthKey)| key.anonymised_at.is_none();
        self.0.iter().filter(is_open).map(|(month, _)| *month)
    }

    /// Those whose key was destroyed, oldest first.
    pub fn anonymised(&self) -> impl Iterator<Item = Month> {
        let is_gone = |(_, key): &(&Month, &MonthKey)| key.anonymised_at.is_some();
        self.0.iter().filter(is_gone).map(|(month, _)| *month)
    }

    /// Takes note of a month's record; the key in it is somebody else's.
    pub(super) fn note(&mut self, stored: &Stored) {
        let month = std::str::from_utf8(&stored.key.key).ok();
        let (Tree::AuditKey, Some(month)) = (stored.key.tree, month.and_then(Month::parse)) else {
            return;
        };
        let anonymised_at = match &stored.record {
            Some(Record::AuditKey(_)) => None,
            Some(Record::AuditTombstone(at)) => Some(*at),
            _ => return,
        };
        let revision = stored.revision;
        let key = MonthKey {
            revision,
            anonymised_at,
        };
        self.0.insert(month, key);
    }
}
