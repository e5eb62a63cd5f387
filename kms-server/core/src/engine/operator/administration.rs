//! What operators do to one another. Nobody raises himself, and the last who can administer operators stays.

use super::{TOKEN_LEN, about, changed, enrolment_hash, known, printed, replacing, roles_note};
use crate::audit::Outcome;
use crate::cipher::HashKey;
use crate::engine::Refusal;
use crate::engine::approval::key::wait_again;
use crate::engine::approval::roster::keeps_quorum;
use crate::engine::index::operator_key;
use crate::engine::snapshot::Operator;
use crate::engine::view::{Decision, Moment, View};
use crate::entropy::{Entropy, EntropyUnavailable, make_bytes};
use crate::key::record::{Enrolment, Expect, OperatorRecord, OperatorState, Record, Write};
use crate::name::OperatorName;
use crate::policy::approval::RECOVERED;
use crate::policy::{Action, ActionKind, Authorised, Role, Roles, act};
use crate::reason::Reason;
use crate::time::{DAY, Timestamp};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an enrolment token is taken.
pub const TOKEN_LIFE: Duration = DAY;

/// What is wanted of a new operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOperator {
    /// Never used before.
    pub name: OperatorName,
    /// At least one.
    pub roles: Roles,
}

/// What can be done to an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorChange {
    /// May no longer act.
    Disable,
    /// May act again.
    Enable,
    /// Never again.
    Remove,
    /// Failed attempts no longer count.
    Unlock,
    /// Loses authenticator and recovery codes; a new enrolment is permitted, with the password it has.
    ResetMfa,
    /// Has these roles from now on.
    SetRoles(Roles),
}

impl OperatorChange {
    const fn action(self) -> Action {
        match self {
            Self::Disable => Action::DisableOperator,
            Self::Enable => Action::EnableOperator,
            Self::Remove => Action::RemoveOperator,
            Self::Unlock => Action::UnlockOperator,
            Self::ResetMfa => Action::ResetOperatorMfa,
            Self::SetRoles(_) => Action::SetOperatorRoles,
        }
    }

    /// What nobody does for himself: each gives something.
    const fn gives(self) -> bool {
        !matches!(self, Self::Disable | Self::Remove)
    }

    /// What could keep somebody out.
    const fn takes(self) -> bool {
        !matches!(self, Self::Enable | Self::Unlock)
    }
}

/// A token that permits one enrolment; shown once.
pub type Token = Zeroizing<String>;

/// A token that permits one enrolment of `name`, and what is stored of it.
pub(in crate::engine) fn make_token(
    index: &HashKey,
    now: Timestamp,
    entropy: &dyn Entropy,
    name: &OperatorName,
) -> Result<(Token, Enrolment), EntropyUnavailable> {
    let bytes: [u8; TOKEN_LEN] = make_bytes(entropy)?;
    let token = Zeroizing::new(printed(&bytes));
    let enrolment = Enrolment {
        token: enrolment_hash(index, name, &token),
        expires_at: now.saturating_add(TOKEN_LIFE),
        pending: None,
    };
    Ok((token, enrolment))
}

/// An operator who may enrol with the token beside; also the first of an installation.
///
/// # Errors
/// [`EntropyUnavailable`].
pub fn invited(
    index: &HashKey,
    now: Timestamp,
    entropy: &dyn Entropy,
    new: &NewOperator,
) -> Result<(Write, Token), EntropyUnavailable> {
    let (token, enrolment) = make_token(index, now, entropy, &new.name)?;
    let record = OperatorRecord {
        name: new.name.clone(),
        roles: new.roles.bits(),
        state: OperatorState::Enabled,
        password: None,
        totp: None,
        last_step: 0,
        recovery: Vec::new(),
        enrolment: Some(enrolment),
        generation: 0,
        unlocks: 0,
        created_at: now,
        recovered_at: None,
    };
    let write = Write {
        key: operator_key(index, &new.name),
        expect: Expect::Absent,
        record: Some(Record::Operator(record)),
    };
    Ok((write, token))
}

/// Makes an operator who may enrol with the token that is answered.
///
/// # Errors
/// ALREADY_EXISTS: names of removed operators stay taken; INVALID_ARGUMENT without a role; INTERNAL without
/// randomness.
pub fn add_operator(
    view: &View<'_>,
    moment: &Moment<'_>,
    _proof: &Authorised<act::AddOperator>,
    new: &NewOperator,
) -> Result<Decision<(OperatorName, Token)>, Refusal> {
    if new.roles.is_empty() {
        return Err(Refusal::field("roles", "at least one role"));
    }
    if view.snapshot.operators.get(&new.name).is_some() {
        return Err(Reason::AlreadyExists.into());
    }
    let made = invited(view.index, moment.now, moment.keys, new);
    let (write, token) = made.map_err(Reason::from)?;
    let detail = about(&new.name, Outcome::Ok, roles_note(new.roles.bits(), None));
    let reply = (new.name.clone(), token);
    Ok(changed(
        Action::AddOperator,
        reply,
        detail,
        vec![write],
        false,
    ))
}

