//! Approve, RejectApproval, CancelApproval.

use super::listing::named;
use super::render;
use crate::call::operation::{At, Operation, Prepared, Refused, Scene};
use crate::call::parse;
use crate::call::render::Renderer;
use kms_core::cipher::ssh_signature::{SIGNATURE_MAX, SignerKey};
use kms_core::engine::approval::{approve, cancel, reject};
use kms_core::engine::{Decision, Refusal};
use kms_core::key::record::Record;
use kms_core::name::{ApprovalId, ReasonText};
use kms_core::policy::{Action, Authorised, act};
use kms_core::reason::Reason;
use kms_proto::v1;

/// A decision with the approval as it will stand.
fn shown(
    scene: &Scene<'_>,
    decision: Decision<ApprovalId>,
) -> Result<Decision<v1::Approval>, Refusal> {
    let writes = decision.change.iter().flat_map(|change| &change.writes);
    let mut records = writes.filter_map(|write| match &write.record {
        Some(Record::Approval(record)) => Some(record),
        _ => None,
    });
    let record = records.next().ok_or(Reason::Internal)?;
    Ok(Decision {
        reply: render::approval(scene, record),
        facts: decision.facts,
        change: decision.change,
    })
}

/// Signs one.
pub(in crate::call) struct Approve;

/// The approval, and whose signature over it.
type Signing = (
    Authorised<act::Approve>,
    ApprovalId,
    SignerKey,
    bytes::Bytes,
);

impl Operation for Approve {
    type Message = v1::ApproveRequest;
    type Input<'m> = Signing;
    type Reply = v1::Approval;
    type Answer = v1::ApproveResponse;
    const ACTION: Action = Action::Approve;

    fn prepare(message: &Self::Message, at: &At<'_>) -> Result<Prepared<Signing>, Refused> {
        let authorised = at.authorise(&[])?;
        let id = named(&message.name)?;
        let form = "a public key as OpenSSH encodes it, of a kind that is taken";
        let key = SignerKey::from_blob(&message.public_key);
        let key = key.map_err(|_| Refusal::field("public_key", form))?;
        if message.signature.len() > SIGNATURE_MAX {
            return Err(Refusal::field("signature", "at most 1,024 bytes").into());
        }
        let input = (authorised, id, key, message.signature.clone());
        Ok(Prepared::new(None, input))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let (authorised, id, key, signature) = input;
        let (view, moment) = (&scene.view, &scene.moment);
        let decision = approve(view, moment, authorised, *id, (key, signature))?;
        shown(scene, decision)
    }

    fn answer(_: &Self::Message, reply: Self::Reply, _: &Renderer<'_>) -> Self::Answer {
        v1::ApproveResponse {
            approval: Some(reply),
        }
    }
}

/// Says no.
pub(in crate::call) struct Reject;

impl Operation for Reject {
    type Message = v1::RejectApprovalRequest;
    type Input<'m> = (Authorised<act::RejectApproval>, ApprovalId, ReasonText);
    type Reply = v1::Approval;
    type Answer = v1::RejectApprovalResponse;
    const ACTION: Action = Action::RejectApproval;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        let id = named(&message.name)?;
        let why = parse::reason(&message.reason, "reason")?;
        Ok(Prepared::new(None, (authorised, id, why)))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let decision = reject(&scene.view, &scene.moment, &input.0, input.1, &input.2)?;
        shown(scene, decision)
    }

    fn answer(_: &Self::Message, reply: Self::Reply, _: &Renderer<'_>) -> Self::Answer {
        v1::RejectApprovalResponse {
            approval: Some(reply),
        }
    }
}

/// Takes one's own back.
pub(in crate::call) struct Cancel;

impl Operation for Cancel {
    type Message = v1::CancelApprovalRequest;
    type Input<'m> = (Authorised<act::CancelApproval>, ApprovalId);
    type Reply = v1::Approval;
    type Answer = v1::CancelApprovalResponse;
    const ACTION: Action = Action::CancelApproval;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        Ok(Prepared::new(None, (authorised, named(&message.name)?)))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let decision = cancel(&scene.view, &scene.moment, &input.0, input.1)?;
        shown(scene, decision)
    }

    fn answer(_: &Self::Message, reply: Self::Reply, _: &Renderer<'_>) -> Self::Answer {
        v1::CancelApprovalResponse {
            approval: Some(reply),
        }
    }
}
