//! What the shipped policies say, printed whole; and how policies behave at all.

use super::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

const ROLES: [&str; 6] = [
    "service",
    "security-admin",
    "key-admin",
    "auditor",
    "approver",
    "break-glass",
];

fn text(text: &str) -> PolicyText {
    PolicyText {
        name: "test.cedar".into(),
        text: text.into(),
    }
}

fn question<'a>(roles: &'a [&'a str], action: &'a str, dataset: Option<&'a str>) -> Question<'a> {
    Question {
        caller: Caller {
            name: "spiffe://crm.example/one",
            is_person: !roles.contains(&"service"),
            roles,
            attributes: None,
        },
        action,
        dataset,
        classes: &["customer"],
        labels: &[],
        key_context: None,
        source: None,
        now: "2026-11-25T12:00:00Z",
        mfa_age: None,
    }
}

fn with(more: &str) -> Policies {
    let mut texts = shipped();
    texts.push(text(more));
    Policies::load(&texts).unwrap()
}

/// Role x action x a dataset that the principal's attribute names, or another. `KMS_BLESS=1` writes the file anew.
fn pinned(policies: &Policies, file: &str) {
    let attributes = BTreeMap::from([("datasets".into(), "customers files".into())]);
    let mut actions: Vec<&str> = policies.actions().collect();
    actions.sort_unstable();
    let mut table = format!("{:<28}", "own/other");
    ROLES
        .iter()
        .for_each(|role| write!(table, "{role:>16}").unwrap());
    table.push('\n');
    for action in actions {
        write!(table, "{action:<28}").unwrap();
        for role in ROLES {
            let [own, other] = ["files", "invoices"].map(|dataset| {
                let roles = [role];
                let mut asked = question(&roles, action, Some(dataset));
                asked.caller.attributes = Some(&attributes);
                let answer = policies.decide(&asked);
                assert_eq!(answer.failure, None, "{role} {action}");
                if answer.allowed { "yes" } else { "-" }
            });
            write!(table, "{:>16}", format!("{own}/{other}")).unwrap();
        }
        table.push('\n');
    }
    println!("{table}");
    let path = format!("{}/expected/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("KMS_BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), table, "{path}");
}

#[test]
fn the_shipped_policies_are_as_pinned() {
    pinned(&Policies::load(&shipped()).unwrap(), "roles.txt");
}

#[test]
fn services_can_be_bound_to_their_own_datasets() {
    let example = include_str!("../examples/own-datasets.cedar");
    pinned(&with(example), "own-datasets.txt");
}

#[test]
fn what_no_policy_allows_is_denied() {
    let none = Policies::load(&[]).unwrap();
    for action in none.actions() {
        let answer = none.decide(&question(&ROLES, action, Some("files")));
        assert_eq!((answer.allowed, answer.decided_by.len()), (false, 0));
    }
    let unknown = none.decide(&question(&ROLES, "ExportMasterKey", None));
    assert!(!unknown.allowed && unknown.failure.is_some());
}

#[test]
fn forbid_wins_and_is_named() {
    let policies = with(
        r#"@id("no-files") forbid (principal, action == Action::"Encrypt", resource == Dataset::"files");"#,
    );
    let asks = |dataset| policies.decide(&question(&["service"], "Encrypt", Some(dataset)));
    assert_eq!(asks("files").decided_by, ["no-files"]);
    assert!(!asks("files").allowed);
    assert_eq!(asks("invoices").decided_by, ["service"]);
    assert!(asks("invoices").allowed);
}

