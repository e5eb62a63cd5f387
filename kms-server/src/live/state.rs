//! What the data plane reads: one snapshot behind one pointer, and the cache of shred secrets. Never blocks a
//! reader; only the publisher and the store writer's thread change it.

use super::generation::{Drained, Generation};
use super::shred_cache::{Found, ScopeHash, ShredCache};
use crate::policies::in_force::InForce;
use arc_swap::ArcSwap;
use kms_core::audit::leaf::{Month, MonthKeys};
use kms_core::engine::{ShredEntry, Snapshot};
use kms_core::key::record::{
    LogHead, LogKeyRecord, Record, Revision, ShredRecord, Stored, TimeMark, Tree,
};
use kms_core::name::{KeyId, SecretId};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// One snapshot, held by every call that gathered from it until it is answered.
#[derive(Debug)]
pub struct Held {
    /// Datasets and versions.
    pub snapshot: Snapshot,
    /// What decides: the policies of the snapshot.
    pub in_force: Arc<InForce>,
    generation: Arc<Generation>,
}

impl Held {
    /// Number of its generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.number()
    }
}

/// The current snapshot and the cache beside it.
#[derive(Debug)]
pub struct State {
    held: ArcSwap<Held>,
    generation: AtomicU64,
    /// The end of the current generation, for whoever starts the next.
    end: Mutex<Drained>,
    /// Shred secrets.
    pub cache: ShredCache,
    months: ArcSwap<BTreeMap<Month, Arc<MonthKeys>>>,
    time_mark: Mutex<(TimeMark, Revision)>,
    log_key: Mutex<Option<Arc<LogKeyRecord>>>,
    log_head: Mutex<Option<(LogHead, Revision)>>,
}

impl State {
    /// Starts with `snapshot` in generation 0.
    #[must_use]
    pub fn new(snapshot: Snapshot, cache_bytes: usize) -> Self {
        let (generation, drained) = Generation::start(0);
        Self {
            held: ArcSwap::from_pointee(Held {
                in_force: InForce::of(&snapshot.policies, &Arc::new(InForce::Roles)),
                snapshot,
                generation,
            }),
            generation: AtomicU64::new(0),
            end: Mutex::new(drained),
            cache: ShredCache::new(cache_bytes),
            months: ArcSwap::default(),
            time_mark: Mutex::default(),
            log_key: Mutex::default(),
            log_head: Mutex::default(),
        }
    }

    /// The audit key of a month; `None` when it was not made yet or is destroyed.
    #[must_use]
    pub fn month(&self, month: Month) -> Option<Arc<MonthKeys>> {
        self.months.load().get(&month).cloned()
    }

    /// The audit keys of all months that have one.
    #[must_use]
    pub fn months(&self) -> Vec<Arc<MonthKeys>> {
        let months = self.months.load();
        months.values().cloned().collect()
    }

