//! Password and code. Everything that can be wrong is one reason and one counter; both factors are looked at
//! whatever the other says.

use super::attempts::{self, Standing};
use super::{Tried, about, changed, recovery_hash, replacing};
use crate::audit::{Detail, Outcome};
use crate::cipher::{constant_time_eq, totp};
use crate::engine::index::attempts_key;
use crate::engine::snapshot::Operator;
use crate::engine::view::{Decision, Moment, View};
use crate::key::record::{Expect, Record, Write};
use crate::name::{OperatorName, PrincipalName};
use crate::policy::{Action, ActionKind, Authorised, act};
use crate::reason::Reason;
use crate::secret::{PasswordHash, TotpSecret};
use crate::time::Timestamp;

/// One try at being an operator.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// Whom; `None` when what was typed is no name.
    pub account: Option<&'a OperatorName>,
    /// From which certificate.
    pub certificate: &'a PrincipalName,
    /// What Argon2id made of the password, with the account's salt or one of nobody's.
    pub password: &'a PasswordHash,
    /// A code of the authenticator, or a recovery code, as typed.
    pub code: &'a str,
    /// Steps before the present one whose codes are taken.
    pub steps_back: u32,
}

/// Let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// Who.
    pub name: OperatorName,
    /// The operator's generation; a session of an earlier one is over.
    pub generation: u32,
    /// Recovery codes left, when one was used.
    pub recovery_left: Option<usize>,
}

/// Which second factor was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Factor {
    Step(u64),
    Recovery(usize),
}

fn factor(
    view: &View<'_>,
    operator: &Operator,
    trial: &Trial<'_>,
    now: Timestamp,
) -> Option<Factor> {
    let record = &operator.record;
    let secret = record.totp.as_ref()?;
    let step = totp::accept(secret, trial.code, now, record.last_step, trial.steps_back);
    let hash = recovery_hash(view.index, &record.name, trial.code);
    let mut recovery = None;
    for (place, kept) in record.recovery.iter().enumerate() {
        if constant_time_eq(kept, &hash) {
            recovery = Some(Factor::Recovery(place));
        }
    }
    step.map(Factor::Step).or(recovery)
}

/// The same work for nobody.
fn no_factor(view: &View<'_>, trial: &Trial<'_>, now: Timestamp) {
    let nobody = TotpSecret::from_slice(&[0; 20]);
    let step = nobody.map(|secret| totp::accept(&secret, trial.code, now, 0, trial.steps_back));
    let name = OperatorName::parse("nobody").ok();
    let hash = name.map(|name| recovery_hash(view.index, &name, trial.code));
    let mut found = std::hint::black_box(step).is_some();
    for _ in 0..crate::key::record::RECOVERY_CODES {
        found &= constant_time_eq(&[0; 32], &hash.unwrap_or_default());
    }
    std::hint::black_box(found);
}

/// Lets an operator in, or counts a failure.
#[must_use]
pub fn login(
    view: &View<'_>,
    moment: &Moment<'_>,
    _proof: &Authorised<act::Login>,
    trial: &Trial<'_>,
) -> Tried<LoggedIn> {
    let now = moment.now;
    if let Some(refused) = locked::<act::Login, _>(view, trial, now) {
        return refused;
    }
    let operator = operator(view, trial);
    let found = match operator {
        Some(operator) => factor(view, operator, trial, now),
        None => {
            no_factor(view, trial, now);
            None
        }
    };
    let stored = operator.and_then(|operator| operator.record.password.as_ref());
    let expected = stored.map_or(&[0; 32], |stored| stored.hash.expose_bytes());
    let right = constant_time_eq(expected, trial.password.expose_bytes());
    match (operator, found) {
        (Some(operator), Some(found)) if right && operator.record.can_act() => {
            let_in::<act::Login>(view, trial, operator, found)
        }
        _ => failed::<act::Login, _>(view, trial, now),
    }
}

/// Takes a new code from an operator whose session is open, or counts a failure.
#[must_use]
pub fn accept_code(
    view: &View<'_>,
    moment: &Moment<'_>,
    _proof: &Authorised<act::AcceptCode>,
    trial: &Trial<'_>,
) -> Tried<LoggedIn> {
    let now = moment.now;
    if let Some(refused) = locked::<act::AcceptCode, _>(view, trial, now) {
        return refused;
    }
    let operator = operator(view, trial).filter(|operator| operator.record.can_act());
    let found = operator.and_then(|operator| factor(view, operator, trial, now));
    match (operator, found) {
        (Some(operator), Some(found)) => let_in::<act::AcceptCode>(view, trial, operator, found),
        _ => failed::<act::AcceptCode, _>(view, trial, now),
    }
}

