//! Cedar policies behind the `Decide` seam: turns principals, resources and circumstances into the names that policies
//! speak of, and remembers answers that depend on nothing but who, what and which dataset. Never asked by the daemon's
//! own jobs, nor about the ways back in; what fails is denied.

pub mod in_force;
mod remembered;

use kms_core::engine::Snapshot;
use kms_core::engine::snapshot::Operators;
use kms_core::key::record::OperatorRecord;
use kms_core::policy::limits::is_way_back;
use kms_core::policy::{
    Action, Authentication, ByRole, Circumstances, Decide, Freshness, Principal, Resource, Role,
    Roles, SecondFactor, Verdict,
};
use kms_core::time::Timestamp;
use kms_policies::{Answer, Asks, BrokenPolicy, Caller, Policies, PolicyText, Question};
use remembered::Asked;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
#[derive(Debug)]
pub struct ByPolicy {
    policies: Policies,
    /// For whom a policy may read the circumstances, by action; sorted, of those for whom one does.
    readers: Vec<(Action, Readers)>,
    /// Number of the generation; stands in audit entries.
    generation: u64,
    /// Tells this set of policies from every other of the process.
    serial: u64,
}

#[derive(Debug, Clone, Copy)]
enum Readers {
    Everybody,
    Of(Roles),
}

