//! One call on the road: its identity, and that it gets exactly one entry. A call that is dropped before it
//! was logged (deadline, caller gone) is logged by its ticket.

use super::lane::Lane;
use super::operation::{Refused, Shown};
use super::scribe::Author;
use super::{Service, dry_run, scribe};
use crate::audit_log::{Submission, UsageMark};
use crate::identity::Connection;
use crate::live::state::Held;
use crate::live::submitting::Submitting;
use crate::live::{Live, Submitted};
use crate::store::ChangeError;
use kms_core::audit::leaf::Coordinates;
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::{Change, Refusal};
use kms_core::name::{ApprovalId, CallId, OperatorName};
use kms_core::policy::{Action, Circumstances, Decide, Principal};
use kms_core::reason::Reason;
use std::cell::Cell;
use std::sync::Arc;

/// See the module.
pub(super) struct Ticket<'a> {
    pub id: CallId,
    pub at: Coordinates,
    pub principal: &'a Principal,
    pub connection: Option<&'a Connection>,
    pub trace: Option<[u8; 16]>,
    /// Keyed hash of the enrolment token that it came with.
    pub enrolment: Option<[u8; 32]>,
    /// The operator whose session speaks, and the generation that it was opened in.
    pub session: Option<(OperatorName, u32)>,
    /// The method's name; page tokens belong to it.
    pub method: &'static str,
    /// What it turned out to be.
    pub action: Action,
    pub service: &'a Service,
    pub lane: &'a Lane,
    /// The approval that it brings.
    pub approval: Option<ApprovalId>,
    /// The generation of policies that was asked; 0: none yet.
    pub policy: Cell<u64>,
    /// Nothing of it is to be done.
    pub dry_run: bool,
    /// Its entry is under way.
    pub is_logged: bool,
    /// Its change, which brings the entry or leaves it to be written.
    pub handed_in: Option<Submitting>,
}

impl Ticket<'_> {
    /// For the entry.
    pub(super) fn author(&self) -> Author<'_> {
        Author {
            id: self.id,
            at: self.at,
            principal: Some(self.principal),
            person: self.principal.is_person(),
            connection: self.connection,
            trace: self.trace,
            policy: self.policy.get(),
        }
    }

    /// The one who decides, whose number its entry will bear.
    pub(super) fn deciding<'d>(&self, decide: &'d dyn Decide) -> &'d dyn Decide {
        self.policy.set(decide.revision());
        decide
    }

    /// What the caller shows.
    pub(super) fn shown(&self) -> Shown {
        let presented = self.connection.and_then(Connection::presented);
        Shown {
            certificate: presented.map(|presented| *presented.sha256()),
            enrolment: self.enrolment,
        }
    }

    /// Where from and when.
    pub(super) fn circumstances(&self) -> Circumstances {
        Circumstances {
            source: self.connection.map(|connection| connection.peer().ip()),
            now: self.at.time,
        }
    }

    /// Appends the call's leaves; ready when they are durable.
    ///
    /// # Errors
    /// AUDIT_UNAVAILABLE: nothing may be handed out.
    pub(super) async fn append(
        &mut self,
        lane: &Lane,
        leaves: Vec<Vec<u8>>,
        usage: Vec<UsageMark>,
    ) -> Result<(), Refusal> {
        self.is_logged = true;
        let appended = lane.audit.append(Submission {
            leaves,
            usage,
            space: self.author().space(),
        });
        appended
            .await
            .map(drop)
            .map_err(|_| Reason::AuditUnavailable.into())
    }
}

/// A change that is ready to be committed.
pub(super) struct Decided {
    pub change: Change,
    /// The call's entries.
    pub leaves: Vec<Vec<u8>>,
    pub usage: Vec<UsageMark>,
    /// Of the snapshot that it was decided on.
    pub generation: u64,
}

