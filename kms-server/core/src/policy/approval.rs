//! Which actions need the word of others, and how many. Zero approvers cannot be said: an action is marked with
//! one or more, or not at all. Policies may carry such a table of their own later; who asks here need not know.

use super::Action;
use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::time::Duration;

/// Most approvers that an action may ask for.
pub const APPROVERS_MAX: u8 = 16;
/// Shortest and longest life of a pending approval.
pub const LIFE_MIN: Duration = Duration::from_mins(5);
/// See [`LIFE_MIN`].
pub const LIFE_MAX: Duration = Duration::from_hours(7 * 24);
/// When nothing else is configured.
pub const LIFE_DEFAULT: Duration = Duration::from_hours(24);
/// In place of a missing approval in a small team, when nothing else is configured.
pub const DELAY_DEFAULT: Duration = Duration::from_hours(24);
/// A key counts so long after it was enrolled, and after its owner was let in anew.
pub const WAITING: Duration = Duration::from_hours(24);
/// A recovery waits so long after somebody said no to one.
pub const WAITING_AGAIN: Duration = Duration::from_hours(72);
/// Whoever said no to a recovery ends no other one alone for so long. Shorter than approvals are kept.
pub const OBJECTION: Duration = Duration::from_hours(7 * 24);
/// Nobody else changes an operator for so long after a recovery let him in.
pub const RECOVERED: Duration = Duration::from_hours(24);
/// Most people of a small team.
pub const SMALL_TEAM_MAX: usize = 2;

/// After so long the first roster is no longer put together by one alone, declared or not.
pub const FOUNDING: Duration = Duration::from_hours(24);

/// Actions that change who may act or approve. Always marked, but while an installation is founded.
pub const ROSTER: [Action; 9] = [
    Action::AddOperator,
    Action::EnableOperator,
    Action::ResetOperatorMfa,
    Action::SetOperatorRoles,
    Action::AddApproverKey,
    Action::DeclareRoster,
    Action::ApplyPolicies,
    Action::ApproveTrust,
    Action::LabelDataset,
];

/// Actions whose mark can be chosen, beside [`ROSTER`]; all but the last are marked by default.
pub const OTHERS: [Action; 5] = [
    Action::ScheduleVersionDestruction,
    Action::LiftDeletionProtection,
    Action::RemoveOperator,
    Action::AnonymiseMonth,
    Action::DestroyShredSecret,
];

/// So many of [`OTHERS`] are marked by default.
const MARKED: usize = OTHERS.len() - 1;

/// The table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRules {
    /// Approvers beside the requester, by action.
    pub required: BTreeMap<Action, NonZeroU8>,
    /// How long a pending approval may be signed and used.
    pub life: Duration,
    /// A declared small team: what stands in for a missing approval.
    pub delay: Option<Duration>,
}

impl Default for ApprovalRules {
    fn default() -> Self {
        let marked = OTHERS.iter().take(MARKED).chain(&ROSTER);
        Self {
            required: marked.map(|action| (*action, NonZeroU8::MIN)).collect(),
            life: LIFE_DEFAULT,
            delay: None,
        }
    }
}

impl ApprovalRules {
    /// Approvers that `action` needs; `None`: it is not marked.
    #[must_use]
    pub fn required(&self, action: Action) -> Option<NonZeroU8> {
        self.required.get(&action).copied()
    }

    /// Marks an action.
    ///
    /// # Errors
    /// Why not: no action that can be marked, or not 1 to 16.
    pub fn mark(&mut self, action: &str, approvers: u64) -> Result<(), &'static str> {
        let mut markable = ROSTER.iter().chain(&OTHERS);
        let action = markable.find(|known| known.as_str() == action);
        let action = action.ok_or("is no action that approvals can be asked for")?;
        let count = u8::try_from(approvers).ok().and_then(NonZeroU8::new);
        let count = count.filter(|count| count.get() <= APPROVERS_MAX);
        self.required
            .insert(*action, count.ok_or("must be 1 to 16")?);
        Ok(())
    }

    /// These, with at least one approver for whatever changes who may act or approve.
    #[must_use]
    pub fn with_roster(mut self) -> Self {
        for action in ROSTER {
            self.required.entry(action).or_insert(NonZeroU8::MIN);
        }
        self
    }

    /// Most approvers that anything asks for.
    #[must_use]
    pub fn most(&self) -> u8 {
        self.most_of(Action::ALL)
    }

    /// Most approvers that any of `actions` asks for; at least one.
    #[must_use]
    pub fn most_of(&self, actions: &[Action]) -> u8 {
        let counts = actions.iter().filter_map(|action| self.required(*action));
        counts.map(NonZeroU8::get).max().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destroying_and_the_roster_are_marked_and_shred_secrets_are_not() {
        let rules = ApprovalRules::default();
        for action in Action::ALL {
            let marked =
                ROSTER.contains(action) || OTHERS.iter().take(MARKED).any(|it| it == action);
            assert_eq!(rules.required(*action).is_some(), marked, "{action:?}");
        }
        assert_eq!(rules.delay, None, "no team is small unless it says so");
    }

    #[test]
    fn marks_can_be_raised_and_never_be_zero() {
        let mut rules = ApprovalRules::default();
        rules.mark("DestroyShredSecret", 2).unwrap();
        rules.mark("AddOperator", 16).unwrap();
        assert_eq!(rules.most(), 16);
        assert!(rules.mark("AddOperator", 0).is_err());
        assert!(rules.mark("AddOperator", 17).is_err());
        assert!(rules.mark("Decrypt", 1).is_err());
        assert_eq!(rules.required(Action::AddOperator).unwrap().get(), 16);
    }
}
