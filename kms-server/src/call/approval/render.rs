//! Approvals and the roster as messages.

use crate::call::operation::Scene;
use crate::call::render::{duration, timestamp};
use kms_core::cipher::ssh_signature::SignerKey;
use kms_core::engine::approval::roster::{approvers, rules};
use kms_core::engine::approval::standing::counting;
use kms_core::engine::approval::{Mode, Standing, mode, standing};
use kms_core::engine::{Snapshot, View};
use kms_core::key::record::{ApprovalRecord, ApprovalState, ApproverRecord, Vote};
use kms_core::name::OperatorName;
use kms_core::policy::ApprovalRules;
use kms_core::time::Timestamp;
use kms_proto::v1;

fn fingerprint(blob: &[u8]) -> String {
    SignerKey::from_blob(blob).map_or_else(|_| String::new(), |key| key.fingerprint())
}

fn vote(vote: &&Vote) -> v1::Vote {
    v1::Vote {
        operator: vote.operator.principal().as_str().to_owned(),
        key_fingerprint: fingerprint(&vote.key),
        voted_at: Some(timestamp(vote.at)),
    }
}

/// With what counts now; without the bytes to be signed.
pub(super) fn approval(scene: &Scene<'_>, record: &ApprovalRecord) -> v1::Approval {
    let (view, now) = (&scene.view, scene.moment.now);
    let rules = rules(view, scene.rules, now);
    let state = match (record.state, standing(view, &rules, record, now)) {
        (ApprovalState::Rejected { .. }, _) => v1::ApprovalState::Rejected,
        (ApprovalState::Cancelled { .. }, _) => v1::ApprovalState::Cancelled,
        (ApprovalState::Used { .. }, _) => v1::ApprovalState::Used,
        (ApprovalState::Open, Standing::Waiting) => v1::ApprovalState::Waiting,
        (ApprovalState::Open, Standing::Ready) => v1::ApprovalState::Ready,
        (ApprovalState::Open, Standing::Over) => v1::ApprovalState::Expired,
    };
    let votes = counting(view, record, now);
    v1::Approval {
        name: format!("approvals/{}", record.id),
        state: state.into(),
        action: record.action.as_str().to_owned(),
        requester: record.requester.as_str().to_owned(),
        required: u32::from(record.required),
        votes: votes.iter().map(vote).collect(),
        requested_at: Some(timestamp(record.requested_at)),
        ready_at: record.ready_at.map(timestamp),
        expires_at: Some(timestamp(record.expires_at)),
        statement: bytes::Bytes::new(),
        ended: record.ended.as_ref().to_owned(),
    }
}

/// Somebody's keys.
pub(super) fn approver(record: &ApproverRecord) -> v1::Approver {
    let key = |key: &kms_core::key::record::EnrolledKey| v1::ApproverKey {
        fingerprint: fingerprint(&key.blob),
        kind: SignerKey::from_blob(&key.blob)
            .map_or_else(|_| String::new(), |key| key.kind().to_owned()),
        added_at: Some(timestamp(key.added_at)),
        counts_from: Some(timestamp(key.counts_from)),
    };
    v1::Approver {
        operator: record.operator.principal().as_str().to_owned(),
        keys: record.keys.iter().map(key).collect(),
    }
}

/// Rules, with how many could sign each for `caller`.
pub(super) fn table(
    view: &View<'_>,
    rules: &ApprovalRules,
    caller: Option<&OperatorName>,
) -> v1::ApprovalRules {
    let reachable = u32::try_from(approvers(view, caller)).unwrap_or(u32::MAX);
    let rule =
        |(action, count): (&kms_core::policy::Action, &std::num::NonZeroU8)| v1::ApprovalRule {
            action: action.as_str().to_owned(),
            approvers: u32::from(count.get()),
            reachable,
        };
    v1::ApprovalRules {
        rules: rules.required.iter().map(rule).collect(),
        life: Some(duration(rules.life)),
        small_team_delay: rules.delay.map(duration),
    }
}

/// The mode's name.
pub(in crate::call) fn mode_of(snapshot: &Snapshot, now: Timestamp) -> v1::RosterMode {
    match mode(snapshot, now) {
        Mode::Founding => v1::RosterMode::Founding,
        Mode::Undeclared => v1::RosterMode::Undeclared,
        Mode::Quorum => v1::RosterMode::Quorum,
        Mode::SmallTeam { .. } => v1::RosterMode::SmallTeam,
        Mode::Unreachable { .. } => v1::RosterMode::Unreachable,
    }
}
