//! What runs on the daemon's own thread for the unsealed service: publishing, and changes whose callers are gone.
//! Sealing waits for all of it, so nothing here may wait for what never comes.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// See the module.
#[derive(Debug)]
pub(super) struct Tasks {
    home: Handle,
    running: Mutex<JoinSet<()>>,
}

impl Tasks {
    /// None yet; they will run on `home`.
    #[must_use]
    pub(super) fn new(home: Handle) -> Self {
        Self {
            home,
            running: Mutex::default(),
        }
    }

    /// Starts one, from whatever thread.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // those that have ended leave nothing but their places
        while running.try_join_next().is_some() {}
        running.spawn_on(task, &self.home);
    }

    /// Waits until all have ended.
    pub(super) async fn ended(&self) {
        let mut running = {
            let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *running)
        };
        // one that panicked has ended too
        while running.join_next().await.is_some() {}
    }
}
