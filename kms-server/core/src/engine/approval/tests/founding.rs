//! The first day, the days after it without a declared roster, and a roster without keys: never nothing, never for good.

use super::*;
use crate::policy::approval::ROSTER;

/// Alice and bob without a key, and nothing declared.
fn undeclared() -> World {
    let mut world = World::of(&["alice", "bob"], 1, None);
    world.snapshot.approvals = Snapshot::default().approvals;
    world
}

#[test]
fn on_the_first_day_a_roster_is_built_freely_and_nothing_is_destroyed() {
    let mut world = undeclared();
    for action in ROSTER {
        let done = world.call_for(action, 1, None).unwrap();
        assert_eq!(done.reply, Ok(()), "{action:?}");
    }
    let id = world.ask_for(Action::ScheduleVersionDestruction);
    world.pass(HOUR * 23);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
}

#[test]
fn after_the_first_day_whatever_changes_who_may_act_waits_a_day() {
    let mut world = undeclared();
    // the mark ends it even when the wall clock was put back
    world.mark.high_water = START.saturating_add(HOUR * 24);
    for action in ROSTER {
        let waits = world.call_for(action, 1, None).unwrap();
        assert!(waits.reply.is_err(), "{action:?}");
    }
    world.pass(HOUR * 24);
    let id = world.ask_for(Action::ApplyPolicies);
    world.pass(HOUR * 23);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    world.pass(HOUR * 2);
    assert_eq!(world.outcome(id), Ok(()));
    // what destroys waits for a roster
    let id = world.ask_for(Action::ScheduleVersionDestruction);
    world.pass(HOUR * 23);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
}

#[test]
fn a_declaration_of_before_marks_what_is_the_rosters_since() {
    let mut world = World::of(&["alice", "bob", "carol"], 1, None);
    let mut roster = RosterRecord::clone(&world.snapshot.approvals.roster.as_ref().unwrap().record);
    roster.rules.required.remove(&Action::ApplyPolicies);
    world.put(RecordKey::roster(), Record::Roster(roster));
    let id = world.ask_for(Action::ApplyPolicies);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    world.vote(id, "bob", "bob");
    assert_eq!(world.outcome(id), Ok(()));
}

#[test]
fn a_key_that_nobody_could_approve_waits_a_day_and_no_other_does() {
    let mut world = World::of(&["alice", "bob", "carol"], 1, None);
    let at = START;
    for who in ["bob", "carol"] {
        world.operator(who, &[Role::Approver], OperatorState::Disabled { at });
    }
    let id = world.ask_for(Action::AddApproverKey);
    let other = world.ask_for(Action::AddOperator);
    world.pass(HOUR * 23);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    world.pass(HOUR);
    assert_eq!(world.outcome(id), Ok(()));
    assert_eq!(world.outcome(other), Err(Reason::ApprovalOver));
    // as soon as somebody could, he must
    world.operator("bob", &[Role::Approver], OperatorState::Enabled);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    world.vote(id, "bob", "bob");
    assert_eq!(world.outcome(id), Ok(()));
}
