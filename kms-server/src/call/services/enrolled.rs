//! Whether a caller whom the built-in authority certified (or may certify) is one now: asked on every call, because a
//! service is revoked while its connections live. Says nothing of other callers.

use crate::call::Service;
use crate::call::road::Incoming;
use crate::call::services::Issuing;
use crate::call::ticket::Ticket;
use crate::config::services::Services as Settings;
use crate::identity::{Authorization, Connection};
use crate::live::Live;
use kms_core::engine::Snapshot;
use kms_core::engine::service::{enrolling, token_hash};
use kms_core::name::{PrincipalName, Purpose};
use kms_core::policy::{Authentication, Principal, Role, Roles};
use kms_core::reason::Reason;
use kms_core::time::Timestamp;

/// The one method that an enrolment token is good for.
const ENROL: &str = "EnrolService";

/// The role that a certificate of the authority gives.
pub(in crate::call) const fn role(purpose: Purpose) -> Role {
    match purpose {
        Purpose::Service => Role::Service,
        Purpose::Desk => Role::OperatorCertificate,
    }
}

/// A certificate and its name, where the name is one of the authority's own.
fn certified<'a>(
    settings: &Settings,
    connection: &'a Connection,
) -> Option<(&'a PrincipalName, Purpose, &'a str, &'a [u8; 32])> {
    let presented = connection.presented()?;
    let principal = presented.name().ok()?;
    let (purpose, name) = settings.trust_domain.own(principal)?;
    Some((principal, purpose, name, presented.sha256()))
}

fn stands_in(
    settings: &Settings,
    snapshot: &Snapshot,
    principal: &PrincipalName,
    connection: &Connection,
) -> bool {
    let services = &snapshot.services;
    let certified = certified(settings, connection);
    let good = certified.is_none_or(|(_, purpose, name, hash)| services.takes(purpose, name, hash));
    // a token may name one of them too, beside another certificate or without one
    let named = settings.trust_domain.own(principal);
    good && named.is_none_or(|(purpose, name)| services.knows(purpose, name))
}

impl Service {
    /// The authority, where there is one.
    pub(in crate::call) fn issuing<'a>(&'a self, live: &'a Live) -> Option<Issuing<'a>> {
        Some(Issuing {
            authority: live.keys.authority.as_ref()?,
            settings: self.services.as_ref()?,
            identity: &self.identity,
        })
    }

    /// Whether the records of `snapshot` still take the caller: what was revoked, disabled or given other roles since it
    /// was identified decides nothing any more. Of one who enrols the engine asks the token.
    ///
    /// # Errors
    /// SESSION_REQUIRED for an operator, UNAUTHENTICATED for others.
    pub(in crate::call) fn stands(
        &self,
        snapshot: &Snapshot,
        ticket: &Ticket<'_>,
    ) -> Result<(), Reason> {
        if let Some((name, generation)) = &ticket.session {
            let record = snapshot.operators.get(name).map(|it| &it.record);
            if !record.is_some_and(|it| it.can_act() && it.generation == *generation) {
                return Err(Reason::SessionRequired);
            }
        }
        let asked = self.services.as_ref().zip(ticket.connection);
        let principal = &ticket.principal.name;
        let stands = ticket.enrolment.is_some()
            || asked.is_none_or(|(settings, connection)| {
                stands_in(settings, snapshot, principal, connection)
            });
        stands.then_some(()).ok_or(Reason::Unauthenticated)
    }

    /// A caller as identified, with the role that its record says. While sealed there are no records: a desk may then
    /// do what any desk may, which is to unseal with a passphrase, and a service has no role.
    ///
    /// # Errors
    /// UNAUTHENTICATED: revoked, replaced, or never enrolled.
    pub(in crate::call) fn enrolled(
        &self,
        mut principal: Principal,
        connection: &Connection,
    ) -> Result<Principal, Reason> {
        let Some(settings) = &self.services else {
            return Ok(principal);
        };
        let live = self.gate.live();
        if let Some(live) = &live {
            let held = live.state.hold();
            if !stands_in(settings, &held.snapshot, &principal.name, connection) {
                return Err(Reason::Unauthenticated);
            }
        }
        if let Some((name, purpose, ..)) = certified(settings, connection)
            && principal.authentication == Authentication::Certificate
            && principal.name == *name
            && (live.is_some() || purpose == Purpose::Desk)
        {
            principal.roles = Roles::of(&[role(purpose)]);
        }
        Ok(principal)
    }

    /// Whom an enrolment token names, of a caller who brings nothing else. It costs one keyed hash.
    pub(in crate::call) fn enrolling(
        &self,
        call: &Incoming,
        now: Timestamp,
    ) -> Option<(Principal, [u8; 32])> {
        let settings = self.services.as_ref()?;
        let nothing_else = call.connection.presented().is_none()
            && matches!(call.authorization, Authorization::None);
        if call.method.name != ENROL || !nothing_else {
            return None;
        }
        let text = call.credentials.as_ref()?.enrolment.as_ref()?;
        let live = self.gate.live()?;
        let token = token_hash(&live.keys.index, text);
        let held = live.state.hold();
        let found = enrolling(&held.snapshot.services, &token, now)?;
        let record = &found.record;
        let principal = Principal {
            name: settings
                .trust_domain
                .principal(record.purpose, &record.name),
            authentication: Authentication::EnrolmentToken,
            roles: Roles::of(&[Role::Enrolling]),
            attributes: None,
            second_factor: None,
        };
        Some((principal, token))
    }
}
