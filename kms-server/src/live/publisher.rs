//! What callers and the store's writer see of publishing: changes go in as they are committed, and everybody
//! can wait until they are visible. The work is done by `super::publishing`. A restriction binds here, before it
//! is logged; nothing else is visible earlier.

use super::generation::Drained;
use super::publishing::{Publishing, PublishingParts};
use super::state::State;
use crate::audit_log::{AuditLog, UsageMark};
use crate::store::{Committed, Done, Records, Sink};
use crate::system::clock::Clock;
use kms_core::audit::leaf::Prefix;
use kms_core::format::root::Root;
use kms_core::key::record::{Revision, Stored};
use kms_core::name::CallId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// The callers' end. Holds no state: who waits here keeps no key in memory.
#[derive(Debug)]
pub struct Publisher {
    luggage: Arc<Luggage>,
    /// Revision of the newest commit.
    committed: watch::Receiver<Revision>,
    /// Revision up to which everything is published; its other end goes with the publishing task.
    published: watch::Receiver<Revision>,
    sealing: watch::Sender<bool>,
}

/// The writer's end: see [`Sink`]. Only the writer holds it, so that publishing ends behind the last commit.
pub struct Inlet {
    state: Arc<State>,
    steps: mpsc::UnboundedSender<Vec<Step>>,
    committed: watch::Sender<Revision>,
}

/// A committed change on its way.
pub(super) struct Step {
    pub(super) change: u64,
    pub(super) revision: Revision,
    pub(super) stored: Vec<Stored>,
    pub(super) leaves: Vec<Vec<u8>>,
    pub(super) done: Done,
    /// Of a restriction, which is visible already: the end of the calls before it.
    pub(super) drained: Option<Drained>,
}

/// What goes with changes' entries but is not in the store: versions used, by call.
#[derive(Debug, Default)]
pub(super) struct Luggage(Mutex<HashMap<CallId, Vec<UsageMark>>>);

impl Luggage {
    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Vec<UsageMark>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was kept for the call of these leaves.
    pub(super) fn take(&self, leaves: &[Vec<u8>]) -> Vec<UsageMark> {
        let head = leaves.first().and_then(|leaf| Prefix::read(leaf).ok());
        let kept = head.and_then(|prefix| self.lock().remove(&prefix.id));
        kept.unwrap_or_default()
    }
}

impl Publisher {
    /// The three ends; `root` is the one that was loaded.
    #[must_use]
    pub fn new(
        state: Arc<State>,
        records: Records,
        audit: AuditLog,
        clock: Arc<dyn Clock>,
        root: &Root,
    ) -> (Self, Inlet, Publishing) {
        let (sender, steps) = mpsc::unbounded_channel();
        let (committed, newest) = watch::channel(root.revision);
        let (published, visible) = watch::channel(root.revision);
        let (sealing, told) = watch::channel(false);
        let luggage = Arc::<Luggage>::default();
        let publisher = Self {
            luggage: Arc::clone(&luggage),
            committed: newest,
            published: visible,
            sealing,
        };
        let inlet = Inlet {
            state: Arc::clone(&state),
            steps: sender,
            committed,
        };
        let publishing = Publishing::new(PublishingParts {
            state,
            luggage,
            steps,
            published,
            sealing: told,
            audit,
            records,
            clock,
            logged: root.logged_sequence,
        });
        (publisher, inlet, publishing)
    }

    /// Keeps what goes with the entries of call `id` until they are logged.
    pub fn entrust(&self, id: CallId, usage: Vec<UsageMark>) {
        self.luggage.lock().insert(id, usage);
    }

    /// The change of call `id` did not happen.
    pub fn forget(&self, id: CallId) {
        self.luggage.lock().remove(&id);
    }

    /// From now on nothing waits for a log that cannot be written: publishing ends there, callers hear
    /// OUTCOME_UNKNOWN, and the outbox tells the next unseal.
    pub fn seal(&self) {
        self.sealing.send_replace(true);
    }

    /// Revision of the newest commit, visible or not.
    #[must_use]
    pub fn committed(&self) -> Revision {
        *self.committed.borrow()
    }

    /// Waits until everything up to `revision` is visible.
    pub async fn visible(&self, revision: Revision) {
        let mut published = self.published.clone();
        // an error means that nothing will be published any more: the caller finds out by asking again
        let _ = published.wait_for(|done| *done >= revision).await;
    }

    /// Waits until everything up to `revision` is visible: `true`; or until `given_up`, asked after every
    /// commit, holds, or nothing will be published any more: `false`.
    pub async fn visible_unless(&self, revision: Revision, given_up: impl Fn() -> bool) -> bool {
        let mut published = self.published.clone();
        let mut committed = self.committed.clone();
        loop {
            if *published.borrow_and_update() >= revision {
                return true;
            }
            committed.borrow_and_update();
            if given_up() {
                return false;
            }
            let changed = tokio::select! {
                changed = published.changed() => changed,
                changed = committed.changed() => changed,
            };
            if changed.is_err() {
                return self.is_visible(revision);
            }
        }
    }

    /// Whether everything up to `revision` is visible now.
    #[must_use]
    pub fn is_visible(&self, revision: Revision) -> bool {
        *self.published.borrow() >= revision
    }
}

impl Sink for Inlet {
    fn generation(&self) -> u64 {
        self.state.generation()
    }

    fn committed(&self, changes: Vec<Committed>) {
        let steps: Vec<Step> = changes
            .into_iter()
            .map(|change| self.step(change))
            .collect();
        if let Some(last) = steps.last() {
            self.committed.send_replace(last.revision);
        }
        // an error means that it is being sealed: the callers hear it from the ends dropped here, and the outbox
        // tells the next unseal
        let _ = self.steps.send(steps);
    }
}

impl Inlet {
    fn step(&self, committed: Committed) -> Step {
        let mut stored = committed.stored;
        let drained = committed
            .restricts
            .then(|| self.state.restrict(std::mem::take(&mut stored)));
        Step {
            change: committed.change,
            revision: committed.revision,
            stored,
            leaves: committed.leaves,
            done: committed.done,
            drained,
        }
    }
}
