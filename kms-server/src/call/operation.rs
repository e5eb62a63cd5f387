//! What the road asks of each RPC: how to read it, what it needs, what the engine decides, how it is
//! answered. Operations never wait for anything but their turn, never touch store or log.

use crate::policies::in_force::InForce;
use kms_core::audit::{Detail, Outcome};
use kms_core::engine::snapshot::Dataset;
use kms_core::engine::{Decision, Idempotency, Moment, Refusal, Snapshot, View};
use kms_core::name::{KeyContext, KeyId, RequestId, SecretId, ShredScope, TrustDomain};
use kms_core::policy::{
    Action, ActionKind, ApprovalRules, Authorised, Circumstances, Decide, NotAllowed, Principal,
    Resource, authorise,
};
use kms_core::reason::Reason;
use std::future::Future;
use std::sync::Arc;

use super::page::Pager;
use super::render::Renderer;
use super::services::Issuing;

/// One RPC.
pub(super) trait Operation {
    /// The request message.
    type Message: prost::Message + Default;
    /// The request in types that cannot be wrong, authorised.
    type Input<'m>;
    /// What the engine answers.
    type Reply;
    /// The reply message.
    type Answer: prost::Message;
    /// What it does; stands in the entry of a call that could not be read.
    const ACTION: Action;

    /// Resolves names in the snapshot, authorises, then validates the rest: in that order.
    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused>;

    /// What the entry says of a call that is refused after it was prepared; `None`: what was prepared.
    fn describe(_: &Self::Input<'_>, _: &Snapshot) -> Option<Detail> {
        None
    }

    /// What others may have to approve of it; `None`: nothing of it can be marked.
    fn marked(_: &Self::Input<'_>, _: &View<'_>) -> Option<Marked> {
        None
    }

    /// Hands it to the engine.
    fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> impl Future<Output = Result<Decision<Self::Reply>, Refusal>>;

    /// Makes the answer; for a change after it is published.
    fn answer(message: &Self::Message, reply: Self::Reply, with: &Renderer<'_>) -> Self::Answer;
}

/// Where and by whom a call is read.
pub(super) struct At<'a> {
    /// Datasets and versions.
    pub snapshot: &'a Snapshot,
    /// Who calls.
    pub principal: &'a Principal,
    /// Who decides.
    pub decide: &'a dyn Decide,
    /// Where from and when.
    pub circumstances: Circumstances,
    /// For page tokens of this caller and method.
    pub pager: Pager<'a>,
    /// What the caller shows.
    pub shown: Shown,
    /// Of the built-in authority, where it is on.
    pub domain: Option<&'a TrustDomain>,
}

/// What a caller shows beside its name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown {
    /// SHA-256 of its certificate.
    pub certificate: Option<[u8; 32]>,
    /// Keyed hash of its enrolment token.
    pub enrolment: Option<[u8; 32]>,
}

/// What approvers would see of a call beside its request.
pub(super) struct Marked {
    /// What it does, as the rules name it.
    pub action: Action,
    /// Stands for what it would change, as it is now.
    pub etag: [u8; 32],
}

/// What the engine is given.
pub(super) struct Scene<'a> {
    /// State.
    pub view: View<'a>,
    /// When, and randomness.
    pub moment: Moment<'a>,
    /// The caller's request id, looked up.
    pub idempotency: Option<Idempotency>,
    /// What is configured to need the word of others.
    pub rules: &'a ApprovalRules,
    /// What decides who may do what.
    pub in_force: &'a InForce,
    /// The audit log must not be anonymised now.
    pub anonymisation_held: bool,
    /// The built-in authority, where it is on.
    pub issuing: Option<Issuing<'a>>,
}

/// A request that was understood and allowed.
pub(super) struct Prepared<I> {
    /// For the engine.
    pub input: I,
    /// What must be gathered first.
    pub needs: Needs,
    /// What the entry says if it is refused from here on.
    pub detail: Detail,
}

/// What a call needs from cache or store.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Shred secrets by scope.
    pub scopes: Vec<ShredScope>,
    /// Shred secrets by id.
    pub ids: Vec<SecretId>,
    /// The caller's request id.
    pub request_id: Option<RequestId>,
}

/// A call that was refused, with what its entry says.
#[derive(Debug)]
pub(super) struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// Of the entry; its outcome is set from the refusal.
    pub detail: Box<Detail>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::about(None, refusal)
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Refusal::from(reason).into()
    }
}

impl Refused {
    /// What was gathered is out of date.
    pub(super) fn is_conflict(&self) -> bool {
        self.refusal.reason == Reason::Conflict
    }

    /// A refusal about a dataset.
    pub(super) fn about(dataset: Option<KeyId>, refusal: Refusal) -> Self {
        let mut detail = Detail::new(Outcome::Refused(refusal.reason));
        detail.dataset = dataset;
        Self {
            refusal,
            detail: Box::new(detail),
        }
    }
}

impl<I> Prepared<I> {
    /// About a dataset or nothing, needing nothing.
    pub(super) fn new(dataset: Option<KeyId>, input: I) -> Self {
        let mut detail = Detail::new(Outcome::Ok);
        detail.dataset = dataset;
        Self {
            input,
            needs: Needs::default(),
            detail,
        }
    }
}

/// A dataset that a call names, as far as there is one.
#[derive(Clone, Copy)]
pub(super) struct Target<'a>(pub Option<&'a Arc<Dataset>>);

impl<'a> Target<'a> {
    /// Its key id, for the entry.
    pub(super) fn key_id(self) -> Option<KeyId> {
        self.0.map(|dataset| dataset.record.key_id)
    }

    /// Asks whether `A` is allowed; an unknown dataset is refused exactly like a forbidden one.
    pub(super) fn authorise<A: ActionKind>(
        self,
        at: &At<'_>,
        context: Option<&KeyContext>,
        scopes: &[ShredScope],
    ) -> Result<(&'a Arc<Dataset>, Authorised<A>), Reason> {
        let resource = Resource {
            dataset: self.0.map(|dataset| dataset.about()),
            unknown: self.0.is_none(),
            context,
            scopes,
        };
        let allowed = authorise(at.decide, at.principal, &resource, &at.circumstances);
        match (self.0, allowed) {
            (Some(dataset), Ok(authorised)) => Ok((dataset, authorised)),
            (_, Err(refused)) => Err(refused.reason()),
            (None, Ok(_)) => Err(Reason::Denied),
        }
    }
}

impl At<'_> {
    /// Asks whether `A` is allowed where no dataset is meant.
    pub(super) fn authorise<A: ActionKind>(
        &self,
        scopes: &[ShredScope],
    ) -> Result<Authorised<A>, Reason> {
        let resource = Resource {
            scopes,
            ..Resource::default()
        };
        authorise(self.decide, self.principal, &resource, &self.circumstances)
            .map_err(NotAllowed::reason)
    }
}
