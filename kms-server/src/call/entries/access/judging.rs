//! Asks the policies of then, about everybody and everything, a bounded number of questions at a time. Never on a thread
//! that serves calls.

use super::people::Somebody;
use crate::policies::in_force::InForce;
use kms_core::engine::access::Could;
use kms_core::engine::snapshot::Dataset;
use kms_core::key::record::PolicyGeneration;
use kms_core::policy::{
    Action, Authentication, Circumstances, Decide, Freshness, Resource, Role, limits,
};
use kms_core::time::Timestamp;
use kms_proto::v1;
use std::sync::Arc;

/// After so many questions a page ends.
const QUESTIONS_MAX: usize = 20_000;

/// Who, about what, by which policies.
pub(super) struct Question {
    pub(super) at: Timestamp,
    /// `None`: the table of roles.
    pub(super) policies: Option<Arc<PolicyGeneration>>,
    pub(super) datasets: Vec<Arc<Dataset>>,
    /// By name; one more than the page holds, if there are more.
    pub(super) people: Vec<Somebody>,
}

/// A page.
pub(super) struct Judged {
    pub(super) principals: Vec<v1::PrincipalAccess>,
    /// There are more of them.
    pub(super) more: bool,
}

struct Judge {
    in_force: InForce,
    /// None where the table of roles decides: it knows no datasets.
    datasets: Vec<Arc<Dataset>>,
    here: Circumstances,
    asked: usize,
}

/// One page of answers.
pub(super) fn judge(question: Question, limit: usize) -> Judged {
    let in_force = InForce::kept(question.policies.as_deref());
    let mut judge = Judge {
        datasets: match in_force {
            InForce::Roles => Vec::new(),
            _ => question.datasets,
        },
        in_force,
        here: Circumstances {
            source: None,
            now: question.at,
        },
        asked: 0,
    };
    let there = question.people.len();
    let mut principals = Vec::new();
    for somebody in &question.people {
        if principals.len() == limit || judge.asked > QUESTIONS_MAX {
            break;
        }
        principals.push(judge.principal(somebody));
    }
    Judged {
        more: principals.len() < there,
        principals,
    }
}

impl Judge {
    fn principal(&mut self, somebody: &Somebody) -> v1::PrincipalAccess {
        let could = somebody.could;
        let roles = somebody.principal.roles.iter().map(Role::as_str);
        let actions = Action::ALL.iter().copied();
        let allowed = match could {
            Some(Could::Act) => actions
                .filter_map(|action| self.allowed(somebody, action))
                .collect(),
            _ => Vec::new(),
        };
        v1::PrincipalAccess {
            principal: somebody.principal.name.as_str().to_owned(),
            kind: somebody.kind.to_owned(),
            state: could.map_or("not known", Could::as_str).to_owned(),
            roles: roles.map(str::to_owned).collect(),
            approver_keys: u32::try_from(somebody.approver_keys).unwrap_or(u32::MAX),
            allowed,
        }
    }

    fn allowed(&mut self, somebody: &Somebody, action: Action) -> Option<v1::AllowedAction> {
        let principal = &somebody.principal;
        if limits::is_own(action) || !limits::is_open_to(principal, action) {
            return None;
        }
        let mut asks = Freshness::of(action);
        let mut on = Vec::new();
        let by_dataset = action.is_about_dataset() && !self.datasets.is_empty();
        if by_dataset {
            for dataset in &self.datasets {
                let about = Resource {
                    dataset: Some(dataset.about()),
                    ..Resource::default()
                };
                self.asked += 1;
                let verdict = self.in_force.decide(principal, action, &about, &self.here);
                if verdict.allowed {
                    asks = asks.max(verdict.asks);
                    on.push(format!("datasets/{}", dataset.record.name.as_str()));
                }
            }
            if on.is_empty() {
                return None;
            }
            if on.len() == self.datasets.len() {
                on.clear();
            }
        } else {
            let about = Resource::default();
            self.asked += 1;
            let verdict = self.in_force.decide(principal, action, &about, &self.here);
            if !verdict.allowed {
                return None;
            }
            asks = asks.max(verdict.asks);
        }
        let person = principal.authentication == Authentication::OperatorSession;
        Some(v1::AllowedAction {
            action: action.as_str().to_owned(),
            asks: if person { asks.as_str() } else { "" }.to_owned(),
            datasets: on,
            depends: self.in_force.depends(principal, action),
        })
    }
}
