//! The Merkle tree over the log: tiles, entry bundles and signed checkpoints, built by a thread of its own from what
//! is durable in the segments. Never in the way of an answer, never part of what an answer promises: all of it can
//! be built again. Signs nothing that does not extend what it signed before.

mod builder;
mod files;

use super::{AuditLog, Shared, lock};
use builder::Builder;
use kms_core::cipher::signature::LogKey;
use std::io;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tlog::{Checkpoint, VerifierKey};
use tokio::sync::watch;

/// Entries after which a checkpoint does not wait any longer.
const ENTRIES_MAX: u64 = 1_000;
/// The longest that an entry waits for a checkpoint.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(10);
/// How long a busy log waits after a checkpoint, so that its disk is the log's own most of the time.
const PAUSE: Duration = Duration::from_secs(1);

/// Who signs checkpoints, while unsealed.
#[derive(Debug)]
pub struct Signer {
    /// Its number, from 1.
    pub number: u64,
    /// Signs.
    pub key: LogKey,
    /// Its public half, named after the origin.
    pub verifier: VerifierKey,
    /// The note by which the instance key certifies it.
    pub certificate: String,
    /// The newest signed root that the store knows: what is signed extends it.
    pub head: Option<Checkpoint>,
}

/// A checkpoint as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The note.
    pub note: String,
}

#[derive(Debug, Default)]
struct Wishes {
    /// Enough entries wait.
    due: bool,
    /// Somebody asked, and no pause is made.
    wanted: bool,
    closed: bool,
    signer: Option<Arc<Signer>>,
    waiting: Vec<SyncSender<()>>,
    /// With signatures of witnesses, to be kept.
    cosigned: Option<Signed>,
    /// Size of the newest checkpoint.
    signed: u64,
    problem: Option<String>,
    /// The thread is gone: nobody may wait for it.
    over: bool,
}

/// What is asked of the thread, and what it says.
#[derive(Debug, Default)]
pub(super) struct Desk {
    wishes: Mutex<Wishes>,
    changed: Condvar,
    /// The newest checkpoint signed since the start, for whoever wants to hear of it.
    newest: watch::Sender<Option<Arc<Signed>>>,
}

/// What is to be done in a turn.
struct Turn {
    /// Build and sign; else only what witnesses signed is kept: that must not make for the next checkpoint.
    grows: bool,
    signer: Option<Arc<Signer>>,
    cosigned: Option<Signed>,
    waiting: Vec<SyncSender<()>>,
    closed: bool,
}

impl Desk {
    fn ask(&self, wish: impl FnOnce(&mut Wishes)) {
        let mut wishes = lock(&self.wishes);
        wish(&mut wishes);
        wishes.wanted = true;
        drop(wishes);
        self.changed.notify_one();
    }

    /// So many entries are durable: a checkpoint is due when enough of them wait.
    pub(super) fn note(&self, len: u64) {
        let mut wishes = lock(&self.wishes);
        if !wishes.due && len.saturating_sub(wishes.signed) >= ENTRIES_MAX {
            wishes.due = true;
            drop(wishes);
            self.changed.notify_one();
        }
    }

    /// Waits until something is to be done, and at least for a pause unless somebody asks; takes the wishes.
    fn take(&self, pause: Duration) -> Turn {
        let wishes = lock(&self.wishes);
        let paused = self
            .changed
            .wait_timeout_while(wishes, pause, |wishes| !wishes.wanted);
        let (wishes, _) = paused.unwrap_or_else(PoisonError::into_inner);
        let woken = self.changed.wait_while(wishes, |wishes| {
            !wishes.wanted && !wishes.due && wishes.cosigned.is_none()
        });
        let mut wishes = woken.unwrap_or_else(PoisonError::into_inner);
        let grows = wishes.wanted || wishes.due;
        (wishes.wanted, wishes.due) = (false, false);
        Turn {
            grows,
            signer: wishes.signer.clone(),
            cosigned: wishes.cosigned.take(),
            waiting: std::mem::take(&mut wishes.waiting),
            closed: wishes.closed,
        }
    }

    /// What came of a turn.
    fn tell(&self, signed: u64, problem: Option<String>) {
        if let Some(problem) = &problem {
            tracing::error!(%problem, "the audit log's tree cannot be built");
        }
        let mut wishes = lock(&self.wishes);
        wishes.signed = signed;
        wishes.problem = problem;
    }

