//! Policies of an installation's own, over a real socket: default deny, forbid wins, rules on key context and source, a
//! broken text that refuses the start; how they are put into force, read again, shown, and never lock everybody out.

use kms_core::audit::leaf::{Body, decode};
use kms_proto::v1;
use kms_tests::caller::{Caller, context, reason};
use kms_tests::console::Said;
use kms_tests::daemon::{Daemon, Installation, Role, write_toml};
use std::fs;
use std::path::PathBuf;

const EVERYONE: &str = include_str!("../../../policies/roles/everyone.cedar");
const SERVICE: &str = include_str!("../../../policies/roles/service.cedar");
const AUDITOR: &str = include_str!("../../../policies/roles/auditor.cedar");
const SECURITY: &str = include_str!("../../../policies/roles/security-admin.cedar");

/// What every set of policies needs, lest nobody could change it again.
const LEAST: [(&str, &str); 2] = [("everyone.cedar", EVERYONE), ("security.cedar", SECURITY)];

/// A directory of policies: these and the least.
fn directory(installation: &Installation, name: &str, policies: &[(&str, &str)]) -> PathBuf {
    let directory = installation.scratch().join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).unwrap();
    for (name, text) in policies {
        fs::write(directory.join(name), text).unwrap();
    }
    directory
}

fn apply(installation: &Installation, policies: &[(&str, &str)]) -> Said {
    let directory = directory(installation, "policies", policies);
    let directory = directory.to_str().unwrap();
    installation
        .kms(Role::Operator)
        .insist(&["policy", "apply", directory, "--output", "json"])
}

/// A daemon under the least and these policies.
fn governed(policies: &[(&str, &str)]) -> (Installation, Daemon) {
    let installation = Installation::new();
    let daemon = installation.start();
    let all = [&LEAST, policies].concat();
    let applied = apply(&installation, &all).ok().json();
    assert_eq!(applied["generation"], 2);
    (installation, daemon)
}

/// The installation's configuration names `directory`.
fn configure(installation: &Installation, directory: &std::path::Path) {
    let path = installation.dir().join("kms.toml");
    let mut config: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    let directory = directory.to_str().unwrap().into();
    let section = toml::Table::from_iter([("directory".to_owned(), directory)]);
    config.insert("policies".into(), section.into());
    write_toml(&path, &config);
}

async fn service(installation: &Installation, daemon: &Daemon) -> Caller {
    daemon.caller(installation, Role::Service).await
}

fn show(installation: &Installation, args: &[&str]) -> serde_json::Value {
    let args = [&["policy", "show", "--output", "json"], args].concat();
    installation.kms(Role::Operator).run(&args).ok().json()
}

#[tokio::test]
async fn what_no_policy_allows_is_denied_and_logged_with_its_generation() {
    let (installation, daemon) = governed(&[("auditor.cedar", AUDITOR)]);
    let caller = service(&installation, &daemon).await;
    let tenant = context("tenant", "acme");
    let refused = caller.generate("files", &tenant, &[]).await;
    assert_eq!(reason(&refused.unwrap_err()), "DENIED");
    assert!(caller.status().await.is_ok());
    let operator = daemon.caller(&installation, Role::Operator).await;
    let refused = operator.rotate("files").await;
    assert_eq!(reason(&refused.unwrap_err()), "DENIED");
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let entries = auditor.entries(0).await.unwrap();
    let denied = |action: &str| -> Vec<&v1::AuditEntry> {
        let of = |e: &&v1::AuditEntry| e.action == action && e.outcome == "DENIED";
        entries.iter().filter(of).collect()
    };
    let (data, rotation) = (denied("GenerateDataKey"), denied("RotateDataset"));
    assert_eq!((data.len(), rotation.len()), (1, 1));
    for entry in [data[0], rotation[0]] {
        let Body::Head(head) = decode(&entry.leaf).unwrap().body else {
            panic!("a call's entry");
        };
        assert_eq!(head.policy_revision, 2);
    }
    // the entry of the change names what was put into force
    let fingerprint = show(&installation, &[])["fingerprint"].clone();
    let applied = entries
        .iter()
        .find(|entry| entry.action == "ApplyPolicies" && entry.outcome == "OK")
        .unwrap();
    let note = format!("generation 2 {}", fingerprint.as_str().unwrap());
    assert_eq!(applied.detail, note);
}