pub(super) fn operator<'a>(view: &View<'a>, trial: &Trial<'_>) -> Option<&'a Operator> {
    let operators = &view.snapshot.operators;
    let known = trial.account.and_then(|name| operators.get(name));
    known.filter(|_| !operators.quarantined)
}

/// Refused without looking at what was typed.
pub(super) fn locked<A: ActionKind, T>(
    view: &View<'_>,
    trial: &Trial<'_>,
    now: Timestamp,
) -> Option<Tried<T>> {
    let standing = standing(view, trial.account, trial.certificate, now);
    if standing == Standing::Open {
        return None;
    }
    Some(Decision::unchanged(
        A::ACTION,
        detail(view, trial, Reason::LockedOut, "not looked at"),
        Err(Reason::LockedOut),
    ))
}

/// Whether an account may be tried from a certificate now.
#[must_use]
pub fn standing(
    view: &View<'_>,
    account: Option<&OperatorName>,
    certificate: &PrincipalName,
    now: Timestamp,
) -> Standing {
    let operators = &view.snapshot.operators;
    let operator = account.and_then(|name| operators.get(name));
    let unlocks = operator.map_or(0, |operator| operator.record.unlocks);
    let key = attempts_key(view.index, account, certificate);
    let counted = operators.attempts(&key);
    attempts::standing(counted.as_ref().map(|(record, _)| record), unlocks, now)
}

fn let_in<A: ActionKind>(
    view: &View<'_>,
    trial: &Trial<'_>,
    operator: &Operator,
    factor: Factor,
) -> Tried<LoggedIn> {
    let mut record = operator.record.duplicate();
    let mut recovery_left = None;
    let note = match factor {
        Factor::Step(step) => {
            record.last_step = step;
            "a code of the authenticator".to_owned()
        }
        Factor::Recovery(place) => {
            record.recovery.remove(place);
            recovery_left = Some(record.recovery.len());
            format!("a recovery code, {} left", record.recovery.len())
        }
    };
    let reply = LoggedIn {
        name: record.name.clone(),
        generation: record.generation,
        recovery_left,
    };
    let detail = about(&record.name, Outcome::Ok, note);
    let mut writes = vec![replacing(view.index, operator, record)];
    writes.extend(cleared(view, trial));
    changed(A::ACTION, Ok(reply), detail, writes, false)
}

/// The write that forgets failures; none where there were none.
pub(super) fn cleared(view: &View<'_>, trial: &Trial<'_>) -> Option<Write> {
    let key = attempts_key(view.index, trial.account, trial.certificate);
    let (_, revision) = view.snapshot.operators.attempts(&key)?;
    Some(Write {
        key,
        expect: Expect::Unchanged(revision),
        record: None,
    })
}

/// One more failure, counted before it is answered.
pub(super) fn failed<A: ActionKind, T>(
    view: &View<'_>,
    trial: &Trial<'_>,
    now: Timestamp,
) -> Tried<T> {
    let operators = &view.snapshot.operators;
    let known = trial.account.and_then(|name| operators.get(name));
    let unlocks = known.map_or(0, |operator| operator.record.unlocks);
    let key = attempts_key(view.index, trial.account, trial.certificate);
    let before = operators.attempts(&key);
    let record = attempts::failed(before.as_ref().map(|(record, _)| record), unlocks, now);
    let note = match attempts::delay(record.failures) {
        Some(wait) if wait.is_zero() => format!("failure {} in a row", record.failures),
        Some(wait) => format!(
            "failure {} in a row: locked for {} s",
            record.failures,
            wait.as_secs()
        ),
        None => format!(
            "failure {} in a row: locked until another operator unlocks",
            record.failures
        ),
    };
    let write = Write {
        key,
        expect: before.map_or(Expect::Absent, |(_, revision)| Expect::Unchanged(revision)),
        record: Some(Record::Attempts(record)),
    };
    let reason = if A::ACTION == Action::AcceptCode {
        Reason::CodeRefused
    } else {
        Reason::LoginFailed
    };
    let detail = detail(view, trial, reason, &note);
    changed(A::ACTION, Err(reason), detail, vec![write], false)
}

/// Names of nobody are not written down: they may be passwords.
fn detail(view: &View<'_>, trial: &Trial<'_>, reason: Reason, note: &str) -> Detail {
    let outcome = Outcome::Refused(reason);
    let known = trial
        .account
        .filter(|name| view.snapshot.operators.get(name).is_some());
    match known {
        Some(name) => about(name, outcome, note),
        None => {
            let mut detail = Detail::new(outcome);
            detail.note = note.into();
            detail
        }
    }
}
