//! Calls under way, so that of many who want the same key one asks and the others wait. A failure is
//! told to those who wait now and to nobody later.

use crate::error::Error;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use tokio::sync::watch;

type Outcome<V> = Option<Result<V, Error>>;

#[derive(Debug)]
pub(super) struct Flights<K, V>(Mutex<HashMap<K, watch::Receiver<Outcome<V>>>>);

/// Who asks, and who waits.
pub(super) enum Boarded<'a, K: Hash + Eq + Clone, V> {
    Leads(Lead<'a, K, V>),
    Follows(Follow<V>),
}

/// The one who asks. Dropped without landing (a caller that hung up), the others start over.
pub(super) struct Lead<'a, K: Hash + Eq + Clone, V> {
    flights: &'a Flights<K, V>,
    key: K,
    outcome: watch::Sender<Outcome<V>>,
}

pub(super) struct Follow<V>(watch::Receiver<Outcome<V>>);

impl<K: Hash + Eq + Clone, V: Clone> Flights<K, V> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    pub(super) fn board(&self, key: &K) -> Boarded<'_, K, V> {
        let mut flying = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(outcome) = flying.get(key) {
            return Boarded::Follows(Follow(outcome.clone()));
        }
        let (outcome, receiver) = watch::channel(None);
        flying.insert(key.clone(), receiver);
        Boarded::Leads(Lead {
            flights: self,
            key: key.clone(),
            outcome,
        })
    }
}

impl<K: Hash + Eq + Clone, V> Lead<'_, K, V> {
    pub(super) const fn key(&self) -> &K {
        &self.key
    }

    pub(super) fn land(self, outcome: Result<V, Error>) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl<K: Hash + Eq + Clone, V> Drop for Lead<'_, K, V> {
    fn drop(&mut self) {
        let flying = self.flights.0.lock();
        flying
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

impl<V: Clone> Follow<V> {
    /// The leader's outcome; `None` when the leader hung up.
    pub(super) async fn wait(mut self) -> Outcome<V> {
        let landed = self.0.wait_for(Option::is_some).await.ok()?;
        landed.clone()
    }
}
