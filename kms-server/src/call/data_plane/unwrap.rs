//! UnwrapDataKey and UnwrapDataKeys.

use super::{blamed, key_context};
use crate::call::operation::{At, Operation, Prepared, Refused, Scene, Target};
use crate::call::parse;
use crate::call::render::Renderer;
use kms_core::audit::{Detail, Outcome};
use kms_core::codec::crc32c;
use kms_core::engine::batch::{Item, RefusedItem};
use kms_core::engine::unwrap::{UnwrappedKeys, Unwrapping};
use kms_core::engine::{
    Decision, Refusal, Snapshot, UnwrapItem, UnwrappedKey, limits, parse_blob, unwrap_data_key,
    unwrap_detail,
};
use kms_core::format::wrapped::{BlobKind, Header};
use kms_core::policy::{Action, Authorised, act};
use kms_proto::v1;

type Allowed<'m> = (Authorised<act::UnwrapDataKey>, UnwrapItem<'m>);

fn item<'m>(at: &At<'_>, message: &'m v1::UnwrapDataKeyRequest) -> Result<Allowed<'m>, Refused> {
    parse::checksum(message.wrapped_data_key_crc32c, &message.wrapped_data_key)?;
    let (header, blob) = parse_blob(BlobKind::DataKey, &message.wrapped_data_key)?;
    let target = blamed(at, &header);
    read(at, target, message, header, blob)
        .map_err(|refusal| Refused::about(target.key_id(), refusal))
}

fn read<'m>(
    at: &At<'_>,
    target: Target<'_>,
    message: &'m v1::UnwrapDataKeyRequest,
    header: Header,
    blob: &'m [u8],
) -> Result<Allowed<'m>, Refusal> {
    let context = key_context(&message.key_context);
    let (_, authorised) = target.authorise(at, context.as_ref().ok(), &[])?;
    limits::check_reference(&message.reference)?;
    let item = UnwrapItem {
        header,
        message: blob,
        context: context?,
    };
    Ok((authorised, item))
}

fn key(
    message: &v1::UnwrapDataKeyRequest,
    key: &UnwrappedKey,
    with: &Renderer<'_>,
) -> v1::UnwrapDataKeyResponse {
    let plaintext = key.plaintext.expose_bytes().to_vec();
    v1::UnwrapDataKeyResponse {
        plaintext_crc32c: crc32c(&plaintext),
        plaintext: plaintext.into(),
        dataset: with.name_of(key.key_id),
        version: key.version.get(),
        version_active: key.active,
        version_compromised: key.compromised,
        reference: message.reference.clone(),
        error: None,
    }
}

/// One wrapped data key.
pub(in crate::call) struct Single;

impl Operation for Single {
    type Message = v1::UnwrapDataKeyRequest;
    type Input<'m> = Allowed<'m>;
    type Reply = UnwrappedKey;
    type Answer = v1::UnwrapDataKeyResponse;
    const ACTION: Action = Action::UnwrapDataKey;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Allowed<'m>>, Refused> {
        let allowed = item(at, message)?;
        let mut prepared = Prepared::new(allowed.0.dataset(), allowed);
        let secrets = prepared.input.1.header.secrets();
        prepared.needs.ids = secrets.iter().map(|secret| secret.id).collect();
        Ok(prepared)
    }

    fn describe(input: &Self::Input<'_>, snapshot: &Snapshot) -> Option<Detail> {
        let dataset = input.0.dataset();
        Some(unwrap_detail(snapshot, dataset, &input.1, Outcome::Ok))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<UnwrappedKey>, Refusal> {
        unwrap_data_key(&scene.view, &input.0, &input.1)
    }

    fn answer(message: &Self::Message, reply: UnwrappedKey, with: &Renderer<'_>) -> Self::Answer {
        key(message, &reply, with)
    }
}

/// Up to 1,000 of them.
pub(in crate::call) struct Batch;

impl Operation for Batch {
    type Message = v1::UnwrapDataKeysRequest;
    type Input<'m> = Vec<Item<act::UnwrapDataKey, UnwrapItem<'m>>>;
    type Reply = UnwrappedKeys;
    type Answer = v1::UnwrapDataKeysResponse;
    const ACTION: Action = Action::UnwrapDataKey;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        limits::check_batch(message.items.len())?;
        if message.items.iter().any(|item| item.validate_only) {
            return Err(Refusal::field("items.validate_only", "the batch's, not an item's").into());
        }
        let items: Vec<_> = message
            .items
            .iter()
            .enumerate()
            .map(|(index, message)| {
                item(at, message).map_err(|refused| RefusedItem {
                    refusal: refused.refusal.within_item(index),
                    detail: refused.detail,
                })
            })
            .collect();
        let mut prepared = Prepared::new(None, items);
        prepared.detail = Detail::new(Outcome::Ok);
        let allowed = prepared.input.iter().filter_map(|item| item.as_ref().ok());
        prepared.needs.ids = allowed
            .flat_map(|(_, item)| item.header.secrets().iter().map(|secret| secret.id))
            .collect();
        Ok(prepared)
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<UnwrappedKeys>, Refusal> {
        let mut batch = Unwrapping::new(&scene.view, input)?;
        while batch.step() {
            tokio::task::yield_now().await;
        }
        Ok(batch.finish())
    }

    fn answer(message: &Self::Message, reply: UnwrappedKeys, with: &Renderer<'_>) -> Self::Answer {
        let items = message
            .items
            .iter()
            .zip(reply)
            .map(|(message, reply)| match reply {
                Ok(unwrapped) => key(message, &unwrapped, with),
                Err(refusal) => v1::UnwrapDataKeyResponse {
                    reference: message.reference.clone(),
                    error: Some(with.item_error(&refusal)),
                    ..Default::default()
                },
            });
        v1::UnwrapDataKeysResponse {
            items: items.collect(),
        }
    }
}
