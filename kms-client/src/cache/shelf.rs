//! The remembered keys of one sort, and the calls for more of them. Never gives out an entry past its
//! limits, never takes one in that was asked for before the shelf was cleared.

use super::flight::Flights;
use super::limits::CacheLimits;
use super::lru::Lru;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(super) struct Shelf<K, V> {
    content: Mutex<Content<K, V>>,
    pub(super) flights: Flights<K, Arc<V>>,
    limits: CacheLimits,
}

struct Content<K, V> {
    entries: Lru<K, Entry<V>>,
    /// grows with each clearing
    epoch: u64,
    swept: Duration,
}

struct Entry<V> {
    value: Arc<V>,
    since: Duration,
    messages: u64,
    bytes: u64,
}

/// An entry that may be used once.
pub(super) struct Taken<V> {
    pub(super) value: Arc<V>,
    /// Four fifths of its life are over: whoever can should fetch the next.
    pub(super) aging: bool,
}

impl<K: Hash + Eq + Clone, V> Shelf<K, V> {
    pub(super) fn new(limits: CacheLimits) -> Self {
        Self {
            content: Mutex::new(Content {
                entries: Lru::new(limits.entries),
                epoch: 0,
                swept: Duration::ZERO,
            }),
            flights: Flights::new(),
            limits,
        }
    }

    fn content(&self) -> MutexGuard<'_, Content<K, V>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses an entry for one message of `bytes` bytes, if its limits allow.
    pub(super) fn take(&self, key: &K, now: Duration, bytes: u64) -> Option<Taken<V>> {
        let mut content = self.content();
        let entry = content.entries.get(key)?;
        let age = now.saturating_sub(entry.since);
        let total = entry.bytes.checked_add(bytes);
        let within = total.filter(|total| *total <= self.limits.bytes);
        match within {
            Some(total) if age < self.limits.age && entry.messages < self.limits.messages => {
                entry.messages += 1;
                entry.bytes = total;
                Some(Taken {
                    value: Arc::clone(&entry.value),
                    aging: age >= self.limits.age * 4 / 5,
                })
            }
            _ => {
                content.entries.remove(key);
                None
            }
        }
    }

    /// To be read before asking and given to [`Shelf::put`] with the answer.
    pub(super) fn epoch(&self) -> u64 {
        self.content().epoch
    }

    /// Remembers an answer that was used for one message of `bytes` bytes. True when another entry had
    /// to go for it.
    pub(super) fn put(&self, key: K, value: Arc<V>, now: Duration, bytes: u64, epoch: u64) -> bool {
        let mut content = self.content();
        if content.epoch != epoch {
            return false;
        }
        if now.saturating_sub(content.swept) >= self.limits.age / 4 {
            content.sweep(now, self.limits.age);
        }
        let entry = Entry {
            value,
            since: now,
            messages: 1,
            bytes,
        };
        content.entries.insert(key, entry)
    }

    pub(super) fn sweep(&self, now: Duration) {
        self.content().sweep(now, self.limits.age);
    }

    pub(super) fn clear(&self) {
        let mut content = self.content();
        content.epoch += 1;
        content.entries.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.content().entries.len()
    }
}

impl<K: Hash + Eq + Clone, V> Content<K, V> {
    fn sweep(&mut self, now: Duration, age: Duration) {
        self.swept = now;
        self.entries
            .retain(|entry| now.saturating_sub(entry.since) < age);
    }
}
