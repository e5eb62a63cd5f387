//! The durable log: leaves in, sequence numbers out, nothing acknowledged before it is on the disk.
//!
//! One committer thread takes all that waits, writes it at once and calls `fdatasync` once. Never looks
//! into a leaf to decide anything, never retries a failed sync, never waits for company.

mod committer;
pub mod counted;
mod figures;
mod files;
mod frame;
mod index;
pub mod intake;
mod introduction;
mod local;
pub mod names;
mod outbox;
mod queue;
mod reading;
mod recovery;
mod segment;
mod segments;
mod summary;
mod tree;
mod usage;

pub use figures::Figures;
pub use files::TreeFile;
pub use local::{Appending, LocalAudit};
pub use outbox::Reconciled;
pub use reading::{Filter, Logged, Page, Query};
pub use recovery::{Damage, OpenError, Opened};
pub use summary::{Row, Summary, Told};
pub use tree::{CHECKPOINT_EVERY, Signed, Signer};
pub use usage::UsageMark;

use crate::system::clock::Clock;
use figures::Counters;
use kms_core::audit::leaf::{Entry, PrincipalId};
use kms_core::key::record::{OutboxRecord, UsageRecord};
use kms_core::name::{KeyId, VersionNumber};
use queue::{Job, Queue, Reply};
use segments::Segments;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use usage::Usage;

/// How the log uses the disk.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes of a segment: 64 KiB to 2 GiB.
    pub segment_bytes: u64,
    /// Free bytes that are kept for operators: with less, submissions of the data plane are refused.
    pub reserve_bytes: u64,
    /// Whether tiles, checkpoints and the index are made. Without them the log proves nothing: only for measuring what they cost.
    pub tree: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            reserve_bytes: 256 << 20,
            tree: true,
        }
    }
}

/// Whose entries may use the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// The data plane's may not.
    Data,
    /// Operators' and the daemon's own may.
    Operator,
}

/// Leaves that belong together: they get consecutive sequence numbers and are durable together or not at all.
#[derive(Debug)]
pub struct Submission {
    /// Their bytes, sequence numbers not yet in them; 1 to 4,096, each at most 32 KiB.
    pub leaves: Vec<Vec<u8>>,
    /// What they say of versions used.
    pub usage: Vec<UsageMark>,
    /// Whether they may use the reserve.
    pub space: Space,
}

/// The log cannot be written: nothing may be handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct AuditUnavailable;

/// Sequence of a submission's first leaf.
pub type Appended = Result<u64, AuditUnavailable>;

/// What the threads share.
struct Shared {
    dir: PathBuf,
    origin: String,
    options: Options,
    clock: Arc<dyn Clock>,
    queue: Queue,
    segments: Segments,
    usage: Mutex<Usage>,
    lanes: Mutex<Vec<local::Lane>>,
    counters: Counters,
    desk: tree::Desk,
    index: index::Index,
}

impl Shared {
    /// Only the reserve is left.
    fn is_scarce(&self) -> bool {
        free_space(&self.dir).unwrap_or(0) < self.options.reserve_bytes
    }
}

/// A handle; clones are cheap. When the last one goes, what waits is written and the committer ends.
#[derive(Clone)]
pub struct AuditLog {
    shared: Arc<Shared>,
    thread: Arc<CommitterThread>,
}

struct CommitterThread {
    shared: Arc<Shared>,
    handle: Mutex<Option<JoinHandle<()>>>,
    tree: Mutex<Option<JoinHandle<()>>>,
    index: Mutex<Option<JoinHandle<()>>>,
}

impl CommitterThread {
    fn stop(&self) {
        self.shared.queue.close();
        if let Some(handle) = lock(&self.handle).take() {
            // a committer that panicked has refused what waited; there is nothing more to learn
            let _ = handle.join();
        }
        if let Some(tree) = lock(&self.tree).take() {
            self.shared.desk.close();
            // what a thread that panicked did not build is built by the next start
            let _ = tree.join();
        }
        if let Some(index) = lock(&self.index).take() {
            self.shared.index.close();
            // what it did not write is written by the next start
            let _ = index.join();
        }
    }
}

impl Drop for CommitterThread {
    fn drop(&mut self) {
        self.stop();
    }
}

