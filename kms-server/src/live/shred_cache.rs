//! A bounded cache of shred secrets. A call that gathered under an older generation may not fill it, so that
//! what was blocked or destroyed never comes back. Failures are never cached.

use kms_core::engine::{Named, ShredEntry};
use kms_core::key::record::Revision;
use kms_core::name::SecretId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keyed hash of a scope, as its record key has it.
pub type ScopeHash = [u8; 32];

/// What one entry costs beside the text of its scope, in bytes: map slots, the ring's place, the allocator's rounding, and
/// what lies between entries when older ones were evicted. Measured over a million creations.
const ENTRY_COST: usize = 1_024;
/// Entries that may come in before others are evicted: one batch.
const SLACK: usize = 1_024;

/// The cache.
#[derive(Debug)]
pub struct ShredCache {
    inner: Mutex<Inner>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    generation: u64,
    bytes: usize,
    by_id: HashMap<SecretId, Slot>,
    by_scope: HashMap<ScopeHash, SecretId>,
    /// Second-chance order of eviction; an id that is no longer cached is skipped.
    ring: VecDeque<SecretId>,
}

/// A secret as it was read or written.
#[derive(Debug, Clone)]
pub struct Found {
    /// The secret.
    pub entry: Arc<ShredEntry>,
    /// Hash of its scope and revision of the record that leads from there to it; `None` where it was read
    /// by its id alone.
    pub name: Option<(ScopeHash, Revision)>,
}

#[derive(Debug)]
struct Slot {
    found: Found,
    /// Used since the hand passed last.
    used: bool,
}

impl ShredCache {
    /// Holds at most about `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        // of their last size at once: what a map leaves behind when it grows is locked memory too
        let entries = bytes_max / ENTRY_COST + SLACK;
        let inner = Inner {
            by_id: HashMap::with_capacity(entries),
            by_scope: HashMap::with_capacity(entries),
            ring: VecDeque::with_capacity(2 * entries),
            ..Inner::default()
        };
        Self {
            inner: Mutex::new(inner),
            bytes_max,
        }
    }

    /// What is cached of `ids`, in their order.
    #[must_use]
    pub fn by_id(&self, ids: &[SecretId]) -> Vec<Option<Arc<ShredEntry>>> {
        let mut inner = self.lock();
        let mut find = |id| inner.touch(id).map(|found| Arc::clone(&found.entry));
        ids.iter().map(&mut find).collect()
    }

    /// What is cached of the scopes with these hashes, in their order.
    #[must_use]
    pub fn by_scope(&self, hashes: &[ScopeHash]) -> Vec<Option<Named>> {
        let mut inner = self.lock();
        let find = |hash| {
            let id = inner.by_scope.get(hash).copied()?;
            let found = inner.touch(&id)?;
            let (_, name_revision) = found.name?;
            Some(Named {
                name_revision,
                entry: Arc::clone(&found.entry),
            })
        };
        hashes.iter().map(find).collect()
    }

    /// Takes over what was read under `generation`; nothing when that is no longer the current one.
    pub fn fill(&self, generation: u64, found: impl IntoIterator<Item = Found>) {
        let mut inner = self.lock();
        if inner.generation != generation {
            return;
        }
        for found in found {
            inner.insert(found);
        }
        inner.evict(self.bytes_max);
    }

    /// Forgets `ids` and starts `generation`: from here on nothing read before may fill.
    pub fn restrict(&self, generation: u64, ids: impl IntoIterator<Item = SecretId>) {
        let mut inner = self.lock();
        inner.generation = generation;
        for id in ids {
            drop(inner.remove(&id));
        }
    }

    /// Estimated bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cost(entry: &ShredEntry) -> usize {
    let scope = &entry.scope;
    ENTRY_COST + scope.account.as_str().len() + scope.name.len() + scope.class.as_str().len()
}

type Name = Option<(ScopeHash, Revision)>;

fn newer(found: Name, old: Name) -> Name {
    let is_older = match (found, old) {
        (Some((_, found)), Some((_, old))) => found < old,
        (found, _) => found.is_none(),
    };
    if is_older { old } else { found }
}

impl Inner {
    fn touch(&mut self, id: &SecretId) -> Option<&Found> {
        let slot = self.by_id.get_mut(id)?;
        slot.used = true;
        Some(&slot.found)
    }

    /// What was read may be older than what was published meanwhile: of entry and name the newer one stays.
    fn insert(&mut self, mut found: Found) {
        let id = found.entry.id;
        if let Some(old) = self.remove(&id) {
            if old.entry.revision > found.entry.revision {
                found.entry = old.entry;
            }
            // read by id alone: the name that was known stays known
            found.name = newer(found.name, old.name);
        }
        self.name(id, &mut found);
        self.bytes += cost(&found.entry);
        let slot = Slot { found, used: false };
        self.by_id.insert(id, slot);
        self.ring.push_back(id);
    }

    /// A scope leads to the secret that its newest record names; the other one has no name.
    fn name(&mut self, id: SecretId, found: &mut Found) {
        let Some((scope, revision)) = found.name else {
            return;
        };
        let other = self.by_scope.get(&scope).filter(|other| **other != id);
        if let Some(other) = other.and_then(|other| self.by_id.get_mut(other)) {
            if other.found.name.is_some_and(|(_, newer)| newer > revision) {
                found.name = None;
                return;
            }
            other.found.name = None;
        }
        self.by_scope.insert(scope, id);
    }

    fn remove(&mut self, id: &SecretId) -> Option<Found> {
        let found = self.by_id.remove(id)?.found;
        self.bytes = self.bytes.saturating_sub(cost(&found.entry));
        if let Some((scope, _)) = found.name
            && self.by_scope.get(&scope) == Some(id)
        {
            self.by_scope.remove(&scope);
        }
        Some(found)
    }

