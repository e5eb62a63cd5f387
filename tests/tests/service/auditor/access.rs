//! Who could do what on a day: told after roles, policies and people have changed.

use kms_proto::v1;
use kms_server::serve::Running;
use kms_tests::caller::{Caller, reason, using};
use kms_tests::daemon::{Installation, Role};
use kms_tests::in_process::{DAY, InProcess};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const WEB: &str = "spiffe://";

async fn access(
    auditor: &Caller,
    at: kms_core::time::Timestamp,
    page_size: i32,
) -> v1::GetAccessResponse {
    let micros = at.as_micros();
    let mut request = v1::GetAccessRequest {
        at_time: Some(prost_types::Timestamp {
            seconds: micros.div_euclid(1_000_000),
            nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap(),
        }),
        page_size,
        ..Default::default()
    };
    let mut whole = v1::GetAccessResponse::default();
    loop {
        let page = auditor.audit().get_access(request.clone()).await.unwrap();
        let page = page.into_inner();
        request.page_token.clone_from(&page.next_page_token);
        whole.principals.extend(page.principals.clone());
        whole.changes.extend(page.changes.clone());
        whole = v1::GetAccessResponse {
            principals: whole.principals,
            changes: whole.changes,
            ..page
        };
        if request.page_token.is_empty() {
            return whole;
        }
    }
}

fn of<'a>(answer: &'a v1::GetAccessResponse, name: &str) -> Option<&'a v1::PrincipalAccess> {
    let mut all = answer.principals.iter();
    all.find(|one| one.principal == name)
}

fn service(answer: &v1::GetAccessResponse) -> &v1::PrincipalAccess {
    let mut all = answer.principals.iter();
    let found = all.find(|one| one.roles == ["service"]).unwrap();
    assert!(found.principal.starts_with(WEB), "{found:?}");
    found
}

fn action<'a>(who: &'a v1::PrincipalAccess, name: &str) -> Option<&'a v1::AllowedAction> {
    who.allowed.iter().find(|allowed| allowed.action == name)
}

/// Alice becomes a key-admin, Carol an auditor who never enrols, and no service may make keys for files any more.
async fn change_everything(process: &InProcess, running: &Running) {
    let bob = process.caller(running, Role::Approver).await;
    let set = async |approval: Option<&String>| {
        let request = v1::SetOperatorRolesRequest {
            name: "operators/alice".into(),
            roles: vec!["key-admin".into()],
            validate_only: false,
        };
        let request = using(request, approval);
        bob.auth().set_operator_roles(request).await
    };
    process.insist(set).await.unwrap();
    let add = async |approval: Option<&String>| {
        let request = v1::AddOperatorRequest {
            operator_id: "carol".into(),
            roles: vec!["auditor".into()],
            validate_only: false,
        };
        bob.auth().add_operator(using(request, approval)).await
    };
    process.insist(add).await.unwrap();
    let forbid =
        r#"forbid (principal, action == Action::"GenerateDataKey", resource == Dataset::"files");"#;
    let roles = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/roles");
    let mut texts: Vec<_> = std::fs::read_dir(roles)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            v1::PolicyText {
                name: file.file_name().into_string().unwrap(),
                text: std::fs::read_to_string(file.path()).unwrap(),
            }
        })
        .collect();
    texts.push(v1::PolicyText {
        name: "own.cedar".into(),
        text: forbid.into(),
    });
    let apply = v1::ApplyPoliciesRequest {
        texts,
        ..Default::default()
    };
    let policies = v1::policy_service_client::PolicyServiceClient::new(bob.wire.channel());
    let apply = async |approval: Option<&String>| {
        let request = using(apply.clone(), approval);
        policies.clone().apply_policies(request).await
    };
    process.insist(apply).await.unwrap();
}