#[test]
fn policies_see_key_context_source_time_and_second_factor() {
    let policies = with(
        r#"forbid (principal, action == Action::"Encrypt", resource) unless {
            context.key_context.hasTag("tenant") && context.key_context.getTag("tenant") == "acme" };
        forbid (principal, action == Action::"Decrypt", resource) unless {
            context has source && context.source.isInRange(ip("10.0.0.0/8")) };
        forbid (principal, action == Action::"Rewrap", resource) when {
            context.now < datetime("2027-01-01") };
        permit (principal, action == Action::"Seal", resource) when {
            context has mfa_age && context.mfa_age <= 300 };"#,
    );
    let tenant = BTreeMap::from([("tenant".to_owned(), "acme".to_owned())]);
    let mut asked = question(&["service"], "Encrypt", Some("files"));
    assert!(!policies.decide(&asked).allowed);
    asked.key_context = Some(&tenant);
    assert!(policies.decide(&asked).allowed);
    asked.action = "Decrypt";
    assert!(!policies.decide(&asked).allowed);
    for (source, allowed) in [
        ("10.1.2.3", true),
        ("::ffff:10.1.2.3", true),
        ("192.0.2.1", false),
        ("::1", false),
    ] {
        asked.source = Some(source.parse::<IpAddr>().unwrap());
        assert_eq!(policies.decide(&asked).allowed, allowed, "{source}");
    }
    asked.action = "Rewrap";
    assert!(!policies.decide(&asked).allowed);
    asked.now = "2027-01-01T00:00:00Z";
    assert!(policies.decide(&asked).allowed);
    asked.action = "Seal";
    for (age, allowed) in [(None, false), (Some(300), true), (Some(301), false)] {
        asked.mfa_age = age;
        assert_eq!(policies.decide(&asked).allowed, allowed, "{age:?}");
    }
}

#[test]
fn only_actions_whose_policies_name_the_context_depend_on_it() {
    let plain = Policies::load(&shipped()).unwrap();
    assert!(
        plain
            .actions()
            .all(|action| !plain.reads_context(action, &ROLES))
    );
    assert!(plain.reads_context("what is not known", &[]));
    let one = with(
        r#"forbid (principal, action == Action::"Encrypt", resource) when { context.now > datetime("2030-01-01") };"#,
    );
    assert!(one.reads_context("Encrypt", &[]) && !one.reads_context("Decrypt", &[]));
    let two = with(
        r#"forbid (principal, action in [Action::"Seal", Action::"Unseal"], resource) unless { context has source };"#,
    );
    assert!(
        two.reads_context("Seal", &[])
            && two.reads_context("Unseal", &[])
            && !two.reads_context("Encrypt", &[])
    );
    let all = with("forbid (principal, action, resource) unless { context has source };");
    assert!(all.actions().all(|action| all.reads_context(action, &[])));
}

#[test]
fn a_policy_that_fails_denies() {
    let policies = with(
        r#"forbid (principal, action == Action::"Seal", resource) when {
            context has mfa_age && context.mfa_age + 9223372036854775807 > 0 };"#,
    );
    let mut asked = question(&["security-admin"], "Seal", None);
    assert!(policies.decide(&asked).allowed);
    asked.mfa_age = Some(1);
    let answer = policies.decide(&asked);
    assert!(!answer.allowed && answer.failure.is_some());
}

#[test]
fn a_broken_text_is_refused_with_file_and_line() {
    for (line, broken) in [
        (
            2,
            "permit (principal, action, resource);\npermit (principal action, resource);",
        ),
        (
            3,
            "permit (principal, action, resource);\n\nforbid (principal, action == Action::\"Exprot\", resource);",
        ),
        (
            2,
            "// a role that does not exist\npermit (principal in Role::\"root\", action, resource);",
        ),
        (
            1,
            "permit (principal, action, resource) when { principal.nmae == \"x\" };",
        ),
        (
            1,
            "permit (principal, action, resource) when { context.source.isLoopback() };",
        ),
        (0, "permit (principal == ?principal, action, resource);"),
        (
            1,
            "permit (principal, action == Action::\"Seal\", resource is Dataset);",
        ),
    ] {
        let error = Policies::load(&[text(broken)]).unwrap_err();
        assert_eq!(
            (error.file.as_str(), error.line),
            ("test.cedar", line),
            "{error}"
        );
        assert!(!error.problem.contains('\n'));
    }
    let twice = text("@id(\"service\") permit (principal, action, resource);");
    let mut texts = shipped();
    texts.push(twice);
    assert_eq!(Policies::load(&texts).unwrap_err().file, "test.cedar");
}

