//! `AddService`, `ListServices`, `RevokeService`: what operators do with services and desks.

use super::issuing::on;
use super::shown;
use crate::call::operation::{At, Operation, Prepared, Refused, Scene};
use crate::call::page::Page;
use crate::call::render::Renderer;
use kms_core::audit::{Detail, Outcome};
use kms_core::engine::service::{NewService, Token, add_service, refused_detail, revoke_service};
use kms_core::engine::{Decision, Refusal, Snapshot};
use kms_core::name::{Purpose, ServiceName};
use kms_core::policy::{Action, Authorised, act};
use kms_core::reason::Reason;
use kms_proto::v1;

fn purpose(number: i32) -> Result<Purpose, Refusal> {
    match v1::ServicePurpose::try_from(number) {
        Ok(v1::ServicePurpose::Service) => Ok(Purpose::Service),
        Ok(v1::ServicePurpose::Desk) => Ok(Purpose::Desk),
        Ok(v1::ServicePurpose::Unspecified) | Err(_) => {
            Err(Refusal::field("purpose", "a service or a desk"))
        }
    }
}

/// Permits an enrolment.
pub(in crate::call) struct Add;

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
pub(in crate::call) struct List;

impl Operation for List {
    type Message = v1::ListServicesRequest;
    type Input<'m> = Page<ServiceName>;
    type Reply = (Vec<ServiceName>, bool);
    type Answer = v1::ListServicesResponse;
    const ACTION: Action = Action::ListServices;

    fn prepare<'m>(
        message: &'m Self::Message,
        at: &At<'_>,
    ) -> Result<Prepared<Self::Input<'m>>, Refused> {
        at.authorise::<act::ListServices>(&[])?;
        let asked = (&*message.page_token, message.page_size);
        let page = Page::of_names(&at.pager, asked, ServiceName::parse)?;
        Ok(Prepared::new(None, page))
    }

    async fn decide(
        page: &Self::Input<'_>,
        scene: &Scene<'_>,
    ) -> Result<Decision<Self::Reply>, Refusal> {
        let rest = scene.view.snapshot.services.after(page.after.as_ref());
        Ok(Decision::unchanged(
            Self::ACTION,
            Detail::new(Outcome::Ok),
            page.take(rest.map(|service| service.record.name.clone())),
        ))
    }

    fn answer(_: &Self::Message, (page, more): Self::Reply, with: &Renderer<'_>) -> Self::Answer {
        v1::ListServicesResponse {
            next_page_token: with
                .pager
                .next(&page, more, |name| name.as_str().as_bytes()),
            services: page.iter().filter_map(|name| shown(with, name)).collect(),
        }
    }
}

/// Ends every certificate of a service or desk.
pub(in crate::call) struct Revoke;

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
