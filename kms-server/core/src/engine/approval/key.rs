//! The keys with which people approve. Each is a change of the roster, counts only a day later, and belongs to one
//! account alone.

use super::operator;
use super::roster::keeps_quorum;
use crate::audit::{Detail, Facts, Outcome};
use crate::cipher::ssh_signature::SignerKey;
use crate::engine::index::approver_key;
use crate::engine::snapshot::Kept;
use crate::engine::view::{Change, Decision, Moment, Refusal, View};
use crate::key::record::{ApproverRecord, EnrolledKey, Expect, KEYS_MAX, Record, Write};
use crate::name::OperatorName;
use crate::policy::approval::WAITING;
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::time::Timestamp;

fn replacing(view: &View<'_>, old: Option<&Kept<ApproverRecord>>, new: ApproverRecord) -> Write {
    Write {
        key: approver_key(view.index, &new.operator),
        expect: old.map_or(Expect::Absent, |old| Expect::Unchanged(old.revision)),
        record: Some(Record::Approver(new)),
    }
}

fn decided(
    action: Action,
    name: &OperatorName,
    key: &SignerKey,
    (write, restricts): (Write, bool),
) -> Decision<OperatorName> {
    let mut detail = Detail::new(Outcome::Ok);
    detail.personal = vec![("operator".into(), name.as_str().into())];
    detail.note = key.fingerprint().into();
    detail.subject = Some(name.principal());
    Decision {
        reply: name.clone(),
        facts: Facts::single(action, detail),
        change: Some(Change {
            writes: vec![write],
            restricts,
        }),
    }
}

/// Enrols a key of one's own; it counts in a day.
///
/// # Errors
/// ALREADY_EXISTS: one person, one account; RESOURCE_EXHAUSTED beyond four.
pub fn add_key(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<act::AddApproverKey>,
    key: &SignerKey,
) -> Result<Decision<OperatorName>, Refusal> {
    let name = operator(proof.principal())?;
    let mut all = view.snapshot.approvals.approvers();
    if all.any(|kept| kept.record.keys.iter().any(|it| *it.blob == *key.blob())) {
        return Err(Reason::AlreadyExists.into());
    }
    let old = view.snapshot.approvals.approver(&name);
    let mut record = old.map_or_else(
        || ApproverRecord {
            operator: name.clone(),
            keys: Vec::new(),
        },
        |kept| ApproverRecord::clone(&kept.record),
    );
    if record.keys.len() >= KEYS_MAX {
        return Err(Reason::ResourceExhausted.into());
    }
    record.keys.push(EnrolledKey {
        blob: key.blob().into(),
        added_at: moment.now,
        counts_from: waited(view, moment.now),
    });
    let write = replacing(view, old, record);
    Ok(decided(Action::AddApproverKey, &name, key, (write, false)))
}

/// When what begins now counts.
fn waited(view: &View<'_>, now: Timestamp) -> Timestamp {
    view.latest(now).saturating_add(WAITING)
}

/// Takes a key away, at once.
///
/// # Errors
/// DENIED where the operator has no such key; QUORUM_UNREACHABLE where too few could approve without it: whoever must
/// not sign any more is disabled, and his key replaced first.
pub fn remove_key(
    view: &View<'_>,
    _proof: &Authorised<act::RemoveApproverKey>,
    (name, fingerprint): (&OperatorName, &str),
) -> Result<Decision<OperatorName>, Refusal> {
    let old = view.snapshot.approvals.approver(name);
    let old = old.ok_or(Reason::Denied)?;
    let parsed = |enrolled: &EnrolledKey| SignerKey::from_blob(&enrolled.blob).ok();
    let mut keys = old.record.keys.iter().filter_map(parsed);
    let key = keys.find(|key| key.fingerprint() == fingerprint);
    let key = key.ok_or(Reason::Denied)?;
    let mut record = ApproverRecord::clone(&old.record);
    record.keys.retain(|enrolled| *enrolled.blob != *key.blob());
    let has_key = !record.keys.is_empty();
    if !keeps_quorum(view.snapshot, name, |person| person.has_key = has_key) {
        return Err(Reason::QuorumUnreachable.into());
    }
    let write = replacing(view, Some(old), record);
    Ok(decided(
        Action::RemoveApproverKey,
        name,
        &key,
        (write, true),
    ))
}

/// Somebody is let in anew: what he signs counts only a day later.
pub(in crate::engine) fn wait_again(
    view: &View<'_>,
    name: &OperatorName,
    now: Timestamp,
) -> Option<Write> {
    let old = view.snapshot.approvals.approver(name)?;
    let from = waited(view, now);
    count_from(view, old, |_| from)
}

/// The first keys of all: they count at once.
pub(super) fn all_count_now(view: &View<'_>, now: Timestamp) -> Vec<Write> {
    let all = view.snapshot.approvals.approvers();
    let writes = all.filter_map(|old| count_from(view, old, |key| key.counts_from.min(now)));
    writes.collect()
}

fn count_from(
    view: &View<'_>,
    old: &Kept<ApproverRecord>,
    from: impl Fn(&EnrolledKey) -> Timestamp,
) -> Option<Write> {
    let mut record = ApproverRecord::clone(&old.record);
    for key in &mut record.keys {
        key.counts_from = from(key);
    }
    (record != *old.record).then(|| replacing(view, Some(old), record))
}