#[tokio::test]
async fn forbid_wins_on_one_dataset_alone() {
    let forbid =
        r#"forbid (principal, action == Action::"GenerateDataKey", resource == Dataset::"files");"#;
    let (installation, daemon) = governed(&[("own.cedar", forbid), ("service.cedar", SERVICE)]);
    let caller = service(&installation, &daemon).await;
    let tenant = context("tenant", "acme");
    for _ in 0..3 {
        let refused = caller.generate("files", &tenant, &[]).await;
        assert_eq!(reason(&refused.unwrap_err()), "DENIED");
        // the demanded secrets are missing: it was allowed
        let allowed = caller.generate("customers", &tenant, &[]).await;
        assert_ne!(reason(&allowed.unwrap_err()), "DENIED");
    }
}

#[tokio::test]
async fn a_rule_on_the_key_context_holds_call_by_call() {
    let rule = r#"forbid (principal, action in [Action::"GenerateDataKey", Action::"UnwrapDataKey"], resource)
        unless { context.key_context.hasTag("tenant") && context.key_context.getTag("tenant") == "acme" };"#;
    let (installation, daemon) = governed(&[("tenant.cedar", rule), ("service.cedar", SERVICE)]);
    let caller = service(&installation, &daemon).await;
    let (acme, other) = (context("tenant", "acme"), context("tenant", "other"));
    for _ in 0..3 {
        let made = caller
            .generate("files", &acme, &[])
            .await
            .unwrap()
            .into_inner();
        let refused = caller.generate("files", &other, &[]).await;
        assert_eq!(reason(&refused.unwrap_err()), "DENIED");
        assert!(caller.unwrap(&made.wrapped_data_key, &acme).await.is_ok());
        let refused = caller.unwrap(&made.wrapped_data_key, &other).await;
        assert_eq!(reason(&refused.unwrap_err()), "DENIED");
    }
}

#[tokio::test]
async fn a_rule_on_the_source_holds() {
    let rule = |range: &str| {
        format!(
            "forbid (principal in Role::\"service\", action, resource is Dataset) unless {{ \
             context has source && context.source.isInRange(ip(\"{range}\")) }};"
        )
    };
    let (installation, daemon) = governed(&[]);
    let caller = service(&installation, &daemon).await;
    for (range, allowed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let rule = rule(range);
        let own = [("source.cedar", rule.as_str()), ("service.cedar", SERVICE)];
        apply(&installation, &[&LEAST[..], &own].concat()).ok();
        let answer = caller
            .generate("files", &context("tenant", "acme"), &[])
            .await;
        assert_eq!(answer.is_ok(), allowed, "{range}");
    }
}

#[test]
fn a_broken_text_refuses_the_start_and_says_where() {
    let broken =
        "// who may export?\npermit (principal, action == Action::\"Export\", resource);\n";
    let installation = Installation::new();
    assert!(installation.start().terminate().success());
    let policies = [("service.cedar", SERVICE), ("export.cedar", broken)];
    configure(
        &installation,
        &directory(&installation, "broken", &policies),
    );
    let refused = installation.try_start(&[]).unwrap_err();
    assert_eq!(refused.code, Some(10), "{refused:?}");
    assert!(
        refused.said.contains("export.cedar:2: "),
        "{}",
        refused.said
    );
    assert!(!refused.said.contains("panicked"), "{}", refused.said);
    fs::remove_dir_all(installation.scratch().join("broken")).unwrap();
    let refused = installation.try_start(&[]).unwrap_err();
    assert_eq!(refused.code, Some(10), "half a configuration: {refused:?}");
}