impl ByPolicy {
    /// From texts, strictly checked.
    ///
    /// # Errors
    /// [`BrokenPolicy`] with file and line; nothing is half taken.
    pub fn new(generation: u64, texts: &[PolicyText]) -> Result<Self, BrokenPolicy> {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let policies = Policies::load(texts)?;
        let mut actions = Action::ALL.to_vec();
        actions.sort_unstable();
        let with = |action| Some((action, readers(&policies, action)?));
        Ok(Self {
            readers: actions.into_iter().filter_map(with).collect(),
            policies,
            generation,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// The whole answer, evaluated anew.
    #[must_use]
    pub fn ask(
        &self,
        principal: &Principal,
        action: Action,
        resource: &Resource<'_>,
        circumstances: &Circumstances,
    ) -> Answer {
        let roles: Vec<&str> = principal.standing().iter().map(Role::as_str).collect();
        let classes = resource.dataset.map(|dataset| dataset.classes);
        let classes = classes.unwrap_or_default().iter();
        let classes: Vec<&str> = classes.map(|class| class.as_str()).collect();
        let labels = resource.dataset.map(|dataset| dataset.labels.pairs());
        let labels: Vec<_> = labels.into_iter().flatten().collect();
        let age = |at: Timestamp| circumstances.now.since(at).as_secs();
        let factor = principal.second_factor;
        self.policies.decide(&Question {
            caller: Caller {
                name: principal.name.as_str(),
                is_person: principal.authentication == Authentication::OperatorSession,
                roles: &roles,
                attributes: principal.attributes.as_deref(),
            },
            action: action.as_str(),
            dataset: resource.dataset.map(|dataset| dataset.name.as_str()),
            classes: &classes,
            labels: &labels,
            key_context: resource.context.map(|context| context.pairs()),
            source: circumstances.source,
            now: &seconds(circumstances.now),
            mfa_age: factor.map(|factor| i64::try_from(age(factor.at)).unwrap_or(i64::MAX)),
        })
    }

    fn verdict(&self, asked: &Asked<'_>, resource: &Resource<'_>, here: &Circumstances) -> Verdict {
        let answer = self.ask(asked.principal, asked.action, resource, here);
        if let Some(failure) = &answer.failure {
            let action = asked.action.as_str();
            tracing::error!(action, %failure, "a policy failed: denied");
        }
        Verdict {
            allowed: answer.allowed,
            asks: answer.asks.map_or(Freshness::None, freshness),
        }
    }

    fn reads_circumstances(&self, principal: &Principal, action: Action) -> bool {
        let found = self
            .readers
            .binary_search_by_key(&action, |(action, _)| *action);
        match found.ok().and_then(|at| self.readers.get(at)) {
            None => false,
            Some((_, Readers::Everybody)) => true,
            Some((_, Readers::Of(roles))) => {
                let standing = principal.standing();
                roles.iter().any(|role| standing.contains(role))
            }
        }
    }
}

/// Whether `policies` leave an operator who can put others into force, and let people in from `certificate`; without
/// one, whether they leave an operator at all, as far as that does not depend on where the person calls from.
#[must_use]
pub fn keeps_somebody(
    policies: &ByPolicy,
    operators: &Operators,
    certificate: Option<&Principal>,
    here: &Circumstances,
) -> bool {
    let from = if certificate.is_some() {
        Source::Here
    } else {
        Source::Any
    };
    let mut all = operators.after(None);
    let somebody = all.any(|operator| applies(policies, &operator.record, from, here));
    let login = |desk: &Principal| may(policies, desk, Action::Login, from, here);
    somebody && certificate.is_none_or(login)
}

/// Whether somebody could still put other policies into force once the operator is as `changed` says, if anybody can
/// now. As far as that does not depend on where people call from.
#[must_use]
pub fn keeps_somebody_beside(
    policies: &ByPolicy,
    operators: &Operators,
    changed: &OperatorRecord,
    here: &Circumstances,
) -> bool {
    let able = |record: &OperatorRecord| applies(policies, record, Source::Any, here);
    let now = operators.after(None).filter(|now| able(&now.record));
    let (mut anybody, mut others) = (false, false);
    for operator in now {
        anybody = true;
        others |= operator.record.name != changed.name;
    }
    others || !anybody || able(changed)
}

/// Where a person is taken to call from.
#[derive(Clone, Copy)]
enum Source {
    Here,
    /// What depends on it counts as allowed.
    Any,
}

fn may(
    policies: &ByPolicy,
    who: &Principal,
    action: Action,
    from: Source,
    here: &Circumstances,
) -> bool {
    let depends = matches!(from, Source::Any) && policies.reads_circumstances(who, action);
    depends
        || policies
            .decide(who, action, &Resource::default(), here)
            .allowed
}

/// Whether this operator may put policies into force.
fn applies(
    policies: &ByPolicy,
    record: &OperatorRecord,
    from: Source,
    here: &Circumstances,
) -> bool {
    let who = with_new_code(record, here);
    let needed = [Action::AcceptCode, Action::ApplyPolicies];
    record.can_act()
        && needed
            .iter()
            .all(|action| may(policies, &who, *action, from, here))
}

/// Whether under `policies` enough people could still approve the next ones: somebody who may apply them has `required`
/// others who can read and sign. As far as that does not depend on where they call from.
#[must_use]
pub fn keeps_quorum(
    policies: &ByPolicy,
    snapshot: &Snapshot,
    required: usize,
    here: &Circumstances,
) -> bool {
    let may = |who: &Principal, action| may(policies, who, action, Source::Any, here);
    let able = snapshot.operators.after(None);
    let able = able.filter(|operator| operator.record.can_act());
    let people: Vec<_> = able
        .map(|operator| {
            let who = with_new_code(&operator.record, here);
            let keys = snapshot.approvals.approver(&operator.record.name);
            let signs = keys.is_some_and(|kept| !kept.record.keys.is_empty())
                && who.roles.contains(Role::Approver)
                && may(&who, Action::GetApproval)
                && may(&who, Action::Approve);
            (may(&who, Action::ApplyPolicies), signs)
        })
        .collect();
    let signing = people.iter().filter(|(_, signs)| *signs).count();
    let others = |signs: bool| signing - usize::from(signs);
    let mut asking = people.iter().filter(|(applies, _)| *applies);
    asking.any(|(_, signs)| others(*signs) >= required)
}

/// An operator who has just given a code.
fn with_new_code(record: &OperatorRecord, here: &Circumstances) -> Principal {
    Principal {
        name: record.name.principal(),
        authentication: Authentication::OperatorSession,
        roles: Roles::of_person(record.roles),
        attributes: None,
        second_factor: Some(SecondFactor {
            at: here.now,
            with_this_request: true,
        }),
    }
}

fn readers(policies: &Policies, action: Action) -> Option<Readers> {
    if policies.reads_context(action.as_str(), &[]) {
        return Some(Readers::Everybody);
    }
    let reads = |role: &Role| policies.reads_context(action.as_str(), &[role.as_str()]);
    let roles: Vec<Role> = Role::ALL
        .iter()
        .copied()
        .filter(|role| reads(role))
        .collect();
    (!roles.is_empty()).then(|| Readers::Of(Roles::of(&roles)))
}

const fn freshness(asks: Asks) -> Freshness {
    match asks {
        Asks::Session => Freshness::Session,
        Asks::Recent => Freshness::Recent,
        Asks::Each => Freshness::Each,
    }
}

/// Whole seconds, as Cedar reads them.
fn seconds(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap_or_default();
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl Decide for ByPolicy {
    fn decide(
        &self,
        principal: &Principal,
        action: Action,
        resource: &Resource<'_>,
        circumstances: &Circumstances,
    ) -> Verdict {
        if principal.authentication == Authentication::Internal || is_way_back(action) {
            return ByRole.decide(principal, action, resource, circumstances);
        }
        let asked = Asked {
            serial: self.serial,
            principal,
            action,
            dataset: resource
                .dataset
                .map(|dataset| (dataset.key_id, dataset.revision)),
        };
        let decide = || self.verdict(&asked, resource, circumstances);
        if self.reads_circumstances(principal, action) {
            decide()
        } else {
            remembered::verdict(&asked, decide)
        }
    }

    fn revision(&self) -> u64 {
        self.generation
    }
}

#[cfg(test)]
mod tests;
