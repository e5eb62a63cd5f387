//! Everybody who is known by name, as it was at a time: operators, what the built-in authority certifies, and whom the
//! configuration names.

use super::history::History;
use crate::call::Service;
use crate::call::services::enrolled::role;
use crate::live::state::Held;
use kms_core::cipher::ssh_signature::SignerKey;
use kms_core::engine::access::{Could, approver_keys_at, operator_at, service_at};
use kms_core::name::PrincipalName;
use kms_core::policy::{Authentication, Principal, Roles, SecondFactor};
use kms_core::time::Timestamp;

/// Somebody at that time.
pub(super) struct Somebody {
    /// At the best of circumstances: with a new code.
    pub(super) principal: Principal,
    pub(super) kind: &'static str,
    /// `None`: nothing tells its roles.
    pub(super) could: Option<Could>,
    pub(super) approver_keys: usize,
}

impl Somebody {
    fn new(name: PrincipalName, kind: &'static str, roles: Roles, at: Timestamp) -> Self {
        let person = kind == "operator";
        Self {
            principal: Principal {
                name,
                authentication: if person {
                    Authentication::OperatorSession
                } else {
                    Authentication::Certificate
                },
                roles,
                attributes: None,
                second_factor: person.then_some(SecondFactor {
                    at,
                    with_this_request: true,
                }),
            },
            kind,
            could: Some(Could::Act),
            approver_keys: 0,
        }
    }
}

impl Service {
    /// By name.
    pub(super) fn everybody(&self, held: &Held, history: &History, at: Timestamp) -> Vec<Somebody> {
        let mut all = operators(held, history, at);
        if let Some(domain) = self.domain() {
            for known in held.snapshot.services.after(None) {
                let record = &known.record;
                let happened = history.of_service(&record.name);
                let Some(could) = service_at(record, happened, at) else {
                    continue;
                };
                let name = domain.principal(record.purpose, &record.name);
                let kind = record.purpose.as_str();
                all.push(Somebody {
                    could: Some(could),
                    ..Somebody::new(name, kind, Roles::of(&[role(record.purpose)]), at)
                });
            }
        }
        let configured = self.identity.configured().into_iter();
        all.extend(configured.map(|(name, roles)| Somebody::new(name, "configured", roles, at)));
        all.sort_unstable_by(|one, other| one.principal.name.cmp(&other.principal.name));
        all
    }
}

fn operators(held: &Held, history: &History, at: Timestamp) -> Vec<Somebody> {
    let fingerprint = |blob: &[u8]| Some(SignerKey::from_blob(blob).ok()?.fingerprint());
    let known = held.snapshot.operators.after(None);
    known
        .filter_map(|operator| {
            let record = &operator.record;
            let happened = history.of_operator(&record.name);
            let was = operator_at(record, happened, at)?;
            let keys = held.snapshot.approvals.approver(&record.name);
            let keys = keys.map(|kept| &*kept.record);
            let keys = approver_keys_at(keys, fingerprint, happened, at);
            let roles = was.roles.unwrap_or_default();
            Some(Somebody {
                could: was.roles.map(|_| was.could),
                approver_keys: keys.len(),
                ..Somebody::new(record.name.principal(), "operator", roles, at)
            })
        })
        .collect()
}
