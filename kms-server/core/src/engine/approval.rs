//! Decides about the word of others: which call waits for it, what exactly is signed, whose signature counts,
//! when enough have given it. A signature is asked for nothing but these bytes, and used for one call, once.

pub mod gate;
pub mod key;
pub mod overriding;
pub mod recovery;
pub mod roster;
pub mod standing;
pub mod statement;
mod team;
pub mod vote;

pub use gate::{Asked, gate};
pub use key::{add_key, remove_key};
pub use recovery::recover;
pub use roster::{Mode, declare, mode, rules_note};
pub use standing::{Standing, known_time, standing};
pub use statement::Statement;
pub use vote::{approve, cancel, reject};

use super::snapshot::Kept;
use super::view::{Change, Decision, View};
use crate::audit::{ApprovalFacts, Detail, Facts, Outcome};
use crate::cipher::sha256;
use crate::key::record::{ApprovalRecord, Expect, Record, RecordKey, Write};
use crate::name::{ApprovalId, OperatorName, PrincipalName};
use crate::policy::Action;
use crate::reason::Reason;

/// The operator behind a principal.
fn operator(principal: &PrincipalName) -> Result<OperatorName, Reason> {
    OperatorName::parse_resource(principal.as_str()).map_err(|_| Reason::Denied)
}

/// One that is known.
fn known<'a>(view: &View<'a>, id: ApprovalId) -> Result<&'a Kept<ApprovalRecord>, Reason> {
    view.snapshot.approvals.get(id).ok_or(Reason::Denied)
}

/// The write that puts `record` in the place of what was read.
fn replacing(old: &Kept<ApprovalRecord>, record: ApprovalRecord) -> Write {
    Write {
        key: RecordKey::approval(record.id),
        expect: Expect::Unchanged(old.revision),
        record: Some(Record::Approval(record)),
    }
}

/// What the log keeps of these signatures.
fn facts_of<'a>(
    record: &ApprovalRecord,
    signatures: impl Iterator<Item = &'a [u8]>,
) -> Box<ApprovalFacts> {
    Box::new(ApprovalFacts {
        id: record.id,
        statement: sha256(&[&record.statement]),
        signatures: signatures.map(Into::into).collect(),
    })
}

/// A change of one approval: what the entry says, and the write.
fn changed(
    action: Action,
    old: &Kept<ApprovalRecord>,
    record: ApprovalRecord,
    (signature, restricts): (Option<&[u8]>, bool),
) -> Decision<ApprovalId> {
    let mut detail = Detail::new(Outcome::Ok);
    detail.note = note(record.id).into();
    let mut facts = Facts::single(action, detail);
    facts.approval = Some(facts_of(&record, signature.into_iter()));
    Decision {
        reply: record.id,
        facts,
        change: Some(Change {
            writes: vec![replacing(old, record)],
            restricts,
        }),
    }
}

/// How entries name an approval.
fn note(id: ApprovalId) -> String {
    format!("approvals/{id}")
}

#[cfg(test)]
mod tests;
