//! Who was what at a time: from what the store keeps of people and services, which is how they are now, and what the
//! log says was done to them. Where the two leave it open, more is said than was, never less: an auditor looks for
//! who could have done something.

use super::operator::{RolesSaid, roles_said};
use crate::key::record::{
    ApproverRecord, OperatorRecord, OperatorState, ServiceRecord, ServiceState,
};
use crate::policy::{Action, Roles};
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// Something that was done to one person or service, as an entry says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: Action,
    /// The entry's note.
    pub note: Box<str>,
}

/// Whether somebody could act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Could {
    /// Yes.
    Act,
    /// Not before enrolling.
    NotEnrolled,
    /// Disabled, or its certificates revoked.
    Disabled,
    /// Removed for ever.
    Removed,
}

impl Could {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Act => "enabled",
            Self::NotEnrolled => "not enrolled",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }
}

/// A person at that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Was {
    /// Whether it could act.
    pub could: Could,
    /// With which roles; `None` where nothing tells them any more.
    pub roles: Option<Roles>,
}

fn last<T>(
    happened: &[Happened],
    until: Timestamp,
    read: impl Fn(&Happened) -> Option<T>,
) -> Option<T> {
    let mut before = happened.iter().rev().filter(|it| it.at <= until);
    before.find_map(read)
}

fn next<T>(
    happened: &[Happened],
    from: Timestamp,
    read: impl Fn(&Happened) -> Option<T>,
) -> Option<T> {
    let mut after = happened.iter().filter(|it| it.at > from);
    after.find_map(read)
}

/// An operator at `at`, from its record of now and all that happened to it, oldest first; `None`: there was none yet.
#[must_use]
pub fn operator_at(record: &OperatorRecord, happened: &[Happened], at: Timestamp) -> Option<Was> {
    if record.created_at > at {
        return None;
    }
    let could = match record.state {
        OperatorState::Removed { at: since } if since <= at => Could::Removed,
        OperatorState::Disabled { at: since } if since <= at => Could::Disabled,
        _ if last(happened, at, enabled) == Some(false) => Could::Disabled,
        _ if enrolled_at(record, happened, at) => Could::Act,
        _ => Could::NotEnrolled,
    };
    Some(Was {
        could,
        roles: roles_at(record, happened, at),
    })
}

fn enabled(happened: &Happened) -> Option<bool> {
    match happened.action {
        Action::EnableOperator | Action::RecoverOperator => Some(true),
        Action::DisableOperator => Some(false),
        _ => None,
    }
}

fn enrolled_at(record: &OperatorRecord, happened: &[Happened], at: Timestamp) -> bool {
    let enrolled = |happened: &Happened| match happened.action {
        Action::ConfirmEnrolment => Some(true),
        Action::AddOperator | Action::ResetOperatorMfa | Action::RecoverOperator => Some(false),
        _ => None,
    };
    // the first of an installation are enrolled from the beginning, without an entry
    let before = |happened: &Happened| enrolled(happened).map(|enrolled| !enrolled);
    last(happened, at, enrolled)
        .or_else(|| next(happened, at, before))
        .unwrap_or_else(|| {
            record.totp.is_some() || matches!(record.state, OperatorState::Removed { .. })
        })
}

fn roles_at(record: &OperatorRecord, happened: &[Happened], at: Timestamp) -> Option<Roles> {
    let changes = |happened: &Happened| {
        matches!(
            happened.action,
            Action::AddOperator | Action::SetOperatorRoles | Action::RecoverOperator
        )
        .then(|| roles_said(&happened.note))
    };
    if let Some(said) = last(happened, at, changes) {
        return said.map(|RolesSaid { after, .. }| after);
    }
    match next(happened, at, changes) {
        Some(said) => said.and_then(|said| said.before),
        None => Some(Roles::of_person(record.roles)),
    }
}

/// A service or desk of the built-in authority at `at`, likewise; `None`: there was none yet.
#[must_use]
pub fn service_at(record: &ServiceRecord, happened: &[Happened], at: Timestamp) -> Option<Could> {
    if record.created_at > at {
        return None;
    }
    let certified = |happened: &Happened| match happened.action {
        Action::EnrolService => Some(Could::Act),
        Action::RevokeService => Some(Could::Disabled),
        Action::AddService if happened.note.is_empty() => Some(Could::NotEnrolled),
        _ => None,
    };
    if matches!(record.state, ServiceState::Revoked { at: since } if since <= at) {
        return Some(Could::Disabled);
    }
    // the first desk of an installation has its certificate from the beginning, without an entry
    Some(last(happened, at, certified).unwrap_or(Could::Act))
}

