//! The shipped policies against the table of roles, and what may be remembered.

use super::in_force::InForce;
use super::*;
use kms_core::cipher::password::Cost;
use kms_core::engine::operator::enrolment::first_operator;
use kms_core::engine::snapshot::Policies as Generations;
use kms_core::key::record::{
    OperatorState, Record, RecordKey, Revision, Stored, StoredPassword, Tree,
};
use kms_core::name::labels::NO_LABELS;
use kms_core::name::{DatasetName, KeyContext, KeyId, OperatorName, PrincipalName, RetentionClass};
use kms_core::policy::AboutDataset;
use kms_core::policy::limits::is_own;
use kms_core::secret::{PasswordHash, TotpSecret};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const HERE: Circumstances = Circumstances {
    source: None,
    now: Timestamp::from_micros(1_800_000_000_000_000),
};

fn principal(authentication: Authentication, roles: &[Role]) -> Principal {
    Principal {
        name: PrincipalName::parse("spiffe://crm.example/one").unwrap(),
        authentication,
        roles: Roles::of(roles),
        attributes: None,
        second_factor: None,
    }
}

fn service() -> Principal {
    principal(Authentication::Certificate, &[Role::Service])
}

fn shipped() -> ByPolicy {
    ByPolicy::new(2, &kms_policies::shipped()).unwrap()
}

fn with(more: &str) -> ByPolicy {
    let mut texts = kms_policies::shipped();
    texts.push(PolicyText {
        name: "test.cedar".into(),
        text: more.into(),
    });
    ByPolicy::new(2, &texts).unwrap()
}

fn about(name: &DatasetName) -> Resource<'_> {
    Resource {
        dataset: Some(AboutDataset {
            key_id: KeyId([1; 16]),
            name,
            classes: &[],
            labels: &NO_LABELS,
            revision: Revision(1),
        }),
        ..Resource::default()
    }
}

fn allows(policies: &ByPolicy, who: &Principal, action: Action, about: &Resource<'_>) -> bool {
    policies.decide(who, action, about, &HERE).allowed
}

/// What to do when it fails: name the action in `policies/schema.cedarschema`, in the templates of the roles that may,
/// and bless the tables in `policies/expected`.
#[test]
fn every_action_stands_in_the_schema_and_in_the_printed_table() {
    let policies = shipped();
    let known: BTreeSet<&str> = policies.policies.actions().collect();
    let actions = Action::ALL.iter().filter(|action| !is_own(**action));
    let actions: BTreeSet<&str> = actions.map(|action| action.as_str()).collect();
    assert_eq!(known, actions);
    let table = include_str!("../../../policies/expected/roles.txt");
    let rows = table.lines().skip(1);
    let rows = rows.filter_map(|line| line.split_whitespace().next());
    assert_eq!(rows.collect::<BTreeSet<_>>(), actions);
}

