//! A store in memory: for tests, and the plain statement of what an engine does. Holds nothing over a restart.

use super::lease::Leases;
use super::watch::Broadcast;
use super::{
    Item, Items, Lease, Stamp, Store, StoreError, StoreKey, TransactError, Transaction, VALUE_MAX,
    Watch,
};
use crate::system::clock::Clock;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Keeps everything in one ordered map.
pub struct MemoryStore {
    state: Mutex<State>,
    broadcast: Broadcast,
    leases: Leases,
}

#[derive(Default)]
struct State {
    items: BTreeMap<StoreKey, Item>,
    stamp: u64,
}

impl State {
    fn next_stamp(&mut self) -> u64 {
        self.stamp = self.stamp.saturating_add(1);
        self.stamp
    }
}

impl MemoryStore {
    /// Empty; leases expire on `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            state: Mutex::default(),
            broadcast: Broadcast::new(),
            leases: Leases::new(clock),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &StoreKey) -> Result<Option<Item>, StoreError> {
        Ok(self.state().items.get(key).cloned())
    }

    fn range(&self, tree: u8, after: Option<&[u8]>, limit: usize) -> Result<Items, StoreError> {
        let key = |key: &[u8]| StoreKey {
            tree,
            key: key.into(),
        };
        let from = after.map_or_else(
            || Bound::Included(key(&[])),
            |after| Bound::Excluded(key(after)),
        );
        let state = self.state();
        let items = state.items.range((from, Bound::Unbounded));
        Ok(items
            .take_while(|(key, _)| key.tree == tree)
            .take(limit)
            .map(|(key, item)| (key.key.clone(), item.clone()))
            .collect())
    }

    fn transact(&self, transaction: Transaction) -> Result<Stamp, TransactError> {
        if transaction.puts.iter().any(|(_, v)| v.len() > VALUE_MAX) {
            return Err(TransactError::NotApplied(StoreError::TooLarge));
        }
        let mut state = self.state();
        let fenced = transaction
            .fence
            .as_ref()
            .is_none_or(|lease| self.leases.holds(lease));
        let holds = |(key, stamp): &(StoreKey, Option<Stamp>)| {
            state.items.get(key).map(|item| item.stamp) == *stamp
        };
        if !fenced || !transaction.compares.iter().all(holds) {
            return Err(TransactError::Conflict);
        }
        let stamp = Stamp(state.next_stamp());
        self.broadcast.send(stamp, || keys(&transaction));
        for key in &transaction.deletes {
            state.items.remove(key);
        }
        for (key, value) in transaction.puts {
            state.items.insert(key, Item { stamp, value });
        }
        Ok(stamp)
    }

    fn recover(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn watch(&self) -> Watch {
        self.broadcast.watch()
    }

    fn acquire(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, StoreError> {
        let mut state = self.state();
        self.leases.acquire(name, ttl, || Ok(state.next_stamp()))
    }

    fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, StoreError> {
        Ok(self.leases.renew(lease, ttl))
    }

    fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.leases.release(&lease);
        Ok(())
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// The keys that a transaction writes or removes.
pub(super) fn keys(transaction: &Transaction) -> Vec<StoreKey> {
    let puts = transaction.puts.iter().map(|(key, _)| key);
    puts.chain(&transaction.deletes).cloned().collect()
}
