//! CreateDataset, GetDataset, UpdateDataset and LabelDataset.

use super::named;
use crate::call::operation::{At, Marked, Operation, Prepared, Refused, Scene};
use crate::call::parse;
use crate::call::render::Renderer;
use kms_core::audit::{Detail, Outcome};
use kms_core::engine::approval::statement::etag;
use kms_core::engine::snapshot::Dataset;
use kms_core::engine::upkeep::policy_scopes;
use kms_core::engine::{
    Changed, DatasetUpdate, Decision, NewDataset, Refusal, View, create_dataset, label_dataset,
    update_dataset,
};
use kms_core::format::place::Revision;
use kms_core::name::{DatasetName, KeyId, Labels};
use kms_core::policy::{Action, Authorised, act};
use kms_core::reason::Reason;
use kms_proto::v1;
use std::collections::BTreeMap;

/// Makes a dataset.
pub(in crate::call) struct Create;

impl Operation for Create {
    type Message = v1::CreateDatasetRequest;
    type Input<'m> = (Authorised<act::CreateDataset>, NewDataset);
    type Reply = Changed;
    type Answer = v1::CreateDatasetResponse;
    const ACTION: Action = Action::CreateDataset;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise::<act::CreateDataset>(&[])?;
        let name = DatasetName::parse(&message.dataset_id);
        let new = NewDataset {
            name: name.map_err(|e| Refusal::field("dataset_id", e.0))?,
            policy: parse::policy(message.policy.as_ref())?,
            labels: labels(&message.labels, "labels")?,
            deletion_protection: message.deletion_protection.unwrap_or(true),
        };
        let periods = policy_scopes(&new.policy, at.circumstances.now);
        let mut prepared = Prepared::new(None, (authorised, new));
        prepared.needs.scopes = periods.into_iter().collect();
        prepared.needs.request_id = parse::request_id(&message.request_id)?;
        Ok(prepared)
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Changed>, Refusal> {
        let idempotency = scene.idempotency.as_ref();
        create_dataset(&scene.view, &scene.moment, &input.0, &input.1, idempotency)
    }

    fn answer(_: &Self::Message, reply: Changed, with: &Renderer<'_>) -> Self::Answer {
        v1::CreateDatasetResponse {
            dataset: with.dataset(reply.key_id),
        }
    }
}

/// Reads a dataset.
pub(in crate::call) struct Get;

impl Operation for Get {
    type Message = v1::GetDatasetRequest;
    type Input<'m> = KeyId;
    type Reply = KeyId;
    type Answer = v1::GetDatasetResponse;
    const ACTION: Action = Action::GetDataset;

    fn prepare(message: &Self::Message, at: &At<'_>) -> Result<Prepared<KeyId>, Refused> {
        let target = named(at, &message.name, "name")?;
        let (dataset, _) = target
            .authorise::<act::GetDataset>(at, None, &[])
            .map_err(|reason| Refused::about(target.key_id(), reason.into()))?;
        Ok(Prepared::new(target.key_id(), dataset.record.key_id))
    }

    async fn decide(input: &Self::Input<'_>, _: &Scene<'_>) -> Result<Decision<KeyId>, Refusal> {
        let mut detail = Detail::new(Outcome::Ok);
        detail.dataset = Some(*input);
        Ok(Decision::unchanged(Self::ACTION, detail, *input))
    }

    fn answer(_: &Self::Message, reply: KeyId, with: &Renderer<'_>) -> Self::Answer {
        v1::GetDatasetResponse {
            dataset: with.dataset(reply),
        }
    }
}

/// Changes a dataset's policy. Lifting deletion protection is an action of its own.
pub(in crate::call) struct Update;

type Updating = (
    Authorised<act::UpdateDataset>,
    Option<Authorised<act::LiftDeletionProtection>>,
    DatasetUpdate,
);

impl Update {
    fn read(dataset: &v1::Dataset, paths: &[String]) -> Result<DatasetUpdate, Refusal> {
        const PATHS: &str = "policy.rotation_period, policy.required_secrets, \
            policy.retention_classes, policy.lasting_context_keys, deletion_protection";
        let missing = || Refusal::field("dataset.policy", "is required by the mask");
        let policy = || dataset.policy.as_ref().ok_or_else(missing);
        let mut update = DatasetUpdate {
            etag: parse::etag(&dataset.etag).ok_or(Reason::EtagMismatch)?,
            ..DatasetUpdate::default()
        };
        if paths.is_empty() {
            return Err(Refusal::field("update_mask", PATHS));
        }
        for path in paths {
            match path.as_str() {
                "policy.rotation_period" => {
                    let period = parse::rotation_period(policy()?)?;
                    update.rotation_period =
                        Some(period.unwrap_or(kms_core::key::rotation::PERIOD_DEFAULT));
                }
                "policy.required_secrets" => {
                    update.required_secrets = Some(parse::required_secrets(policy()?)?);
                }
                "policy.retention_classes" => {
                    update.retention_classes = Some(parse::retention_classes(policy()?)?);
                }
                "policy.lasting_context_keys" => {
                    update.lasting_context_keys = Some(parse::lasting_context_keys(policy()?));
                }
                "deletion_protection" => {
                    update.deletion_protection = Some(dataset.deletion_protection);
                }
                _ => return Err(Refusal::field("update_mask", PATHS)),
            }
        }
        Ok(update)
    }
}

