//! Uses of key versions, counted when they are durable. Silence is no proof: cold data never calls.

use super::reading::walk_forward;
use super::{Shared, lock};
use kms_core::audit::leaf::decode;
use kms_core::key::record::UsageRecord;
use kms_core::name::{KeyId, VersionNumber};
use kms_core::time::Timestamp;
use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;

/// A version was used. Must follow `kms_core::audit::facts::counts_as_use`, as the leaves do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageMark {
    /// The dataset's key.
    pub key_id: KeyId,
    /// The version.
    pub version: VersionNumber,
    /// Items.
    pub items: u32,
    /// When.
    pub at: Timestamp,
}

type Version = (KeyId, VersionNumber);

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    uses: u64,
    last_used_at: Timestamp,
    /// Behind the leaf that counted last.
    changed_at: u64,
}

/// Counts up to the durable end of the log.
#[derive(Debug)]
pub(super) struct Usage {
    counts: HashMap<Version, Count>,
    /// Counted up to here, exclusive.
    through: u64,
    /// Where this start of the daemon began to count.
    opened_at: u64,
    seeded: bool,
}

impl Usage {
    pub(super) fn new(opened_at: u64) -> Self {
        Self {
            counts: HashMap::new(),
            through: opened_at,
            opened_at,
            seeded: false,
        }
    }

    /// Counts a group that is durable up to `through`.
    pub(super) fn count(&mut self, marks: &[UsageMark], through: u64) {
        self.through = through;
        for mark in marks {
            self.add(
                (mark.key_id, mark.version),
                u64::from(mark.items),
                mark.at,
                through,
            );
        }
    }

    fn add(&mut self, version: Version, uses: u64, at: Timestamp, changed_at: u64) {
        let count = self.counts.entry(version).or_default();
        count.uses = count.uses.saturating_add(uses);
        count.last_used_at = count.last_used_at.max(at);
        count.changed_at = count.changed_at.max(changed_at);
    }

    pub(super) fn get(&self, key_id: KeyId, version: VersionNumber) -> UsageRecord {
        self.record(
            self.counts
                .get(&(key_id, version))
                .copied()
                .unwrap_or_default(),
        )
    }

    /// Those that a leaf at or behind `sequence` changed.
    pub(super) fn since(&self, sequence: u64) -> Vec<(Version, UsageRecord)> {
        self.counts
            .iter()
            .filter(|(_, count)| count.changed_at > sequence || sequence == 0)
            .map(|(version, count)| (*version, self.record(*count)))
            .collect()
    }

    fn record(&self, count: Count) -> UsageRecord {
        UsageRecord {
            uses: count.uses,
            last_used_at: count.last_used_at,
            through_sequence: self.through,
        }
    }
}

/// Adds stored counts and the log's tail behind them, once.
pub(super) fn seed(shared: &Shared, stored: &[(Version, UsageRecord)]) -> io::Result<()> {
    let (opened_at, seeded) = {
        let usage = lock(&shared.usage);
        (usage.opened_at, usage.seeded)
    };
    if seeded {
        return Ok(());
    }
    let from = stored.iter().map(|(_, record)| record.through_sequence);
    let from = from.max().unwrap_or(0);
    let mut tail: HashMap<Version, Count> = HashMap::new();
    walk_forward(&shared.segments, from, |sequence, leaf| {
        if sequence >= opened_at {
            return ControlFlow::Break(());
        }
        if let Ok(entry) = decode(leaf)
            && let Some(used) = entry.used()
        {
            let count = tail.entry((used.key_id, used.version)).or_default();
            count.uses = count.uses.saturating_add(u64::from(used.items));
            count.last_used_at = count.last_used_at.max(entry.prefix.at.time);
            count.changed_at = sequence + 1;
        }
        ControlFlow::Continue(())
    })?;
    let mut usage = lock(&shared.usage);
    // two unseals at once: the second finds it done
    if !std::mem::replace(&mut usage.seeded, true) {
        for (version, record) in stored {
            usage.add(*version, record.uses, record.last_used_at, 0);
        }
        for (version, count) in tail {
            usage.add(version, count.uses, count.last_used_at, count.changed_at);
        }
    }
    Ok(())
}