impl Ticket<'_> {
    /// Hands a change in and waits until it is committed, logged and visible. Gives back the snapshot that
    /// must be held until the answer is made; a restriction lets go of it first, it would wait for itself.
    ///
    /// # Errors
    /// [`ChangeError`]; after anything but `Unknown` the call still needs an entry.
    pub(super) async fn hand_in(
        &mut self,
        live: &Live,
        decided: Decided,
        held: Arc<Held>,
    ) -> Result<Option<Arc<Held>>, ChangeError> {
        // what is committed must be logged: without room for the entry it is not begun
        if !self.lane.audit.log().has_room_for(self.author().space()) {
            return Err(ChangeError::Held);
        }
        let restricts = decided.change.restricts;
        let held = (!restricts).then_some(held);
        let submitting = self.handed_in.insert(live.submit(Submitted {
            id: self.id,
            writes: decided.change.writes,
            leaves: decided.leaves,
            generation: decided.generation,
            restricts,
            usage: decided.usage,
        }));
        let end = submitting.await;
        self.handed_in = None;
        self.is_logged = matches!(end, Ok(_) | Err(ChangeError::Unknown));
        end.map(|_| held)
    }

    /// The entry of a call that was dropped.
    fn dropped(&self) -> Option<Submission> {
        let detail = Detail::new(Outcome::Refused(Reason::DeadlineExceeded));
        let facts = Facts::single(self.action, detail);
        let live = self.service.gate.live();
        let keys = self.service.scribe.keys(live.as_deref(), self.at);
        let author = self.author();
        let leaves = self.service.scribe.leaves(&author, &facts, &keys).ok()?;
        Some(Submission {
            leaves,
            usage: Vec::new(),
            space: author.space(),
        })
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.is_logged {
            return;
        }
        let entry = self.dropped();
        match self.handed_in.take() {
            Some(change) => change.see_out(self.lane.audit.log().clone(), entry),
            None => drop(entry.map(|entry| self.lane.audit.append(entry))),
        }
    }
}

impl Service {
    /// Logs a refusal; what the caller is told when that is durable. Boxed: most calls do not need it, and
    /// their futures stay small.
    pub(super) fn refuse<'a>(
        &'a self,
        lane: &'a Lane,
        ticket: &'a mut Ticket<'_>,
        live: Option<&'a Live>,
        mut refused: Refused,
    ) -> impl Future<Output = Refusal> + 'a {
        Box::pin(async move {
            if ticket.dry_run {
                dry_run::mark(&mut refused.detail);
            }
            let facts = Facts::single(ticket.action, *refused.detail);
            match self.log(lane, ticket, live, &facts).await {
                Ok(()) => refused.refusal,
                Err(refusal) => refusal,
            }
        })
    }

    /// Logs a call that changed nothing.
    ///
    /// # Errors
    /// AUDIT_UNAVAILABLE: nothing may be handed out.
    pub(super) async fn log(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        live: Option<&Live>,
        facts: &Facts,
    ) -> Result<(), Refusal> {
        let keys = self.scribe.keys(live, ticket.at);
        let leaves = self.scribe.leaves(&ticket.author(), facts, &keys)?;
        let held = live.map(|live| live.state.hold());
        let snapshot = held.as_deref().map(|held| &held.snapshot);
        self.scribe
            .introduce(lane, &ticket.author(), facts, snapshot, &keys);
        drop(held);
        ticket
            .append(lane, leaves, scribe::usage(facts, ticket.at))
            .await
    }

    /// A change that did not take effect, or nobody knows. In the latter case its entry, if it is in the
    /// outbox, will be logged under the same id.
    pub(super) async fn not_committed(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        live: &Live,
        error: ChangeError,
    ) -> Refusal {
        let reason = match error {
            ChangeError::Conflict => Reason::Conflict,
            ChangeError::Held => Reason::AuditUnavailable,
            ChangeError::Full | ChangeError::Unavailable => Reason::StoreUnavailable,
            ChangeError::Unknown => return Reason::OutcomeUnknown.into(),
        };
        self.refuse(lane, ticket, Some(live), reason.into()).await
    }
}
