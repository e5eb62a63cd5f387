//! RotateDataset and EmergencyRotateDataset.

use super::named;
use crate::call::operation::{At, Operation, Prepared, Refused, Scene};
use crate::call::parse;
use crate::call::render::Renderer;
use kms_core::engine::{Changed, Decision, Refusal, emergency_rotate, rotate};
use kms_core::name::{ReasonText, VersionNumber};
use kms_core::policy::{Action, Authorised, act};
use kms_proto::v1;

/// Makes a new ACTIVE version.
pub(in crate::call) struct Rotate;

impl Operation for Rotate {
    type Message = v1::RotateDatasetRequest;
    type Input<'m> = Authorised<act::RotateDataset>;
    type Reply = Changed;
    type Answer = v1::RotateDatasetResponse;
    const ACTION: Action = Action::RotateDataset;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let target = named(at, &message.name, "name")?;
        let refused = |refusal: Refusal| Refused::about(target.key_id(), refusal);
        let (_, authorised) = target
            .authorise(at, None, &[])
            .map_err(|reason| refused(reason.into()))?;
        let mut prepared = Prepared::new(target.key_id(), authorised);
        prepared.needs.request_id = parse::request_id(&message.request_id).map_err(refused)?;
        Ok(prepared)
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Changed>, Refusal> {
        rotate(
            &scene.view,
            &scene.moment,
            input,
            scene.idempotency.as_ref(),
        )
    }

    fn answer(_: &Self::Message, reply: Changed, with: &Renderer<'_>) -> Self::Answer {
        v1::RotateDatasetResponse {
            dataset: with.dataset(reply.key_id),
            version: reply.version.and_then(|n| with.version(reply.key_id, n)),
        }
    }
}

/// Rotates and marks the older versions compromised.
pub(in crate::call) struct Emergency;

impl Operation for Emergency {
    type Message = v1::EmergencyRotateDatasetRequest;
    type Input<'m> = (Authorised<act::EmergencyRotateDataset>, ReasonText);
    type Reply = Changed;
    type Answer = v1::EmergencyRotateDatasetResponse;
    const ACTION: Action = Action::EmergencyRotateDataset;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let target = named(at, &message.name, "name")?;
        let refused = |refusal: Refusal| Refused::about(target.key_id(), refusal);
        let (_, authorised) = target
            .authorise(at, None, &[])
            .map_err(|reason| refused(reason.into()))?;
        let reason = parse::reason(&message.reason, "reason").map_err(refused)?;
        let mut prepared = Prepared::new(target.key_id(), (authorised, reason));
        prepared.needs.request_id = parse::request_id(&message.request_id).map_err(refused)?;
        Ok(prepared)
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Changed>, Refusal> {
        let idempotency = scene.idempotency.as_ref();
        emergency_rotate(&scene.view, &scene.moment, &input.0, &input.1, idempotency)
    }

    fn answer(_: &Self::Message, reply: Changed, with: &Renderer<'_>) -> Self::Answer {
        v1::EmergencyRotateDatasetResponse {
            dataset: with.dataset(reply.key_id),
            version: reply.version.and_then(|n| with.version(reply.key_id, n)),
            marked_versions: reply.marked.into_iter().map(VersionNumber::get).collect(),
        }
    }
}