    /// The thread ends when what is durable now is built and signed.
    pub(super) fn close(&self) {
        self.ask(|wishes| wishes.closed = true);
    }
}

pub(super) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("audit-tree".to_owned())
        .spawn(move || {
            let _last = LastWord(&shared.desk);
            run(&shared);
        })
}

/// Said when the thread ends, also by a panic.
struct LastWord<'a>(&'a Desk);

impl Drop for LastWord<'_> {
    fn drop(&mut self) {
        let mut wishes = lock(&self.0.wishes);
        wishes.over = true;
        wishes.waiting.clear();
        if !wishes.closed {
            wishes.problem = Some("the thread that builds the audit log's tree ended".to_owned());
        }
    }
}

fn run(shared: &Arc<Shared>) {
    let mut builder = Builder::new(Arc::clone(shared));
    let mut pause = Duration::ZERO;
    loop {
        let turn = shared.desk.take(pause);
        if let Some(signed) = &turn.cosigned
            && let Err(problem) = builder.keep_cosigned(signed)
        {
            // the next checkpoint brings new ones
            tracing::warn!(%problem, "signatures of witnesses are not kept");
        }
        if !turn.grows {
            pause = Duration::ZERO;
            continue;
        }
        pause = PAUSE;
        let result = builder.advance(turn.signer.as_deref());
        let problem = result.as_ref().err().map(ToString::to_string);
        shared.desk.tell(builder.signed(), problem);
        if let Ok(Some(signed)) = result {
            shared.desk.newest.send_replace(Some(Arc::new(signed)));
        }
        for waiter in turn.waiting {
            // who no longer waits has hung up
            let _ = waiter.send(());
        }
        if turn.closed {
            return;
        }
    }
}

impl AuditLog {
    /// Checkpoints are signed by this key from now on; one is made soon.
    pub fn sign_with(&self, signer: Signer) {
        let signer = Arc::new(signer);
        self.shared.desk.ask(|wishes| wishes.signer = Some(signer));
    }

    /// Number of the log key that signs; `None` while nothing is signed.
    #[must_use]
    pub fn signs_with(&self) -> Option<u64> {
        let wishes = lock(&self.shared.desk.wishes);
        wishes.signer.as_ref().map(|signer| signer.number)
    }

    /// Makes a checkpoint soon, if there is anything that the last one does not cover.
    pub fn checkpoint_soon(&self) {
        let signed = lock(&self.shared.desk.wishes).signed;
        if self.len() > signed {
            self.shared.desk.ask(|_| {});
        }
    }

    /// The newest checkpoint signed since the start, and each one after it; some may be passed over.
    #[must_use]
    pub fn checkpoints(&self) -> watch::Receiver<Option<Arc<Signed>>> {
        self.shared.desk.newest.subscribe()
    }

    /// Keeps a checkpoint that witnesses cosigned, beside the newest one or in its place.
    pub fn keep_cosigned(&self, signed: Signed) {
        let desk = &self.shared.desk;
        lock(&desk.wishes).cosigned = Some(signed);
        desk.changed.notify_one();
    }

    /// Signs what is durable now; the newest checkpoint signed since the start. Blocking.
    #[must_use]
    pub fn sign_now(&self) -> Option<Arc<Signed>> {
        if self.shared.options.tree {
            let (done, end) = std::sync::mpsc::sync_channel(1);
            self.shared.desk.ask(|wishes| {
                if !wishes.over {
                    wishes.waiting.push(done);
                }
            });
            // an error means that the thread is gone
            let _ = end.recv();
        }
        self.checkpoints().borrow().clone()
    }

    /// Signs what is durable now, and forgets the key. Blocking.
    pub fn sign_off(&self) {
        let _ = self.sign_now();
        lock(&self.shared.desk.wishes).signer = None;
    }

    /// Signs what is durable now, and nothing more with this key when this returns: the newest checkpoint that it has
    /// signed since the start. Blocking.
    #[must_use]
    pub fn pen_down(&self) -> Option<Arc<Signed>> {
        self.sign_off();
        // a turn that began with the key may be under way: behind the next one nothing is signed
        self.sign_now()
    }

    /// Entries that the newest checkpoint covers.
    #[must_use]
    pub fn signed_len(&self) -> u64 {
        lock(&self.shared.desk.wishes).signed
    }

    /// Why the tree does not grow, if it does not.
    #[must_use]
    pub fn tree_problem(&self) -> Option<String> {
        lock(&self.shared.desk.wishes).problem.clone()
    }
}
