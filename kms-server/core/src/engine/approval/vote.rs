//! What people do with a pending approval: sign it, say no to it, take it back.

use super::recovery::object;
use super::standing::{counting, counts, is_expired};
use super::{changed, known, operator};
use crate::cipher::sha256;
use crate::cipher::ssh_signature::SignerKey;
use crate::engine::snapshot::Kept;
use crate::engine::view::{Decision, Moment, Refusal, View};
use crate::key::record::{ApprovalRecord, ApprovalState, VOTES_MAX, Vote};
use crate::name::{ApprovalId, ReasonText};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::time::Timestamp;

/// One that may still be signed or ended.
fn open<'a>(
    view: &View<'a>,
    id: ApprovalId,
    now: Timestamp,
) -> Result<&'a Kept<ApprovalRecord>, Reason> {
    let kept = known(view, id)?;
    if kept.record.state != ApprovalState::Open || is_expired(view, &kept.record, now) {
        return Err(Reason::ApprovalOver);
    }
    Ok(kept)
}

/// Adds a signature.
///
/// # Errors
/// DENIED where there is no such approval; APPROVAL_OVER; VOTE_REFUSED for one's own request, a second vote, a
/// recovery, and a key that is not enrolled or does not count yet; SIGNATURE_REFUSED.
pub fn approve(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<act::Approve>,
    id: ApprovalId,
    (key, signature): (&SignerKey, &[u8]),
) -> Result<Decision<ApprovalId>, Refusal> {
    let old = open(view, id, moment.now)?;
    let name = operator(proof.principal())?;
    let own = old.record.requester == *proof.principal();
    let standing = counting(view, &old.record, moment.now);
    let again = standing.iter().any(|vote| vote.operator == name);
    // who said no to a recovery stands in its record; a yes hastens none
    let recovery = old.record.action == Action::RecoverOperator;
    if own || again || recovery || !counts(view, &name, key.blob(), moment.now) {
        return Err(Reason::VoteRefused.into());
    }
    let message = sha256(&[&old.record.statement]);
    if key.verify(&message, signature).is_err() {
        return Err(Reason::SignatureRefused.into());
    }
    let mut record = ApprovalRecord::clone(&old.record);
    // one that no longer counts makes room for one that does
    record.votes.retain(|vote| vote.operator != name);
    if record.votes.len() >= VOTES_MAX {
        return Err(Reason::ResourceExhausted.into());
    }
    record.votes.push(Vote {
        operator: name,
        key: key.blob().into(),
        signature: signature.into(),
        at: moment.now,
    });
    let signed = (Some(signature), false);
    Ok(changed(Action::Approve, old, record, signed))
}

/// Says no, which is final; to a recovery, once: see [`mod@super::recovery`].
///
/// # Errors
/// DENIED where there is no such approval, and for one's own: that is cancelled; APPROVAL_OVER; VOTE_REFUSED for a
/// second no to the same recovery.
pub fn reject(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<act::RejectApproval>,
    id: ApprovalId,
    why: &ReasonText,
) -> Result<Decision<ApprovalId>, Refusal> {
    let old = open(view, id, moment.now)?;
    if old.record.requester == *proof.principal() {
        return Err(Reason::Denied.into());
    }
    let mut record = ApprovalRecord::clone(&old.record);
    let recovery = record.action == Action::RecoverOperator;
    let who = operator(proof.principal())?;
    let said = format!("{}: {}", proof.principal().as_str(), why.as_str());
    record.ended = match &*record.ended {
        "" => said.into(),
        before => format!("{before}; {said}").into(),
    };
    if recovery && !object(view, &mut record, &who, moment.now)? {
        return Ok(changed(Action::RejectApproval, old, record, (None, false)));
    }
    record.state = ApprovalState::Rejected { at: moment.now };
    Ok(changed(Action::RejectApproval, old, record, (None, true)))
}

/// Takes one's own request back, which is final.
///
/// # Errors
/// DENIED where there is no such approval of one's own; APPROVAL_OVER.
pub fn cancel(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<act::CancelApproval>,
    id: ApprovalId,
) -> Result<Decision<ApprovalId>, Refusal> {
    let old = known(view, id)?;
    if old.record.requester != *proof.principal() {
        return Err(Reason::Denied.into());
    }
    let old = open(view, id, moment.now)?;
    let mut record = ApprovalRecord::clone(&old.record);
    record.state = ApprovalState::Cancelled { at: moment.now };
    record.ended = proof.principal().as_str().into();
    Ok(changed(Action::CancelApproval, old, record, (None, true)))
}
