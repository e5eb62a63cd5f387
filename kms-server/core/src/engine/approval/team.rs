//! Who acts or approves, counted for good: a disabled colleague may come back, so nobody makes a team smaller, or its
//! quorum unreachable, by disabling others. Never says whose word counts now: that is `standing`.

use crate::engine::snapshot::{Operator, Snapshot};
use crate::key::record::OperatorState;
use crate::name::OperatorName;
use crate::policy::{Role, Roles};

/// One of a team.
#[derive(Debug, Clone, Copy)]
pub(in crate::engine) struct Person<'a> {
    /// Whose account.
    pub name: &'a OperatorName,
    /// None for somebody who was removed.
    pub roles: Roles,
    /// Has a key to approve with.
    pub has_key: bool,
}

impl Person<'_> {
    /// Acts or approves, or did and may again.
    pub(in crate::engine) fn acts(&self) -> bool {
        let acting = [Role::SecurityAdmin, Role::KeyAdmin, Role::Approver];
        acting.iter().any(|role| self.roles.contains(*role))
    }

    fn approves(&self) -> bool {
        self.has_key && self.roles.contains(Role::Approver)
    }
}

/// Everybody who enrolled once and was not removed since: neither a lost device nor a recovery makes a team smaller.
pub(in crate::engine) fn people(snapshot: &Snapshot) -> Vec<Person<'_>> {
    let stays = |operator: &&Operator| {
        operator.record.was_enrolled()
            && !matches!(operator.record.state, OperatorState::Removed { .. })
    };
    let operators = snapshot.operators.after(None).filter(stays);
    let people = operators.map(|operator| {
        let name = &operator.record.name;
        let keys = snapshot.approvals.approver(name);
        Person {
            name,
            roles: Roles::of_person(operator.record.roles),
            has_key: keys.is_some_and(|kept| !kept.record.keys.is_empty()),
        }
    });
    people.filter(Person::acts).collect()
}

/// Whether somebody who administers operators has `required` others who approve.
pub(in crate::engine) fn reaches(people: &[Person<'_>], required: usize) -> bool {
    let approving = people.iter().filter(|person| person.approves()).count();
    let mut admins = people
        .iter()
        .filter(|person| person.roles.contains(Role::SecurityAdmin));
    admins.any(|admin| approving - usize::from(admin.approves()) >= required)
}
