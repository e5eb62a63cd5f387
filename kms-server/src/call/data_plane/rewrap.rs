//! Rewrap: each message of the stream is a call of its own; its failure is an item status, never the
//! stream's end.

use super::{blamed, key_context};
use crate::call::lane::Lane;
use crate::call::operation::{At, Operation, Prepared, Refused, Scene, Target};
use crate::call::render::Renderer;
use crate::call::road::Incoming;
use crate::call::ticket::Ticket;
use crate::call::{Service, parse, render};
use kms_core::audit::{Detail, Outcome};
use kms_core::codec::crc32c;
use kms_core::engine::{
    Decision, Refusal, RewrapItem, Rewrapped, Snapshot, limits, parse_blob, rewrap, rewrap_detail,
};
use kms_core::format::wrapped::{BlobKind, Header};
use kms_core::policy::{Action, Authorised, act};
use kms_core::reason::Reason;
use kms_proto::v1;
use prost::Message as _;

type Allowed<'m> = (Authorised<act::Rewrap>, RewrapItem<'m>);

/// One data key.
pub(in crate::call) struct Rewrap;

impl Rewrap {
    fn read<'m>(
        at: &At<'_>,
        target: Target<'_>,
        message: &'m v1::RewrapRequest,
        header: Header,
        blob: &'m [u8],
    ) -> Result<Allowed<'m>, Refusal> {
        let context = key_context(&message.key_context);
        let (_, authorised) = target.authorise(at, context.as_ref().ok(), &[])?;
        limits::check_reference(&message.reference)?;
        let keep = match message.keep_data_key_reason.as_str() {
            "" => None,
            text => Some(parse::reason(text, "keep_data_key_reason")?),
        };
        let item = RewrapItem {
            blob: &message.wrapped_data_key,
            header,
            message: blob,
            context: context?,
            keep_data_key: keep,
        };
        Ok((authorised, item))
    }
}

impl Operation for Rewrap {
    type Message = v1::RewrapRequest;
    type Input<'m> = Allowed<'m>;
    type Reply = Rewrapped;
    type Answer = v1::RewrapResponse;
    const ACTION: Action = Action::Rewrap;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Allowed<'m>>, Refused> {
        parse::checksum(message.wrapped_data_key_crc32c, &message.wrapped_data_key)?;
        let (header, blob) = parse_blob(BlobKind::DataKey, &message.wrapped_data_key)?;
        let target = blamed(at, &header);
        let input = Self::read(at, target, message, header, blob)
            .map_err(|refusal| Refused::about(target.key_id(), refusal))?;
        let mut prepared = Prepared::new(target.key_id(), input);
        let secrets = prepared.input.1.header.secrets();
        prepared.needs.ids = secrets.iter().map(|secret| secret.id).collect();
        Ok(prepared)
    }

    fn describe(input: &Self::Input<'_>, snapshot: &Snapshot) -> Option<Detail> {
        let dataset = input.0.dataset();
        Some(rewrap_detail(snapshot, dataset, &input.1, Outcome::Ok))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Rewrapped>, Refusal> {
        rewrap(&scene.view, &scene.moment, &input.0, &input.1)
    }

    fn answer(message: &Self::Message, reply: Rewrapped, _: &Renderer<'_>) -> Self::Answer {
        v1::RewrapResponse {
            wrapped_data_key_crc32c: crc32c(&reply.wrapped),
            wrapped_data_key: reply.wrapped.into(),
            version: reply.version.get(),
            rewrapped: reply.rewrapped,
            reference: message.reference.clone(),
            error: None,
        }
    }
}

impl Service {
    /// One message of the stream: what is wrong with it is the item's status. What is wrong with the whole stream ends
    /// it.
    pub(in crate::call) async fn rewrap(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::RewrapResponse, Refusal> {
        let refusal = match self.run::<Rewrap>(lane, ticket, call).await {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal,
        };
        let whole = matches!(
            refusal.reason,
            Reason::Sealed | Reason::AuditUnavailable | Reason::StoreUnavailable
        );
        match v1::RewrapRequest::decode(call.body.clone()) {
            Ok(message) if refusal.reason == Reason::DryRun => Ok(v1::RewrapResponse {
                reference: message.reference,
                ..Default::default()
            }),
            Ok(message) if !whole => Ok(v1::RewrapResponse {
                reference: message.reference,
                error: Some(render::item_error(&refusal)),
                ..Default::default()
            }),
            _ => Err(refusal),
        }
    }
}
