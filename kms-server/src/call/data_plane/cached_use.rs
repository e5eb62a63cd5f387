//! ReportCachedUses: what a client says of data keys that it remembered.

use super::{blamed, key_context};
use crate::call::operation::{At, Operation, Prepared, Refused, Scene, Target};
use crate::call::parse;
use crate::call::render::Renderer;
use kms_core::audit::{Detail, Outcome};
use kms_core::engine::batch::{Item, RefusedItem};
use kms_core::engine::cached_use::{AGO_MAX, CachedUse, report_cached_uses};
use kms_core::engine::{Decision, Refusal, limits, parse_blob};
use kms_core::format::wrapped::{BlobKind, Header};
use kms_core::policy::{Action, Authorised, act};
use kms_proto::v1;
use std::time::Duration;

type Allowed<'m> = (Authorised<act::ReportCachedUses>, CachedUse<'m>);

fn item<'m>(at: &At<'_>, message: &'m v1::CachedUse) -> Result<Allowed<'m>, Refused> {
    let (header, _) = parse_blob(BlobKind::DataKey, &message.wrapped_data_key)?;
    let target = blamed(at, &header);
    read(at, target, message, header).map_err(|refusal| Refused::about(target.key_id(), refusal))
}

fn read<'m>(
    at: &At<'_>,
    target: Target<'_>,
    message: &'m v1::CachedUse,
    header: Header,
) -> Result<Allowed<'m>, Refusal> {
    let context = key_context(&message.key_context);
    let (_, authorised) = target.authorise(at, context.as_ref().ok(), &[])?;
    if message.uses == 0 {
        return Err(Refusal::field("uses", "1 or more"));
    }
    let used = CachedUse {
        header,
        wrapped: &message.wrapped_data_key,
        context: context?,
        uses: message.uses,
        ago: (
            ago(message.first_ago.as_ref(), "first_ago")?,
            ago(message.last_ago.as_ref(), "last_ago")?,
        ),
    };
    Ok((authorised, used))
}

fn ago(given: Option<&prost_types::Duration>, field: &str) -> Result<Duration, Refusal> {
    let given = given.map(|given| parse::duration(given, field));
    let given = given.transpose()?.unwrap_or_default();
    if given > AGO_MAX {
        return Err(Refusal::field(field, "at most a day"));
    }
    Ok(given)
}

/// Up to 1,000 data keys.
pub(in crate::call) struct Report;

impl Operation for Report {
    type Message = v1::ReportCachedUsesRequest;
    type Input<'m> = (Vec<Item<act::ReportCachedUses, CachedUse<'m>>>, u64);
    type Reply = usize;
    type Answer = v1::ReportCachedUsesResponse;
    const ACTION: Action = Action::ReportCachedUses;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        limits::check_batch(message.items.len())?;
        let refused = |(index, refused): (usize, Refused)| RefusedItem {
            refusal: refused.refusal.within_item(index),
            detail: refused.detail,
        };
        let items = message.items.iter().enumerate();
        let items = items
            .map(|(index, message)| item(at, message).map_err(|error| refused((index, error))))
            .collect();
        let mut prepared = Prepared::new(None, (items, message.uncounted));
        prepared.detail = Detail::new(Outcome::Ok);
        Ok(prepared)
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<usize>, Refusal> {
        report_cached_uses(&scene.view, &input.0, input.1)
    }

    fn answer(_: &Self::Message, taken: usize, _: &Renderer<'_>) -> Self::Answer {
        v1::ReportCachedUsesResponse {
            taken: u32::try_from(taken).unwrap_or(u32::MAX),
        }
    }
}