#[test]
fn what_reads_the_context_for_one_role_reads_it_for_no_other() {
    let policies = with(
        r#"forbid (principal in Role::"break-glass", action == Action::"Decrypt", resource) unless {
            context has mfa_age && context.mfa_age < 60 };"#,
    );
    assert!(policies.reads_context("Decrypt", &["auditor", "break-glass"]));
    assert!(!policies.reads_context("Decrypt", &["service"]));
    assert!(!policies.reads_context("Encrypt", &["break-glass"]));
}

#[test]
fn a_policy_asks_for_a_fresher_code_without_a_no() {
    let policies = with(
        r#"@freshness("each") forbid (principal, action == Action::"RotateDataset", resource == Dataset::"files");
        @freshness("recent") forbid (principal, action == Action::"RotateDataset", resource);"#,
    );
    let asks = |role, dataset| {
        let answer = policies.decide(&question(&[role], "RotateDataset", Some(dataset)));
        (answer.allowed, answer.asks)
    };
    assert_eq!(asks("key-admin", "files"), (true, Some(Asks::Each)));
    assert_eq!(asks("key-admin", "invoices"), (true, Some(Asks::Recent)));
    assert!(!asks("auditor", "files").0);
    let other = policies.decide(&question(&["key-admin"], "DisableVersion", Some("files")));
    assert_eq!((other.allowed, other.asks), (true, None));
    for wrong in [
        r#"@freshness("each") permit (principal, action, resource);"#,
        r#"@freshness("often") forbid (principal, action, resource);"#,
        r#"@freshnes("each") forbid (principal, action, resource);"#,
    ] {
        assert!(Policies::load(&[text(wrong)]).is_err(), "{wrong}");
    }
}

#[test]
fn policies_see_what_classes_a_dataset_allows() {
    let policies = with(
        r#"forbid (principal, action == Action::"Encrypt", resource) when {
            resource.classes.contains("customer") };"#,
    );
    let mut asked = question(&["service"], "Encrypt", Some("files"));
    assert!(!policies.decide(&asked).allowed);
    asked.classes = &["financial", "system"];
    assert!(policies.decide(&asked).allowed);
    assert!(!policies.reads_context("Encrypt", &["service"]));
}

#[test]
fn policies_see_the_labels_of_a_dataset() {
    let policies = with(
        r#"forbid (principal, action == Action::"Encrypt", resource) unless {
            resource.hasTag("team") && resource.getTag("team") == "billing" };"#,
    );
    let mut asked = question(&["service"], "Encrypt", Some("files"));
    assert!(!policies.decide(&asked).allowed);
    asked.labels = &[("team", "web")];
    assert!(!policies.decide(&asked).allowed);
    asked.labels = &[("cost", "7"), ("team", "billing")];
    assert!(policies.decide(&asked).allowed);
    assert!(!policies.reads_context("Encrypt", &["service"]));
}

#[test]
fn a_fingerprint_stands_for_names_and_texts_whatever_their_order() {
    let one = |name: &str, text: &str| PolicyText {
        name: name.into(),
        text: text.into(),
    };
    let (a, b) = (one("a.cedar", "1"), one("b.cedar", "2"));
    let both = fingerprint(&[a.clone(), b.clone()]);
    assert_eq!(fingerprint(&[b.clone(), a.clone()]), both);
    for other in [
        vec![a.clone()],
        vec![one("a.cedar", "2"), one("b.cedar", "1")],
        vec![one("a.cedar", "12"), one("b.cedar", "")],
        vec![one("a.cedar1", ""), b],
    ] {
        assert_ne!(fingerprint(&other), both, "{other:?}");
    }
    // sha256(00 || label || 7 "a.cedar" || 1 "1"), by another implementation
    assert_eq!(
        fingerprint(&[a]),
        "sha256:d77feb64c353293ebe681bee8a615fb6f08bca466859e5cabfaa4b42fbd7c551"
    );
}

