//! Datasets: made, changed, rotated.

use super::{Repeat, Run};
use crate::naive::{self, Dataset, State, Version};
use crate::operation::Operation;
use crate::world::allowed;
use kms_core::engine::{
    DatasetUpdate, NewDataset, create_dataset, emergency_rotate, rotate, scheduled_rotation,
    update_dataset,
};
use kms_core::key::record::{DatasetPolicy, Revision};
use kms_core::key::rotation;
use kms_core::name::{DatasetName, KeyId, Labels, ReasonText, RetentionClass, VersionNumber};
use kms_core::policy::Action;
use kms_core::reason::Reason;
use kms_core::time::DAY;

impl Run {
    pub(super) fn create(
        &mut self,
        operation: &Operation,
        name: u8,
        required: &[u8],
        protected: bool,
        request: Option<u8>,
    ) {
        const ACTION: Action = Action::CreateDataset;
        let (idempotency, repeat) = self.idempotent(operation, ACTION, request);
        let new = NewDataset {
            name: DatasetName::parse(&format!("dataset-{name}")).unwrap(),
            policy: DatasetPolicy {
                rotation_period: rotation::PERIOD_DEFAULT,
                required_secrets: required.iter().map(|n| naive::kind(*n)).collect(),
                retention_classes: vec![RetentionClass::parse("customer").unwrap()],
                lasting_context_keys: vec!["tenant".into()],
            },
            labels: Labels::default(),
            deletion_protection: protected,
        };
        let gathered = self.world.gather(&[], &[]);
        let result = create_dataset(
            &self.world.view(&gathered),
            &self.world.moment(),
            &allowed(None),
            &new,
            idempotency.as_ref(),
        );
        let refused = match &repeat {
            Repeat::Same(_) => vec![],
            Repeat::Other => vec![Reason::RequestIdReused],
            Repeat::First if self.model.datasets.contains_key(&name) => vec![Reason::AlreadyExists],
            Repeat::First => vec![],
        };
        let id = result.as_ref().ok().map(|decision| decision.reply.key_id);
        let Some(changed) = self.settle(ACTION, id, result, &refused) else {
            return;
        };
        assert_eq!(changed.repeated, matches!(repeat, Repeat::Same(_)));
        if let Repeat::Same(before) = repeat {
            assert_eq!(changed.key_id, before.unwrap().key_id);
            return;
        }
        self.model.datasets.insert(
            name,
            Dataset {
                id: changed.key_id,
                versions: vec![Version {
                    state: State::Wraps,
                    marked: false,
                }],
                protected,
                required: new.policy.required_secrets,
            },
        );
        self.remember(operation, ACTION, request, Some(changed));
    }

    pub(super) fn update(
        &mut self,
        dataset: u8,
        id: KeyId,
        stale: bool,
        lift: bool,
        protect: Option<bool>,
        days: Option<u16>,
    ) {
        let revision = self.world.snapshot.by_id(id).unwrap().revision;
        let update = DatasetUpdate {
            etag: if stale {
                Revision(revision.0 - 1)
            } else {
                revision
            },
            rotation_period: days.map(|days| DAY * u32::from(days)),
            deletion_protection: protect,
            ..DatasetUpdate::default()
        };
        let lifting = lift.then(|| allowed(Some(id)));
        let gathered = self.world.gather(&[], &[]);
        let result = update_dataset(
            &self.world.view(&gathered),
            &self.world.moment(),
            &allowed(Some(id)),
            lifting.as_ref(),
            &update,
        );
        let known = self.model.datasets.get_mut(&dataset).unwrap();
        let lifts = known.protected && protect == Some(false);
        let mut refused = Vec::new();
        if stale {
            refused.push(Reason::EtagMismatch);
        }
        if days == Some(0) || (days.is_none() && protect.is_none()) {
            refused.push(Reason::InvalidArgument);
        }
        if lifts && !lift {
            refused.push(Reason::Denied);
        }
        if refused.is_empty() {
            known.protected = protect.unwrap_or(known.protected);
        }
        let action = if lifts {
            Action::LiftDeletionProtection
        } else {
            Action::UpdateDataset
        };
        self.settle(action, Some(id), result, &refused);
    }

    pub(super) fn rotate(&mut self, operation: &Operation, dataset: u8, id: KeyId) {
        let (action, request) = match operation {
            Operation::Rotate { request, .. } => (Action::RotateDataset, *request),
            Operation::Emergency { .. } => (Action::EmergencyRotateDataset, None),
            _ => (Action::ScheduledRotation, None),
        };
        let before = self.world.snapshot.by_id(id).unwrap().record.clone();
        let (idempotency, repeat) = self.idempotent(operation, action, request);
        let gathered = self.world.gather(&[], &[]);
        let (view, moment) = (self.world.view(&gathered), self.world.moment());
        let result = match action {
            Action::RotateDataset => {
                rotate(&view, &moment, &allowed(Some(id)), idempotency.as_ref())
            }
            Action::EmergencyRotateDataset => {
                let reason = ReasonText::parse("laptop lost").unwrap();
                emergency_rotate(&view, &moment, &allowed(Some(id)), &reason, None)
            }
            _ => scheduled_rotation(&view, &moment, &allowed(Some(id))),
        };
        let refused = match &repeat {
            Repeat::Other => vec![Reason::RequestIdReused],
            Repeat::Same(_) => vec![],
            Repeat::First
                if action == Action::ScheduledRotation
                    && self.world.now < before.next_rotation_at =>
            {
                vec![Reason::VersionState]
            }
            Repeat::First => vec![],
        };
        let Some(changed) = self.settle(action, Some(id), result, &refused) else {
            return;
        };
        if let Repeat::Same(first) = repeat {
            let first = first.unwrap();
            assert_eq!((changed.version, changed.repeated), (first.version, true));
            return;
        }
        let (number, marked) = self
            .model
            .rotated(dataset, action == Action::EmergencyRotateDataset);
        assert_eq!(changed.version, VersionNumber::new(number));
        assert_eq!(
            changed.marked.iter().map(|n| n.get()).collect::<Vec<_>>(),
            marked
        );
        let after = &self.world.snapshot.by_id(id).unwrap().record;
        if action == Action::ScheduledRotation {
            let period = before.policy.rotation_period;
            assert!(
                after.next_rotation_at > self.world.now
                    && after.next_rotation_at.since(self.world.now) <= period
            );
            let moved = after
                .next_rotation_at
                .since(before.next_rotation_at)
                .as_micros();
            assert_eq!(moved % period.as_micros(), 0, "off the grid");
        } else {
            assert_eq!(
                after.next_rotation_at, before.next_rotation_at,
                "moved the schedule"
            );
        }
        self.remember(operation, action, request, Some(changed));
    }
}
