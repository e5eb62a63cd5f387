//! The life cycle of one version: disable, enable, schedule destruction, restore.

use super::version_named;
use crate::call::operation::{At, Marked, Operation, Prepared, Refused, Scene};
use crate::call::parse;
use crate::call::render::Renderer;
use kms_core::engine::approval::statement::etag;
use kms_core::engine::{
    Changed, Decision, Refusal, View, disable_version, enable_version, restore_version,
    schedule_destruction,
};
use kms_core::name::VersionNumber;
use kms_core::policy::{Action, ActionKind, Authorised, act};
use kms_core::time::DAY;
use kms_proto::v1;
use std::time::Duration;

/// Days until a scheduled destruction when the caller does not say.
const WAITING_DAYS_DEFAULT: u32 = 30;

fn prepare<A: ActionKind>(
    name: &str,
    at: &At<'_>,
) -> Result<Prepared<(Authorised<A>, VersionNumber)>, Refused> {
    let (target, number) = version_named(at, name)?;
    let (_, authorised) = target
        .authorise(at, None, &[])
        .map_err(|reason| Refused::about(target.key_id(), reason.into()))?;
    let mut prepared = Prepared::new(target.key_id(), (authorised, number));
    prepared.detail.version = Some(number);
    Ok(prepared)
}

macro_rules! life_cycle {
    ($($(#[$doc:meta])* $operation:ident $action:ident $request:ident $response:ident $decide:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub(in crate::call) struct $operation;

        impl Operation for $operation {
            type Message = v1::$request;
            type Input<'m> = (Authorised<act::$action>, VersionNumber);
            type Reply = Changed;
            type Answer = v1::$response;
            const ACTION: Action = Action::$action;

            fn prepare<'m>(
                message: &'m Self::Message,
                at: &At<'_>,
            ) -> Result<Prepared<Self::Input<'m>>, Refused> {
                prepare(&message.name, at)
            }

            async fn decide(
                input: &Self::Input<'_>,
                scene: &Scene<'_>,
            ) -> Result<Decision<Changed>, Refusal> {
                $decide(&scene.view, &scene.moment, &input.0, input.1)
            }

            fn answer(_: &Self::Message, reply: Changed, with: &Renderer<'_>) -> Self::Answer {
                v1::$response {
                    version: reply.version.and_then(|n| with.version(reply.key_id, n)),
                }
            }
        }
    )+};
}

life_cycle! {
    /// Refuses every use of a version.
    Disable DisableVersion DisableVersionRequest DisableVersionResponse disable_version,
    /// Back to DECRYPT_ONLY.
    Enable EnableVersion EnableVersionRequest EnableVersionResponse enable_version,
    /// Cancels a scheduled destruction.
    Restore RestoreVersion RestoreVersionRequest RestoreVersionResponse restore_version,
}

/// Schedules a version's destruction.
pub(in crate::call) struct Schedule;

type Scheduling = (
    Authorised<act::ScheduleVersionDestruction>,
    VersionNumber,
    Duration,
);

impl Operation for Schedule {
    type Message = v1::ScheduleVersionDestructionRequest;
    type Input<'m> = Scheduling;
    type Reply = Changed;
    type Answer = v1::ScheduleVersionDestructionResponse;
    const ACTION: Action = Action::ScheduleVersionDestruction;

    fn prepare(message: &Self::Message, at: &At<'_>) -> Result<Prepared<Scheduling>, Refused> {
        let prepared = prepare(&message.name, at)?;
        let waiting = match &message.waiting_time {
            None => DAY * WAITING_DAYS_DEFAULT,
            Some(given) => parse::duration(given, "waiting_time")
                .map_err(|refusal| Refused::about(prepared.detail.dataset, refusal))?,
        };
        let (authorised, number) = prepared.input;
        Ok(Prepared {
            input: (authorised, number, waiting),
            needs: prepared.needs,
            detail: prepared.detail,
        })
    }

    fn marked(input: &Scheduling, view: &View<'_>) -> Option<Marked> {
        let dataset = view.snapshot.by_id(input.0.dataset()?)?;
        let version = dataset.versions.get(&input.1)?;
        Some(Marked {
            action: Self::ACTION,
            etag: etag(&[b"version", &version.revision.0.to_be_bytes()]),
        })
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Changed>, Refusal> {
        let (authorised, number, waiting) = input;
        schedule_destruction(&scene.view, &scene.moment, authorised, *number, *waiting)
    }

    fn answer(_: &Self::Message, reply: Changed, with: &Renderer<'_>) -> Self::Answer {
        v1::ScheduleVersionDestructionResponse {
            version: reply.version.and_then(|n| with.version(reply.key_id, n)),
        }
    }
}
