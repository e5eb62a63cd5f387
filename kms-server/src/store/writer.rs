//! The one writer: a thread that commits all changes that wait as one transaction with one revision, one
//! root record and one sync. Assigns dense change numbers, puts each change's leaves beside it (the
//! outbox), reads back what it wrote, and hands it on in order.
//!
//! Never answers success itself: whoever publishes does, once the leaves are in the log. Never commits again
//! after a transaction with an unknown end before the engine shows the truth.

mod group;
mod outbox;
mod thread;

#[cfg(test)]
mod tests;

use super::load::LoadError;
use super::scrub::Slice;
use super::{Records, StoreError};
use kms_core::entropy::Entropy;
use kms_core::format::place::Revision;
use kms_core::format::root::{Root, SetHash};
use kms_core::key::record::{Stored, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SendError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use thread::Thread;
use tokio::sync::oneshot;

/// Changes that may wait; more are refused.
const WAITING_MAX: usize = 8_192;
/// Most bytes of one leaf.
pub const LEAF_MAX: usize = 32 * 1024;

/// What is to be written at once.
#[derive(Debug)]
pub struct Change {
    /// In any order; a key stands once.
    pub writes: Vec<Write>,
    /// The entries of the call that makes the change, head first, each at most [`LEAF_MAX`] bytes. Empty for
    /// housekeeping, which has no change number.
    pub leaves: Vec<Vec<u8>>,
    /// The sink's generation when the change was decided.
    pub generation: u64,
    /// Takes something away: nothing that was decided before it may be committed after it.
    pub restricts: bool,
    /// Hears the end.
    pub done: Done,
}

/// Completed by the sink on success, by the writer on failure.
pub type Done = oneshot::Sender<Result<Published, ChangeError>>;

/// A change took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its number; 0 when it has no leaves.
    pub change: u64,
    /// The revision that its records were written at.
    pub revision: Revision,
}

/// Why a change did not take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// An expectation did not hold, or a restriction came between: gather and decide again.
    #[error("the records have changed")]
    Conflict,
    /// Changes are not taken now.
    #[error("changes are held until the audit log has caught up")]
    Held,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The store cannot be used.
    #[error("the store is unavailable")]
    Unavailable,
    /// It may have taken effect or not.
    #[error("it is not known whether the change took effect")]
    Unknown,
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => Self::Full,
            _ => Self::Unavailable,
        }
    }
}

/// A change that is in the store, read back and verified. Not visible and not answered yet.
#[derive(Debug)]
pub struct Committed {
    /// Its number; 0 when it has no leaves.
    pub change: u64,
    /// The revision that its records were written at.
    pub revision: Revision,
    /// The records as read back; request outcomes and usage as written.
    pub stored: Vec<Stored>,
    /// The leaves, with the change number in the head.
    pub leaves: Vec<Vec<u8>>,
    /// Binds from now on.
    pub restricts: bool,
    /// To be completed once it is published.
    pub done: Done,
}

/// Takes committed changes over.
pub trait Sink: Send + Sync + 'static {
    /// Grows with every restriction that was committed.
    fn generation(&self) -> u64;

    /// Changes in the order of their numbers. Called on the writer thread: the next group waits for it. By the
    /// time it returns, [`Sink::generation`] counts the restrictions among them.
    fn committed(&self, changes: Vec<Committed>);
}

/// What a writer works with.
pub struct WriterParts {
    /// The store.
    pub records: Records,
    /// The root record as loaded.
    pub root: Root,
    /// The set hash as loaded.
    pub set_hash: SetHash,
    /// Takes committed changes over.
    pub sink: Arc<dyn Sink>,
    /// Salts.
    pub entropy: Arc<dyn Entropy>,
    /// Puts a change's number into its head leaf.
    pub stamp_change: fn(&mut [u8], u64),
}

/// How much the writer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Transactions committed: one sync each.
    pub transactions: u64,
    /// Changes committed.
    pub changes: u64,
    /// Records written or removed, the root not counted.
    pub records: u64,
    /// Changes refused with [`ChangeError::Conflict`].
    pub conflicts: u64,
}

/// The handle: cheap to clone, every method returns at once. The thread ends with the last of them.
#[derive(Clone)]
pub struct Writer {
    sender: Sender<Message>,
    shared: Arc<Shared>,
}

