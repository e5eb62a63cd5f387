//! From committed to visible: takes changes over from the store writer in their order, waits out the calls
//! that a restriction overtakes, makes the entries durable, swaps the snapshot, answers. Nothing but a
//! restriction is visible before it is logged.
//!
//! When the log cannot be written the callers are told OUTCOME_UNKNOWN, and nothing more is committed until
//! the outbox is logged.

use super::generation::Drained;
use super::state::State;
use crate::audit_log::{AuditLog, Space, Submission, UsageMark};
use crate::store::{ChangeError, Committed, Done, Published, Records, Sink, Writer};
use crate::system::clock::Clock;
use kms_core::audit::leaf::Prefix;
use kms_core::format::root::Root;
use kms_core::key::record::{OutboxRecord, Record, Revision, Stored, Tree};
use kms_core::name::CallId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long to wait before the log is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Outbox records read at once.
const OUTBOX_PAGE: usize = 64;

/// What goes with a change's entries but is not in the store.
#[derive(Debug)]
pub struct Luggage {
    /// Versions that the call used.
    pub usage: Vec<UsageMark>,
    /// Whether its entries may use the reserve.
    pub space: Space,
}

/// The writer's end: see [`Sink`].
pub struct Publisher {
    state: Arc<State>,
    steps: mpsc::UnboundedSender<Vec<Step>>,
    luggage: Mutex<HashMap<CallId, Luggage>>,
    /// Revision of the newest commit.
    committed: watch::Sender<Revision>,
    /// Revision up to which everything is published.
    published: watch::Sender<Revision>,
}

struct Step {
    change: u64,
    revision: Revision,
    stored: Vec<Stored>,
    leaves: Vec<Vec<u8>>,
    done: Done,
    /// Of a restriction, which is visible already: the end of the calls before it.
    drained: Option<Drained>,
}

/// The publishing task's end.
pub struct Publishing {
    publisher: Arc<Publisher>,
    steps: mpsc::UnboundedReceiver<Vec<Step>>,
    audit: AuditLog,
    records: Records,
    clock: Arc<dyn Clock>,
    /// The log need not be scanned before this sequence number for what the outbox holds.
    logged: u64,
}

impl Publisher {
    /// The two ends; `root` is the one that was loaded.
    #[must_use]
    pub fn new(
        state: Arc<State>,
        records: Records,
        audit: AuditLog,
        clock: Arc<dyn Clock>,
        root: &Root,
    ) -> (Arc<Self>, Publishing) {
        let (sender, steps) = mpsc::unbounded_channel();
        let publisher = Arc::new(Self {
            state,
            steps: sender,
            luggage: Mutex::default(),
            committed: watch::Sender::new(root.revision),
            published: watch::Sender::new(root.revision),
        });
        let publishing = Publishing {
            publisher: Arc::clone(&publisher),
            steps,
            audit,
            records,
            clock,
            logged: root.logged_sequence,
        };
        (publisher, publishing)
    }

    /// Keeps what goes with the entries of call `id` until they are logged.
    pub fn entrust(&self, id: CallId, luggage: Luggage) {
        self.luggage().insert(id, luggage);
    }

    /// The change of call `id` did not happen.
    pub fn forget(&self, id: CallId) {
        self.luggage().remove(&id);
    }

    /// Revision of the newest commit, visible or not.
    #[must_use]
    pub fn committed(&self) -> Revision {
        *self.committed.borrow()
    }

    /// Waits until everything up to `revision` is visible.
    pub async fn visible(&self, revision: Revision) {
        let mut published = self.published.subscribe();
        // an error means that nothing will be published any more: the caller finds out by asking again
        let _ = published.wait_for(|done| *done >= revision).await;
    }

    /// Waits until everything up to `revision` is visible: `true`; or until `given_up`, asked after every
    /// commit, holds: `false`.
    pub async fn visible_unless(&self, revision: Revision, given_up: impl Fn() -> bool) -> bool {
        let mut published = self.published.subscribe();
        let mut committed = self.committed.subscribe();
        loop {
            if *published.borrow_and_update() >= revision {
                return true;
            }
            committed.borrow_and_update();
            if given_up() {
                return false;
            }
            tokio::select! {
                _ = published.changed() => {}
                _ = committed.changed() => {}
            }
        }
    }

    /// Whether everything up to `revision` is visible now.
    #[must_use]
    pub fn is_visible(&self, revision: Revision) -> bool {
        *self.published.borrow() >= revision
    }

