//! The writer's thread: waits, makes groups, commits them, and stops when it no longer knows what is true.

use super::group::{Accepted, Group, Rules, read_back};
use super::outbox::Outbox;
use super::{Change, ChangeError, Message, Shared, Sink, WriterParts, refuse};
use crate::store::fold::{Fold, Folded};
use crate::store::load::{LoadError, read_root};
use crate::store::records::Records;
use crate::store::scrub::Scrub;
use crate::store::{Stamp, StoreError, TransactError, Transaction};
use kms_core::entropy::Entropy;
use kms_core::format::root::{Root, SetHash};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long nothing must happen before logged outbox records are cleared by a transaction of their own.
const IDLE: Duration = Duration::from_secs(1);
/// How often a group is made again after another writer was faster.
const ATTEMPTS: usize = 3;

pub(super) struct Thread {
    records: Records,
    set_hash: SetHash,
    sink: Arc<dyn Sink>,
    entropy: Arc<dyn Entropy>,
    stamp_change: fn(&mut [u8], u64),
    receiver: Receiver<Message>,
    shared: Arc<Shared>,
    root: Root,
    stamp: Stamp,
    outbox: Outbox,
    scrub: Scrub,
    waiting: VecDeque<Change>,
    settling: Vec<oneshot::Sender<()>>,
    stopping: Option<oneshot::Sender<()>>,
    /// A transaction whose end is unknown: nothing is committed meanwhile.
    doubt: Option<Doubt>,
}

struct Doubt {
    folded: Folded,
    accepted: Vec<Accepted>,
    cleared: u64,
}

/// A transaction ready to be tried.
struct Plan {
    transaction: Transaction,
    folded: Folded,
    /// Outbox records up to this change go with it.
    cleared: u64,
}

impl Thread {
    pub(super) fn new(
        parts: WriterParts,
        receiver: Receiver<Message>,
        shared: Arc<Shared>,
    ) -> Result<Self, LoadError> {
        let (root, stamp) = read_root(&parts.records)?.ok_or(LoadError::NotCreated)?;
        if root != parts.root {
            return Err(LoadError::RootDamaged);
        }
        let outbox = Outbox::read(&parts.records, &parts.set_hash)?;
        Ok(Self {
            records: parts.records,
            set_hash: parts.set_hash,
            sink: parts.sink,
            entropy: parts.entropy,
            stamp_change: parts.stamp_change,
            receiver,
            shared,
            root,
            stamp,
            outbox,
            scrub: Scrub::new(),
            waiting: VecDeque::new(),
            settling: Vec::new(),
            stopping: None,
            doubt: None,
        })
    }

    pub(super) fn run(mut self) {
        while self.stopping.is_none() && self.receive() {
            while !self.waiting.is_empty() {
                if self.resolve_doubt() {
                    self.group();
                } else {
                    self.refuse_all(ChangeError::Unavailable);
                }
                self.drain();
            }
            if !self.settling.is_empty() {
                self.clear_logged();
                self.settling.drain(..).for_each(|done| {
                    let _ = done.send(());
                });
            }
        }
        self.clear_logged();
        let stopping = self.stopping.take();
        // lets go of the store before it says so
        drop(self);
        if let Some(done) = stopping {
            let _ = done.send(());
        }
    }

    /// Waits for a message and takes all that are there; `false` when no handle is left.
    fn receive(&mut self) -> bool {
        let message = if self.has_logged() {
            self.receiver.recv_timeout(IDLE)
        } else {
            let message = self.receiver.recv();
            message.map_err(|_| RecvTimeoutError::Disconnected)
        };
        match message {
            Ok(message) => self.handle(message),
            Err(RecvTimeoutError::Timeout) => self.clear_logged(),
            Err(RecvTimeoutError::Disconnected) => return false,
        }
        self.drain();
        true
    }

