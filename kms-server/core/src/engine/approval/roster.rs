//! The roster: who may act or approve, under which rules. Declared once; from then on only itself changes itself.

use super::operator;
use super::team::{self, Person, people};
use crate::audit::{Detail, Facts, Outcome};
use crate::engine::snapshot::Snapshot;
use crate::engine::view::{Change, Decision, Moment, Refusal, View};
use crate::key::record::{Expect, Record, RecordKey, RosterRecord, Write};
use crate::name::{OperatorName, PrincipalName};
use crate::policy::approval::{DELAY_DEFAULT, FOUNDING, ROSTER, SMALL_TEAM_MAX};
use crate::policy::{Action, ApprovalRules, Authorised, Role, Roles, act};
use crate::reason::Reason;
use crate::time::Timestamp;
use std::time::Duration;

/// How a missing approval is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The first day: who administers operators puts the first roster together, alone.
    Founding,
    /// The day is over and nobody declared the roster: a delay stands in for whatever changes who may act.
    Undeclared,
    /// Approvals come from others, or not at all.
    Quorum,
    /// Declared, and small: a delay stands in for a missing approval.
    SmallTeam {
        /// How long.
        delay: Duration,
    },
    /// Declared, and too few could ever approve a change of the roster: a delay stands in for such a change alone.
    Unreachable {
        /// How long.
        delay: Duration,
    },
}

/// Whether the installation is younger than [`FOUNDING`], by the later of the clocks. Operators' records stay for ever,
/// so the oldest tells.
fn is_founding(snapshot: &Snapshot, now: Timestamp) -> bool {
    let all = snapshot.operators.after(None);
    let founded = all.map(|operator| operator.record.created_at).min();
    founded.is_none_or(|founded| now < founded.saturating_add(FOUNDING))
}

/// The mode at `now`, the later of the clocks.
#[must_use]
pub fn mode(snapshot: &Snapshot, now: Timestamp) -> Mode {
    let Some(roster) = &snapshot.approvals.roster else {
        return if is_founding(snapshot, now) {
            Mode::Founding
        } else {
            Mode::Undeclared
        };
    };
    declared(&people(snapshot), &roster.record.rules)
}

/// The mode that `rules` give these people.
fn declared(people: &[Person<'_>], rules: &ApprovalRules) -> Mode {
    match rules.delay {
        Some(delay) if people.len() <= SMALL_TEAM_MAX => Mode::SmallTeam { delay },
        _ if team::reaches(people, usize::from(rules.most_of(&ROSTER))) => Mode::Quorum,
        delay => Mode::Unreachable {
            delay: delay.unwrap_or(DELAY_DEFAULT),
        },
    }
}

/// Whether the roster can still be changed by the word of others when `name` is as `after` says, if it could before.
/// Nobody takes a quorum away alone, and so gets a delay in its place.
pub(in crate::engine) fn keeps_quorum(
    snapshot: &Snapshot,
    name: &OperatorName,
    after: impl FnOnce(&mut Person<'_>),
) -> bool {
    let Some(roster) = &snapshot.approvals.roster else {
        return true;
    };
    let rules = &roster.record.rules;
    let mut team = people(snapshot);
    let before = declared(&team, rules);
    if let Some(person) = team.iter_mut().find(|person| person.name == name) {
        after(person);
    }
    team.retain(Person::acts);
    let unreachable = matches!(declared(&team, rules), Mode::Unreachable { .. });
    before != Mode::Quorum || !unreachable
}

/// What stands in for a missing approval of what `requester` asks for; `None`: nothing does.
#[must_use]
pub fn delay(
    view: &View<'_>,
    rules: &ApprovalRules,
    (action, requester): (Action, &PrincipalName),
    now: Timestamp,
) -> Option<Duration> {
    match mode(view.snapshot, view.latest(now)) {
        Mode::SmallTeam { delay } => Some(delay),
        Mode::Unreachable { delay } if ROSTER.contains(&action) => Some(delay),
        Mode::Undeclared if ROSTER.contains(&action) => Some(rules.delay.unwrap_or(DELAY_DEFAULT)),
        // where too few could approve it, a key is the way out: else nobody ever could again
        Mode::Quorum if action == Action::AddApproverKey => {
            let required = rules.required(action).map_or(1, |count| count.get());
            let others = approvers(view, operator(requester).ok().as_ref());
            (others < usize::from(required)).then_some(DELAY_DEFAULT)
        }
        Mode::Founding | Mode::Undeclared | Mode::Quorum | Mode::Unreachable { .. } => None,
    }
}

/// The rules in force: as the roster declared them. Before that, what is configured; on the first day but for what
/// builds a roster.
#[must_use]
pub fn rules(view: &View<'_>, configured: &ApprovalRules, now: Timestamp) -> ApprovalRules {
    match (
        &view.snapshot.approvals.roster,
        mode(view.snapshot, view.latest(now)),
    ) {
        (Some(roster), _) => roster.record.rules.clone().with_roster(),
        (None, Mode::Founding) => {
            let mut rules = configured.clone();
            rules.required.retain(|action, _| !ROSTER.contains(action));
            rules
        }
        (None, _) => configured.clone().with_roster(),
    }
}

/// People other than `without` who have a key to approve with, counting yet or not.
#[must_use]
pub fn approvers(view: &View<'_>, without: Option<&OperatorName>) -> usize {
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
    let small = matches!(
        declared(&people(view.snapshot), wanted),
        Mode::SmallTeam { .. }
    );
    if !small && !reachable {
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
