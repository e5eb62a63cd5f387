//! The RPCs of `IdentityService`: who may enrol with the built-in authority, and the certificates that it makes.

mod administration;
pub(super) mod enrolled;
mod issuing;

pub(super) use administration::{Add, List, Revoke};
pub(super) use issuing::{Enrol, Issuing, Renew};

use super::render;
use super::render::Renderer;
use kms_core::engine::snapshot::Service as Stored;
use kms_core::key::record::{ServiceRecord, ServiceState};
use kms_core::name::{Purpose, ServiceName};
use kms_core::time::Timestamp;
use kms_proto::v1;

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
