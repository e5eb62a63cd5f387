//! Counts of work: what tests assert instead of times, and the bench prints. Never reset.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counted by the threads.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) groups: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) submissions: AtomicU64,
    pub(super) entries: AtomicU64,
    pub(super) bytes: AtomicU64,
    pub(super) wake_ups: AtomicU64,
    pub(super) segments: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failures: AtomicU64,
}

/// What the log has done since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Groups written: one write each.
    pub groups: u64,
    /// Syncs of entries: one for each group that was written.
    pub syncs: u64,
    /// Submissions acknowledged.
    pub submissions: u64,
    /// Leaves acknowledged.
    pub entries: u64,
    /// Bytes written, frames included.
    pub bytes: u64,
    /// Messages to runtimes: at most one for each runtime and group.
    pub wake_ups: u64,
    /// Segments begun.
    pub segments: u64,
    /// Submissions refused for want of space, or malformed.
    pub refused: u64,
    /// Groups lost to failed writes or syncs, and segments that could not be begun.
    pub failures: u64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, by: usize) {
        counter.fetch_add(by as u64, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Figures {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            groups: of(&self.groups),
            syncs: of(&self.syncs),
            submissions: of(&self.submissions),
            entries: of(&self.entries),
            bytes: of(&self.bytes),
            wake_ups: of(&self.wake_ups),
            segments: of(&self.segments),
            refused: of(&self.refused),
            failures: of(&self.failures),
        }
    }
}
