//! The RPCs of `IdentityService`: who may enrol with the built-in authority, and the certificates that it makes.

pub(super) mod enrolled;

use super::operation::{At, Operation, Prepared, Refused, Scene};
use super::render::Renderer;
use super::{parse, render};
use crate::config::services::Services as Settings;
use crate::identity::Identity;
use crate::identity::authority::request::read;
use crate::identity::authority::{Authority, Issued, Usage};
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::service::{
    NewService, Token, add_service, enrol_service, enrolling, refused_detail, renew_service,
    revoke_service,
};
use kms_core::engine::snapshot::Service as Stored;
use kms_core::engine::{Decision, Refusal, Snapshot};
use kms_core::key::record::{ServiceRecord, ServiceState};
use kms_core::name::{Purpose, ServiceName};
use kms_core::policy::{Action, Authorised, act};
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use kms_proto::v1;

/// What makes certificates; the road has one where the configuration and the store do.
#[derive(Clone, Copy)]
pub(super) struct Issuing<'a> {
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
fn on<'a>(scene: &Scene<'a>) -> Result<Issuing<'a>, Reason> {
    scene.issuing.ok_or(Reason::Unimplemented)
}

fn purpose(number: i32) -> Result<Purpose, Refusal> {
    match v1::ServicePurpose::try_from(number) {
        Ok(v1::ServicePurpose::Service) => Ok(Purpose::Service),
        Ok(v1::ServicePurpose::Desk) => Ok(Purpose::Desk),
        Ok(v1::ServicePurpose::Unspecified) | Err(_) => {
            Err(Refusal::field("purpose", "a service or a desk"))
        }
    }
}

fn state(record: &ServiceRecord, now: Timestamp) -> v1::ServiceState {
    match (record.state, &record.current) {
        (ServiceState::Revoked { .. }, _) => v1::ServiceState::Revoked,
        (ServiceState::Open, None) => v1::ServiceState::Enrolling,
        (ServiceState::Open, Some(current)) if current.expires_at < now => {
            v1::ServiceState::Expired
        }
        (ServiceState::Open, Some(_)) => v1::ServiceState::Enrolled,
    }
}

fn rendered(service: &Stored, with: &Renderer<'_>) -> v1::Service {
    let record = &service.record;
    let purpose = match record.purpose {
        Purpose::Service => v1::ServicePurpose::Service,
        Purpose::Desk => v1::ServicePurpose::Desk,
    };
    let principal = with.domain.map(|domain| {
        let name = domain.principal(record.purpose, &record.name);
        name.as_str().to_owned()
    });
    let current = record.current.map(|it| render::timestamp(it.expires_at));
    let token = record.token.as_ref();
    v1::Service {
        name: record.name.resource(),
        purpose: purpose.into(),
        principal: principal.unwrap_or_default(),
        state: state(record, with.now).into(),
        created_at: Some(render::timestamp(record.created_at)),
        certificate_expires_at: current,
        token_expires_at: token.map(|token| render::timestamp(token.expires_at)),
    }
}

fn shown(with: &Renderer<'_>, name: &ServiceName) -> Option<v1::Service> {
    let found = with.snapshot.services.get(name)?;
    Some(rendered(found, with))
}

/// Permits an enrolment.
pub(super) struct Add;

impl Operation for Add {
    type Message = v1::AddServiceRequest;
    type Input<'m> = (Authorised<act::AddService>, NewService);
    type Reply = (ServiceName, Token);
    type Answer = v1::AddServiceResponse;
    const ACTION: Action = Action::AddService;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        let name = ServiceName::parse(&message.service_id);
        let new = NewService {
            name: name.map_err(|error| Refusal::field("service_id", error.0))?,
            purpose: purpose(message.purpose)?,
            again: message.again,
        };
        Ok(Prepared::new(None, (authorised, new)))
    }

    fn describe(input: &Self::Input<'_>, _: &Snapshot) -> Option<Detail> {
        let new = &input.1;
        Some(refused_detail(
            &new.name,
            Some(new.purpose),
            Reason::Internal,
        ))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        on(scene)?;
        add_service(&scene.view, &scene.moment, &input.0, &input.1)
    }

    fn answer(_: &Self::Message, (name, token): Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        v1::AddServiceResponse {
            service: shown(with, &name),
            enrolment_token: token.to_string(),
        }
    }
}

/// Lists services and desks by name.
pub(super) struct List;

impl Operation for List {
    type Message = v1::ListServicesRequest;
    type Input<'m> = (Option<ServiceName>, usize);
    type Reply = (Vec<ServiceName>, bool);
    type Answer = v1::ListServicesResponse;
    const ACTION: Action = Action::ListServices;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        at.authorise::<act::ListServices>(&[])?;
        let bad = || Refusal::field("page_token", "a token from the last answer, unchanged");
        let after = match at.pager.position(&message.page_token)? {
            None => None,
            Some(position) => {
                let name = std::str::from_utf8(&position).ok();
                let name = name.and_then(|name| ServiceName::parse(name).ok());
                Some(name.ok_or_else(bad)?)
            }
        };
        let size = parse::page_size(message.page_size)?;
        Ok(Prepared::new(None, (after, size)))
    }

    async fn decide(
        (after, size): &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let mut rest = scene.view.snapshot.services.after(after.as_ref());
        let page = rest.by_ref().take(*size);
        let page: Vec<_> = page.map(|service| service.record.name.clone()).collect();
        let more = rest.next().is_some();
        Ok(Decision {
            reply: (page, more),
            facts: Facts::single(Self::ACTION, Detail::new(Outcome::Ok)),
            change: None,
        })
    }

    fn answer(_: &Self::Message, (page, more): Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        let last = page.last().filter(|_| more);
        v1::ListServicesResponse {
            next_page_token: last
                .map(|name| with.pager.token(name.as_str().as_bytes()))
                .unwrap_or_default(),
            services: page.iter().filter_map(|name| shown(with, name)).collect(),
        }
    }
}

/// Ends every certificate of a service or desk.
pub(super) struct Revoke;

impl Operation for Revoke {
    type Message = v1::RevokeServiceRequest;
    type Input<'m> = (Authorised<act::RevokeService>, ServiceName);
    type Reply = ServiceName;
    type Answer = v1::RevokeServiceResponse;
    const ACTION: Action = Action::RevokeService;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        let authorised = at.authorise(&[])?;
        let name = ServiceName::parse_resource(&message.name);
        let name = name.map_err(|error| Refusal::field("name", error.0))?;
        Ok(Prepared::new(None, (authorised, name)))
    }

    fn describe(input: &Self::Input<'_>, _: &Snapshot) -> Option<Detail> {
        Some(refused_detail(&input.1, None, Reason::Internal))
    }

    async fn decide(
        input: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        revoke_service(&scene.view, &scene.moment, &input.0, &input.1)
    }

    fn answer(_: &Self::Message, name: Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        v1::RevokeServiceResponse {
            service: shown(with, &name),
        }
    }
}

/// The new certificate, then the authority's.
type Chain = Vec<bytes::Bytes>;

fn chain(issuing: &Issuing<'_>, issued: &Issued) -> Chain {
    let owned = |der: &[u8]| bytes::Bytes::copy_from_slice(der);
    vec![owned(&issued.der), owned(issuing.authority.certificate())]
}

/// Makes the first certificate.
pub(super) struct Enrol;

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
pub(super) struct Renew;

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
