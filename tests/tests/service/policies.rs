//! Policies of an installation's own, over a real socket: default deny, forbid wins, rules on key context and source, and
//! a broken text that refuses the start.

use kms_tests::caller::{Caller, context, reason};
use kms_tests::daemon::{Daemon, Installation, Role, write_toml};
use std::fs;

const EVERYONE: &str = include_str!("../../../policies/roles/everyone.cedar");
const SERVICE: &str = include_str!("../../../policies/roles/service.cedar");
const AUDITOR: &str = include_str!("../../../policies/roles/auditor.cedar");

/// A stopped installation whose configuration names a directory with these policies.
fn governed(policies: &[(&str, &str)]) -> Installation {
    let installation = Installation::new();
    assert!(installation.start().terminate().success());
    let directory = installation.dir().join("policies");
    fs::create_dir(&directory).unwrap();
    for (name, text) in policies {
        fs::write(directory.join(name), text).unwrap();
    }
    let path = installation.dir().join("kms.toml");
    let mut config: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    let section = toml::Table::from_iter([("directory".to_owned(), "policies".into())]);
    config.insert("policies".into(), section.into());
    write_toml(&path, &config);
    installation
}

async fn service(installation: &Installation, daemon: &Daemon) -> Caller {
    daemon.caller(installation, Role::Service).await
}

#[tokio::test]
async fn what_no_policy_allows_is_denied_and_logged() {
    let installation = governed(&[("everyone.cedar", EVERYONE), ("auditor.cedar", AUDITOR)]);
    let daemon = installation.start();
    let caller = service(&installation, &daemon).await;
    let refused = caller
        .generate("files", &context("tenant", "acme"), &[])
        .await;
    assert_eq!(reason(&refused.unwrap_err()), "DENIED");
    assert!(caller.status().await.is_ok());
    let operator = daemon.caller(&installation, Role::Operator).await;
    let refused = operator.rotate("files").await;
    assert_eq!(reason(&refused.unwrap_err()), "DENIED");
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let entries = auditor.entries(0).await.unwrap();
    let denied = |action: &str| {
        let of = |e: &&kms_proto::v1::AuditEntry| e.action == action && e.outcome == "DENIED";
        entries.iter().filter(of).count()
    };
    assert_eq!((denied("GenerateDataKey"), denied("RotateDataset")), (1, 1));
}

#[tokio::test]
async fn forbid_wins_on_one_dataset_alone() {
    let forbid =
        r#"forbid (principal, action == Action::"GenerateDataKey", resource == Dataset::"files");"#;
    let installation = governed(&[("own.cedar", forbid), ("service.cedar", SERVICE)]);
    let daemon = installation.start();
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
    let installation = governed(&[("tenant.cedar", rule), ("service.cedar", SERVICE)]);
    let daemon = installation.start();
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
    for (range, allowed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let rule = format!(
            "forbid (principal, action, resource is Dataset) unless {{ \
             context has source && context.source.isInRange(ip(\"{range}\")) }};"
        );
        let installation = governed(&[("source.cedar", &rule), ("service.cedar", SERVICE)]);
        let daemon = installation.start();
        let caller = service(&installation, &daemon).await;
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
    let installation = governed(&[("service.cedar", SERVICE), ("export.cedar", broken)]);
    let refused = installation.try_start(&[]).unwrap_err();
    assert_eq!(refused.code, Some(10), "{refused:?}");
    assert!(
        refused.said.contains("export.cedar:2: "),
        "{}",
        refused.said
    );
    assert!(!refused.said.contains("panicked"), "{}", refused.said);
}
