//! GenerateDataKey and GenerateDataKeys.

use super::{key_context, named, scopes, secret_uses};
use crate::call::operation::{At, Operation, Prepared, Refused, Scene, Target};
use crate::call::render::Renderer;
use kms_core::audit::{Detail, Outcome};
use kms_core::codec::crc32c;
use kms_core::engine::batch::{Item, RefusedItem};
use kms_core::engine::generate::{GeneratedKeys, Generating};
use kms_core::engine::{
    Decision, GenerateItem, GeneratedKey, Refusal, Snapshot, generate_data_key, generate_detail,
    limits,
};
use kms_core::policy::{Action, Authorised, act};
use kms_proto::v1;

type Allowed = (Authorised<act::GenerateDataKey>, GenerateItem);

/// Resolves, authorises, validates one item.
fn item(at: &At<'_>, message: &v1::GenerateDataKeyRequest) -> Result<Allowed, Refused> {
    let target = named(at, &message.dataset)?;
    read(at, target, message).map_err(|refusal| Refused::about(target.key_id(), refusal))
}

fn read(
    at: &At<'_>,
    target: Target<'_>,
    message: &v1::GenerateDataKeyRequest,
) -> Result<Allowed, Refusal> {
    let context = key_context(&message.key_context);
    let secrets = secret_uses(at, target, &message.shred_secrets);
    let (_, authorised) = target.authorise(at, context.as_ref().ok(), &scopes(&secrets))?;
    limits::check_reference(&message.reference)?;
    let item = GenerateItem {
        context: context?,
        secrets: secrets?,
    };
    Ok((authorised, item))
}

fn key(message: &v1::GenerateDataKeyRequest, key: &GeneratedKey) -> v1::GenerateDataKeyResponse {
    let plaintext = if message.without_plaintext {
        Vec::new()
    } else {
        key.plaintext.expose_bytes().to_vec()
    };
    v1::GenerateDataKeyResponse {
        plaintext_crc32c: crc32c(&plaintext),
        plaintext: plaintext.into(),
        wrapped_data_key_crc32c: crc32c(&key.wrapped),
        wrapped_data_key: key.wrapped.clone().into(),
        version: key.version.get(),
        reference: message.reference.clone(),
        error: None,
    }
}

/// One data key.
pub(in crate::call) struct Single;

impl Operation for Single {
    type Message = v1::GenerateDataKeyRequest;
    type Input<'m> = Allowed;
    type Reply = GeneratedKey;
    type Answer = v1::GenerateDataKeyResponse;
    const ACTION: Action = Action::GenerateDataKey;

    fn prepare(message: &Self::Message, at: &At<'_>) -> Result<Prepared<Allowed>, Refused> {
        let allowed = item(at, message)?;
        let mut prepared = Prepared::new(allowed.0.dataset(), allowed);
        let secrets = &prepared.input.1.secrets;
        prepared.needs.scopes = secrets.iter().map(|used| used.scope.clone()).collect();
        Ok(prepared)
    }

    fn describe(input: &Self::Input<'_>, snapshot: &Snapshot) -> Option<Detail> {
        let dataset = input.0.dataset();
        Some(generate_detail(snapshot, dataset, &input.1, Outcome::Ok))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<GeneratedKey>, Refusal> {
        generate_data_key(&scene.view, &scene.moment, &input.0, &input.1)
    }

    fn answer(message: &Self::Message, reply: GeneratedKey, _: &Renderer<'_>) -> Self::Answer {
        key(message, &reply)
    }
}

/// Up to 1,000 of them.
pub(in crate::call) struct Batch;

impl Operation for Batch {
    type Message = v1::GenerateDataKeysRequest;
    type Input<'m> = Vec<Item<act::GenerateDataKey, GenerateItem>>;
    type Reply = GeneratedKeys;
    type Answer = v1::GenerateDataKeysResponse;
    const ACTION: Action = Action::GenerateDataKey;

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
        prepared.needs.scopes = allowed
            .flat_map(|(_, item)| item.secrets.iter().map(|used| used.scope.clone()))
            .collect();
        Ok(prepared)
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<GeneratedKeys>, Refusal> {
        let mut batch = Generating::new(&scene.view, &scene.moment, input)?;
        while batch.step() {
            tokio::task::yield_now().await;
        }
        Ok(batch.finish())
    }

    fn answer(message: &Self::Message, reply: GeneratedKeys, with: &Renderer<'_>) -> Self::Answer {
        let items = message
            .items
            .iter()
            .zip(reply)
            .map(|(message, reply)| match reply {
                Ok(generated) => key(message, &generated),
                Err(refusal) => v1::GenerateDataKeyResponse {
                    reference: message.reference.clone(),
                    error: Some(with.item_error(&refusal)),
                    ..Default::default()
                },
            });
        v1::GenerateDataKeysResponse {
            items: items.collect(),
        }
    }
}
