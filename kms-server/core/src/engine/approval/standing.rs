//! How far an approval is: whose votes count, whether they are enough, whether a small team's delay is over. Asked
//! again whenever it matters: what counted yesterday may not today.

use super::roster::delay;
use crate::cipher::sha256;
use crate::cipher::ssh_signature::SignerKey;
use crate::engine::view::View;
use crate::key::clock_watch::STEP_MAX;
use crate::key::record::{ApprovalRecord, ApprovalState, Vote};
use crate::name::OperatorName;
use crate::policy::{Action, ApprovalRules, Role, Roles};
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// How far one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// More people must sign, or a small team's time must pass.
    Waiting,
    /// It can be used, once.
    Ready,
    /// Used, rejected, cancelled or expired.
    Over,
}

/// The time that something irreversible may rely on: both clocks must have reached it, and neither be in doubt.
/// What is shorter than a step that the watch would notice goes by the wall clock alone.
#[must_use]
pub fn known_time(view: &View<'_>, now: Timestamp, from: Timestamp, until: Timestamp) -> Timestamp {
    if until.since(from) < STEP_MAX {
        now
    } else if view.time_mark.paused {
        from
    } else {
        now.min(view.time_mark.high_water)
    }
}

/// Whether it is past its end, by the later of the clocks.
pub(super) fn is_expired(view: &View<'_>, record: &ApprovalRecord, now: Timestamp) -> bool {
    view.latest(now) >= record.expires_at
}

/// Whether `name` may give a word with this key now.
pub(super) fn counts(view: &View<'_>, name: &OperatorName, key: &[u8], now: Timestamp) -> bool {
    let operator = view.snapshot.operators.get(name);
    let acts = operator.is_some_and(|operator| {
        operator.record.can_act()
            && Roles::of_person(operator.record.roles).contains(Role::Approver)
    });
    let keys = view.snapshot.approvals.approver(name);
    let mut keys = keys.iter().flat_map(|kept| &kept.record.keys);
    let enrolled = keys.find(|enrolled| *enrolled.blob == *key);
    acts && enrolled.is_some_and(|key| {
        let from = key.added_at.min(key.counts_from);
        key.counts_from <= known_time(view, now, from, key.counts_from)
    })
}

/// The votes that count now: each another person's, not the requester's, with a key that counts, over these bytes.
#[must_use]
pub fn counting<'a>(view: &View<'_>, record: &'a ApprovalRecord, now: Timestamp) -> Vec<&'a Vote> {
    let message = sha256(&[&record.statement]);
    let mut people = BTreeSet::new();
    let good = |vote: &&Vote| {
        vote.operator.principal() != record.requester
            && counts(view, &vote.operator, &vote.key, now)
            && SignerKey::from_blob(&vote.key)
                .and_then(|key| key.verify(&message, &vote.signature))
                .is_ok()
    };
    let votes = record.votes.iter().filter(good);
    votes
        .filter(|vote| people.insert(vote.operator.clone()))
        .collect()
}

/// How far `record` is under `rules`.
#[must_use]
pub fn standing(
    view: &View<'_>,
    rules: &ApprovalRules,
    record: &ApprovalRecord,
    now: Timestamp,
) -> Standing {
    if record.state != ApprovalState::Open || is_expired(view, record, now) {
        return Standing::Over;
    }
    let required = rules.required(record.action).map_or(0, |count| count.get());
    let required = required.max(record.required);
    if required > 0 && counting(view, record, now).len() >= usize::from(required) {
        return Standing::Ready;
    }
    // a way back in is no team's affair: it always waits, and only that
    let asking = (record.action, &record.requester);
    let small =
        record.action == Action::RecoverOperator || delay(view, rules, asking, now).is_some();
    match record.ready_at {
        Some(ready) if small => {
            if ready <= known_time(view, now, record.requested_at, ready) {
                Standing::Ready
            } else {
                Standing::Waiting
            }
        }
        _ => Standing::Waiting,
    }
}
