//! A map of bounded size that forgets what was not used for longest.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

#[derive(Debug)]
pub(super) struct Lru<K, V> {
    entries: HashMap<K, (u64, V)>,
    by_use: BTreeMap<u64, K>,
    next: u64,
    limit: usize,
}

impl<K: Hash + Eq + Clone, V> Lru<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            next: 0,
            limit,
        }
    }

    /// The value, which is then the last used.
    pub(super) fn get(&mut self, key: &K) -> Option<&mut V> {
        let (used, value) = self.entries.get_mut(key)?;
        let key = self.by_use.remove(used)?;
        *used = self.next;
        self.by_use.insert(self.next, key);
        self.next += 1;
        Some(value)
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((used, _)) = self.entries.remove(key) {
            self.by_use.remove(&used);
        }
    }

    /// Puts a value in; true when another one had to go for it.
    pub(super) fn insert(&mut self, key: K, value: V) -> bool {
        self.remove(&key);
        let evicted = if self.entries.len() >= self.limit {
            self.by_use.pop_first()
        } else {
            None
        };
        if let Some((_, oldest)) = &evicted {
            self.entries.remove(oldest);
        }
        self.by_use.insert(self.next, key.clone());
        self.entries.insert(key, (self.next, value));
        self.next += 1;
        evicted.is_some()
    }

    /// Keeps the values that `keep` says to.
    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.entries.retain(|_, (used, value)| {
            let kept = keep(value);
            if !kept {
                self.by_use.remove(used);
            }
            kept
        });
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.by_use.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = Lru::new(2);
        assert!(!lru.insert("a", 1));
        assert!(!lru.insert("b", 2));
        assert_eq!(lru.get(&"a"), Some(&mut 1));
        assert!(lru.insert("c", 3));
        assert_eq!(lru.get(&"b"), None);
        assert_eq!(lru.get(&"a"), Some(&mut 1));
        assert_eq!(lru.len(), 2);
        assert!(!lru.insert("a", 4));
        assert_eq!(lru.get(&"a"), Some(&mut 4));
        lru.retain(|value| *value == 1);
        assert_eq!((lru.len(), lru.by_use.len()), (0, 0));
        lru.insert("a", 4);
        lru.clear();
        assert_eq!((lru.len(), lru.by_use.len()), (0, 0));
    }
}
