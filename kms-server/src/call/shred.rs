//! The RPCs of `ShredService`.

use super::operation::{At, Marked, Operation, Prepared, Refused, Scene};
use super::parse;
use super::render::{self, Renderer};
use kms_core::audit::{Detail, Outcome};
use kms_core::engine::approval::statement::etag;
use kms_core::engine::batch::{Item, RefusedItem};
use kms_core::engine::shred::{CreatedSecrets, select};
use kms_core::engine::{
    Decision, NewSecret, Refusal, ScopeRequest, Selector, ShredFace, View, block_shred,
    create_shred_secrets, destroy_shred, limits, resolve_scope, unblock_shred,
};
use kms_core::name::{ReasonText, ShredScope};
use kms_core::policy::{Action, ActionKind, Authorised, act};
use kms_proto::v1;

/// A scope that is not seen through a dataset: its class must be given.
fn scope(at: &At<'_>, scope: &v1::ShredSecretScope) -> Result<ShredScope, Refusal> {
    let request = ScopeRequest {
        kind: parse::secret_kind(scope.kind, "scope.kind")?,
        account: &scope.account,
        name: &scope.name,
        class: &scope.retention_class,
    };
    resolve_scope(None, request, at.circumstances.now)
}

/// Makes secrets ahead of use.
pub(super) struct Create;

impl Create {
    fn item(
        at: &At<'_>,
        message: &v1::CreateShredSecretItem,
    ) -> Result<(Authorised<act::CreateShredSecret>, NewSecret), Refusal> {
        let missing = || Refusal::field("scope", "is required");
        let scope = message
            .scope
            .as_ref()
            .ok_or_else(missing)
            .and_then(|s| scope(at, s));
        let scopes = scope.as_ref().map(std::slice::from_ref).unwrap_or_default();
        let authorised = at.authorise(scopes)?;
        let new = NewSecret {
            succeeds: parse::optional_secret_id(&message.succeeds_id, "succeeds_id")?,
            scope: scope?,
        };
        Ok((authorised, new))
    }
}

impl Operation for Create {
    type Message = v1::CreateShredSecretsRequest;
    type Input<'m> = Vec<Item<act::CreateShredSecret, NewSecret>>;
    type Reply = CreatedSecrets;
    type Answer = v1::CreateShredSecretsResponse;
    const ACTION: Action = Action::CreateShredSecret;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        limits::check_batch(message.items.len())?;
        let items = message.items.iter().enumerate().map(|(index, item)| {
            Self::item(at, item).map_err(|r| RefusedItem::from(r.within_item(index)))
        });
        let mut prepared = Prepared::new(None, items.collect::<Vec<_>>());
        let allowed = prepared.input.iter().filter_map(|item| item.as_ref().ok());
        prepared.needs.scopes = allowed.map(|(_, new)| new.scope.clone()).collect();
        prepared.needs.request_id = parse::request_id(&message.request_id)?;
        Ok(prepared)
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<CreatedSecrets>, Refusal> {
        let idempotency = scene.idempotency.as_ref();
        create_shred_secrets(&scene.view, &scene.moment, input, idempotency)
    }

    fn answer(_: &Self::Message, reply: CreatedSecrets, with: &Renderer<'_>) -> Self::Answer {
        let result = |result| match result {
            Ok(made) => {
                let made: kms_core::engine::CreatedSecret = made;
                v1::CreateShredSecretResult {
                    secret: Some(render::shred_secret(&made.secret)),
                    created: made.created,
                    error: None,
                }
            }
            Err(refusal) => v1::CreateShredSecretResult {
                secret: None,
                created: false,
                error: Some(with.item_error(&refusal)),
            },
        };
        v1::CreateShredSecretsResponse {
            results: reply.into_iter().map(result).collect(),
        }
    }
}

