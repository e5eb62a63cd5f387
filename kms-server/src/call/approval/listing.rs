//! ListApprovals and GetApproval.

use super::render;
use crate::call::operation::{At, Operation, Prepared, Refused, Scene};
use crate::call::page::bad_token;
use crate::call::parse;
use crate::call::render::Renderer;
use kms_core::audit::{Detail, Outcome};
use kms_core::engine::approval::roster::rules;
use kms_core::engine::approval::{Standing, standing};
use kms_core::engine::{Decision, Refusal};
use kms_core::name::ApprovalId;
use kms_core::policy::{Action, act};
use kms_core::reason::Reason;
use kms_proto::v1;

/// `approvals/{approval}`.
pub(super) fn named(text: &str) -> Result<ApprovalId, Refusal> {
    ApprovalId::parse_resource(text).map_err(|error| Refusal::field("name", error.0))
}

/// Lists them by name.
pub(in crate::call) struct List;

/// Where a page begins and what it holds.
pub(in crate::call) struct Page {
    after: Option<ApprovalId>,
    size: usize,
    all: bool,
}

impl Operation for List {
    type Message = v1::ListApprovalsRequest;
    type Input<'m> = Page;
    type Reply = (Vec<v1::Approval>, Option<ApprovalId>);
    type Answer = v1::ListApprovalsResponse;
    const ACTION: Action = Action::ListApprovals;

    fn prepare(message: &Self::Message, at: &At<'_>) -> Result<Prepared<Page>, Refused> {
        at.authorise::<act::ListApprovals>(&[])?;
        let position = at.pager.position(&message.page_token)?;
        let after = position.map(|bytes| bytes.try_into().map(ApprovalId).map_err(|_| bad_token()));
        let page = Page {
            after: after.transpose()?,
            size: parse::page_size(message.page_size)?,
            all: message.all,
        };
        Ok(Prepared::new(None, page))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let now = scene.moment.now;
        let rules = rules(&scene.view, scene.rules, now);
        let rest = scene.view.snapshot.approvals.after(input.after);
        let mut rest = rest.filter(|kept| {
            input.all || standing(&scene.view, &rules, &kept.record, now) != Standing::Over
        });
        let page: Vec<_> = rest.by_ref().take(input.size).collect();
        let last = page.last().map(|kept| kept.record.id);
        let next = last.filter(|_| rest.next().is_some());
        let shown = page
            .iter()
            .map(|kept| render::approval(scene, &kept.record));
        Ok(Decision::unchanged(
            Self::ACTION,
            Detail::new(Outcome::Ok),
            (shown.collect(), next),
        ))
    }

    fn answer(
        _: &Self::Message,
        (approvals, next): Self::Reply,
        with: &Renderer<'_>,
    ) -> Self::Answer {
        v1::ListApprovalsResponse {
            approvals,
            next_page_token: next.map(|id| with.pager.token(&id.0)).unwrap_or_default(),
        }
    }
}

/// Reads one, with the bytes to be signed.
pub(in crate::call) struct Get;

impl Operation for Get {
    type Message = v1::GetApprovalRequest;
    type Input<'m> = ApprovalId;
    type Reply = v1::Approval;
    type Answer = v1::GetApprovalResponse;
    const ACTION: Action = Action::GetApproval;

    fn prepare(message: &Self::Message, at: &At<'_>) -> Result<Prepared<ApprovalId>, Refused> {
        at.authorise::<act::GetApproval>(&[])?;
        Ok(Prepared::new(None, named(&message.name)?))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let kept = scene.view.snapshot.approvals.get(*input);
        let record = &kept.ok_or(Reason::Denied)?.record;
        let mut shown = render::approval(scene, record);
        shown.statement = record.statement.to_vec().into();
        Ok(Decision::unchanged(
            Self::ACTION,
            Detail::new(Outcome::Ok),
            shown,
        ))
    }

    fn answer(_: &Self::Message, reply: Self::Reply, _: &Renderer<'_>) -> Self::Answer {
        v1::GetApprovalResponse {
            approval: Some(reply),
        }
    }
}