impl AuditLog {
    /// Opens the log in `dir`, or begins one of name `origin` there, and starts the committer.
    ///
    /// # Errors
    /// [`OpenError`]; says what is wrong and never changes what was acknowledged.
    pub fn open(
        dir: &Path,
        origin: &str,
        options: Options,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Opened), OpenError> {
        let recovered = recovery::recover(dir, origin, options, &*clock)?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            origin: origin.to_owned(),
            options,
            clock,
            queue: Queue::new(),
            segments: recovered.segments,
            usage: Mutex::new(Usage::new(recovered.opened.next_sequence)),
            lanes: Mutex::default(),
            counters: Counters::default(),
            desk: tree::Desk::default(),
            index: index::Index::default(),
        });
        let handle = committer::start(Arc::clone(&shared), recovered.active, &recovered.opened)
            .map_err(|source| OpenError::io(dir, source))?;
        let tree = options.tree.then(|| tree::start(Arc::clone(&shared)));
        let tree = tree.transpose();
        let tree = tree.map_err(|source| OpenError::io(dir, source))?;
        let index = options.tree.then(|| index::start(Arc::clone(&shared)));
        let index = index.transpose();
        let index = index.map_err(|source| OpenError::io(dir, source))?;
        let thread = Arc::new(CommitterThread {
            shared: Arc::clone(&shared),
            handle: Mutex::new(Some(handle)),
            tree: Mutex::new(tree),
            index: Mutex::new(index),
        });
        Ok((Self { shared, thread }, recovered.opened))
    }

    /// Appends; ready when durable. It is under way from the call on: dropping the future cancels nothing.
    /// For everything outside of the runtimes that answer calls; those use [`Self::local`].
    pub fn append(
        &self,
        submission: Submission,
    ) -> impl Future<Output = Appended> + Send + 'static {
        let (reply, answer) = oneshot::channel();
        self.shared.queue.push(Job {
            submission,
            reply: Reply::Once(reply),
        });
        async move { answer.await.unwrap_or(Err(AuditUnavailable)) }
    }

    /// Appends and blocks until it is durable. Never call it on a runtime's own thread.
    ///
    /// # Errors
    /// [`AuditUnavailable`].
    pub fn append_blocking(&self, submission: Submission) -> Appended {
        let (reply, answer) = std::sync::mpsc::sync_channel(1);
        self.shared.queue.push(Job {
            submission,
            reply: Reply::Blocking(reply),
        });
        answer.recv().unwrap_or(Err(AuditUnavailable))
    }

    /// The way in for one runtime: all its calls of one group are woken by one message. Call it on the
    /// runtime; it spawns one task there.
    #[must_use]
    pub fn local(&self) -> LocalAudit {
        LocalAudit::start(self.clone())
    }

    /// Sequence that the next leaf gets; everything below is durable.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shared.segments.len()
    }

    /// Nothing logged yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Name of this log's life.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.shared.origin
    }

    /// Free bytes that are kept for operators.
    #[must_use]
    pub fn reserve_bytes(&self) -> u64 {
        self.shared.options.reserve_bytes
    }

    /// Whether entries of this sort are taken now: with less free than the reserve, only operators' are.
    #[must_use]
    pub fn has_room_for(&self, space: Space) -> bool {
        space == Space::Operator || !self.shared.is_scarce()
    }

    /// Free bytes of the disk that the log lies on.
    ///
    /// # Errors
    /// As `statvfs(2)`.
    pub fn free_space(&self) -> io::Result<u64> {
        free_space(&self.shared.dir)
    }

    /// What the log has done since it was opened.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.shared.counters.read()
    }

    /// Uses of a version; those from before the start are in once [`Self::seed_usage`] has run.
    #[must_use]
    pub fn usage(&self, key_id: KeyId, version: VersionNumber) -> UsageRecord {
        lock(&self.shared.usage).get(key_id, version)
    }

    /// Uses of all versions. What is stored of one call of this or of [`Self::usage_since`] must go into one
    /// transaction: the greatest `through_sequence` in the store is where counting goes on after a restart.
    #[must_use]
    pub fn usage_all(&self) -> Vec<((KeyId, VersionNumber), UsageRecord)> {
        lock(&self.shared.usage).since(0)
    }

    /// Uses that changed at or behind `sequence`; for storing what the store does not have yet.
    #[must_use]
    pub fn usage_since(&self, sequence: u64) -> Vec<((KeyId, VersionNumber), UsageRecord)> {
        lock(&self.shared.usage).since(sequence)
    }

    /// Adds what was counted before the start: the stored records, and the log's tail from where they
    /// end. Blocking. Only the first call after the start does anything.
    ///
    /// # Errors
    /// When the tail cannot be read; counts are then as they were.
    pub fn seed_usage(&self, stored: &[((KeyId, VersionNumber), UsageRecord)]) -> io::Result<()> {
        usage::seed(&self.shared, stored)
    }

    /// Leaves from a place on, forward or backward. Blocking; memory is bounded by the page.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn read(&self, query: &Query) -> io::Result<Page> {
        reading::read(&self.shared, query)
    }

    /// Counts what passes a filter, by who, what and when. Blocking; memory is bounded, and so is one call's work.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn summarize(&self, query: &Query, span: Option<Duration>) -> io::Result<Summary> {
        summary::summarize(&self.shared, query, span)
    }

    /// The introduction of a principal: where its name stands. Blocking; looks at few blocks.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn introduction_of(&self, principal: PrincipalId) -> io::Result<Option<Entry>> {
        introduction::introduction_of(&self.shared, principal)
    }

    /// Entries that the index covers.
    #[must_use]
    pub fn indexed_len(&self) -> u64 {
        self.shared.index.covered()
    }

    /// A file of the log as a static server would give it, from `offset` on, at most `most` bytes of it, and how long
    /// it is in all; `None` for what is no file of the tree. Blocking.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn tree_file(&self, path: &str, offset: u64, most: usize) -> io::Result<Option<TreeFile>> {
        files::read(&self.shared.dir, path, offset, most)
    }

    /// Appends those leaves of the outbox that the log does not have, looking from `from_sequence` on.
    /// Blocking; before the first change after an unseal.
    ///
    /// # Errors
    /// When the log can be neither read nor written; what was appended stays.
    pub fn reconcile(&self, outbox: &[OutboxRecord], from_sequence: u64) -> io::Result<Reconciled> {
        outbox::reconcile(self, outbox, from_sequence)
    }

    /// Refuses new submissions, writes what waits, ends the committer. Blocking.
    pub fn close(&self) {
        self.thread.stop();
    }
}

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog")
            .field("origin", &self.shared.origin)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

fn free_space(dir: &Path) -> io::Result<u64> {
    let figures = rustix::fs::statvfs(dir)?;
    Ok(figures.f_bavail.saturating_mul(figures.f_frsize))
}

/// What lies behind a poisoned lock here is still whole: each holder writes plain values.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
