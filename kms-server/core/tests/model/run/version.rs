//! One version: disabled, enabled, scheduled, restored, destroyed.

use super::Run;
use crate::naive::State;
use crate::operation::Operation;
use crate::world::allowed;
use kms_core::engine::{
    Changed, Decision, Refusal, disable_version, due_destruction, enable_version, restore_version,
    schedule_destruction,
};
use kms_core::name::{KeyId, VersionNumber};
use kms_core::policy::Action;
use kms_core::reason::Reason;
use kms_core::time::DAY;

impl Run {
    pub(super) fn version(&mut self, operation: &Operation, dataset: u8, id: KeyId, number: u32) {
        let result = self.decide_version(operation, id, number);
        let expected = self.expect_version(operation, dataset, number);
        let action = match operation {
            Operation::Disable { .. } => Action::DisableVersion,
            Operation::Enable { .. } => Action::EnableVersion,
            Operation::Schedule { .. } => Action::ScheduleVersionDestruction,
            Operation::Restore { .. } => Action::RestoreVersion,
            _ => Action::DueDestruction,
        };
        let refused = match expected {
            Ok(next) => {
                let index = usize::try_from(number).unwrap() - 1;
                let known = self.model.datasets.get_mut(&dataset).unwrap();
                known.versions[index].state = next;
                vec![]
            }
            Err(refused) => refused,
        };
        if let Ok(Some(change)) = result.as_ref().map(|decision| decision.change.as_ref()) {
            let gives = matches!(action, Action::EnableVersion | Action::RestoreVersion);
            assert_eq!(change.restricts, !gives);
        }
        self.settle(action, Some(id), result, &refused);
    }

    fn decide_version(
        &self,
        operation: &Operation,
        id: KeyId,
        number: u32,
    ) -> Result<Decision<Changed>, Refusal> {
        use Operation as O;
        let number = VersionNumber::new(number).unwrap();
        let gathered = self.world.gather(&[], &[]);
        let (view, moment) = (self.world.view(&gathered), self.world.moment());
        match operation {
            O::Disable { .. } => disable_version(&view, &moment, &allowed(Some(id)), number),
            O::Enable { .. } => enable_version(&view, &moment, &allowed(Some(id)), number),
            O::Schedule { days, .. } => {
                let waiting = DAY * u32::from(*days);
                schedule_destruction(&view, &moment, &allowed(Some(id)), number, waiting)
            }
            O::Restore { .. } => restore_version(&view, &moment, &allowed(Some(id)), number),
            O::Due { .. } => due_destruction(&view, &moment, &allowed(Some(id)), number),
            _ => panic!("not about a version: {operation:?}"),
        }
    }

    /// The state that follows, or every reason why not.
    fn expect_version(
        &self,
        operation: &Operation,
        dataset: u8,
        number: u32,
    ) -> Result<State, Vec<Reason>> {
        use Operation as O;
        use State as S;
        let (now, mark) = (self.world.now, self.world.mark);
        let protected = self.model.datasets[&dataset].protected;
        let Some(version) = self.model.version(dataset, number) else {
            return Err(vec![Reason::Denied]);
        };
        let mut refused = Vec::new();
        match operation {
            O::Schedule { days, .. } if !(7..=90).contains(days) => {
                refused.push(Reason::InvalidArgument);
            }
            O::Due { .. } if mark.paused => refused.push(Reason::TimersPaused),
            _ => {}
        }
        if protected && matches!(operation, O::Schedule { .. } | O::Due { .. }) {
            refused.push(Reason::DeletionProtected);
        }
        let next = match (operation, version.state) {
            (O::Disable { .. }, S::Reads | S::Off) => S::Off,
            (O::Enable { .. }, S::Reads | S::Off) => S::Reads,
            (O::Restore { .. }, S::Doomed(_) | S::Off) => S::Off,
            (O::Schedule { days, .. }, S::Reads | S::Off) => {
                let due = now
                    .max(mark.high_water)
                    .saturating_add(DAY * u32::from(*days));
                S::Doomed(due)
            }
            (O::Due { .. }, S::Doomed(due)) if now >= due && mark.high_water >= due => S::Gone,
            (_, S::Gone) => {
                refused.push(Reason::VersionDestroyed);
                S::Gone
            }
            (_, state) => {
                refused.push(Reason::VersionState);
                state
            }
        };
        if refused.is_empty() {
            Ok(next)
        } else {
            Err(refused)
        }
    }
}
