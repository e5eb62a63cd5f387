//! Dry runs: every RPC that changes something or uses a key has them, nothing of one is done or handed out, and the log
//! says so.

use crate::access::request::{body, roles};
use kms_proto::v1;
use kms_tests::caller::{Caller, context, reason, request_id};
use kms_tests::daemon::{Installation, Role};
use kms_tests::rpc::{Rpc, every};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use std::collections::BTreeMap;

/// The field's number in every request.
const NUMBER: i32 = 15;
/// The field as bytes: set.
const FLAG: [u8; 2] = [15 << 3, 1];

/// What changes nothing and uses no dataset key.
const READS: [&str; 19] = [
    "ListApprovals",
    "GetApproval",
    "GetRoster",
    "ListEntries",
    "GetLogFiles",
    "SummarizeEntries",
    "SignExport",
    "GetAccess",
    "WhoAmI",
    "ListOperators",
    "GetDataset",
    "ListDatasets",
    "ListVersions",
    "ListServices",
    "GetPolicies",
    "TestPolicies",
    "GetShredSecret",
    "GetStatus",
    "GetTrust",
];

/// What a well-formed request of the right role comes to when nothing is done.
const GOES_WELL: [&str; 13] = [
    "GenerateDataKey",
    "GenerateDataKeys",
    "Encrypt",
    "CreateDataset",
    "RotateDataset",
    "EmergencyRotateDataset",
    "CreateShredSecrets",
    "Seal",
    "Unseal",
    "Login",
    "Logout",
    "RecoverOperator",
    "ConfirmEnrolment",
];

fn writes() -> impl Iterator<Item = Rpc> {
    let all = every().into_iter();
    all.filter(|rpc| !READS.contains(&rpc.method.as_str()))
}