/// Resolves, authorises: a secret by scope or by id.
fn selected<A: ActionKind>(
    at: &At<'_>,
    message: Option<&v1::ShredSecretSelector>,
) -> Result<Prepared<(Authorised<A>, Selector)>, Refused> {
    use v1::shred_secret_selector::By;
    let selector = match message.and_then(|selector| selector.by.as_ref()) {
        None => Err(Refusal::field("selector", "a scope or an id")),
        Some(By::Id(id)) => parse::secret_id(id, "selector.id").map(Selector::Id),
        Some(By::Scope(named)) => scope(at, named)
            .map(Selector::Scope)
            .map_err(|refusal| refusal.within("selector")),
    };
    let scopes = match &selector {
        Ok(Selector::Scope(scope)) => std::slice::from_ref(scope),
        _ => &[],
    };
    let authorised = at.authorise(scopes)?;
    let mut prepared = Prepared::new(None, (authorised, selector?));
    match &prepared.input.1 {
        Selector::Scope(scope) => prepared.needs.scopes.push(scope.clone()),
        Selector::Id(id) => {
            prepared.needs.ids.push(*id);
            prepared.detail.secrets.push(*id);
        }
    }
    Ok(prepared)
}

/// Reads a secret's state.
pub(super) struct Get;

impl Operation for Get {
    type Message = v1::GetShredSecretRequest;
    type Input<'m> = (Authorised<act::GetShredSecret>, Selector);
    type Reply = ShredFace;
    type Answer = v1::GetShredSecretResponse;
    const ACTION: Action = Action::GetShredSecret;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        selected(at, message.selector.as_ref())
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<ShredFace>, Refusal> {
        let face = ShredFace::from(&**select(&scene.view, &input.1)?);
        let mut detail = Detail::new(Outcome::Ok);
        detail.secrets.push(face.id);
        Ok(Decision::unchanged(Self::ACTION, detail, face))
    }

    fn answer(_: &Self::Message, reply: ShredFace, _: &Renderer<'_>) -> Self::Answer {
        v1::GetShredSecretResponse {
            secret: Some(render::shred_secret(&reply)),
        }
    }
}

macro_rules! events {
    ($($(#[$doc:meta])* $operation:ident $action:ident $request:ident $response:ident $decide:ident),+ $(,)?) => {$(
        $(#[$doc])*
        pub(super) struct $operation;

        impl Operation for $operation {
            type Message = v1::$request;
            type Input<'m> = (Authorised<act::$action>, Selector, ReasonText);
            type Reply = ShredFace;
            type Answer = v1::$response;
            const ACTION: Action = Action::$action;

            fn prepare<'m>(
                message: &'m Self::Message,
                at: &At<'_>,
            ) -> Result<Prepared<Self::Input<'m>>, Refused> {
                let selected = selected(at, message.selector.as_ref())?;
                let (authorised, selector) = selected.input;
                let reason = parse::reason(&message.reason, "reason")?;
                Ok(Prepared {
                    input: (authorised, selector, reason),
                    needs: selected.needs,
                    detail: selected.detail,
                })
            }

            fn marked(input: &Self::Input<'_>, view: &View<'_>) -> Option<Marked> {
                let secret = select(view, &input.1).ok()?;
                Some(Marked {
                    action: Self::ACTION,
                    etag: etag(&[b"secret", &secret.id.0, &secret.revision.0.to_be_bytes()]),
                })
            }

            async fn decide(
                input: &Self::Input<'_>,
                scene: &Scene<'_>,
            ) -> Result<Decision<ShredFace>, Refusal> {
                $decide(&scene.view, &scene.moment, &input.0, &input.1, &input.2)
            }

            fn answer(_: &Self::Message, reply: ShredFace, _: &Renderer<'_>) -> Self::Answer {
                v1::$response {
                    secret: Some(render::shred_secret(&reply)),
                }
            }
        }
    )+};
}

events! {
    /// Refuses every use from the answer on.
    Block BlockShredSecret BlockShredSecretRequest BlockShredSecretResponse block_shred,
    /// Takes a block back.
    Unblock UnblockShredSecret UnblockShredSecretRequest UnblockShredSecretResponse unblock_shred,
    /// Destroys it for ever.
    Destroy DestroyShredSecret DestroyShredSecretRequest DestroyShredSecretResponse destroy_shred,
}