#[tokio::test]
async fn policies_that_nobody_could_change_again_are_not_put_into_force() {
    let installation = Installation::new();
    let daemon = installation.start();
    let no_login = r#"forbid (principal, action == Action::"Login", resource);"#;
    let elsewhere = r#"forbid (principal, action == Action::"ApplyPolicies", resource) unless {
        context has source && context.source.isInRange(ip("10.0.0.0/8")) };"#;
    for locking in [
        vec![("service.cedar", SERVICE)],
        vec![("everyone.cedar", EVERYONE)],
        vec![("security.cedar", SECURITY)],
        [&LEAST[..], &[("login.cedar", no_login)]].concat(),
        [&LEAST[..], &[("elsewhere.cedar", elsewhere)]].concat(),
    ] {
        let said = apply(&installation, &locking);
        assert_eq!(said.code, 4, "{said:?}");
    }
    assert_eq!(show(&installation, &[])["generation"], 1);
    let caller = service(&installation, &daemon).await;
    assert!(
        caller
            .generate("files", &context("tenant", "acme"), &[])
            .await
            .is_ok()
    );
    // neither do texts that do not fit the schema, whoever leaves out the check
    let wire = daemon.wire(&installation, Role::Operator).await;
    let request = v1::ApplyPoliciesRequest {
        texts: vec![v1::PolicyText {
            name: "own.cedar".into(),
            text: "permit (principal, action, resource) when { principal.nmae == \"x\" };".into(),
        }],
        ..Default::default()
    };
    let refused = wire
        .unary::<v1::ApplyPoliciesResponse>("/kms.v1.PolicyService/ApplyPolicies", &request)
        .await;
    assert_eq!(reason(&refused.unwrap_err()), "INVALID_ARGUMENT");
}

#[tokio::test]
async fn a_generation_survives_a_restart_and_is_shown_as_of_its_time() {
    let (installation, daemon) = governed(&[("service.cedar", SERVICE)]);
    let second = show(&installation, &[]);
    assert_eq!(second["applied_by"], "operators/alice");
    let at = second["applied_at"].as_str().unwrap().to_owned();
    let again = [&LEAST[..], &[("service.cedar", SERVICE)]].concat();
    // the same again is found done; and nobody replaces what is not there
    assert_eq!(apply(&installation, &again).ok().json()["generation"], 2);
    let stale = installation.kms(Role::Operator).run(&[
        "policy",
        "apply",
        installation
            .scratch()
            .join("policies")
            .join("security.cedar")
            .to_str()
            .unwrap(),
        installation
            .scratch()
            .join("policies")
            .join("everyone.cedar")
            .to_str()
            .unwrap(),
        "--replaces",
        "1",
    ]);
    assert_eq!(stale.code, 4, "{stale:?}");
    assert_eq!(apply(&installation, &LEAST).ok().json()["generation"], 3);
    assert!(daemon.terminate().success());
    let daemon = installation.start();
    assert_eq!(show(&installation, &[])["generation"], 3);
    let then = show(&installation, &["--at", &at]);
    assert_eq!(
        (&then["generation"], &then["texts"]),
        (&2.into(), &second["texts"])
    );
    let before = show(&installation, &["--at", "2026-01-01"]);
    assert_eq!(before["generation"], 1);
    let caller = service(&installation, &daemon).await;
    let refused = caller
        .generate("files", &context("tenant", "acme"), &[])
        .await;
    assert_eq!(reason(&refused.unwrap_err()), "DENIED");
}

#[tokio::test]
async fn a_reload_brings_back_what_was_approved_and_nothing_else() {
    let (installation, daemon) = governed(&[("service.cedar", SERVICE)]);
    assert!(daemon.terminate().success());
    let approved = directory(
        &installation,
        "files",
        &[&LEAST[..], &[("service.cedar", SERVICE)]].concat(),
    );
    configure(&installation, &approved);
    let daemon = installation.start();
    apply(&installation, &LEAST).ok();
    let operator = daemon.caller(&installation, Role::Operator).await;
    // every look at the generation is a call of its own: no waiting
    let reloads = async |wanted: &str| {
        for _ in 0..10_000 {
            let entries = operator.entries(0).await.unwrap();
            let reload = entries
                .iter()
                .rfind(|entry| entry.action == "ReloadPolicies");
            if let Some(entry) = reload.filter(|entry| entry.outcome == wanted) {
                return entry.principal.clone();
            }
        }
        panic!("no reload ended with {wanted}");
    };
    daemon.reload();
    assert_eq!(reloads("OK").await, "kms:internal");
    assert_eq!(show(&installation, &[])["generation"], 4);
    fs::write(
        approved.join("more.cedar"),
        "permit (principal, action, resource);",
    )
    .unwrap();
    daemon.reload();
    reloads("DENIED").await;
    assert_eq!(show(&installation, &[])["generation"], 4);
    let status = operator.status().await.unwrap();
    assert!(
        status
            .alarms
            .iter()
            .any(|alarm| alarm.contains("not in force")),
        "{status:?}"
    );
    let caller = service(&installation, &daemon).await;
    assert!(
        caller
            .generate("files", &context("tenant", "acme"), &[])
            .await
            .is_ok()
    );
}

