//! What decides: the table of roles, the policies in force, or, where those cannot be had, just enough for somebody to
//! put others into force. Each snapshot carries its own, so a call is decided and logged by one.

use super::{ByPolicy, keeps_somebody_beside};
use kms_core::engine::snapshot::{Operators, Policies, ROLE_TABLE};
use kms_core::key::record::{OperatorRecord, PolicyGeneration};
use kms_core::policy::limits::is_way_back;
use kms_core::policy::{Action, ByRole, Circumstances, Decide, Principal, Resource, Verdict};
use kms_policies::{BrokenPolicy, PolicyText};
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub enum InForce {
    /// The table of roles.
    Roles,
    /// Policies.
    Policies(Box<ByPolicy>),
    /// Policies of this generation that cannot be read: nothing is allowed but what leads out of that.
    Unreadable(u64),
}

/// What decided, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// What was decided.
    pub verdict: Verdict,
    /// Ids of policies, or names of roles; empty when nothing allows it.
    pub decided_by: Vec<String>,
}

impl InForce {
    /// Of `policies`; `before` goes on where its generation is still the one.
    #[must_use]
    pub fn of(policies: &Policies, before: &Arc<Self>) -> Arc<Self> {
        let number = policies.current_number();
        if policies.quarantined {
            return Arc::new(Self::Unreadable(number));
        }
        match policies.current() {
            None => Arc::new(Self::Roles),
            Some(_) if before.revision() == number => Arc::clone(before),
            Some(generation) => Arc::new(Self::read(generation)),
        }
    }

    fn read(generation: &PolicyGeneration) -> Self {
        match ByPolicy::new(generation.number, &texts(generation)) {
            Ok(policies) => Self::Policies(Box::new(policies)),
            // they were read before they were kept: an older version's schema was another
            Err(broken) => {
                let generation = generation.number;
                tracing::error!(generation, %broken, "the policies in force cannot be read");
                Self::Unreadable(generation)
            }
        }
    }

    /// Those of a generation kept; `None`: the table of roles.
    #[must_use]
    pub fn kept(generation: Option<&PolicyGeneration>) -> Self {
        generation.map_or(Self::Roles, Self::read)
    }

    /// Whether the answer may be another under other circumstances.
    #[must_use]
    pub fn depends(&self, principal: &Principal, action: Action) -> bool {
        match self {
            Self::Policies(policies) => policies.reads_circumstances(principal, action),
            Self::Roles | Self::Unreadable(_) => false,
        }
    }

    /// Decides anew, and says what decided.
    #[must_use]
    pub fn explain(
        &self,
        principal: &Principal,
        action: Action,
        resource: &Resource<'_>,
        circumstances: &Circumstances,
    ) -> Explained {
        let verdict = self.decide(principal, action, resource, circumstances);
        let decided_by = match self {
            Self::Policies(policies) if !is_way_back(action) => {
                policies
                    .ask(principal, action, resource, circumstances)
                    .decided_by
            }
            Self::Roles | Self::Policies(_) | Self::Unreadable(_) => {
                let roles = principal.standing();
                let allow = roles.iter().filter(|role| role.allows(action));
                allow.map(|role| role.as_str().to_owned()).collect()
            }
        };
        Explained {
            verdict,
            decided_by,
        }
    }
}

/// The texts of a generation, as policies are made of them.
#[must_use]
pub fn texts(generation: &PolicyGeneration) -> Vec<PolicyText> {
    let text = |text: &kms_core::key::record::PolicyText| PolicyText {
        name: text.name.to_string(),
        text: text.text.to_string(),
    };
    generation.texts.iter().map(text).collect()
}

/// Texts as they would be read when they are in force.
///
/// # Errors
/// [`BrokenPolicy`] with file and line.
pub fn judge(texts: &[PolicyText]) -> Result<ByPolicy, BrokenPolicy> {
    ByPolicy::new(ROLE_TABLE, texts)
}

/// What leads out of policies that cannot be read, besides the daemon's own work.
const fn leads_out(action: Action) -> bool {
    use Action as A;
    matches!(
        action,
        A::Login
            | A::Logout
            | A::WhoAmI
            | A::AcceptCode
            | A::BeginEnrolment
            | A::ConfirmEnrolment
            | A::GetStatus
            | A::Seal
            | A::GetPolicies
            | A::ApplyPolicies
            | A::RecoverOperator
            | A::GetRoster
            | A::ListApprovals
            | A::GetApproval
            | A::Approve
            | A::RejectApproval
            | A::CancelApproval
    )
}

impl InForce {
    /// Whether somebody could still put other policies into force once the operator is as `changed` says.
    #[must_use]
    pub fn keeps_somebody(
        &self,
        operators: &Operators,
        changed: &OperatorRecord,
        here: &Circumstances,
    ) -> bool {
        match self {
            Self::Policies(policies) => keeps_somebody_beside(policies, operators, changed, here),
            // the engine asks the table of roles
            Self::Roles | Self::Unreadable(_) => true,
        }
    }
}

impl Decide for InForce {
    fn decide(
        &self,
        principal: &Principal,
        action: Action,
        resource: &Resource<'_>,
        circumstances: &Circumstances,
    ) -> Verdict {
        let by_role = || ByRole.decide(principal, action, resource, circumstances);
        match self {
            Self::Roles => by_role(),
            Self::Policies(policies) => policies.decide(principal, action, resource, circumstances),
            Self::Unreadable(_) => {
                let own = principal.authentication == kms_core::policy::Authentication::Internal;
                let verdict = by_role();
                Verdict::plain(verdict.allowed && (own || leads_out(action)))
            }
        }
    }

    fn revision(&self) -> u64 {
        match self {
            Self::Roles => ROLE_TABLE,
            Self::Policies(policies) => policies.revision(),
            Self::Unreadable(generation) => *generation,
        }
    }
}