#[test]
fn every_rpc_that_is_no_reading_has_a_dry_run() {
    let set = FileDescriptorSet::decode(kms_proto::DESCRIPTORS).unwrap();
    let messages = set.file.iter().flat_map(|file| &file.message_type);
    let fields: BTreeMap<_, _> = messages
        .map(|message| {
            let field = message.field.iter().find(|it| it.number() == NUMBER);
            (message.name(), field.map(|it| (it.name(), it.r#type())))
        })
        .collect();
    let flag = Some((
        "validate_only",
        prost_types::field_descriptor_proto::Type::Bool,
    ));
    for rpc in every() {
        let found = fields[format!("{}Request", rpc.method).as_str()];
        let expected = flag.filter(|_| !READS.contains(&rpc.method.as_str()));
        assert_eq!(found, expected, "{}", rpc.path);
    }
}

async fn callers(
    installation: &Installation,
    daemon: &kms_tests::daemon::Daemon,
) -> BTreeMap<char, Caller> {
    let mut callers = BTreeMap::new();
    for (letter, role) in [
        ('s', Role::Service),
        ('o', Role::Operator),
        ('a', Role::Auditor),
        ('b', Role::Approver),
    ] {
        callers.insert(letter, daemon.caller(installation, role).await);
    }
    callers
}

#[tokio::test]
async fn nothing_of_a_dry_run_is_done_or_handed_out_and_the_log_says_so() {
    let installation = Installation::new();
    let daemon = installation.start();
    let callers = callers(&installation, &daemon).await;
    let before = callers[&'a'].entries(0).await.unwrap().len();
    let mut made = BTreeMap::new();
    for rpc in writes() {
        for letter in roles(&rpc.method).chars() {
            let flagged = [&body(&rpc.method)[..], &FLAG].concat();
            let answer = callers[&letter].wire.any(&rpc, flagged.into()).await;
            let (id, ended) = match &answer {
                Ok(answer) => (request_id(answer.metadata()), "DRY_RUN".to_owned()),
                Err(status) => (request_id(status.metadata()), reason(status)),
            };
            if let (Ok(answer), false) = (&answer, rpc.streaming) {
                assert!(
                    answer.get_ref().is_empty(),
                    "{} hands something out",
                    rpc.path
                );
            }
            if GOES_WELL.contains(&rpc.method.as_str()) && letter != 'a' {
                assert_eq!(ended, "DRY_RUN", "{} as {letter}", rpc.path);
            }
            if !rpc.streaming {
                made.insert(id, (rpc.method.clone(), ended));
            }
        }
    }
    let entries = callers[&'a'].entries(0).await.unwrap();
    let mut found = 0;
    for entry in &entries[before..] {
        let Some((method, ended)) = made.get(&entry.request_id) else {
            // codes and logins that came before, and what the daemon does by itself
            let own = ["AcceptCode", "Login"].contains(&entry.action.as_str());
            let own = own || entry.principal == "kms:internal";
            assert!(entry.change == 0 || own, "{entry:?}");
            continue;
        };
        assert_eq!(
            (&entry.outcome, entry.change),
            (ended, 0),
            "{method}: {entry:?}"
        );
        let told = entry.outcome == "DRY_RUN" || entry.detail.contains("dry run");
        assert!(told || entry.outcome == "DENIED", "{method}: {entry:?}");
        found += usize::from(entry.kind == "call");
    }
    assert_eq!(found, made.len(), "one head entry each");
    // no approval waits, nobody is sealed, nobody was added
    let all = v1::ListApprovalsRequest::default();
    let waiting = callers[&'o'].approvals().list_approvals(all).await.unwrap();
    assert!(waiting.into_inner().approvals.is_empty());
    let status = callers[&'a'].status().await.unwrap();
    assert_eq!(status.seal_state(), v1::SealState::Unsealed);
}

#[tokio::test]
async fn a_dry_run_opens_nothing_and_counts_no_use() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let acme = context("tenant", "acme");
    let made = service.generate("files", &acme, &[]).await.unwrap();
    let blob = made.into_inner().wrapped_data_key;
    let dry = |key_context: &BTreeMap<String, String>| v1::UnwrapDataKeyRequest {
        wrapped_data_key: blob.clone(),
        key_context: key_context.clone(),
        validate_only: true,
        ..Default::default()
    };
    let answer = service.keys().unwrap_data_key(dry(&acme)).await.unwrap();
    assert_eq!(answer.into_inner(), v1::UnwrapDataKeyResponse::default());
    // what the real call would meet is told
    let other = context("tenant", "other");
    let refused = service.keys().unwrap_data_key(dry(&other)).await;
    assert_eq!(reason(&refused.unwrap_err()), "UNDECRYPTABLE");
    // a batch's item has no dry run of its own
    let items = vec![dry(&acme)];
    let request = v1::UnwrapDataKeysRequest {
        items,
        validate_only: false,
    };
    let refused = service.keys().unwrap_data_keys(request).await;
    assert_eq!(reason(&refused.unwrap_err()), "INVALID_ARGUMENT");
    let operator = installation.kms(Role::Operator);
    let usage = operator
        .run(&["key", "usage", "files", "1", "--output=json"])
        .ok();
    assert_eq!(usage.json()[0]["uses"], 1, "{usage:?}");
}

#[test]
fn the_command_line_says_what_would_be() {
    let installation = Installation::new();
    let _daemon = installation.start();
    let alice = installation.kms(Role::Operator);
    let rotated = alice.run(&["key", "rotate", "files", "--dry-run"]);
    assert_eq!(rotated.code, 0, "{rotated:?}");
    assert!(rotated.err.contains("nothing was"), "{rotated:?}");
    let versions = alice
        .run(&["key", "versions", "files", "--output=json"])
        .ok();
    assert_eq!(versions.json().as_array().unwrap().len(), 1);
    // what others would have to approve is not asked of them
    let added = alice.run(&["operator", "add", "carol", "--role=auditor", "--dry-run"]);
    assert_eq!(added.code, 4, "{added:?}");
    assert!(added.err.contains("APPROVAL_REQUIRED"), "{added:?}");
    let waiting = alice.run(&["approval", "list", "--output=json"]).ok();
    assert_eq!(waiting.json().as_array().unwrap().len(), 0);
    // with their word it would be done; and the word is good afterwards
    let args = ["operator", "add", "carol", "--role=auditor"];
    let asked = alice.run(&args);
    let (_, id) = asked.err.trim_end().rsplit_once("--approval ").unwrap();
    let using = [&args[..], &["--approval", id]].concat();
    let dry = [&using[..], &["--dry-run"]].concat();
    while alice.run(&dry).err.contains("APPROVAL_REQUIRED") {}
    assert_eq!(alice.run(&dry).code, 0);
    alice.run(&using).ok();
    // what has no dry run says so, instead of doing it
    let refused = alice.run(&["approval", "key", "make", "--file=k", "--dry-run"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(!installation.scratch().join("k").exists());
}