    fn evict(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some(id) = self.ring.pop_front() else {
                return;
            };
            match self.by_id.get_mut(&id) {
                Some(slot) if slot.used => {
                    slot.used = false;
                    self.ring.push_back(id);
                }
                Some(_) => drop(self.remove(&id)),
                None => {}
            }
        }
        // ids removed by restrictions or inserted twice leave stale places behind
        if self.ring.len() > 2 * self.by_id.len() + SLACK {
            let by_id = &self.by_id;
            let mut seen = std::collections::HashSet::new();
            self.ring
                .retain(|id| by_id.contains_key(id) && seen.insert(*id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kms_core::key::record::ShredState;
    use kms_core::name::{AccountName, RetentionClass, SecretKind, ShredScope};
    use kms_core::secret::ShredSecret;
    use kms_core::time::Timestamp;

    fn entry(n: u32) -> (ScopeHash, Found) {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_be_bytes());
        let scope = ShredScope::new(
            SecretKind::Subject,
            AccountName::parse("acme").unwrap(),
            &format!("s{n}"),
            RetentionClass::parse("customer").unwrap(),
        );
        let entry = ShredEntry {
            revision: Revision(1),
            id: SecretId(id),
            scope: scope.unwrap(),
            state: ShredState::Active,
            created_at: Timestamp::default(),
            succeeds: None,
            secret: Some(ShredSecret::take_bytes(&mut [1; 32])),
        };
        let found = Found {
            entry: Arc::new(entry),
            name: Some((hash, Revision(1))),
        };
        (hash, found)
    }

    #[test]
    fn finds_by_id_and_by_scope_until_restricted() {
        let cache = ShredCache::new(1 << 20);
        let (hash, secret) = entry(1);
        cache.fill(0, [secret.clone()]);
        assert!(cache.by_id(&[secret.entry.id])[0].is_some());
        assert!(cache.by_scope(&[hash])[0].is_some());
        cache.restrict(1, [secret.entry.id]);
        assert!(cache.by_id(&[secret.entry.id])[0].is_none());
        assert!(cache.by_scope(&[hash])[0].is_none());
        assert_eq!(cache.bytes(), 0);
    }

    fn at(found: &Found, revision: u64, state: ShredState) -> Found {
        let (scope, _) = found.name.unwrap();
        let entry = &found.entry;
        let entry = ShredEntry {
            revision: Revision(revision),
            id: entry.id,
            scope: entry.scope.clone(),
            state,
            created_at: entry.created_at,
            succeeds: None,
            secret: Some(ShredSecret::take_bytes(&mut [1; 32])),
        };
        Found {
            entry: Arc::new(entry),
            name: Some((scope, Revision(revision))),
        }
    }

    #[test]
    fn what_was_read_before_a_change_does_not_come_back_after_it() {
        let cache = ShredCache::new(1 << 20);
        let (hash, first) = entry(1);
        let blocked = ShredState::Blocked {
            at: Timestamp::default(),
        };
        let (read, published) = (at(&first, 1, blocked), at(&first, 2, ShredState::Active));
        // a page reads it blocked, it is unblocked, the page fills; by id alone, too
        for late in [read.clone(), Found { name: None, ..read }] {
            cache.fill(0, [published.clone()]);
            cache.fill(0, [late]);
            let by_id = cache.by_id(&[first.entry.id]).remove(0).unwrap();
            let by_scope = cache.by_scope(&[hash]).remove(0).unwrap();
            for entry in [by_id, by_scope.entry] {
                assert_eq!((entry.revision.0, entry.state), (2, ShredState::Active));
            }
            assert_eq!(by_scope.name_revision, Revision(2));
        }
    }

    #[test]
    fn a_scope_leads_to_the_secret_that_was_named_last() {
        let cache = ShredCache::new(1 << 20);
        let (hash, first) = entry(1);
        let (_, second) = entry(2);
        let scoped = |found: &Found, revision| Found {
            name: Some((hash, Revision(revision))),
            ..found.clone()
        };
        let named = || cache.by_scope(&[hash]).remove(0).unwrap();
        cache.fill(0, [scoped(&first, 1)]);
        cache.fill(0, [scoped(&second, 5)]);
        cache.fill(0, [scoped(&first, 1)]);
        assert_eq!(named().entry.id, second.entry.id);
        assert_eq!(named().name_revision, Revision(5));
        // the name does not fall back when its secret is forgotten
        cache.restrict(1, [second.entry.id]);
        cache.fill(
            1,
            [Found {
                name: None,
                ..first.clone()
            }],
        );
        assert!(cache.by_scope(&[hash])[0].is_none());
        assert!(cache.by_id(&[first.entry.id])[0].is_some());
    }

    #[test]
    fn an_older_generation_cannot_fill() {
        let cache = ShredCache::new(1 << 20);
        let (_, secret) = entry(1);
        cache.restrict(1, []);
        cache.fill(0, [secret.clone()]);
        assert!(cache.by_id(&[secret.entry.id])[0].is_none());
        cache.fill(1, [secret.clone()]);
        assert!(cache.by_id(&[secret.entry.id])[0].is_some());
    }

    #[test]
    fn stays_within_its_bytes_and_keeps_what_is_used() {
        let cache = ShredCache::new(100 * 1_100);
        let (_, hot) = entry(0);
        cache.fill(0, [hot.clone()]);
        for n in 1..10_000 {
            cache.fill(0, [entry(n).1]);
            assert!(cache.by_id(&[hot.entry.id])[0].is_some(), "{n}");
            assert!(cache.bytes() <= 100 * 1_100);
        }
        let ring = cache.lock().ring.len();
        assert!(ring <= 2_048, "{ring}");
    }
}
