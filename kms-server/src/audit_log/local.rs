//! One runtime's way into the log. The committer sends each runtime one message for each group; one task
//! there wakes the calls it concerns, without crossing threads again.

use super::queue::{Job, Reply};
use super::{Appended, AuditLog, AuditUnavailable, Submission, lock};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Outcomes of one group for one runtime: slot and what became of it.
pub(super) type Outcomes = Vec<(usize, Appended)>;

/// The committer's end of a lane.
#[derive(Debug, Clone)]
pub(super) struct Lane(UnboundedSender<Outcomes>);

impl Lane {
    /// One message, one wake-up. A runtime that is gone waits for nothing.
    pub(super) fn send(&self, outcomes: Outcomes) {
        let _ = self.0.send(outcomes);
    }
}

#[derive(Debug)]
enum Slot {
    Free,
    Waiting(Option<Waker>),
    Done(Appended),
    /// The call was dropped; its entry is still written.
    Abandoned,
}

#[derive(Debug, Default)]
struct Slots {
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// No outcome will come any more.
    over: bool,
}

/// A runtime's handle. Used on the runtime on which it was made; its lock is then never contended.
#[derive(Debug)]
pub struct LocalAudit {
    log: AuditLog,
    lane: usize,
    slots: Arc<Mutex<Slots>>,
}

impl LocalAudit {
    pub(super) fn start(log: AuditLog) -> Self {
        let (sender, receiver) = unbounded_channel();
        let slots = Arc::new(Mutex::new(Slots::default()));
        let lane = {
            let mut lanes = lock(&log.shared.lanes);
            lanes.push(Lane(sender));
            lanes.len() - 1
        };
        tokio::spawn(deliver(receiver, Arc::clone(&slots)));
        Self { log, lane, slots }
    }

    /// Appends; ready when durable. It is under way from the call on: dropping the future cancels nothing.
    pub fn append(&self, submission: Submission) -> Appending {
        let slot = lock(&self.slots).occupy();
        let reply = Reply::Local {
            lane: self.lane,
            slot,
        };
        if !self.log.shared.queue.push(Job { submission, reply }) {
            lock(&self.slots).settle(slot, Err(AuditUnavailable));
        }
        Appending {
            slots: Arc::clone(&self.slots),
            slot: Some(slot),
        }
    }

    /// Slots ever needed at once.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        lock(&self.slots).slots.len()
    }

    /// The log behind it.
    #[must_use]
    pub const fn log(&self) -> &AuditLog {
        &self.log
    }
}

/// Waits for one submission's outcome.
#[derive(Debug)]
#[must_use = "nothing may be answered before it is ready"]
pub struct Appending {
    slots: Arc<Mutex<Slots>>,
    slot: Option<usize>,
}

impl Future for Appending {
    type Output = Appended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Appended> {
        let Some(slot) = self.slot else {
            return Poll::Ready(Err(AuditUnavailable));
        };
        let taken = lock(&self.slots).poll(slot, context);
        if taken.is_ready() {
            self.slot = None;
        }
        taken
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            lock(&self.slots).abandon(slot);
        }
    }
}

async fn deliver(mut receiver: UnboundedReceiver<Outcomes>, slots: Arc<Mutex<Slots>>) {
    let mut wakers = Vec::new();
    while let Some(outcomes) = receiver.recv().await {
        {
            let mut slots = lock(&slots);
            wakers.extend(
                outcomes
                    .into_iter()
                    .filter_map(|(slot, appended)| slots.settle(slot, appended)),
            );
        }
        wakers.drain(..).for_each(Waker::wake);
    }
    let wakers = lock(&slots).end();
    wakers.into_iter().for_each(Waker::wake);
}

impl Slots {
    fn occupy(&mut self) -> usize {
        if let Some(slot) = self.free.pop() {
            self.set(slot, Slot::Waiting(None));
            return slot;
        }
        self.slots.push(Slot::Waiting(None));
        self.slots.len() - 1
    }

    fn set(&mut self, slot: usize, to: Slot) -> Slot {
        self.slots
            .get_mut(slot)
            .map_or(Slot::Free, |slot| std::mem::replace(slot, to))
    }

    fn release(&mut self, slot: usize) {
        self.set(slot, Slot::Free);
        self.free.push(slot);
    }

    fn settle(&mut self, slot: usize, appended: Appended) -> Option<Waker> {
        match self.set(slot, Slot::Done(appended)) {
            Slot::Waiting(waker) => waker,
            Slot::Abandoned => {
                self.release(slot);
                None
            }
            // a second outcome for one slot does not happen; the first one stands
            before => {
                self.set(slot, before);
                None
            }
        }
    }

    fn poll(&mut self, slot: usize, context: &Context<'_>) -> Poll<Appended> {
        match self.slots.get_mut(slot) {
            Some(Slot::Done(appended)) => {
                let appended = *appended;
                self.release(slot);
                Poll::Ready(appended)
            }
            Some(Slot::Waiting(waker)) if !self.over => {
                match waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    None => *waker = Some(context.waker().clone()),
                }
                Poll::Pending
            }
            _ => Poll::Ready(Err(AuditUnavailable)),
        }
    }

    fn abandon(&mut self, slot: usize) {
        match self.set(slot, Slot::Abandoned) {
            Slot::Done(_) => self.release(slot),
            Slot::Waiting(_) => {}
            before => {
                self.set(slot, before);
            }
        }
    }

    fn end(&mut self) -> Vec<Waker> {
        self.over = true;
        self.slots
            .iter_mut()
            .filter_map(|slot| match slot {
                Slot::Waiting(waker) => waker.take(),
                _ => None,
            })
            .collect()
    }
}
