//! What waits for the committer. Never holds anything longer than the running sync.

use super::{Appended, AuditUnavailable, Submission, lock};
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, PoisonError};
use tokio::sync::oneshot;

/// A submission and who waits for it.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) submission: Submission,
    pub(super) reply: Reply,
}

/// Who waits.
#[derive(Debug)]
pub(super) enum Reply {
    /// A slot of a runtime's lane.
    Local {
        /// Which lane.
        lane: usize,
        /// Which slot.
        slot: usize,
    },
    /// A task somewhere.
    Once(oneshot::Sender<Appended>),
    /// A thread.
    Blocking(SyncSender<Appended>),
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: Vec<Job>,
    closed: bool,
    /// The committer sleeps and must be woken.
    idle: bool,
}

/// Many push, one takes all.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Hands the job in; `false` when the log is closed, and its reply is dropped.
    pub(super) fn push(&self, job: Job) -> bool {
        let mut waiting = lock(&self.waiting);
        if waiting.closed {
            return false;
        }
        waiting.jobs.push(job);
        let wake = std::mem::take(&mut waiting.idle);
        drop(waiting);
        if wake {
            self.arrived.notify_one();
        }
        true
    }

    /// Waits until there is something and swaps all of it into `taken`, which is empty. `false` when the
    /// queue is closed and empty.
    pub(super) fn take(&self, taken: &mut Vec<Job>) -> bool {
        let mut waiting = lock(&self.waiting);
        while waiting.jobs.is_empty() {
            if waiting.closed {
                return false;
            }
            waiting.idle = true;
            waiting = self
                .arrived
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        waiting.idle = false;
        std::mem::swap(&mut waiting.jobs, taken);
        true
    }

    /// Jobs that the committer has not taken yet.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        lock(&self.waiting).jobs.len()
    }

    /// Nothing more is taken in; what waits is still handed out.
    pub(super) fn close(&self) {
        lock(&self.waiting).closed = true;
        self.arrived.notify_all();
    }

    /// Closes, and hands out what waits without anybody committing it.
    pub(super) fn abandon(&self) -> Vec<Job> {
        self.close();
        std::mem::take(&mut lock(&self.waiting).jobs)
    }
}

impl Reply {
    /// Tells a waiter that has its own channel; gives a lane's slot back.
    pub(super) fn send(self, appended: Appended) -> Option<(usize, usize)> {
        match self {
            Self::Local { lane, slot } => return Some((lane, slot)),
            // who no longer waits has hung up
            Self::Once(reply) => drop(reply.send(appended)),
            Self::Blocking(reply) => drop(reply.send(appended)),
        }
        None
    }
}

/// What everybody is told when the committer is gone.
pub(super) const GONE: Appended = Err(AuditUnavailable);
