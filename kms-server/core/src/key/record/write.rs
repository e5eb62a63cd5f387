//! What a change writes and under what condition. Never says in which revision: the writer does.

use super::{Record, RecordKey, Revision};

/// What must be true of a record for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is none.
    Absent,
    /// It is the one that was read.
    Unchanged(Revision),
    /// Whatever; only for records that one job alone writes.
    Anything,
}

/// One write of a change; `record` `None` removes (only where no tombstone is owed).
#[derive(Debug)]
pub struct Write {
    /// Where.
    pub key: RecordKey,
    /// Under what condition.
    pub expect: Expect,
    /// What.
    pub record: Option<Record>,
}
