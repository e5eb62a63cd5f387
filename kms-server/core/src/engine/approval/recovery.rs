//! A way back in when every device is lost: whoever has the recovery passphrase lets one operator enrol anew. A day
//! passes first, everybody is told, and any operator who can still log in stops it.

use super::gate::{Asked, Gated, pending, record, used, waiting};
use super::key::wait_again;
use crate::audit::{Detail, Facts, Outcome};
use crate::engine::index::operator_key;
use crate::engine::operator::administration::{Token, make_token, newcomer};
use crate::engine::operator::roles_note;
use crate::engine::view::{Change, Decision, Moment, Refusal, View};
use crate::key::record::{Expect, OperatorState, Record, Write};
use crate::name::OperatorName;
use crate::policy::approval::{LIFE_DEFAULT, WAITING};
use crate::policy::{Action, ApprovalRules, Authorised, Role, Roles, act};
use crate::reason::Reason;

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
        let record = record(view, moment, asked, (0, LIFE_DEFAULT, Some(WAITING)))?;
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
    record.password = None;
    record.totp = None;
    record.recovery.clear();
    record.enrolment = Some(enrolment);
    record.generation = record.generation.saturating_add(1);
    record.unlocks = record.unlocks.saturating_add(1);
    let mut writes = vec![Write {
        key: operator_key(view.index, name),
        expect: old.map_or(Expect::Absent, |old| Expect::Unchanged(old.revision)),
        record: Some(Record::Operator(record)),
    }];
    writes.extend(wait_again(view, name, moment.now));
    Ok((token, writes, note))
}
