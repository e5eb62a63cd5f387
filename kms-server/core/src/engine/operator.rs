//! Decides about the people who administer the service: who is let in, whose code is taken, who enrols, and
//! what operators do to one another. Hashes of passwords are computed before, whoever asks; nothing here
//! says whether a name exists.

pub mod administration;
pub mod attempts;
pub mod enrolment;
pub mod login;
mod note;

pub use administration::{NewOperator, OperatorChange, add_operator, change_operator};
pub use enrolment::{Began, Enrolled, begin_enrolment, change_password, confirm_enrolment};
pub use login::{LoggedIn, Trial, accept_code, login};
pub(in crate::engine) use note::roles_note;
pub use note::{RolesSaid, roles_said};

use super::Refusal;
use super::index::operator_key;
use super::snapshot::Operator;
use super::view::{Change, Decision, View};
use crate::audit::{Detail, Facts, Outcome};
use crate::cipher::{HashKey, label};
use crate::codec::typed::{canonical, printed};
use crate::key::record::{Expect, OperatorRecord, Record, Write};
use crate::name::OperatorName;
use crate::policy::Action;
use crate::reason::Reason;

/// Random bytes of an enrolment token and of a recovery code.
const TOKEN_LEN: usize = 20;
const RECOVERY_LEN: usize = 10;

/// What a try at being somebody ended with; its entry is written in either case.
pub type Tried<T> = Decision<Result<T, Reason>>;

fn len(part: &[u8]) -> [u8; 4] {
    u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// Keyed hash of something typed, bound to one operator.
fn typed_hash(index: &HashKey, label: &[u8], name: &OperatorName, text: &str) -> [u8; 32] {
    let account = name.as_str().as_bytes();
    index.hash(&[label, &len(account), account, &canonical(text)])
}

fn recovery_hash(index: &HashKey, name: &OperatorName, text: &str) -> [u8; 32] {
    typed_hash(index, label::OPERATOR_RECOVERY, name, text)
}

fn enrolment_hash(index: &HashKey, name: &OperatorName, text: &str) -> [u8; 32] {
    typed_hash(index, label::OPERATOR_ENROLMENT, name, text)
}

/// The write that puts `record` in the place of what was read.
fn replacing(index: &HashKey, old: &Operator, record: OperatorRecord) -> Write {
    Write {
        key: operator_key(index, &record.name),
        expect: Expect::Unchanged(old.revision),
        record: Some(Record::Operator(record)),
    }
}

/// An operator that can be the object of a change: known and not removed.
fn known<'a>(view: &View<'a>, name: &OperatorName) -> Result<&'a Operator, Reason> {
    use crate::key::record::OperatorState::Removed;
    let found = view.snapshot.operators.get(name);
    let found = found.filter(|operator| !matches!(operator.record.state, Removed { .. }));
    found.ok_or(Reason::Denied)
}

/// What an entry says about an operator: the name goes where names of people go.
fn about(name: &OperatorName, outcome: Outcome, note: impl Into<Box<str>>) -> Detail {
    let mut detail = Detail::new(outcome);
    detail.personal = vec![("operator".into(), name.as_str().into())];
    detail.note = note.into();
    detail.subject = Some(name.principal());
    detail
}

fn changed<R>(
    action: Action,
    reply: R,
    detail: Detail,
    writes: Vec<Write>,
    restricts: bool,
) -> Decision<R> {
    Decision {
        reply,
        facts: Facts::single(action, detail),
        change: Some(Change { writes, restricts }),
    }
}

/// What an entry says of a refused change of an operator.
#[must_use]
pub fn refused_detail(name: &OperatorName, refusal: &Refusal) -> Detail {
    about(name, Outcome::Refused(refusal.reason), "")
}
