//! GetPolicies and TestPolicies: what decides, and what it would decide. Changes nothing.

use crate::call::lane::Lane;
use crate::call::road::Incoming;
use crate::call::ticket::Ticket;
use crate::call::{Service, parse, render};
use crate::live::Live;
use crate::live::state::Held;
use crate::policies::in_force::{Explained, InForce, texts};
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::Refusal;
use kms_core::key::record::PolicyGeneration;
use kms_core::name::{KeyContext, OperatorName, PrincipalName};
use kms_core::policy::{
    Action, Authentication, Circumstances, Decide, Freshness, Principal, Resource, Role, Roles,
    SecondFactor, act, limits,
};
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use kms_policies::{PolicyText, fingerprint};
use kms_proto::v1;
use std::sync::Arc;

impl Service {
    /// The RPC.
    pub(in crate::call) async fn get_policies(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::GetPoliciesResponse, Refusal> {
        ticket.action = Action::GetPolicies;
        let live = self.unsealed(lane, ticket).await?;
        let message = self
            .read::<act::GetPolicies, v1::GetPoliciesRequest>(lane, ticket, call, &live, |_| Ok(()))
            .await?;
        let answer = wanted(&message, &live);
        self.told(lane, ticket, &live, answer).await
    }

    /// Logs a reading and gives its answer out.
    async fn told<T>(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        live: &Live,
        answer: Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        match answer {
            Ok(answer) => {
                let facts = Facts::single(ticket.action, Detail::new(Outcome::Ok));
                self.log(lane, ticket, Some(live), &facts).await?;
                Ok(answer)
            }
            Err(refusal) => Err(self.refuse(lane, ticket, Some(live), refusal.into()).await),
        }
    }

    /// The RPC.
    pub(in crate::call) async fn test_policies(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::TestPoliciesResponse, Refusal> {
        ticket.action = Action::TestPolicies;
        let live = self.unsealed(lane, ticket).await?;
        let message = self
            .read::<act::TestPolicies, v1::TestPoliciesRequest>(lane, ticket, call, &live, |_| {
                Ok(())
            })
            .await?;
        let answer = self.tested(&message, &live, ticket.at.time);
        self.told(lane, ticket, &live, answer).await
    }

    fn tested(
        &self,
        message: &v1::TestPoliciesRequest,
        live: &Live,
        now: Timestamp,
    ) -> Result<v1::TestPoliciesResponse, Refusal> {
        let held = live.state.hold();
        let principal = self.imagined(message, &held, now)?;
        let mut known = Action::ALL.iter();
        let action = known.find(|action| action.as_str() == message.action);
        let action = *action.ok_or_else(|| Refusal::field("action", "an action's name"))?;
        let context = message.key_context.clone().into_iter().collect();
        let context =
            KeyContext::new(context).map_err(|error| Refusal::field("key_context", error.0))?;
        let dataset = match message.dataset.as_str() {
            "" => None,
            name => {
                let name = parse::dataset(name, "dataset")?;
                Some(held.snapshot.by_name(&name).ok_or(Reason::Denied)?)
            }
        };
        let resource = Resource {
            dataset: dataset.map(|dataset| dataset.about()),
            context: Some(&context),
            ..Resource::default()
        };
        let source = match message.source.as_str() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| Refusal::field("source", "an IP address"))?,
            ),
        };
        let here = Circumstances { source, now };
        Ok(rendered(
            &held.in_force,
            &principal,
            action,
            (&resource, &here),
        ))
    }

    /// The principal as it would be identified now.
    fn imagined(
        &self,
        message: &v1::TestPoliciesRequest,
        held: &Held,
        now: Timestamp,
    ) -> Result<Principal, Refusal> {
        let name = PrincipalName::parse(&message.principal)
            .map_err(|error| Refusal::field("principal", error.0))?;
        let pairs = message.attributes.iter();
        let attributes: std::collections::BTreeMap<Box<str>, Box<str>> = pairs
            .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
            .collect();
        let person = OperatorName::parse_resource(&message.principal).ok();
        let (authentication, roles) = match &person {
            Some(person) => {
                let found = held.snapshot.operators.get(person);
                let found = found.filter(|operator| operator.record.can_act());
                let roles = found.map(|operator| Roles::of_person(operator.record.roles));
                (Authentication::OperatorSession, roles.unwrap_or_default())
            }
            None => (Authentication::Certificate, self.identity.roles_of(&name)),
        };
        let given: Vec<Role> = Role::ALL
            .iter()
            .copied()
            .filter(|role| message.roles.iter().any(|word| word == role.as_str()))
            .collect();
        if given.len() < message.roles.len() {
            return Err(Refusal::field("roles", "distinct names of roles"));
        }
        let second_factor = message.mfa_age_seconds.map(|age| SecondFactor {
            at: now.saturating_sub(std::time::Duration::from_secs(u64::from(age))),
            with_this_request: age == 0,
        });
        Ok(Principal {
            name,
            authentication,
            roles: if given.is_empty() {
                roles
            } else {
                Roles::of(&given)
            },
            attributes: (!attributes.is_empty()).then(|| Arc::new(attributes)),
            second_factor,
        })
    }
}

fn rendered(
    in_force: &InForce,
    principal: &Principal,
    action: Action,
    (resource, here): (&Resource<'_>, &Circumstances),
) -> v1::TestPoliciesResponse {
    let Explained {
        verdict,
        mut decided_by,
    } = in_force.explain(principal, action, resource, here);
    let open = limits::is_open_to(principal, action);
    if !open {
        decided_by = vec!["the limits of every policy".to_owned()];
    }
    let person = principal.authentication == Authentication::OperatorSession;
    let asks = Freshness::of(action).max(verdict.asks);
    v1::TestPoliciesResponse {
        allowed: verdict.allowed && open,
        decided_by,
        asks: if person {
            asks.as_str().to_owned()
        } else {
            String::new()
        },
        generation: in_force.revision(),
    }
}

fn wanted(
    message: &v1::GetPoliciesRequest,
    live: &Live,
) -> Result<v1::GetPoliciesResponse, Refusal> {
    let held = live.state.hold();
    let policies = &held.snapshot.policies;
    let found = match (message.generation, &message.at_time) {
        (0, None) => policies.current(),
        (0, Some(at)) => policies.at(parse::timestamp(at, "at_time")?),
        (1, None) => None,
        (number, None) => Some(policies.get(number).ok_or(Reason::Denied)?),
        _ => return Err(Refusal::field("at_time", "no generation beside it")),
    };
    Ok(found.map_or_else(shipped, |generation| shown(generation)))
}

fn shown(generation: &PolicyGeneration) -> v1::GetPoliciesResponse {
    v1::GetPoliciesResponse {
        generation: generation.number,
        fingerprint: generation.fingerprint.to_string(),
        applied_by: generation.applied_by.as_str().to_owned(),
        applied_at: Some(render::timestamp(generation.applied_at)),
        texts: texts(generation).into_iter().map(text).collect(),
    }
}

/// The table of roles, as policies say it.
fn shipped() -> v1::GetPoliciesResponse {
    let texts = kms_policies::shipped();
    v1::GetPoliciesResponse {
        generation: kms_core::engine::snapshot::ROLE_TABLE,
        fingerprint: fingerprint(&texts),
        texts: texts.into_iter().map(text).collect(),
        ..Default::default()
    }
}

fn text(text: PolicyText) -> v1::PolicyText {
    v1::PolicyText {
        name: text.name,
        text: text.text,
    }
}
