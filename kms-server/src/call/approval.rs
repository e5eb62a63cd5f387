//! Where calls wait for the word of others, and the RPCs of `ApprovalService`. Nothing here executes anything: the
//! requester makes the call again, on the one road, and brings the approval along.

pub(super) mod listing;
mod render;
pub(super) mod roster;
pub(super) mod vote;

use super::Service;
use super::operation::Marked;
use super::ticket::Ticket;
use crate::live::Live;
use kms_core::audit::ApprovalFacts;
use kms_core::engine::approval::gate::Gated;
use kms_core::engine::approval::{Asked, gate};
use kms_core::engine::{Decision, Moment, Refusal, Snapshot, View};
use kms_core::key::record::ApprovalState;
use kms_core::name::ApprovalId;
use kms_core::policy::Action;
use std::sync::Arc;

/// Name of the alarm that notices do not arrive.
const NOTICES: &str = "notices";

impl Service {
    /// Lets a decision through, or makes it wait for others.
    ///
    /// # Errors
    /// As the engine refuses.
    pub(super) fn gated<R>(
        &self,
        live: &Live,
        ticket: &Ticket<'_>,
        (view, moment): (&View<'_>, &Moment<'_>),
        asked: Option<(Marked, Vec<u8>)>,
        decision: Decision<R>,
    ) -> Result<Gated<R>, Refusal> {
        let Some((marked, request)) = asked else {
            return Ok(Decision {
                reply: Ok(decision.reply),
                facts: decision.facts,
                change: decision.change,
            });
        };
        let asked = Asked {
            action: marked.action,
            method: ticket.method,
            request: &request,
            etag: marked.etag,
            requester: &ticket.principal.name,
            policy: ticket.policy.get(),
            origin: self.audit.origin(),
            instance: live.keys.instance.public().fingerprint().0,
            approval: ticket.approval,
        };
        gate(view, moment, &self.rules, &asked, decision)
    }

    /// Tells people of an approval that was asked for, ended or used.
    pub(super) fn announce<R>(
        &self,
        ticket: &Ticket<'_>,
        snapshot: &Snapshot,
        word: Option<&ApprovalFacts>,
        reply: &Result<R, Refusal>,
    ) {
        let asked = reply.as_ref().err().and_then(|refusal| refusal.approval);
        let (event, id) = match (asked, word, ticket.action) {
            (Some(id), ..) => ("requested", id),
            (None, Some(word), Action::Approve) => ("signed", word.id),
            (None, Some(word), Action::RejectApproval) => {
                let kept = snapshot.approvals.get(word.id);
                let open = kept.is_some_and(|kept| kept.record.state == ApprovalState::Open);
                (if open { "objected to" } else { "rejected" }, word.id)
            }
            (None, Some(word), Action::CancelApproval) => ("cancelled", word.id),
            (None, Some(word), _) => ("used", word.id),
            (None, None, _) => return,
        };
        self.tell_of(event, snapshot, id);
    }

    /// [`Service::announce`] where the decision's facts are no longer at hand.
    pub(super) fn tell_of_use<R>(
        &self,
        ticket: &Ticket<'_>,
        snapshot: &Snapshot,
        reply: &Result<R, Refusal>,
    ) {
        match (reply, ticket.approval) {
            (Ok(_), Some(id)) => self.tell_of("used", snapshot, id),
            _ => self.announce(ticket, snapshot, None, reply),
        }
    }

    /// See [`Service::announce`].
    pub(super) fn tell_of(&self, event: &str, snapshot: &Snapshot, id: ApprovalId) {
        let Some(kept) = snapshot.approvals.get(id) else {
            return;
        };
        let record = &kept.record;
        let notice = serde_json::json!({
            "event": format!("approval {event}"),
            "approval": format!("approvals/{id}"),
            "action": record.action.as_str(),
            "requester": record.requester.as_str(),
            "requested_at_micros": record.requested_at.as_micros(),
            "ready_at_micros": record.ready_at.map(|at| at.as_micros()),
            "expires_at_micros": record.expires_at.as_micros(),
        });
        let (notices, gate) = (self.notices.clone(), Arc::clone(&self.gate));
        tokio::spawn(async move {
            let told = notices.tell(notice.to_string()).await;
            let Some(live) = gate.live() else { return };
            if told {
                live.alarms.clear(NOTICES);
            } else {
                live.alarms
                    .raise(NOTICES, "a notice did not arrive: people are not told");
            }
        });
    }
}