#[test]
fn the_shipped_policies_answer_as_the_table_of_roles() {
    let policies = shipped();
    let name = DatasetName::parse("files").unwrap();
    let unknown = Resource {
        unknown: true,
        ..Resource::default()
    };
    let mut who = vec![Principal::internal()];
    for authentication in [
        Authentication::Certificate,
        Authentication::Token,
        Authentication::CertificateAndToken,
        Authentication::OperatorSession,
        Authentication::EnrolmentToken,
    ] {
        who.push(principal(authentication, Role::ALL));
        for role in Role::ALL {
            who.push(principal(authentication, &[*role]));
        }
    }
    for principal in &who {
        for action in Action::ALL {
            for resource in [&about(&name), &unknown, &Resource::default()] {
                // a session of somebody without a role may end it, and hear how the service is doing
                if principal.authentication == Authentication::OperatorSession
                    && principal.standing().is_empty()
                {
                    continue;
                }
                // asked twice: the second answer is remembered
                for _ in 0..2 {
                    assert_eq!(
                        policies.decide(principal, *action, resource, &HERE),
                        ByRole.decide(principal, *action, resource, &HERE),
                        "{principal:?} {action:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_answer_that_reads_the_context_is_never_remembered() {
    let policies = with(
        r#"forbid (principal, action == Action::"Encrypt", resource) unless {
            context.key_context.hasTag("tenant") && context.key_context.getTag("tenant") == "acme" };"#,
    );
    let read: Vec<Action> = policies.readers.iter().map(|(action, _)| *action).collect();
    let own = Action::ALL.iter().copied().filter(|action| is_own(*action));
    let expected: BTreeSet<Action> = own.chain([Action::Encrypt]).collect();
    assert_eq!(read, expected.into_iter().collect::<Vec<_>>());
    let name = DatasetName::parse("files").unwrap();
    for (tenant, allowed) in [("acme", true), ("other", false), ("acme", true)] {
        let pairs = BTreeMap::from([("tenant".to_owned(), tenant.to_owned())]);
        let context = KeyContext::new(pairs).unwrap();
        let resource = Resource {
            context: Some(&context),
            ..about(&name)
        };
        let asked = allows(&policies, &service(), Action::Encrypt, &resource);
        assert_eq!(asked, allowed, "{tenant}");
    }
}

#[test]
fn a_rule_on_one_role_leaves_the_answers_of_others_remembered() {
    let policies = with(
        r#"forbid (principal in Role::"break-glass", action == Action::"Decrypt", resource) unless {
            context has source };"#,
    );
    let person = principal(Authentication::OperatorSession, &[Role::BreakGlass]);
    assert!(policies.reads_circumstances(&person, Action::Decrypt));
    assert!(!policies.reads_circumstances(&service(), Action::Decrypt));
    let name = DatasetName::parse("files").unwrap();
    assert!(!allows(&policies, &person, Action::Decrypt, &about(&name)));
    assert!(allows(
        &policies,
        &service(),
        Action::Decrypt,
        &about(&name)
    ));
}

#[test]
fn what_is_remembered_is_of_this_principal_with_these_attributes_under_these_policies() {
    let own = with(include_str!(
        "../../../policies/examples/own-datasets.cedar"
    ));
    let shipped = shipped();
    let name = DatasetName::parse("files").unwrap();
    let asks = |policies: &ByPolicy, who: &Principal| {
        allows(policies, who, Action::Encrypt, &about(&name))
    };
    let nothing = service();
    let mut bound = nothing.clone();
    let attributes = BTreeMap::from([("datasets".into(), "files".into())]);
    bound.attributes = Some(Arc::new(attributes));
    let mut without_role = bound.clone();
    without_role.roles = Roles::default();
    let mut person = bound.clone();
    person.authentication = Authentication::OperatorSession;
    for _ in 0..2 {
        assert!(asks(&shipped, &nothing));
        assert!(!asks(&own, &nothing));
        assert!(asks(&own, &bound));
        assert!(!asks(&own, &without_role));
        assert!(!asks(&own, &person));
    }
}

#[test]
fn a_changed_dataset_is_asked_about_anew() {
    let policies = with(
        r#"forbid (principal, action == Action::"Encrypt", resource) when {
            resource.classes.contains("financial") };"#,
    );
    let name = DatasetName::parse("files").unwrap();
    let financial = [RetentionClass::parse("financial").unwrap()];
    let mut resource = about(&name);
    assert!(allows(&policies, &service(), Action::Encrypt, &resource));
    resource.dataset = resource.dataset.map(|dataset| AboutDataset {
        classes: &financial,
        revision: Revision(2),
        ..dataset
    });
    assert!(!allows(&policies, &service(), Action::Encrypt, &resource));
}

#[test]
fn a_policy_may_ask_for_a_fresher_code() {
    let policies = with(
        r#"@freshness("each") forbid (principal, action == Action::"RotateDataset", resource);"#,
    );
    let person = principal(Authentication::OperatorSession, &[Role::KeyAdmin]);
    let name = DatasetName::parse("files").unwrap();
    for _ in 0..2 {
        let verdict = policies.decide(&person, Action::RotateDataset, &about(&name), &HERE);
        assert_eq!((verdict.allowed, verdict.asks), (true, Freshness::Each));
    }
}

#[test]
fn policies_that_cannot_be_read_leave_only_the_way_out() {
    let mut generations = Generations::default();
    generations.quarantined = true;
    let broken = InForce::of(&generations, &Arc::new(InForce::Roles));
    assert!(matches!(*broken, InForce::Unreadable(1)));
    let admin = principal(Authentication::OperatorSession, Role::PEOPLE);
    let about = Resource::default();
    let allowed = |who: &Principal| -> Vec<Action> {
        let all = Action::ALL.iter().copied();
        all.filter(|action| broken.decide(who, *action, &about, &HERE).allowed)
            .collect()
    };
    let out = [
        Action::GetStatus,
        Action::Seal,
        Action::Logout,
        Action::WhoAmI,
        Action::AcceptCode,
        Action::ApplyPolicies,
        Action::GetPolicies,
        Action::ListApprovals,
        Action::GetApproval,
        Action::Approve,
        Action::RejectApproval,
        Action::CancelApproval,
        Action::GetRoster,
    ];
    assert_eq!(allowed(&admin), out);
    let desk = principal(Authentication::Certificate, &[Role::OperatorCertificate]);
    assert!(allowed(&desk).contains(&Action::RecoverOperator));
    assert_eq!(allowed(&service()), [Action::GetStatus]);
    assert!(allowed(&Principal::internal()).contains(&Action::ScheduledRotation));
}

#[test]
fn the_schema_says_of_the_same_actions_that_they_are_about_a_dataset() {
    let schema = kms_policies::SCHEMA;
    let from = schema.find("\naction ").unwrap() + "\naction ".len();
    let list = &schema[from..from + schema[from..].find("appliesTo").unwrap()];
    assert!(
        schema[from + list.len()..]
            .starts_with("appliesTo { principal: Principal, resource: Dataset")
    );
    let listed: BTreeSet<&str> = list.split(',').map(str::trim).collect();
    let about = Action::ALL
        .iter()
        .filter(|action| action.is_about_dataset());
    assert_eq!(
        about.map(|action| action.as_str()).collect::<BTreeSet<_>>(),
        listed
    );
}

#[test]
fn no_policy_takes_the_ways_back_away() {
    let none = with("forbid (principal, action, resource);");
    let desk = principal(Authentication::Certificate, &[Role::OperatorCertificate]);
    for action in [
        Action::RecoverOperator,
        Action::BeginEnrolment,
        Action::ConfirmEnrolment,
    ] {
        assert!(allows(&none, &desk, action, &Resource::default()));
        assert!(!allows(&none, &service(), action, &Resource::default()));
    }
    assert!(!allows(&none, &desk, Action::Login, &Resource::default()));
}

/// An operator who can act.
fn operator(name: &str) -> OperatorRecord {
    let password = StoredPassword {
        salt: [0; 16],
        cost: Cost::OPERATOR,
        hash: PasswordHash::take_bytes(&mut [1; 32]),
    };
    first_operator(
        OperatorName::parse(name).unwrap(),
        Roles::of(&[Role::SecurityAdmin]).bits(),
        password,
        TotpSecret::from_slice(&[2; 20]).unwrap(),
        HERE.now,
    )
}

#[test]
fn whom_alone_the_policies_let_change_them_stays() {
    let mut snapshot = Snapshot::default();
    for (number, who) in ["alice", "bob"].into_iter().enumerate() {
        let stored = Stored {
            key: RecordKey {
                tree: Tree::Operator,
                key: Box::new([u8::try_from(number).unwrap(); 32]),
            },
            revision: Revision(1),
            record: Some(Record::Operator(operator(who))),
        };
        assert!(snapshot.apply(stored).is_none());
    }
    let removed = |who: &str| OperatorRecord {
        state: OperatorState::Removed { at: HERE.now },
        ..operator(who)
    };
    let alone = with(
        r#"forbid (principal, action == Action::"ApplyPolicies", resource) unless {
            principal == Principal::"operators/alice" };"#,
    );
    let keeps = |policies: &ByPolicy, who: &str| {
        keeps_somebody_beside(policies, &snapshot.operators, &removed(who), &HERE)
    };
    assert!(!keeps(&alone, "alice"));
    assert!(keeps(&alone, "bob"));
    assert!(keeps(&shipped(), "alice"));
    // where nobody could before, nobody is held back
    let nobody = with(r#"forbid (principal, action == Action::"ApplyPolicies", resource);"#);
    assert!(keeps(&nobody, "alice"));
}