    fn drain(&mut self) {
        while let Ok(message) = self.receiver.try_recv() {
            self.handle(message);
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Change(change) => {
                self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
                self.waiting.push_back(*change);
            }
            Message::Stop(done) => self.stopping = Some(done),
            Message::Wake => {}
            Message::Settle(done) => self.settling.push(done),
            Message::Scrub(limit, done) => {
                let (records, set_hash) = (&self.records, &self.set_hash);
                let slice = if self.doubt.is_some() {
                    Err(StoreError::Stopped)
                } else {
                    self.scrub.slice(records, set_hash, &self.root, limit)
                };
                // who asked may have gone
                let _ = done.send(slice);
            }
        }
    }

    /// Commits one group of those that wait.
    fn group(&mut self) {
        for _ in 0..ATTEMPTS {
            let mut group = Group::default();
            let Some(plan) = self.plan(&mut group) else {
                fail(group, ChangeError::Unavailable);
                return;
            };
            if group.accepted.is_empty() && plan.folded.written.is_empty() {
                self.answer_refused(group.refused);
                return;
            }
            match self.records.store().transact(plan.transaction) {
                Ok(stamp) => {
                    self.stamp = stamp;
                    self.finish(plan.folded, group.accepted, plan.cleared);
                    self.answer_refused(group.refused);
                    return;
                }
                Err(TransactError::Conflict) => {
                    group.give_back(&mut self.waiting);
                    if let Err(error) = self.reload() {
                        tracing::error!(%error, "the root record cannot be read again");
                        self.refuse_all(ChangeError::Unavailable);
                        return;
                    }
                }
                Err(TransactError::NotApplied(error)) => {
                    tracing::error!(%error, "changes were not committed");
                    fail(group, error.into());
                    return;
                }
                Err(TransactError::Unknown(error)) => {
                    tracing::error!(%error, "it is not known whether changes were committed");
                    self.answer_refused(group.refused);
                    self.stop(plan.folded, group.accepted, plan.cleared);
                    return;
                }
            }
        }
        self.refuse_all(ChangeError::Conflict);
    }

    /// Makes a transaction of the changes in front and of what the log has taken over.
    fn plan(&mut self, group: &mut Group) -> Option<Plan> {
        let root = self.root.clone();
        let (records, set_hash) = (&self.records, &self.set_hash);
        let mut fold = Fold::new(records, set_hash, root, Some(self.stamp), &*self.entropy);
        let rules = Rules {
            held: self.shared.held.load(Ordering::Acquire),
            generation: self.sink.generation(),
            stamp_change: self.stamp_change,
        };
        let gathered = group.gather(&mut fold, &mut self.waiting, rules);
        let mut cleared = 0;
        let logged = self.shared.logged.lock();
        if let Some((change, sequence)) = *logged.unwrap_or_else(PoisonError::into_inner) {
            cleared = change.min(self.root.last_change);
            fold.root.logged_change = fold.root.logged_change.max(cleared);
            fold.root.logged_sequence = fold.root.logged_sequence.max(sequence);
            self.outbox.clear_in(&mut fold, cleared);
        }
        let finished = gathered.and_then(|()| fold.finish());
        match finished {
            Ok((transaction, folded)) => Some(Plan {
                transaction,
                folded,
                cleared,
            }),
            Err(error) => {
                tracing::error!(%error, "changes could not be encrypted");
                None
            }
        }
    }

