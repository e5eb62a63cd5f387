//! Where a marked call waits. It was allowed and would be done; without the word of others nothing of it is, but
//! a pending approval. With it, that approval is used in the very transaction that does it.

use super::roster::{delay, rules};
use super::standing::{Standing, counting, standing};
use super::statement::{REQUEST_MAX, Statement};
use super::{facts_of, note, replacing};
use crate::audit::{Detail, Facts, Outcome};
use crate::engine::snapshot::Kept;
use crate::engine::view::{Change, Decision, Moment, Refusal, View};
use crate::entropy::make_bytes;
use crate::key::record::{ApprovalRecord, ApprovalState, Expect, Record, RecordKey, Write};
use crate::name::{ApprovalId, PrincipalName};
use crate::policy::{Action, ApprovalRules};
use crate::reason::Reason;
use crate::time::Timestamp;

/// Most approvals that one requester may leave open.
pub const OPEN_MAX: usize = 32;

/// A call as its approvers would see it.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What it does.
    pub action: Action,
    /// The RPC's name.
    pub method: &'a str,
    /// The request, decoded and encoded again.
    pub request: &'a [u8],
    /// Stands for what it would change.
    pub etag: [u8; 32],
    /// Who makes it.
    pub requester: &'a PrincipalName,
    /// Generation of the policy that allowed it.
    pub policy: u64,
    /// Of the audit log.
    pub origin: &'a str,
    /// SHA-256 of the instance's public key.
    pub instance: [u8; 32],
    /// The approval that it brings.
    pub approval: Option<ApprovalId>,
}

impl Asked<'_> {
    /// What is signed of it under this name and these times.
    fn statement(&self, id: ApprovalId, requested_at: Timestamp, expires_at: Timestamp) -> Vec<u8> {
        let statement = Statement {
            id,
            origin: self.origin,
            instance: self.instance,
            action: self.action,
            method: self.method,
            request: self.request,
            etag: self.etag,
            requester: self.requester,
            policy: self.policy,
            requested_at,
            expires_at,
        };
        statement.encode()
    }

    /// Whether `record` is about this very call as it stands now.
    fn is_of(&self, record: &ApprovalRecord) -> bool {
        record.action == self.action
            && record.requester == *self.requester
            && *record.statement
                == *self.statement(record.id, record.requested_at, record.expires_at)
    }
}

/// What was decided, unless others must approve it first: then a pending approval, and the refusal that names it.
pub type Gated<R> = Decision<Result<R, Refusal>>;

/// Lets a decision through, or makes it wait. `configured` are the rules before a roster is declared.
///
/// # Errors
/// APPROVAL_REQUIRED for a pending one that is not ready; APPROVAL_MISMATCH, APPROVAL_OVER; DENIED for an unknown
/// one or somebody else's; RESOURCE_EXHAUSTED with too many open; INVALID_ARGUMENT for a request that is too long.
pub fn gate<R>(
    view: &View<'_>,
    moment: &Moment<'_>,
    configured: &ApprovalRules,
    asked: &Asked<'_>,
    decision: Decision<R>,
) -> Result<Gated<R>, Refusal> {
    let rules = rules(view, configured, moment.now);
    let marked = rules.required(asked.action);
    let (Some(required), Some(_)) = (marked, &decision.change) else {
        return Ok(passed(decision));
    };
    if let Some(id) = asked.approval {
        return used(view, moment, &rules, (asked, id), decision);
    }
    let action = decision.facts.action;
    let about = decision.facts.details.into_iter().next();
    let about = about.unwrap_or_else(|| Detail::new(Outcome::Ok));
    if let Some(kept) = pending(view, asked, &rules, moment.now) {
        return Err(Refusal::pending(kept.record.id));
    }
    let asking = (asked.action, asked.requester);
    let delay = delay(view, &rules, asking, moment.now);
    let record = record(view, moment, asked, (required.get(), rules.life, delay))?;
    Ok(waiting(action, record, about))
}

fn passed<R>(decision: Decision<R>) -> Gated<R> {
    Decision {
        reply: Ok(decision.reply),
        facts: decision.facts,
        change: decision.change,
    }
}

