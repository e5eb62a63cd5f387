//! A way back in when every device is lost: whoever has the recovery passphrase lets one operator enrol anew. A day
//! passes first, everybody is told, and any operator who can still log in stops it: alone once, then with another. So
//! neither the passphrase nor one ill colleague has the last word against two others.

use super::gate::{Asked, Gated, pending, record, used, waiting};
use super::key::wait_again;
use crate::audit::{Detail, Facts, Outcome};
use crate::engine::index::operator_key;
use crate::engine::operator::administration::{Token, make_token, newcomer};
use crate::engine::operator::roles_note;
use crate::engine::view::{Change, Decision, Moment, Refusal, View};
use crate::key::record::{ApprovalRecord, Expect, OperatorState, Record, Vote, Write};
use crate::name::{ApprovalId, OperatorName};
use crate::policy::approval::{LIFE_DEFAULT, OBJECTION, WAITING, WAITING_AGAIN};
use crate::policy::{Action, ApprovalRules, Authorised, Role, Roles, act};
use crate::reason::Reason;
use crate::time::Timestamp;

/// Asks for it, or, with its approval and after the delay, does it: answers an enrolment token.
///
/// # Errors
/// As [`mod@super::gate`]; DENIED for a removed operator, whose name stays taken.
pub fn recover(
    view: &View<'_>,
    moment: &Moment<'_>,
    _proof: &Authorised<act::RecoverOperator>,
    name: &OperatorName,
    asked: &Asked<'_>,
) -> Result<Gated<Token>, Refusal> {
    let mut detail = Detail::new(Outcome::Ok);
    detail.personal = vec![("operator".into(), name.as_str().into())];
    detail.subject = Some(name.principal());
    let rules = ApprovalRules::default();
    let Some(id) = asked.approval else {
        if let Some(kept) = pending(view, asked, &rules, moment.now) {
            return Err(Refusal::pending(kept.record.id));
        }
        let refused_lately = objections(view, moment.now).next().is_some();
        let wait = if refused_lately {
            WAITING_AGAIN
        } else {
            WAITING
        };
        let record = record(view, moment, asked, (0, LIFE_DEFAULT, Some(wait)))?;
        return Ok(waiting(Action::RecoverOperator, record, detail));
    };
    let (token, writes, note) = let_in(view, moment, name)?;
    detail.note = note.into();
    let decision = Decision {
        reply: token,
        facts: Facts::single(Action::RecoverOperator, detail),
        change: Some(Change {
            writes,
            restricts: true,
        }),
    };
    used(view, moment, &rules, (asked, id), decision)
}

/// Who said no to a recovery lately, and to which.
fn objections<'a>(
    view: &View<'a>,
    now: Timestamp,
) -> impl Iterator<Item = (ApprovalId, &'a OperatorName)> {
    let all = view.snapshot.approvals.after(None);
    let recoveries = all.filter(|kept| kept.record.action == Action::RecoverOperator);
    recoveries.flat_map(move |kept| {
        let lately = move |no: &&Vote| now < no.at.saturating_add(OBJECTION);
        let objections = kept.record.votes.iter().filter(lately);
        objections.map(|no| (kept.record.id, &no.operator))
    })
}

/// Somebody's no to a recovery, in its record: whether that ends it. Of whoever said no to another one lately, only
/// together with somebody else's.
///
/// # Errors
/// VOTE_REFUSED for a second no to the same one.
pub(super) fn object(
    view: &View<'_>,
    record: &mut ApprovalRecord,
    who: &OperatorName,
    now: Timestamp,
) -> Result<bool, Reason> {
    if record.votes.iter().any(|no| no.operator == *who) {
        return Err(Reason::VoteRefused);
    }
    let mut elsewhere = objections(view, now).filter(|(id, _)| *id != record.id);
    let ends = !record.votes.is_empty() || elsewhere.all(|(_, name)| name != who);
    record.votes.push(Vote {
        operator: who.clone(),
        key: Box::default(),
        signature: Box::default(),
        at: now,
    });
    Ok(ends)
}

/// The operator as one who may enrol, with a new password and authenticator, and who administers operators.
fn let_in(
    view: &View<'_>,
    moment: &Moment<'_>,
    name: &OperatorName,
) -> Result<(Token, Vec<Write>, String), Refusal> {
    let (token, enrolment) =
        make_token(view.index, moment.now, moment.keys, name).map_err(Reason::from)?;
    let old = view.snapshot.operators.get(name);
    let mut record = match old {
        Some(old) if matches!(old.record.state, OperatorState::Removed { .. }) => {
            return Err(Reason::Denied.into());
        }
        Some(old) => old.record.duplicate(),
        None => newcomer(name.clone(), moment.now),
    };
    let before = record.roles;
    record.roles |= Roles::of(&[Role::SecurityAdmin]).bits();
    let note = roles_note(record.roles, Some(before));
    record.state = OperatorState::Enabled;
    // who was one of the team stays one
    record.last_step = record.last_step.max(u64::from(record.was_enrolled()));
    record.password = None;
    record.totp = None;
    record.recovery.clear();
    record.enrolment = Some(enrolment);
    record.generation = record.generation.saturating_add(1);
    record.unlocks = record.unlocks.saturating_add(1);
    record.recovered_at = Some(view.latest(moment.now));
    let mut writes = vec![Write {
        key: operator_key(view.index, name),
        expect: old.map_or(Expect::Absent, |old| Expect::Unchanged(old.revision)),
        record: Some(Record::Operator(record)),
    }];
    writes.extend(wait_again(view, name, moment.now));
    Ok((token, writes, note))
}