    /// After the commit: reads back, remembers, hands on.
    fn finish(&mut self, folded: Folded, accepted: Vec<Accepted>, cleared: u64) {
        let mut read = match read_back(&self.records, &folded, &accepted) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "commits stop until a restart");
                self.stop(folded, accepted, cleared);
                return;
            }
        };
        self.root = folded.root.clone();
        self.forget_logged(cleared);
        self.scrub.adjust(&folded.written);
        count(&self.shared.transactions, 1);
        count(&self.shared.changes, accepted.len());
        count(&self.shared.records, folded.written.len());
        let mut committed = Vec::with_capacity(accepted.len());
        for mut accepted in accepted {
            if accepted.number > 0 {
                let parts = std::mem::take(&mut accepted.parts);
                self.outbox.insert(accepted.number, parts);
            }
            committed.push(accepted.commit(&folded, &mut read));
        }
        if !committed.is_empty() {
            self.sink.committed(committed);
        }
    }

    /// Nobody knows what is true: the callers hear so, and nothing is committed until the engine tells.
    fn stop(&mut self, folded: Folded, accepted: Vec<Accepted>, cleared: u64) {
        let forget = |mut accepted: Accepted| {
            let (nobody, _) = oneshot::channel();
            let done = std::mem::replace(&mut accepted.change.done, nobody);
            refuse(done, ChangeError::Unknown);
            accepted
        };
        self.doubt = Some(Doubt {
            folded,
            accepted: accepted.into_iter().map(forget).collect(),
            cleared,
        });
    }

    /// Asks the engine for the truth. What turns out to be committed is handed on; `false` while unknown.
    fn resolve_doubt(&mut self) -> bool {
        let Some(doubt) = self.doubt.take() else {
            return true;
        };
        let before = self.root.revision;
        let known = self.records.store().recover().map_err(LoadError::from);
        match known.and_then(|()| self.reload()) {
            Err(error) => {
                tracing::error!(%error, "it is still not known whether changes were committed");
                self.doubt = Some(doubt);
                return false;
            }
            Ok(()) if self.root == doubt.folded.root => {
                self.finish(doubt.folded, doubt.accepted, doubt.cleared);
            }
            Ok(()) if self.root.revision == before => {}
            // another writer went on from one of the two: nothing here knows which
            Ok(()) => self.doubt = Some(doubt),
        }
        self.scrub = Scrub::new();
        self.doubt.is_none()
    }

    fn reload(&mut self) -> Result<(), LoadError> {
        let (root, stamp) = read_root(&self.records)?.ok_or(LoadError::NotCreated)?;
        (self.root, self.stamp) = (root, stamp);
        Ok(())
    }

    fn has_logged(&self) -> bool {
        let logged = self.shared.logged.lock();
        logged.unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What is now in the root need not be said again.
    fn forget_logged(&mut self, cleared: u64) {
        self.outbox.forget(cleared);
        let logged = self.shared.logged.lock();
        let mut logged = logged.unwrap_or_else(PoisonError::into_inner);
        let (change, sequence) = (self.root.logged_change, self.root.logged_sequence);
        logged.take_if(|logged| logged.0 <= change && logged.1 <= sequence);
    }

    /// A transaction for the outbox alone.
    fn clear_logged(&mut self) {
        if !self.has_logged() || self.doubt.is_some() {
            return;
        }
        let mut group = Group::default();
        let waiting = std::mem::take(&mut self.waiting);
        let plan = self.plan(&mut group);
        self.waiting = waiting;
        let Some(plan) = plan else { return };
        match self.records.store().transact(plan.transaction) {
            Ok(stamp) => {
                self.stamp = stamp;
                self.finish(plan.folded, Vec::new(), plan.cleared);
            }
            Err(TransactError::Unknown(error)) => {
                tracing::error!(%error, "it is not known whether the outbox was cleared");
                self.stop(plan.folded, Vec::new(), plan.cleared);
            }
            Err(error) => tracing::warn!(%error, "the outbox was not cleared"),
        }
    }

    fn answer_refused(&self, refused: Vec<(Change, ChangeError)>) {
        for (change, error) in refused {
            if error == ChangeError::Conflict {
                count(&self.shared.conflicts, 1);
            }
            refuse(change.done, error);
        }
    }

    fn refuse_all(&mut self, error: ChangeError) {
        for change in self.waiting.drain(..) {
            refuse(change.done, error);
        }
    }
}

/// Nothing of the group was written.
fn fail(group: Group, error: ChangeError) {
    for accepted in group.accepted {
        refuse(accepted.change.done, error);
    }
    for (change, error) in group.refused {
        refuse(change.done, error);
    }
}

fn count(counter: &AtomicU64, by: impl TryInto<u64>) {
    counter.fetch_add(by.try_into().unwrap_or(0), Ordering::Relaxed);
}
