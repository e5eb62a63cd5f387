//! What the service cannot see: uses of remembered data keys, counted for each of them until they are reported. Holds
//! wraps and contexts, never a key; bounded, and what finds no room is counted all together.

use crate::name::KeyContext;
use crate::source::CachedUse;
use crate::wrapped::WrappedDataKey;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A report waits at most so long for its next occasion.
const REPORT_EVERY: Duration = Duration::from_secs(60);
/// Most data keys of one report; with so many the next occasion is taken at once.
const REPORT_MAX: usize = 1_000;
/// After a report that was not taken.
const WAIT_AFTER_FAILURE: Duration = Duration::from_secs(600);
/// Most data keys that wait to be reported.
const PENDING_MAX: usize = 20_000;

/// SHA-256 of a wrapped data key and its key context.
type Hash = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Uses(Mutex<Pending>);

#[derive(Debug, Default)]
struct Pending {
    by_key: HashMap<Hash, Used>,
    uncounted: u64,
    /// Not before; since when there is anything.
    not_before: Duration,
    since: Option<Duration>,
    /// One report at a time.
    under_way: bool,
}

#[derive(Debug)]
struct Used {
    wrapped: WrappedDataKey,
    context: KeyContext,
    uses: u64,
    first: Duration,
    last: Duration,
}

/// A report under way. Dropped before it was taken, what it says waits for the next.
#[derive(Debug)]
pub(super) struct Reporting<'a> {
    of: &'a Uses,
    now: Duration,
    by_key: Vec<(Hash, Used)>,
    uncounted: u64,
}

impl Uses {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One use of a remembered key.
    pub(super) fn note(
        &self,
        hash: Hash,
        (wrapped, context): (&WrappedDataKey, &KeyContext),
        now: Duration,
    ) {
        let mut pending = self.pending();
        pending.since.get_or_insert(now);
        if let Some(known) = pending.by_key.get_mut(&hash) {
            known.uses = known.uses.saturating_add(1);
            known.last = now;
            return;
        }
        let used = Used {
            wrapped: wrapped.clone(),
            context: context.clone(),
            uses: 1,
            first: now,
            last: now,
        };
        pending.add(hash, used);
    }

    /// What is to be reported now, if it is time; `None` also while a report is under way.
    pub(super) fn due(&self, now: Duration) -> Option<Reporting<'_>> {
        let pending = self.pending();
        let waited = now.saturating_sub(pending.since?);
        let is_due = waited >= REPORT_EVERY || pending.by_key.len() >= REPORT_MAX;
        let is_due = is_due && now >= pending.not_before;
        drop(pending);
        is_due.then(|| self.take(now)).flatten()
    }

    /// What is to be reported, time or not.
    pub(super) fn take(&self, now: Duration) -> Option<Reporting<'_>> {
        let mut pending = self.pending();
        // the service takes no report of nothing but what could not be counted
        if pending.under_way || pending.by_key.is_empty() {
            return None;
        }
        let hashes: Vec<Hash> = pending.by_key.keys().take(REPORT_MAX).copied().collect();
        let by_key = hashes
            .iter()
            .filter_map(|hash| pending.by_key.remove_entry(hash))
            .collect();
        pending.under_way = true;
        Some(Reporting {
            of: self,
            now,
            by_key,
            uncounted: std::mem::take(&mut pending.uncounted),
        })
    }
}

impl Pending {
    fn add(&mut self, hash: Hash, used: Used) {
        let room = self.by_key.len() < PENDING_MAX;
        match self.by_key.get_mut(&hash) {
            Some(known) => {
                known.uses = known.uses.saturating_add(used.uses);
                known.first = known.first.min(used.first);
                known.last = known.last.max(used.last);
            }
            None if room => {
                self.by_key.insert(hash, used);
            }
            None => self.uncounted = self.uncounted.saturating_add(used.uses),
        }
    }
}

impl Reporting<'_> {
    /// For the service: as long ago as it is now.
    pub(super) fn uses(&self) -> (Vec<CachedUse<'_>>, u64) {
        let uses = self.by_key.iter().map(|(_, used)| CachedUse {
            wrapped: &used.wrapped,
            key_context: &used.context,
            uses: used.uses,
            first_ago: self.now.saturating_sub(used.first),
            last_ago: self.now.saturating_sub(used.last),
        });
        (uses.collect(), self.uncounted)
    }

    /// The service has it.
    pub(super) fn taken(mut self) {
        self.by_key.clear();
        self.uncounted = 0;
        let mut pending = self.of.pending();
        let more = !pending.by_key.is_empty() || pending.uncounted > 0;
        pending.since = more.then_some(self.now);
        drop(pending);
    }
}

impl Drop for Reporting<'_> {
    fn drop(&mut self) {
        let mut pending = self.of.pending();
        pending.under_way = false;
        if !self.by_key.is_empty() {
            pending.not_before = self.now.saturating_add(WAIT_AFTER_FAILURE);
        }
        pending.uncounted = pending.uncounted.saturating_add(self.uncounted);
        for (hash, used) in self.by_key.drain(..) {
            pending.add(hash, used);
        }
    }
}
