//! The roster: who may act or approve, under which rules. Declared once; from then on only itself changes itself.

use super::operator;
use crate::audit::{Detail, Facts, Outcome};
use crate::engine::snapshot::{Operator, Snapshot};
use crate::engine::view::{Change, Decision, Moment, Refusal, View};
use crate::key::record::{Expect, OperatorState, Record, RecordKey, RosterRecord, Write};
use crate::policy::approval::SMALL_TEAM_MAX;
use crate::policy::{Action, ApprovalRules, Authorised, Role, Roles, act};
use crate::reason::Reason;
use std::time::Duration;

/// How a missing approval is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nobody declared the roster yet: who administers operators does so alone.
    Undeclared,
    /// Approvals come from others, or not at all.
    Quorum,
    /// Declared, and small: a delay stands in for a missing approval.
    SmallTeam {
        /// How long.
        delay: Duration,
    },
}

/// Acts or approves, or did and may again: disabling somebody makes no team smaller.
fn acts(operator: &&Operator) -> bool {
    let roles = Roles::of_person(operator.record.roles);
    let acting = [Role::SecurityAdmin, Role::KeyAdmin, Role::Approver];
    !matches!(operator.record.state, OperatorState::Removed { .. })
        && operator.record.password.is_some()
        && acting.iter().any(|role| roles.contains(*role))
}

/// The mode now.
#[must_use]
pub fn mode(snapshot: &Snapshot) -> Mode {
    let Some(roster) = &snapshot.approvals.roster else {
        return Mode::Undeclared;
    };
    let people = snapshot.operators.after(None).filter(acts);
    match roster.record.rules.delay {
        Some(delay) if people.take(SMALL_TEAM_MAX + 1).count() <= SMALL_TEAM_MAX => {
            Mode::SmallTeam { delay }
        }
        _ => Mode::Quorum,
    }
}

/// The rules in force: as the roster declared them. Before that, what is configured, but for what builds a roster.
#[must_use]
pub fn rules(view: &View<'_>, configured: &ApprovalRules) -> ApprovalRules {
    match &view.snapshot.approvals.roster {
        Some(roster) => roster.record.rules.clone(),
        None => {
            let mut rules = configured.clone();
            let builds = crate::policy::approval::ROSTER;
            rules.required.retain(|action, _| !builds.contains(action));
            rules
        }
    }
}

/// People other than `without` who have a key to approve with, counting yet or not.
#[must_use]
pub fn approvers(view: &View<'_>, without: Option<&crate::name::OperatorName>) -> usize {
    let keys = view.snapshot.approvals.approvers();
    let can = keys.filter(|kept| {
        let name = &kept.record.operator;
        let operator = view.snapshot.operators.get(name);
        let may = operator.is_some_and(|it| {
            it.record.can_act() && Roles::of_person(it.record.roles).contains(Role::Approver)
        });
        may && !kept.record.keys.is_empty() && Some(name) != without
    });
    can.count()
}

/// Takes the configured rules into force. The first time this declares the roster, and its keys count at once:
/// they are the first. Later it is marked like whatever else changes who may act.
///
/// # Errors
/// INVALID_ARGUMENT for other rules than the configured ones; QUORUM_UNREACHABLE.
pub fn declare(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<act::DeclareRoster>,
    (wanted, configured): (&ApprovalRules, &ApprovalRules),
) -> Result<Decision<()>, Refusal> {
    if wanted != configured {
        return Err(Refusal::field("rules", "the configured ones"));
    }
    let requester = operator(proof.principal())?;
    let reachable = approvers(view, Some(&requester)) >= usize::from(wanted.most());
    if wanted.delay.is_none() && !reachable {
        return Err(Reason::QuorumUnreachable.into());
    }
    let roster = &view.snapshot.approvals.roster;
    let mut writes = vec![Write {
        key: RecordKey::roster(),
        expect: match roster {
            None => Expect::Absent,
            Some(kept) => Expect::Unchanged(kept.revision),
        },
        record: Some(Record::Roster(RosterRecord {
            rules: wanted.clone(),
            declared_at: moment.now,
        })),
    }];
    if roster.is_none() {
        writes.extend(super::key::all_count_now(view, moment.now));
    }
    let mut detail = Detail::new(Outcome::Ok);
    detail.note = rules_note(wanted).into();
    Ok(Decision {
        reply: (),
        facts: Facts::single(Action::DeclareRoster, detail),
        change: Some(Change {
            writes,
            restricts: false,
        }),
    })
}

/// The rules in words, as they stand in the log: `AddOperator 1, RemoveOperator 2`.
#[must_use]
pub fn rules_note(rules: &ApprovalRules) -> String {
    let marked = rules.required.iter();
    let words = marked.map(|(action, count)| format!("{} {count}", action.as_str()));
    words.collect::<Vec<_>>().join(", ")
}
