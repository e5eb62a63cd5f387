//! From committed to visible: takes changes over from the store writer in their order, waits out the calls
//! that a restriction overtakes, makes the entries durable, swaps the snapshot, answers. Nothing but a
//! restriction is visible before it is logged.
//!
//! When the log cannot be written the callers are told OUTCOME_UNKNOWN, and nothing more is committed until
//! the outbox is logged. Ends with the writer, or when sealing finds the log unwritable; never holds a key longer.

use super::publisher::{Luggage, Step};
use super::state::State;
use crate::audit_log::{AuditLog, Space, Submission};
use crate::store::{ChangeError, Published, Records, StoreError, Writer};
use crate::system::clock::Clock;
use kms_core::key::record::{OutboxRecord, Record, Revision, Stored, Tree};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// How long to wait before the log is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Outbox records read at once.
const OUTBOX_PAGE: usize = 64;

/// What publishing works with.
pub(super) struct PublishingParts {
    pub(super) state: Arc<State>,
    pub(super) luggage: Arc<Luggage>,
    pub(super) steps: mpsc::UnboundedReceiver<Vec<Step>>,
    pub(super) published: watch::Sender<Revision>,
    /// Nothing waits for the log any more.
    pub(super) sealing: watch::Receiver<bool>,
    pub(super) audit: AuditLog,
    pub(super) records: Records,
    pub(super) clock: Arc<dyn Clock>,
    /// The log need not be scanned before this sequence number for what the outbox holds.
    pub(super) logged: u64,
}

/// The publishing task.
pub struct Publishing {
    parts: PublishingParts,
    /// All changes up to this one are in the log, by the outbox: not appended again.
    reconciled: u64,
}

/// Sealing does not wait for a log that cannot be written.
struct GivenUp;

impl Publishing {
    pub(super) const fn new(parts: PublishingParts) -> Self {
        Self {
            parts,
            reconciled: 0,
        }
    }

    /// Publishes until the writer is gone, which is told what is logged. What is left when it ends earlier stays in
    /// the outbox; its callers hear that the outcome is unknown.
    pub async fn run(mut self, writer: Writer) {
        while let Some(steps) = self.parts.steps.recv().await {
            if let Err(GivenUp) = self.take(steps, &writer).await {
                tracing::warn!(
                    "sealing does not wait for the audit log: the outbox keeps what is not in it"
                );
                return;
            }
        }
    }

    async fn take(&mut self, steps: Vec<Step>, writer: &Writer) -> Result<(), GivenUp> {
        // a restriction is the last of its group
        let mut plain = Vec::new();
        for mut step in steps {
            if let Some(drained) = step.drained.take() {
                self.finish(std::mem::take(&mut plain), writer).await?;
                drained.wait().await;
                self.finish(vec![step], writer).await?;
            } else {
                plain.push(step);
            }
        }
        self.finish(plain, writer).await
    }

    async fn finish(&mut self, mut steps: Vec<Step>, writer: &Writer) -> Result<(), GivenUp> {
        let mut appending = Vec::with_capacity(steps.len());
        let mut logged = 0;
        for step in &mut steps {
            if let Some(submission) = self.submission(step) {
                logged = step.change;
                appending.push(self.parts.audit.append(submission));
            }
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
            return self.recover(steps, writer).await;
        }
        if let Some(sequence) = end {
            self.parts.logged = sequence;
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
        Ok(())
    }

    /// What of a change is not in the log yet.
    fn submission(&self, step: &mut Step) -> Option<Submission> {
        if step.leaves.is_empty() {
            return None;
        }
        let usage = self.parts.luggage.take(&step.leaves);
        let is_missing = step.change > self.reconciled;
        is_missing.then(|| Submission {
            // should the log fail, the outbox still has them
            leaves: std::mem::take(&mut step.leaves),
            usage,
            // it is committed, so it must be logged: room was asked for before
            space: Space::Operator,
        })
    }

    fn publish(&self, stored: Vec<Stored>, revision: Revision) {
        self.parts.state.publish(stored);
        self.parts.published.send_replace(revision);
    }

    /// The log failed: tells all callers that the outcome is unknown, holds further commits, and goes on once
    /// the outbox is in the log, by whatever segment.
    async fn recover(&mut self, mut steps: Vec<Step>, writer: &Writer) -> Result<(), GivenUp> {
        writer.hold(true);
        tracing::error!("the audit log cannot be written: changes are held");
        // behind this nothing is being committed: the outbox stands still, and all that is in it has come here
        writer.settle().await;
        while let Ok(more) = self.parts.steps.try_recv() {
            steps.extend(more);
        }
        let mut rest = Vec::with_capacity(steps.len());
        for step in steps {
            let _ = step.done.send(Err(ChangeError::Unknown));
            rest.push((step.stored, step.revision));
        }
        let (sequence, last_change) = loop {
            let from = self.parts.audit.len();
            match self.reconcile().await {
                Ok(last_change) => break (from, last_change),
                Err(error) => tracing::warn!(%error, "the outbox is not logged yet"),
            }
            self.pause().await?;
        };
        for (stored, revision) in rest {
            self.publish(stored, revision);
        }
        self.parts.logged = sequence;
        self.reconciled = last_change;
        writer.logged(last_change, sequence);
        writer.hold(false);
        tracing::info!(last_change, "the audit log is written again");
        Ok(())
    }

    /// Until the log is to be tried again.
    async fn pause(&mut self) -> Result<(), GivenUp> {
        let clock = Arc::clone(&self.parts.clock);
        tokio::select! {
            () = clock.wait_until(clock.monotonic().saturating_add(RETRY)) => Ok(()),
            _ = self.parts.sealing.wait_for(|sealing| *sealing) => Err(GivenUp),
        }
    }

    /// Number of the last change that is in the log now.
    async fn reconcile(&self) -> std::io::Result<u64> {
        let (audit, from) = (self.parts.audit.clone(), self.parts.logged);
        let records = self.parts.records.clone();
        let work = tokio::task::spawn_blocking(move || {
            let outbox = read_outbox(&records).map_err(std::io::Error::other)?;
            // what the failed append left on the disk is found by its entry id
            audit.reconcile(&outbox, from)
        });
        Ok(work.await.map_err(std::io::Error::other)??.last_change)
    }
}

fn read_outbox(records: &Records) -> Result<Vec<OutboxRecord>, StoreError> {
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