enum Message {
    Change(Box<Change>),
    /// Look at [`Shared`].
    Wake,
    /// Clear what is logged, then say so.
    Settle(oneshot::Sender<()>),
    Scrub(usize, oneshot::Sender<Result<Slice, StoreError>>),
    /// End, then say so.
    Stop(oneshot::Sender<()>),
}

/// What handle and thread share.
#[derive(Debug, Default)]
struct Shared {
    held: AtomicBool,
    /// Changes on their way to the thread.
    waiting: AtomicUsize,
    /// Change number and audit sequence number, not yet in the root.
    logged: Mutex<Option<(u64, u64)>>,
    transactions: AtomicU64,
    changes: AtomicU64,
    records: AtomicU64,
    conflicts: AtomicU64,
}

impl Writer {
    /// Starts the thread. Reads the root's stamp and the outbox first, so it blocks for a moment.
    ///
    /// # Errors
    /// [`LoadError`] when the root is not the one that was loaded or the engine fails.
    pub fn start(parts: WriterParts) -> Result<Self, LoadError> {
        let (sender, receiver) = channel();
        let shared = Arc::new(Shared::default());
        let thread = Thread::new(parts, receiver, Arc::clone(&shared))?;
        let name = "kms-store-writer".to_owned();
        std::thread::Builder::new()
            .name(name)
            .spawn(move || thread.run())
            .map_err(|error| StoreError::Io(error.kind()))?;
        Ok(Self { sender, shared })
    }

    /// Hands a change in; its `done` hears the end.
    pub fn submit(&self, change: Change) {
        if self.shared.held.load(Ordering::Acquire) {
            refuse(change.done, ChangeError::Held);
            return;
        }
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            refuse(change.done, ChangeError::Unavailable);
            return;
        }
        let sent = self.sender.send(Message::Change(Box::new(change)));
        if let Err(SendError(Message::Change(change))) = sent {
            refuse(change.done, ChangeError::Unavailable);
        }
    }

    /// Says that the leaves of all changes up to this one are durable in the log, which need not be scanned
    /// before `sequence` for them. Their outbox records go with a later transaction, or when idle.
    pub fn logged(&self, through_change: u64, sequence: u64) {
        let mut logged = self
            .shared
            .logged
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (change, from) = logged.unwrap_or_default();
        *logged = Some((change.max(through_change), from.max(sequence)));
        drop(logged);
        // a thread that has ended clears nothing any more: the next start does
        let _ = self.sender.send(Message::Wake);
    }

    /// While held, changes are refused.
    pub fn hold(&self, held: bool) {
        self.shared.held.store(held, Ordering::Release);
    }

    /// Waits until all that was submitted before is done and the outbox holds nothing that is logged.
    pub async fn settle(&self) {
        let (done, settled) = oneshot::channel();
        if self.sender.send(Message::Settle(done)).is_ok() {
            // an error means that the thread has ended: nothing is left to wait for
            let _ = settled.await;
        }
    }

    /// Settles, ends the thread and waits until it has let go of the store. Later changes are refused.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        if self.sender.send(Message::Stop(done)).is_ok() {
            // an error means that the thread has ended already
            let _ = stopped.await;
        }
    }

    /// Verifies the next `limit` records of those that are not verified at unseal; a pass over all of them
    /// begins again after its end.
    ///
    /// # Errors
    /// [`StoreError`] from the engine; [`StoreError::Stopped`] while the writer does not know what is true.
    pub async fn scrub(&self, limit: usize) -> Result<Slice, StoreError> {
        let (done, slice) = oneshot::channel();
        self.sender
            .send(Message::Scrub(limit, done))
            .map_err(|_| StoreError::Stopped)?;
        slice.await.map_err(|_| StoreError::Stopped)?
    }

    /// How much was done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            transactions: read(&self.shared.transactions),
            changes: read(&self.shared.changes),
            records: read(&self.shared.records),
            conflicts: read(&self.shared.conflicts),
        }
    }
}

/// The caller may have gone; then nobody hears it.
fn refuse(done: Done, error: ChangeError) {
    let _ = done.send(Err(error));
}