/// Somebody without roles, who cannot do anything yet.
pub(in crate::engine) const fn newcomer(name: OperatorName, now: Timestamp) -> OperatorRecord {
    OperatorRecord {
        name,
        roles: 0,
        state: OperatorState::Enabled,
        password: None,
        totp: None,
        last_step: 0,
        recovery: Vec::new(),
        enrolment: None,
        generation: 0,
        unlocks: 0,
        created_at: now,
        recovered_at: None,
    }
}

/// Does something to an operator; answers a token where a new enrolment is permitted.
///
/// # Errors
/// DENIED for an unknown or removed operator, for what nobody does for himself, and for what would put out somebody
/// whom a recovery let in within [`RECOVERED`]; LAST_ADMINISTRATOR;
/// QUORUM_UNREACHABLE where too few could approve the next change of the roster; INVALID_ARGUMENT without a role; INTERNAL without randomness.
pub fn change_operator<A: ActionKind>(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<A>,
    name: &OperatorName,
    change: OperatorChange,
) -> Result<Decision<(OperatorName, Option<Token>)>, Refusal> {
    if change.action() != A::ACTION {
        return Err(Reason::Internal.into());
    }
    let operator = known(view, name)?;
    let own = *proof.principal() == name.principal();
    if !own && change.takes() && is_just_recovered(view, &operator.record, moment.now) {
        return Err(Reason::Denied.into());
    }
    if change.gives() && own {
        return Err(Reason::Denied.into());
    }
    let mut record = operator.record.duplicate();
    let token = apply(view, moment, &mut record, change)?;
    if !leaves_an_administrator(view, &record) {
        return Err(Reason::LastAdministrator.into());
    }
    let roles = match record.state {
        OperatorState::Removed { .. } => Roles::default(),
        _ => Roles::of_person(record.roles),
    };
    if !keeps_quorum(view.snapshot, name, |person| person.roles = roles) {
        return Err(Reason::QuorumUnreachable.into());
    }
    let note = match change {
        OperatorChange::SetRoles(roles) => roles_note(roles.bits(), Some(operator.record.roles)),
        _ => String::new(),
    };
    let detail = about(name, Outcome::Ok, note);
    let restricts = change.takes();
    let mut writes = vec![replacing(view.index, operator, record)];
    if change.gives() && change != OperatorChange::Unlock {
        writes.extend(wait_again(view, name, moment.now));
    }
    Ok(changed(
        A::ACTION,
        (name.clone(), token),
        detail,
        writes,
        restricts,
    ))
}

fn apply(
    view: &View<'_>,
    moment: &Moment<'_>,
    record: &mut OperatorRecord,
    change: OperatorChange,
) -> Result<Option<Token>, Refusal> {
    let now: Timestamp = moment.now;
    // whatever is changed, sessions from before are over; unlocking and enabling end none that could act
    record.generation = record.generation.saturating_add(1);
    match change {
        OperatorChange::Disable => record.state = OperatorState::Disabled { at: now },
        OperatorChange::Enable => record.state = OperatorState::Enabled,
        OperatorChange::Remove => {
            record.state = OperatorState::Removed { at: now };
            record.password = None;
            record.totp = None;
            record.recovery.clear();
            record.enrolment = None;
        }
        OperatorChange::Unlock => record.unlocks = record.unlocks.saturating_add(1),
        OperatorChange::ResetMfa => {
            let made = make_token(view.index, now, moment.keys, &record.name);
            let (token, enrolment) = made.map_err(Reason::from)?;
            record.totp = None;
            record.recovery.clear();
            record.enrolment = Some(enrolment);
            return Ok(Some(token));
        }
        OperatorChange::SetRoles(roles) if roles.is_empty() => {
            return Err(Refusal::field("roles", "at least one role"));
        }
        OperatorChange::SetRoles(roles) => record.roles = roles.bits(),
    }
    Ok(None)
}

/// Whether a recovery let this operator in so lately that nobody else may put him out again.
fn is_just_recovered(view: &View<'_>, record: &OperatorRecord, now: Timestamp) -> bool {
    let until = record.recovered_at.map(|at| at.saturating_add(RECOVERED));
    until.is_some_and(|until| view.latest(now) < until)
}

/// Whether anybody who can act has the role of administering operators, once `changed` stands.
fn leaves_an_administrator(view: &View<'_>, changed: &OperatorRecord) -> bool {
    let administers = |record: &OperatorRecord| {
        record.can_act() && Roles::of_person(record.roles).contains(Role::SecurityAdmin)
    };
    let others = view.snapshot.operators.after(None);
    administers(changed)
        || others
            .filter(|other: &&Operator| other.record.name != changed.name)
            .any(|other| administers(&other.record))
}
