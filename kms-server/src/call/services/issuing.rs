//! `EnrolService`, `RenewService`: certificates for keys that were made elsewhere.

use super::shown;
use crate::call::operation::{At, Operation, Prepared, Refused, Scene};
use crate::call::render::Renderer;
use crate::config::services::Services as Settings;
use crate::identity::Identity;
use crate::identity::authority::request::read;
use crate::identity::authority::{Authority, Issued, Usage};
use kms_core::engine::service::{enrol_service, enrolling, renew_service};
use kms_core::engine::{Decision, Refusal};
use kms_core::key::record::ServiceRecord;
use kms_core::name::ServiceName;
use kms_core::policy::{Action, Authorised, act};
use kms_core::reason::Reason;
use kms_proto::v1;

/// What makes certificates; the road has one where the configuration and the store do.
#[derive(Clone, Copy)]
pub(in crate::call) struct Issuing<'a> {
    /// Its key.
    pub authority: &'a Authority,
    /// What it makes.
    pub settings: &'a Settings,
    /// Whether the listener would take what is made.
    pub identity: &'a Identity,
}

impl Issuing<'_> {
    /// A certificate for the key in `request`, in the name that `record` has. What is handed out was checked as a
    /// listener checks it.
    fn issue(
        &self,
        record: &ServiceRecord,
        request: &[u8],
        scene: &Scene<'_>,
    ) -> Result<Issued, Refusal> {
        let key = read(request).map_err(|unfit| Refusal::field("certificate_request", unfit.0))?;
        let principal = self
            .settings
            .trust_domain
            .principal(record.purpose, &record.name);
        let (moment, usage) = (&scene.moment, Usage::Client(&principal));
        let life = self.settings.life(record.purpose);
        let issued = self
            .authority
            .issue(&usage, &key, life, moment.now, moment.keys);
        let issued = issued.map_err(|error| {
            tracing::error!(%error, "a certificate was not made");
            Reason::Internal
        })?;
        let chain = [issued.der.clone()];
        if let Err(error) = self.identity.accepts(&chain, moment.now) {
            tracing::error!(%error, "tls.client_ca does not hold the built-in authority");
            return Err(Reason::Internal.into());
        }
        Ok(issued)
    }
}

/// The authority, unless it is off.
pub(super) fn on<'a>(scene: &Scene<'a>) -> Result<Issuing<'a>, Reason> {
    scene.issuing.ok_or(Reason::Unimplemented)
}

/// The new certificate, then the authority's.
type Chain = Vec<bytes::Bytes>;

fn chain(issuing: &Issuing<'_>, issued: &Issued) -> Chain {
    let owned = |der: &[u8]| bytes::Bytes::copy_from_slice(der);
    vec![owned(&issued.der), owned(issuing.authority.certificate())]
}

/// Makes the first certificate.
pub(in crate::call) struct Enrol;

impl Operation for Enrol {
    type Message = v1::EnrolServiceRequest;
    type Input<'m> = (Authorised<act::EnrolService>, Option<[u8; 32]>, &'m [u8]);
    type Reply = (ServiceName, Chain);
    type Answer = v1::EnrolServiceResponse;
    const ACTION: Action = Action::EnrolService;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        let input = (
            authorised,
            at.shown.enrolment,
            &*message.certificate_request,
        );
        Ok(Prepared::new(None, input))
    }

    async fn decide(
        (authorised, token, request): &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let issuing = on(scene)?;
        let (view, moment) = (&scene.view, &scene.moment);
        let token = token.as_ref().ok_or(Reason::Unauthenticated)?;
        let known = enrolling(&view.snapshot.services, token, moment.now);
        let known = known.ok_or(Reason::Unauthenticated)?;
        let issued = issuing.issue(&known.record, request, scene)?;
        let chain = chain(&issuing, &issued);
        let decided = enrol_service(view, moment, authorised, token, issued.certified)?;
        Ok(with_chain(decided, chain))
    }

    fn answer(_: &Self::Message, (name, chain): Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        v1::EnrolServiceResponse {
            service: shown(with, &name),
            certificate_chain: chain,
        }
    }
}

/// Makes the next certificate.
pub(in crate::call) struct Renew;

impl Operation for Renew {
    type Message = v1::RenewServiceRequest;
    type Input<'m> = (
        Authorised<act::RenewService>,
        Option<(ServiceName, [u8; 32])>,
        &'m [u8],
    );
    type Reply = (ServiceName, Chain);
    type Answer = v1::RenewServiceResponse;
    const ACTION: Action = Action::RenewService;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        let own = at.domain.and_then(|it| it.own(&at.principal.name));
        let name = own.and_then(|(_, name)| ServiceName::parse(name).ok());
        let presented = name.zip(at.shown.certificate);
        let input = (authorised, presented, &*message.certificate_request);
        Ok(Prepared::new(None, input))
    }

    async fn decide(
        (authorised, presented, request): &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let issuing = on(scene)?;
        let (view, moment) = (&scene.view, &scene.moment);
        let (name, sha256) = presented.as_ref().ok_or(Reason::Denied)?;
        let known = view.snapshot.services.get(name).ok_or(Reason::Denied)?;
        let issued = issuing.issue(&known.record, request, scene)?;
        let chain = chain(&issuing, &issued);
        let decided = renew_service(view, moment, authorised, name, sha256, issued.certified)?;
        Ok(with_chain(decided, chain))
    }

    fn answer(_: &Self::Message, (name, chain): Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        v1::RenewServiceResponse {
            service: shown(with, &name),
            certificate_chain: chain,
        }
    }
}

fn with_chain(decided: Decision<ServiceName>, chain: Chain) -> Decision<(ServiceName, Chain)> {
    Decision {
        reply: (decided.reply, chain),
        facts: decided.facts,
        change: decided.change,
    }
}
