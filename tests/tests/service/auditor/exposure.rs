//! The first question of a breach: what could they have read, who could have read it.

use kms_proto::v1::shred_secret_selector::By;
use kms_proto::v1::{DestroyShredSecretRequest, ShredSecretSelector};
use kms_tests::caller::{Caller, context, subject};
use kms_tests::daemon::{Installation, Role};
use serde_json::Value;

const WEB: &str = "service";

fn exposure(installation: &Installation, args: &[&str]) -> Value {
    let kms = installation.kms(Role::Auditor);
    let all = [&["audit", "exposure", "--output", "json"], args].concat();
    kms.run(&all).ok().json()
}

/// `keys` data keys of one person, each opened once.
async fn use_keys(service: &Caller, person: &str, tenant: &str, keys: usize) {
    let context = context("tenant", tenant);
    for _ in 0..keys {
        let uses = [subject(tenant, person, "customer")];
        let made = service.generate("files", &context, &uses).await.unwrap();
        let wrapped = made.into_inner().wrapped_data_key;
        service.unwrap(&wrapped, &context).await.unwrap();
    }
}

fn of_version(report: &Value, version: u64) -> u64 {
    let rows = report["rows"].as_array().unwrap().iter();
    let rows = rows.filter(|row| row["version"] == version);
    rows.map(|row| row["items"].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn counts_are_those_of_what_was_done() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let operator = daemon.caller(&installation, Role::Operator).await;
    use_keys(&service, "jane", "acme", 3).await;
    operator.rotate("files").await.unwrap();
    use_keys(&service, "john", "globex", 2).await;
    // a refusal releases nothing
    let other = context("tenant", "initech");
    assert!(
        service
            .generate("no-such-thing", &other, &[])
            .await
            .is_err()
    );
    let of_dataset = exposure(&installation, &["--dataset", "files"]);
    assert_eq!(of_dataset["released"], 10, "{of_dataset}");
    assert_eq!(
        (of_version(&of_dataset, 1), of_version(&of_dataset, 2)),
        (6, 4)
    );
    let tenants = serde_json::json!(["tenant=acme", "tenant=globex"]);
    assert_eq!(of_dataset["tenants"], tenants);
    assert_eq!(of_dataset["shred_secrets"], 2);
    assert!(of_dataset["first"].as_str() < of_dataset["last"].as_str());
    let blind = of_dataset["cannot_see"].to_string();
    assert!(blind.contains("cache"), "{blind}");
    let of_one = exposure(&installation, &["--dataset", "files", "--version", "2"]);
    assert_eq!(
        (&of_one["released"], of_version(&of_one, 2)),
        (&Value::from(4), 4)
    );
    let of_jane = [
        "--subject",
        "jane",
        "--account",
        "acme",
        "--class",
        "customer",
    ];
    let of_jane = exposure(&installation, &of_jane);
    assert_eq!(
        (&of_jane["released"], &of_jane["shred_secrets"]),
        (&Value::from(6), &Value::from(1))
    );
    let rows = of_jane["rows"].as_array().unwrap();
    let who = rows[0]["principal"].as_str().unwrap();
    assert!(who.contains(WEB), "{who}");
    let of_service = exposure(&installation, &["--principal", who]);
    assert_eq!(of_service["released"], 10);
    assert!(of_service["refused"].as_u64().unwrap() >= 1);
    // nothing before the instance was made
    let before = exposure(&installation, &["--principal", who, "--to", "2020-01-01"]);
    assert_eq!(before["released"], 0);
    let table = installation
        .kms(Role::Auditor)
        .run(&["audit", "exposure", "--dataset", "files"]);
    let table = table.ok().out;
    assert!(
        table.contains("Released in all: 10") && table.contains("Not seen:"),
        "{table}"
    );
}

/// Whoever was erased and came back has two secrets, and both count.
#[tokio::test]
async fn an_earlier_secret_of_the_same_person_counts_too() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let operator = daemon.caller(&installation, Role::Operator).await;
    let tenant = context("tenant", "acme");
    let mut uses = [subject("acme", "jane", "customer")];
    service.generate("files", &tenant, &uses).await.unwrap();
    let selector = ShredSecretSelector {
        by: Some(By::Scope(uses[0].scope.clone().unwrap())),
    };
    let erased = DestroyShredSecretRequest {
        selector: Some(selector),
        reason: "erasure request 17".into(),
        validate_only: false,
    };
    let erased = operator.shred().destroy_shred_secret(erased).await.unwrap();
    uses[0].succeeds_id = erased.into_inner().secret.unwrap().id;
    service.generate("files", &tenant, &uses).await.unwrap();
    let of_jane = [
        "--subject",
        "jane",
        "--account",
        "acme",
        "--class",
        "customer",
    ];
    let report = exposure(&installation, &of_jane);
    assert_eq!(report["released"], 2, "{report}");
}

/// What a client opened from its memory is reported, and stands beside what the service released.
#[tokio::test]
async fn uses_of_remembered_keys_are_reported_by_the_library_and_shown() {
    use kms_client::cache::{CacheLimits, Cached};
    use kms_client::{Client, KeySource, Profile, UnwrapRequest, WrappedDataKey};
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let profile = Profile::load(installation.profile(Role::Service)).unwrap();
    let client = Client::connect(&profile).await.unwrap();
    let keys = Cached::new(client, CacheLimits::default()).unwrap();
    let uses = [subject("acme", "jane", "customer")];
    for tenant in ["acme", "globex"] {
        let made = service
            .generate("files", &context("tenant", tenant), &uses)
            .await;
        let wrapped = made.unwrap().into_inner().wrapped_data_key;
        let request = UnwrapRequest {
            wrapped: WrappedDataKey::parse(&wrapped).unwrap(),
            key_context: kms_client::KeyContext::new([("tenant", tenant)]).unwrap(),
        };
        for _ in 0..4 {
            let opened = keys.unwrap(std::slice::from_ref(&request)).await;
            assert!(opened[0].is_ok());
        }
    }
    keys.report().await.unwrap();
    let report = exposure(&installation, &["--dataset", "files"]);
    // two made and two opened by the service; three more uses of each that only the client saw
    assert_eq!(
        (&report["released"], &report["cached_uses"]),
        (&4.into(), &6.into()),
        "{report}"
    );
    let of_jane = [
        "--subject",
        "jane",
        "--account",
        "acme",
        "--class",
        "customer",
    ];
    let report = exposure(&installation, &of_jane);
    assert_eq!(report["cached_uses"], 6, "{report}");
    let args = [
        "audit",
        "list",
        "--action",
        "ReportCachedUses",
        "--output",
        "json",
    ];
    let listed = installation.kms(Role::Auditor).run(&args).ok().json();
    let details = listed
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["kind"] == "detail");
    let details: Vec<_> = details.collect();
    assert_eq!(details.len(), 2, "one for each data key: {listed}");
    for detail in details {
        assert_eq!(detail["count"], 3);
        assert!(detail["detail"].as_str().unwrap().starts_with("data key "));
    }
    let blind = report["cannot_see"].to_string();
    assert!(blind.contains("own word"), "{blind}");
}
