//! News of transactions inside one process. Tells which keys changed, never their values.

use super::{Stamp, StoreKey};
use std::sync::Arc;
use tokio::sync::broadcast::{Receiver, Sender, error::RecvError, error::TryRecvError};

/// Events that a slow watcher may lag behind before it misses some.
const BACKLOG: usize = 1_024;

/// One transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its stamp.
    pub stamp: Stamp,
    /// The keys that it wrote or removed.
    pub keys: Arc<[StoreKey]>,
}

/// Events were missed, or the store is closed: what is known of the store must be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("events of the store were missed")]
pub struct Missed;

/// Receives events in the order of their stamps.
#[derive(Debug)]
pub struct Watch(Receiver<Event>);

impl Watch {
    /// The next event; waits for it.
    ///
    /// # Errors
    /// [`Missed`].
    pub async fn next(&mut self) -> Result<Event, Missed> {
        self.0.recv().await.map_err(|error| match error {
            RecvError::Closed | RecvError::Lagged(_) => Missed,
        })
    }

    /// The next event, if one is there.
    ///
    /// # Errors
    /// [`Missed`].
    pub fn try_next(&mut self) -> Result<Option<Event>, Missed> {
        match self.0.try_recv() {
            Ok(event) => Ok(Some(event)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Closed | TryRecvError::Lagged(_)) => Err(Missed),
        }
    }
}

/// The sending side, in an engine.
#[derive(Debug)]
pub(super) struct Broadcast(Sender<Event>);

impl Broadcast {
    pub(super) fn new() -> Self {
        Self(Sender::new(BACKLOG))
    }

    pub(super) fn watch(&self) -> Watch {
        Watch(self.0.subscribe())
    }

    /// Collects the keys only when somebody listens.
    pub(super) fn send(&self, stamp: Stamp, keys: impl FnOnce() -> Vec<StoreKey>) {
        if self.0.receiver_count() > 0 {
            let keys = keys().into();
            // the last listener may have gone meanwhile; then nobody misses it
            let _ = self.0.send(Event { stamp, keys });
        }
    }
}
