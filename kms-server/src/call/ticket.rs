//! One call on the road: its identity, and that it gets exactly one entry. A call that is dropped before it
//! was logged (deadline, caller gone) is logged by its ticket.

use super::lane::Lane;
use super::operation::Refused;
use super::scribe::Author;
use super::{Service, scribe};
use crate::audit_log::{Submission, UsageMark};
use crate::identity::Connection;
use crate::live::Live;
use crate::store::ChangeError;
use kms_core::audit::leaf::Coordinates;
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::Refusal;
use kms_core::name::CallId;
use kms_core::policy::{Action, Principal};
use kms_core::reason::Reason;

/// See the module.
pub(super) struct Ticket<'a> {
    pub id: CallId,
    pub at: Coordinates,
    pub principal: &'a Principal,
    pub person: bool,
    pub connection: Option<&'a Connection>,
    pub trace: Option<[u8; 16]>,
    /// The method's name; page tokens belong to it.
    pub method: &'static str,
    /// What it turned out to be.
    pub action: Action,
    pub service: &'a Service,
    pub lane: &'a Lane,
    /// Its entry is under way.
    pub is_logged: bool,
}

impl Ticket<'_> {
    /// For the entry.
    pub(super) fn author(&self) -> Author<'_> {
        Author {
            id: self.id,
            at: self.at,
            principal: Some(self.principal),
            person: self.person,
            connection: self.connection,
            trace: self.trace,
        }
    }

    /// The entry goes with a change that was handed in.
    pub(super) const fn logged(&mut self) {
        self.is_logged = true;
    }

    /// The change did not happen.
    pub(super) const fn not_logged(&mut self) {
        self.is_logged = false;
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

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.is_logged {
            return;
        }
        let detail = Detail::new(Outcome::Refused(Reason::DeadlineExceeded));
        let facts = Facts::single(self.action, detail);
        let live = self.service.gate.live();
        let keys = self.service.scribe.keys(live.as_deref(), self.at);
        let author = self.author();
        if let Ok(leaves) = self.service.scribe.leaves(&author, &facts, &keys) {
            drop(self.lane.audit.append(Submission {
                leaves,
                usage: Vec::new(),
                space: author.space(),
            }));
        }
    }
}

impl Service {
    /// Logs a refusal; what the caller is told when that is durable.
    pub(super) async fn refuse(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        live: Option<&Live>,
        refused: Refused,
    ) -> Refusal {
        let facts = Facts::single(ticket.action, refused.detail);
        match self.log(lane, ticket, live, &facts).await {
            Ok(()) => refused.refusal,
            Err(refusal) => refusal,
        }
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
        ticket.not_logged();
        self.refuse(lane, ticket, Some(live), reason.into()).await
    }
}