#[test]
fn a_test_says_what_would_be_decided_and_by_what() {
    let rule = r#"@id("own-tenant") forbid (principal, action == Action::"Decrypt", resource) unless {
        context.key_context.hasTag("tenant") && context.key_context.getTag("tenant") == "acme" };
        @freshness("each") forbid (principal, action == Action::"GetDataset", resource);"#;
    let (installation, _daemon) = governed(&[("own.cedar", rule), ("service.cedar", SERVICE)]);
    let console = installation.kms(Role::Operator);
    let test = |args: &[&str]| {
        let said = console.run(&[&["policy", "test", "--output", "json"], args].concat());
        let answer = said.json();
        (
            said.code,
            answer["allowed"] == true,
            answer["decided_by"].to_string(),
        )
    };
    let web = "spiffe://crm.example/service/nobody-knows";
    let asked = test(&[
        web,
        "Decrypt",
        "files",
        "--role",
        "service",
        "--context",
        "tenant=acme",
    ]);
    assert_eq!(asked, (0, true, r#"["service"]"#.into()));
    let asked = test(&[web, "Decrypt", "files", "--role", "service"]);
    assert_eq!(asked, (3, false, r#"["own-tenant"]"#.into()));
    let asked = test(&[web, "Encrypt", "files"]);
    assert_eq!(asked, (3, false, "[]".into()));
    let asked = test(&["operators/alice", "ApplyPolicies"]);
    assert_eq!(asked, (0, true, r#"["security-admin"]"#.into()));
    let asked = test(&[web, "RemoveOperator", "--role", "service"]);
    assert_eq!((asked.0, asked.1), (3, false));
    let fresh = console.run(&[
        "policy",
        "test",
        "operators/alice",
        "GetDataset",
        "files",
        "--output",
        "json",
    ]);
    assert_eq!(fresh.ok().json()["asks"], "each");
}

#[tokio::test]
async fn a_label_decides_from_the_next_call_on_and_stays() {
    let rule = r#"forbid (principal, action == Action::"GenerateDataKey", resource) unless {
        resource.hasTag("team") && resource.getTag("team") == "web" };"#;
    let (installation, daemon) = governed(&[("own.cedar", rule), ("service.cedar", SERVICE)]);
    let caller = service(&installation, &daemon).await;
    let tenant = context("tenant", "acme");
    let refused = caller.generate("files", &tenant, &[]).await;
    assert_eq!(reason(&refused.unwrap_err()), "DENIED");
    let own = v1::LabelDatasetRequest {
        name: "datasets/files".into(),
        ..v1::LabelDatasetRequest::default()
    };
    let refused = caller.datasets().label_dataset(own).await;
    assert_eq!(reason(&refused.unwrap_err()), "DENIED");

    let operator = installation.kms(Role::Operator);
    let label = |args: &[&str]| {
        let args = [&["dataset", "label", "files", "--output", "json"], args].concat();
        operator.insist(&args).ok().json()["labels"].clone()
    };
    let labels = label(&["--set", "team=web", "--set", "cost=7"]);
    assert_eq!(labels, serde_json::json!({ "team": "web", "cost": "7" }));
    caller.generate("files", &tenant, &[]).await.unwrap();
    // another dataset does not have it
    let refused = caller.generate("system-logs", &tenant, &[]).await;
    assert_eq!(reason(&refused.unwrap_err()), "DENIED");

    assert!(daemon.terminate().success());
    let daemon = installation.start();
    let caller = service(&installation, &daemon).await;
    caller.generate("files", &tenant, &[]).await.unwrap();
    let labels = label(&["--remove", "team"]);
    assert_eq!(labels, serde_json::json!({ "cost": "7" }));
    let refused = caller.generate("files", &tenant, &[]).await;
    assert_eq!(reason(&refused.unwrap_err()), "DENIED");
    let wrong = ["dataset", "label", "files", "--set", "Team=web"];
    assert_eq!(operator.run(&wrong).code, 2);
}