    /// The time mark and the revision of its record.
    #[must_use]
    pub fn time_mark(&self) -> (TimeMark, Revision) {
        *self
            .time_mark
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest key that signs the audit log's checkpoints; `None` when none was made yet.
    #[must_use]
    pub fn log_key(&self) -> Option<Arc<LogKeyRecord>> {
        let held = self.log_key.lock();
        held.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest signed root of the audit log that the store knows, and the revision of its record.
    #[must_use]
    pub fn log_head(&self) -> Option<(LogHead, Revision)> {
        let held = self.log_head.lock();
        held.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The snapshot of now. Hold it as long as anything gathered from it may be answered, not longer.
    #[must_use]
    pub fn hold(&self) -> Arc<Held> {
        self.held.load_full()
    }

    /// Number of the current generation.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes logged changes visible.
    pub fn publish(&self, stored: Vec<Stored>) {
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.held.load_full();
        let mut snapshot = old.snapshot.clone();
        let rest = snapshot.apply_all(stored);
        let generation = Arc::clone(&old.generation);
        let number = generation.number();
        self.held.store(Arc::new(Held {
            in_force: InForce::of(&snapshot.policies, &old.in_force),
            snapshot,
            generation,
        }));
        let rest = rest.into_iter().filter_map(|stored| self.take_own(stored));
        self.cache.fill(number, shred_entries(rest.collect()));
        drop(end);
    }

    /// Takes over months' keys, the time mark, log keys and the log's head; the rest comes back.
    fn take_own(&self, stored: Stored) -> Option<Stored> {
        if let Some(Record::LogKey(key)) = stored.record {
            let held = self.log_key.lock();
            let mut held = held.unwrap_or_else(PoisonError::into_inner);
            if held.as_ref().is_none_or(|old| old.number < key.number) {
                *held = Some(Arc::new(key));
            }
            return None;
        }
        match (stored.key.tree, &stored.record) {
            // certificates of keys that handed over, and marks of receivers: read where they are needed
            (Tree::LogKey | Tree::Forward, _) => None,
            (Tree::AuditKey, record) => {
                let month = std::str::from_utf8(&stored.key.key)
                    .ok()
                    .and_then(Month::parse)?;
                let mut months = BTreeMap::clone(&self.months.load());
                match record {
                    Some(Record::AuditKey(key)) => {
                        months.insert(month, Arc::new(MonthKeys::new(month, key)));
                    }
                    _ => {
                        months.remove(&month);
                    }
                }
                self.months.store(Arc::new(months));
                None
            }
            (Tree::System, Some(Record::TimeMark(mark))) => {
                let mut held = self
                    .time_mark
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *held = (*mark, stored.revision);
                None
            }
            (Tree::System, Some(Record::LogHead(head))) => {
                let mut held = self.log_head.lock().unwrap_or_else(PoisonError::into_inner);
                *held = Some((head.clone(), stored.revision));
                None
            }
            _ => Some(stored),
        }
    }

    /// Makes a committed restriction bind: from here on no call gathers what was taken away. The answer
    /// says when the calls before have ended.
    #[must_use]
    pub fn restrict(&self, stored: Vec<Stored>) -> Drained {
        self.next_generation(|snapshot| {
            let rest = snapshot.apply_all(stored);
            let rest = rest.into_iter().filter_map(|stored| self.take_own(stored));
            rest.filter_map(shred_id).collect()
        })
    }

    /// Marks datasets damaged, everywhere.
    #[must_use]
    pub fn quarantine(&self, ids: &[KeyId]) -> Drained {
        self.next_generation(|snapshot| {
            ids.iter().for_each(|id| snapshot.quarantine(*id));
            Vec::new()
        })
    }

    /// Lets no operator in: a record of theirs is damaged or was put back.
    #[must_use]
    pub fn quarantine_operators(&self) -> Drained {
        self.next_generation(|snapshot| {
            snapshot.operators.quarantined = true;
            Vec::new()
        })
    }

    /// Allows nothing but what leads out of it: a record of policies is damaged or was put back.
    #[must_use]
    pub fn quarantine_policies(&self) -> Drained {
        self.next_generation(|snapshot| {
            snapshot.policies.quarantined = true;
            Vec::new()
        })
    }

    /// Takes no certificate of the built-in authority: a record of theirs is damaged or was put back.
    #[must_use]
    pub fn quarantine_services(&self) -> Drained {
        self.next_generation(|snapshot| {
            snapshot.services.quarantined = true;
            Vec::new()
        })
    }

    fn next_generation(&self, change: impl FnOnce(&mut Snapshot) -> Vec<SecretId>) -> Drained {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.held.load_full();
        let mut snapshot = old.snapshot.clone();
        let forget = change(&mut snapshot);
        let number = old.generation.number() + 1;
        let (generation, drained) = Generation::start(number);
        let before = std::mem::replace(&mut *end, drained);
        // the cache first: what it forgets must not be found under the new snapshot
        self.cache.restrict(number, forget);
        self.held.store(Arc::new(Held {
            in_force: InForce::of(&snapshot.policies, &old.in_force),
            snapshot,
            generation,
        }));
        self.generation.store(number, Ordering::Release);
        before
    }
}

fn shred_id(stored: Stored) -> Option<SecretId> {
    match stored.record {
        Some(Record::Shred(record)) => Some(record.id),
        _ => None,
    }
}

/// New secrets with the hashes of their scopes; a change writes both records.
fn shred_entries(stored: Vec<Stored>) -> Vec<Found> {
    let mut names: HashMap<SecretId, (ScopeHash, Revision)> = HashMap::new();
    let mut records = Vec::new();
    for stored in stored {
        match stored.record {
            Some(Record::ShredName(id)) => {
                if let Ok(hash) = <ScopeHash>::try_from(&*stored.key.key) {
                    names.insert(id, (hash, stored.revision));
                }
            }
            Some(Record::Shred(record)) => records.push((stored.revision, record)),
            _ => {}
        }
    }
    let found = |(revision, record): (Revision, ShredRecord)| Found {
        name: names.get(&record.id).copied(),
        entry: Arc::new(shred_entry(revision, record)),
    };
    records.into_iter().map(found).collect()
}

/// A stored shred secret as calls gather it.
#[must_use]
pub fn shred_entry(revision: Revision, record: ShredRecord) -> ShredEntry {
    ShredEntry {
        revision,
        id: record.id,
        scope: record.scope,
        state: record.state,
        created_at: record.created_at,
        succeeds: record.succeeds,
        secret: record.secret,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_restriction_waits_for_calls_that_hold_the_old_snapshot() {
        let state = State::new(Snapshot::default(), 1 << 20);
        let call = state.hold();
        state.publish(Vec::new());
        let later = state.hold();
        let drained = state.restrict(Vec::new());
        assert_eq!(state.generation(), 1);
        assert_eq!(state.hold().generation(), 1);
        let mut wait = std::pin::pin!(drained.wait());
        let waker = std::task::Waker::noop();
        let mut poll = || {
            wait.as_mut()
                .poll(&mut std::task::Context::from_waker(waker))
        };
        assert!(poll().is_pending());
        drop(call);
        assert!(poll().is_pending(), "one of the same generation is left");
        drop(later);
        assert!(poll().is_ready());
    }
}