#[test]
fn files_are_read_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    std::fs::create_dir_all(&one).unwrap();
    std::fs::create_dir_all(&other).unwrap();
    assert!(matches!(read(&[&one]), Err(NotRead::Empty(_))));
    assert!(matches!(
        read(&[one.join("none.cedar")]),
        Err(NotRead::Io { .. })
    ));
    std::fs::write(one.join("b.cedar"), "// b").unwrap();
    std::fs::write(one.join("a.cedar"), "// a").unwrap();
    std::fs::write(one.join("notes.txt"), "no policy").unwrap();
    let names = |paths: &[&std::path::Path]| -> Vec<String> {
        let texts = read(paths).unwrap();
        texts.into_iter().map(|text| text.name).collect()
    };
    assert_eq!(names(&[&one]), ["a.cedar", "b.cedar"]);
    assert_eq!(names(&[&one.join("b.cedar")]), ["b.cedar"]);
    std::fs::write(other.join("a.cedar"), "// again").unwrap();
    assert!(matches!(read(&[&one, &other]), Err(NotRead::Twice(_))));
    std::fs::write(one.join("b.cedar"), " ".repeat(TEXTS_BYTES_MAX)).unwrap();
    assert!(matches!(read(&[&one]), Err(NotRead::TooLong(_))));
}

#[test]
fn a_text_nested_without_end_is_refused_not_parsed() {
    let deep = TEXTS_BYTES_MAX / 2 - 100;
    for (open, close) in [
        ("(", ")"),
        ("!", ""),
        ("[", "]"),
        ("if true then 1 else ", ""),
    ] {
        let deep = deep / open.len();
        let condition = format!("{}true{}", open.repeat(deep), close.repeat(deep));
        let nested = format!("permit (principal, action, resource) when {{ {condition} }};");
        assert!(Policies::load(&[text(&nested)]).is_err(), "{open}");
    }
}

/// The example of docs/policies.md, in the place of the services' template.
fn example() -> Policies {
    let page = include_str!("../../docs/policies.md");
    let (_, block) = page.split_once("```cedar\n").unwrap();
    let (example, _) = block.split_once("\n```").unwrap();
    let mut texts = shipped();
    texts.retain(|text| text.name != "service.cedar");
    texts.push(text(example));
    Policies::load(&texts).unwrap()
}

#[test]
fn the_example_of_the_page_does_what_the_page_says() {
    let policies = example();
    let asks = |service: &str, action: &str, dataset: &str, source: &str| {
        let name = format!("spiffe://crm.example/service/{service}");
        let mut asked = question(&["service"], action, Some(dataset));
        asked.caller.name = &name;
        asked.source = Some(source.parse().unwrap());
        policies.decide(&asked).allowed
    };
    assert!(asks("billing", "Encrypt", "invoices", "10.1.1.1"));
    assert!(!asks("billing", "Encrypt", "invoices", "192.0.2.1"));
    assert!(!asks("billing", "Encrypt", "customers", "10.1.1.1"));
    assert!(asks("support", "Decrypt", "call-logs", "10.1.1.1"));
    assert!(!asks("support", "Decrypt", "invoices", "10.1.1.1"));
    assert!(asks("export", "UnwrapDataKey", "invoices", "10.20.0.7"));
    assert!(!asks("export", "UnwrapDataKey", "invoices", "10.20.0.8"));
    assert!(!asks("export", "Decrypt", "invoices", "10.20.0.7"));
    assert!(asks("export", "CreateShredSecret", "", "192.0.2.1"));
    let rotation = policies.decide(&question(&["key-admin"], "RotateDataset", Some("invoices")));
    assert_eq!((rotation.allowed, rotation.asks), (true, Some(Asks::Each)));
}