#[tokio::test]
async fn a_day_is_told_as_it_was_after_everything_has_changed() {
    let process = InProcess::new();
    let running = process.serve().await;
    process.clock.advance(HOUR);
    let before = process.now();
    process.clock.advance(DAY);
    let then = process.now();
    change_everything(&process, &running).await;
    process.clock.advance(HOUR);
    let after = process.now();
    process.clock.advance(DAY);
    let bob = process.caller(&running, Role::Approver).await;
    let disable = v1::DisableOperatorRequest {
        name: "operators/carol".into(),
        validate_only: false,
    };
    bob.auth().disable_operator(disable).await.unwrap();
    let auditor = process.caller(&running, Role::Auditor).await;

    let was = access(&auditor, before, 0).await;
    assert_eq!(was.policy_generation, 1);
    let alice = of(&was, "operators/alice").unwrap();
    assert_eq!(alice.roles, ["security-admin", "key-admin"]);
    assert_eq!(action(alice, "AddOperator").unwrap().asks, "each");
    assert_eq!(action(alice, "RotateDataset").unwrap().asks, "recent");
    assert!(action(alice, "Decrypt").is_none());
    assert!(of(&was, "operators/carol").is_none(), "not there yet");
    assert_eq!(of(&was, "operators/bob").unwrap().state, "enabled");
    let make = action(service(&was), "GenerateDataKey").unwrap();
    assert!(make.datasets.is_empty(), "on all: {make:?}");
    assert!(was.changes.is_empty(), "{:?}", was.changes);

    let was = access(&auditor, after, 0).await;
    assert_eq!(was.policy_generation, 2);
    let alice = of(&was, "operators/alice").unwrap();
    assert_eq!(alice.roles, ["key-admin"]);
    assert!(action(alice, "AddOperator").is_none());
    let carol = of(&was, "operators/carol").unwrap();
    assert_eq!((&*carol.state, carol.allowed.len()), ("not enrolled", 0));
    let make = action(service(&was), "GenerateDataKey").unwrap();
    assert!(!make.datasets.is_empty());
    assert!(!make.datasets.contains(&"datasets/files".to_owned()));
    assert!(
        action(service(&was), "UnwrapDataKey")
            .unwrap()
            .datasets
            .is_empty()
    );

    // what was changed on the day between
    let day = access(&auditor, then, 0).await.changes;
    let told: Vec<_> = day
        .iter()
        .map(|it| (&*it.principal, &*it.action, &*it.about))
        .collect();
    let expected = [
        ("operators/bob", "SetOperatorRoles", "operators/alice"),
        ("operators/bob", "AddOperator", "operators/carol"),
        ("operators/bob", "ApplyPolicies", ""),
    ];
    assert_eq!(told, expected);
    assert_eq!(
        day[0].detail,
        "key-admin; before: security-admin, key-admin"
    );

    // now; and page by page it is the same
    let now = access(&auditor, process.now(), 0).await;
    assert_eq!(of(&now, "operators/carol").unwrap().state, "disabled");
    let paged = access(&auditor, process.now(), 1).await;
    assert_eq!(paged.principals, now.principals);
    assert!(
        now.not_known
            .iter()
            .any(|open| open.contains("access tokens"))
    );
    running.stop().await;
}

#[tokio::test]
async fn only_readers_of_the_log_are_told_and_only_of_the_past() {
    let process = InProcess::new();
    let running = process.serve().await;
    let request = |seconds: i64| v1::GetAccessRequest {
        at_time: Some(prost_types::Timestamp {
            seconds: process.now().as_micros() / 1_000_000 + seconds,
            nanos: 0,
        }),
        ..Default::default()
    };
    let service = process.caller(&running, Role::Service).await;
    let refused = service.audit().get_access(request(-1)).await;
    assert_eq!(reason(&refused.unwrap_err()), "DENIED");
    let auditor = process.caller(&running, Role::Auditor).await;
    let refused = auditor.audit().get_access(request(3_600)).await;
    assert_eq!(reason(&refused.unwrap_err()), "INVALID_ARGUMENT");
    let no_time = v1::GetAccessRequest::default();
    let refused = auditor.audit().get_access(no_time).await;
    assert_eq!(reason(&refused.unwrap_err()), "INVALID_ARGUMENT");
    let entries = auditor.entries(0).await.unwrap();
    let of = entries.iter().filter(|entry| entry.action == "GetAccess");
    let outcomes: Vec<_> = of.map(|entry| entry.outcome.as_str()).collect();
    assert_eq!(outcomes, ["DENIED", "INVALID_ARGUMENT", "INVALID_ARGUMENT"]);
    running.stop().await;
}

#[tokio::test]
async fn the_command_line_says_it_to_people_and_programs() {
    let installation = Installation::new();
    let _daemon = installation.start();
    let kms = installation.kms(Role::Auditor);
    let told = kms.run(&["audit", "access", "--at", "0s"]).ok().out;
    for words in [
        "operators/alice",
        "security-admin",
        "with a new code: ",
        "Not known:",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let args = ["audit", "access", "--at", "2020-01-01", "--output", "json"];
    let json = kms.run(&args).ok().json();
    assert!(
        json["not_known"]
            .to_string()
            .contains("the log begins after"),
        "{json}"
    );
    let people = json["principals"].as_array().unwrap().iter();
    let mut operators = people.filter(|one| one["kind"] == "operator");
    assert!(operators.next().is_none(), "{json}");
    let one = [
        "audit",
        "access",
        "--at",
        "0s",
        "--principal",
        "operators/bob",
        "--output",
        "json",
    ];
    let json = kms.run(&one).ok().json();
    assert_eq!(json["principals"].as_array().unwrap().len(), 1, "{json}");
}