    fn luggage(&self) -> MutexGuard<'_, HashMap<CallId, Luggage>> {
        self.luggage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_luggage(&self, leaves: &[Vec<u8>]) -> Luggage {
        let head = leaves.first().and_then(|leaf| Prefix::read(leaf).ok());
        let kept = head.and_then(|prefix| self.luggage().remove(&prefix.id));
        kept.unwrap_or(Luggage {
            usage: Vec::new(),
            space: Space::Operator,
        })
    }
}

impl Sink for Publisher {
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
        // an error means that the daemon is stopping: the outbox tells the next start
        let _ = self.steps.send(steps);
    }
}

impl Publisher {
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

impl Publishing {
    /// Publishes until the writer is gone. `writer` is told what is logged.
    pub async fn run(mut self, writer: Writer) {
        while let Some(steps) = self.steps.recv().await {
            // a restriction is the last of its group
            let mut plain = Vec::new();
            for mut step in steps {
                if let Some(drained) = step.drained.take() {
                    self.finish(std::mem::take(&mut plain), &writer).await;
                    drained.wait().await;
                    self.finish(vec![step], &writer).await;
                } else {
                    plain.push(step);
                }
            }
            self.finish(plain, &writer).await;
        }
    }

    async fn finish(&mut self, mut steps: Vec<Step>, writer: &Writer) {
        let mut appending = Vec::with_capacity(steps.len());
        let mut logged = 0;
        for step in &mut steps {
            if step.leaves.is_empty() {
                continue;
            }
            let luggage = self.publisher.take_luggage(&step.leaves);
            logged = step.change;
            appending.push(self.audit.append(Submission {
                // should the log fail, the outbox still has them
                leaves: std::mem::take(&mut step.leaves),
                usage: luggage.usage,
                space: luggage.space,
            }));
        }
        let mut end = None;
        let mut failed = false;
        for appended in appending {
            match appended.await {
                Ok(sequence) => end = Some(sequence),
                Err(_) => failed = true,
            }
        }
        if failed {
            self.recover(steps, logged, writer).await;
            return;
        }
        if let Some(sequence) = end {
            self.logged = sequence;
            writer.logged(logged, sequence);
        }
        for step in steps {
            self.publish(step.stored, step.revision);
            let published = Published {
                change: step.change,
                revision: step.revision,
            };
            // the caller may have hung up
            let _ = step.done.send(Ok(published));
        }
    }

    fn publish(&self, stored: Vec<Stored>, revision: Revision) {
        self.publisher.state.publish(stored);
        self.publisher.published.send_replace(revision);
    }

    /// The log failed: tells the callers that the outcome is unknown, holds further commits, and goes on once
    /// the outbox is in the log, by whatever segment.
    async fn recover(&mut self, steps: Vec<Step>, through: u64, writer: &Writer) {
        writer.hold(true);
        tracing::error!(
            change = through,
            "the audit log cannot be written: changes are held"
        );
        let mut rest = Vec::with_capacity(steps.len());
        for step in steps {
            let _ = step.done.send(Err(ChangeError::Unknown));
            rest.push((step.stored, step.revision));
        }
        let sequence = loop {
            let from = self.audit.len();
            match self.reconcile().await {
                Ok(()) => break from,
                Err(error) => tracing::warn!(%error, "the outbox is not logged yet"),
            }
            self.clock
                .wait_until(self.clock.monotonic().saturating_add(RETRY))
                .await;
        };
        for (stored, revision) in rest {
            self.publish(stored, revision);
        }
        self.logged = sequence;
        writer.logged(through, sequence);
        writer.hold(false);
        tracing::info!(change = through, "the audit log is written again");
    }

    async fn reconcile(&self) -> std::io::Result<()> {
        let (audit, records, from) = (self.audit.clone(), self.records.clone(), self.logged);
        let work = tokio::task::spawn_blocking(move || {
            let outbox = read_outbox(&records).map_err(std::io::Error::other)?;
            // what the failed append left on the disk is found by its entry id
            audit.reconcile(&outbox, from).map(|_| ())
        });
        work.await.map_err(std::io::Error::other)?
    }
}

fn read_outbox(records: &Records) -> Result<Vec<OutboxRecord>, crate::store::StoreError> {
    let mut outbox = Vec::new();
    let mut after: Option<Box<[u8]>> = None;
    loop {
        let page = records.range(Tree::Outbox, after.as_deref(), OUTBOX_PAGE)?;
        outbox.extend(
            page.stored
                .into_iter()
                .filter_map(|stored| match stored.record {
                    Some(Record::Outbox(record)) => Some(record),
                    _ => None,
                }),
        );
        after = page.next_after;
        if after.is_none() {
            return Ok(outbox);
        }
    }
}