/// Fingerprints of the keys that an approver had at `at`, counting yet or not.
#[must_use]
pub fn approver_keys_at(
    record: Option<&ApproverRecord>,
    fingerprint: impl Fn(&[u8]) -> Option<String>,
    happened: &[Happened],
    at: Timestamp,
) -> BTreeSet<String> {
    let kept = record.into_iter().flat_map(|record| &record.keys);
    let kept = kept.filter(|key| key.added_at <= at);
    let mut keys: BTreeSet<_> = kept.filter_map(|key| fingerprint(&key.blob)).collect();
    for it in happened.iter().filter(|it| it.at <= at) {
        match it.action {
            Action::AddApproverKey => keys.insert(it.note.to_string()),
            Action::RemoveApproverKey => keys.remove(&*it.note),
            _ => false,
        };
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::operator::administration::newcomer;
    use crate::name::{OperatorName, Purpose, ServiceName};
    use crate::policy::Role;

    const fn day(n: i64) -> Timestamp {
        Timestamp::from_micros(n * 86_400_000_000)
    }

    fn happened(n: i64, action: Action, note: &str) -> Happened {
        Happened {
            at: day(n),
            action,
            note: note.into(),
        }
    }

    fn alice(roles: &[Role]) -> OperatorRecord {
        let mut record = newcomer(OperatorName::parse("alice").unwrap(), day(1));
        record.roles = Roles::of(roles).bits();
        record
    }

    fn roles(was: Option<Was>) -> Option<Vec<&'static str>> {
        Some(was?.roles?.iter().map(Role::as_str).collect())
    }

    #[test]
    fn an_operator_is_followed_through_roles_enrolment_and_state() {
        let record = alice(&[Role::Auditor]);
        let all = [
            happened(1, Action::AddOperator, "key-admin"),
            happened(2, Action::ConfirmEnrolment, ""),
            happened(4, Action::SetOperatorRoles, "auditor; before: key-admin"),
            happened(5, Action::DisableOperator, ""),
            happened(7, Action::EnableOperator, ""),
            happened(8, Action::ResetOperatorMfa, ""),
        ];
        let at = |n| operator_at(&record, &all, day(n));
        let could = |n| at(n).map(|was| was.could);
        assert_eq!(could(0), None);
        assert_eq!(could(1), Some(Could::NotEnrolled));
        assert_eq!(could(3), Some(Could::Act));
        assert_eq!(could(6), Some(Could::Disabled));
        assert_eq!(could(7), Some(Could::Act));
        assert_eq!(could(9), Some(Could::NotEnrolled));
        assert_eq!(roles(at(3)), Some(vec!["key-admin"]));
        assert_eq!(roles(at(4)), Some(vec!["auditor"]));
    }

    #[test]
    fn who_was_there_from_the_beginning_is_told_by_what_came_after() {
        let record = alice(&[Role::Auditor, Role::Approver]);
        let all = [happened(
            4,
            Action::SetOperatorRoles,
            "auditor, approver; before: security-admin",
        )];
        let was = operator_at(&record, &all, day(2));
        assert_eq!(roles(was), Some(vec!["security-admin"]));
        // an entry of an older version does not say what was before
        let all = [happened(4, Action::SetOperatorRoles, "auditor, approver")];
        let was = operator_at(&record, &all, day(2));
        assert_eq!(was.unwrap().roles, None);
        // nothing happened: as it is now
        assert_eq!(
            roles(operator_at(&record, &[], day(2))),
            Some(vec!["auditor", "approver"])
        );
        // enrolled until the authenticator was taken away
        let all = [happened(4, Action::ResetOperatorMfa, "")];
        let could = |n| operator_at(&record, &all, day(n)).unwrap().could;
        assert_eq!((could(2), could(5)), (Could::Act, Could::NotEnrolled));
    }

    #[test]
    fn the_record_alone_says_that_somebody_is_gone() {
        let mut record = alice(&[Role::Auditor]);
        record.state = OperatorState::Removed { at: day(5) };
        let could = |n| operator_at(&record, &[], day(n)).unwrap().could;
        assert_eq!((could(4), could(5)), (Could::Act, Could::Removed));
    }

    #[test]
    fn a_service_is_followed_from_its_token_to_its_end() {
        let record = ServiceRecord {
            name: ServiceName::parse("web").unwrap(),
            purpose: Purpose::Service,
            state: ServiceState::Open,
            token: None,
            current: None,
            previous: None,
            created_at: day(1),
        };
        let all = [
            happened(1, Action::AddService, ""),
            happened(2, Action::EnrolService, ""),
            happened(4, Action::RevokeService, ""),
            happened(5, Action::AddService, "again"),
            happened(6, Action::EnrolService, ""),
        ];
        let at = |n| service_at(&record, &all, day(n));
        assert_eq!(at(0), None);
        let states = [1, 2, 4, 5, 6].map(|n| at(n).unwrap());
        use Could::{Act, Disabled, NotEnrolled};
        assert_eq!(states, [NotEnrolled, Act, Disabled, Disabled, Act]);
        assert_eq!(service_at(&record, &[], day(2)), Some(Act), "a first desk");
    }

    #[test]
    fn an_approvers_keys_are_those_added_and_not_yet_taken_away() {
        let all = [
            happened(1, Action::AddApproverKey, "one"),
            happened(2, Action::AddApproverKey, "two"),
            happened(3, Action::RemoveApproverKey, "one"),
        ];
        let at = |n| {
            let keys = approver_keys_at(None, |_| None, &all, day(n));
            keys.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!([at(0), at(1), at(2), at(3)], ["", "one", "one two", "two"]);
    }
}