/// The same call of the same person, waiting already.
pub(super) fn pending<'a>(
    view: &View<'a>,
    asked: &Asked<'_>,
    rules: &ApprovalRules,
    now: Timestamp,
) -> Option<&'a Kept<ApprovalRecord>> {
    let mut all = view.snapshot.approvals.after(None);
    all.find(|kept| {
        asked.is_of(&kept.record) && standing(view, rules, &kept.record, now) != Standing::Over
    })
}

/// A new approval of what is asked: so many approvers, so long a life, and a delay where one stands in for them.
///
/// # Errors
/// RESOURCE_EXHAUSTED, INVALID_ARGUMENT, INTERNAL.
pub(super) fn record(
    view: &View<'_>,
    moment: &Moment<'_>,
    asked: &Asked<'_>,
    (required, life, delay): (u8, std::time::Duration, Option<std::time::Duration>),
) -> Result<ApprovalRecord, Refusal> {
    if asked.request.len() > REQUEST_MAX {
        return Err(Refusal::field(
            "request",
            "at most 56 KiB where others must approve",
        ));
    }
    let all = view.snapshot.approvals.after(None);
    let own = all.filter(|kept| {
        kept.record.requester == *asked.requester && kept.record.state == ApprovalState::Open
    });
    if own
        .filter(|kept| !super::standing::is_expired(view, &kept.record, moment.now))
        .count()
        >= OPEN_MAX
    {
        return Err(Reason::ResourceExhausted.into());
    }
    let id = ApprovalId(make_bytes(moment.keys).map_err(Reason::from)?);
    let from = view.latest(moment.now);
    let ready_at = delay.map(|delay| from.saturating_add(delay));
    let expires_at = ready_at.unwrap_or(from).saturating_add(life);
    Ok(ApprovalRecord {
        id,
        action: asked.action,
        requester: asked.requester.clone(),
        statement: asked.statement(id, moment.now, expires_at).into(),
        required,
        requested_at: moment.now,
        ready_at,
        expires_at,
        votes: Vec::new(),
        state: ApprovalState::Open,
        ended: Box::default(),
    })
}

/// Nothing is done but that the approval waits.
pub(super) fn waiting<R>(action: Action, record: ApprovalRecord, about: Detail) -> Gated<R> {
    let id = record.id;
    let detail = Detail {
        outcome: Outcome::Refused(Reason::ApprovalRequired),
        note: note(id).into(),
        ..about
    };
    Decision {
        reply: Err(Refusal::pending(id)),
        facts: Facts::single(action, detail),
        change: Some(Change {
            writes: vec![Write {
                key: RecordKey::approval(id),
                expect: Expect::Absent,
                record: Some(Record::Approval(record)),
            }],
            restricts: false,
        }),
    }
}

/// The call with its approval used, if that is of this call, open, and enough.
pub(super) fn used<R>(
    view: &View<'_>,
    moment: &Moment<'_>,
    rules: &ApprovalRules,
    (asked, id): (&Asked<'_>, ApprovalId),
    mut decision: Decision<R>,
) -> Result<Gated<R>, Refusal> {
    let kept = super::known(view, id)?;
    if kept.record.requester != *asked.requester {
        return Err(Reason::Denied.into());
    }
    match standing(view, rules, &kept.record, moment.now) {
        Standing::Over => return Err(Reason::ApprovalOver.into()),
        _ if !asked.is_of(&kept.record) => return Err(Reason::ApprovalMismatch.into()),
        Standing::Waiting => return Err(Refusal::pending(id)),
        Standing::Ready => {}
    }
    let votes = counting(view, &kept.record, moment.now);
    let signatures = votes.iter().map(|vote| &*vote.signature);
    decision.facts.approval = Some(facts_of(&kept.record, signatures));
    let mut record = ApprovalRecord::clone(&kept.record);
    record.state = ApprovalState::Used { at: moment.now };
    let change = decision.change.get_or_insert_default();
    change.writes.push(replacing(kept, record));
    Ok(passed(decision))
}