impl Operation for Update {
    type Message = v1::UpdateDatasetRequest;
    type Input<'m> = Updating;
    type Reply = Changed;
    type Answer = v1::UpdateDatasetResponse;
    const ACTION: Action = Action::UpdateDataset;

    fn prepare(message: &Self::Message, at: &At<'_>) -> Result<Prepared<Updating>, Refused> {
        let missing = || Refusal::field("dataset", "is required");
        let dataset = message.dataset.as_ref().ok_or_else(missing)?;
        let target = named(at, &dataset.name, "dataset.name")?;
        let refused = |refusal: Refusal| Refused::about(target.key_id(), refusal);
        let (found, authorised) = target
            .authorise::<act::UpdateDataset>(at, None, &[])
            .map_err(|reason| refused(reason.into()))?;
        let paths = message
            .update_mask
            .as_ref()
            .map(|mask| mask.paths.as_slice());
        let update = Self::read(dataset, paths.unwrap_or_default()).map_err(refused)?;
        let lift = match update.deletion_protection {
            Some(false) => match target.authorise::<act::LiftDeletionProtection>(at, None, &[]) {
                Ok(lift) => Some(lift),
                Err(Reason::Denied) => None,
                Err(reason) => return Err(refused(reason.into())),
            },
            _ => None,
        };
        let lift = lift.map(|(_, authorised)| authorised);
        let periods = policy_scopes(&update.applied(&found.record.policy), at.circumstances.now);
        let mut prepared = Prepared::new(target.key_id(), (authorised, lift, update));
        prepared.needs.scopes = periods.into_iter().collect();
        Ok(prepared)
    }

    fn marked(input: &Updating, view: &View<'_>) -> Option<Marked> {
        let dataset = view.snapshot.by_id(input.0.dataset()?)?;
        let lifts = input.1.is_some() && dataset.record.deletion_protection;
        lifts.then(|| marked(Action::LiftDeletionProtection, dataset))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Changed>, Refusal> {
        let (authorised, lift, update) = input;
        update_dataset(
            &scene.view,
            &scene.moment,
            authorised,
            lift.as_ref(),
            update,
        )
    }

    fn answer(_: &Self::Message, reply: Changed, with: &Renderer<'_>) -> Self::Answer {
        v1::UpdateDatasetResponse {
            dataset: with.dataset(reply.key_id),
        }
    }
}

fn marked(action: Action, dataset: &Dataset) -> Marked {
    Marked {
        action,
        etag: etag(&[b"dataset", &dataset.revision.0.to_be_bytes()]),
    }
}

fn labels(given: &BTreeMap<String, String>, field: &str) -> Result<Labels, Refusal> {
    let pairs = given.iter().map(|(key, value)| (&**key, &**value));
    Labels::new(pairs).map_err(|error| Refusal::field(field, error.0))
}

/// Changes what access policies see of a dataset: an action of those who say who may do what.
pub(in crate::call) struct Label;

impl Operation for Label {
    type Message = v1::LabelDatasetRequest;
    type Input<'m> = (Authorised<act::LabelDataset>, Labels, Revision);
    type Reply = Changed;
    type Answer = v1::LabelDatasetResponse;
    const ACTION: Action = Action::LabelDataset;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let target = named(at, &message.name, "name")?;
        let refused = |refusal: Refusal| Refused::about(target.key_id(), refusal);
        let allowed = target.authorise::<act::LabelDataset>(at, None, &[]);
        let (_, authorised) = allowed.map_err(|reason| refused(reason.into()))?;
        let etag = parse::etag(&message.etag);
        let etag = etag.ok_or_else(|| refused(Reason::EtagMismatch.into()))?;
        let labels = labels(&message.labels, "labels").map_err(refused)?;
        Ok(Prepared::new(target.key_id(), (authorised, labels, etag)))
    }

    fn marked(input: &Self::Input<'_>, view: &View<'_>) -> Option<Marked> {
        let dataset = view.snapshot.by_id(input.0.dataset()?)?;
        Some(marked(Self::ACTION, dataset))
    }

    async fn decide(
        (authorised, labels, etag): &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Changed>, Refusal> {
        label_dataset(&scene.view, authorised, labels, *etag)
    }

    fn answer(_: &Self::Message, reply: Changed, with: &Renderer<'_>) -> Self::Answer {
        v1::LabelDatasetResponse {
            dataset: with.dataset(reply.key_id),
        }
    }
}
