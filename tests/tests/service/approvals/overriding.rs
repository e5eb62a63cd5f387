//! The approvers' word against the log's anchors: for this log, as it is, once.

use super::refused;
use super::team::Team;
use kms_core::audit::leaf::approval_of;
use kms_core::cipher::ssh_signature::SignerKey;
use kms_core::policy::Action;
use kms_proto::v1::SealRequest;
use kms_server::audit_log::{Filter, Query};
use kms_tests::console::Said;
use std::fs;
use std::path::{Path, PathBuf};

/// Nobody listens there.
const GONE: &str = "\n[[audit.witnesses]]\nurl = \"http://127.0.0.1:1/\"\nkey = ";

const REASON: &str = "the witness burnt down";

/// Alice unseals with these signatures over that text.
fn unseal(team: &Team, text: &str, signatures: &[&Path]) -> Said {
    let passphrase = team.path("typed");
    fs::write(&passphrase, crate::access::passphrase(team.installation())).unwrap();
    let statement = team.path("used");
    fs::write(&statement, text).unwrap();
    let mut args = vec!["unseal", "--passphrase-file", passphrase.to_str().unwrap()];
    args.extend(["--override", statement.to_str().unwrap()]);
    for signature in signatures {
        args.extend(["--signature", signature.to_str().unwrap()]);
    }
    team.alice(&args)
}

fn sign(team: &Team, statement: &Path, name: &str, key: &[&str]) -> PathBuf {
    let signature = team.path(&format!("{name}.sig"));
    let mut args = vec!["approval", "sign", statement.to_str().unwrap()];
    args.extend(["--confirm=override", "-o", signature.to_str().unwrap()]);
    args.extend(key);
    team.bob(&args).ok();
    signature
}

/// Three operators whose daemon stays sealed, and signatures over the text that would unseal it.
struct Scene {
    team: Team,
    text: String,
    bobs: PathBuf,
    carols: PathBuf,
    strangers: PathBuf,
}

async fn scene() -> Scene {
    let team = Team::of_three().await;
    let state = team.path("gone");
    let made = [
        "witness",
        "key",
        "--name=gone/1",
        "--output=json",
        "--state",
    ];
    let made = team.alice(&[&made[..], &[state.to_str().unwrap()]].concat());
    let key = &made.ok().json()["key"];
    let team = team.restart(&format!("{GONE}{key}\n")).await;
    assert!(team.running().gate().live().is_none());
    let statement = team.path("statement");
    let make = ["audit", "override", "--reason", REASON, "-o"];
    team.alice(&[&make[..], &[statement.to_str().unwrap()]].concat())
        .ok();
    let passphrase = team.passphrase();
    let key = team.path("bob.key");
    let key = [
        "--file",
        key.to_str().unwrap(),
        "--passphrase-file",
        &passphrase,
    ];
    let bobs = sign(&team, &statement, "bob", &key);
    let key = team.path("carol_ssh");
    let carols = sign(
        &team,
        &statement,
        "carol",
        &["--ssh-key", key.to_str().unwrap()],
    );
    let key = team.path("stranger");
    super::by_hand::make_openssh_key(&key);
    let strangers = sign(
        &team,
        &statement,
        "stranger",
        &["--ssh-key", key.to_str().unwrap()],
    );
    Scene {
        text: fs::read_to_string(&statement).unwrap(),
        team,
        bobs,
        carols,
        strangers,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approvers_overrule_the_anchors_of_this_log_as_it_is() {
    if !crate::has_tool("ssh-keygen") {
        return;
    }
    let Scene {
        team,
        text,
        bobs,
        carols,
        strangers,
    } = scene().await;
    assert!(text.contains("anchor gone/1 does not answer\n"), "{text}");
    // one alone, one twice, one and somebody whom the roster does not know
    refused(&unseal(&team, &text, &[&carols]), "APPROVAL_REQUIRED");
    refused(
        &unseal(&team, &text, &[&carols, &carols]),
        "APPROVAL_REQUIRED",
    );
    refused(
        &unseal(&team, &text, &[&carols, &strangers]),
        "APPROVAL_REQUIRED",
    );
    // other words than those that were signed, another log, another size of this one, past its end
    let both: &[&Path] = &[&bobs, &carols];
    let change = |from: &str, to: &str| text.replace(from, to);
    refused(
        &unseal(&team, &change("burnt", "burns"), both),
        "SIGNATURE_REFUSED",
    );
    refused(
        &unseal(&team, &change("kms-dev/1", "kms-dev/2"), both),
        "APPROVAL_MISMATCH",
    );
    refused(
        &unseal(&team, &change("\nlog ", "\nlog 1"), both),
        "APPROVAL_MISMATCH",
    );
    refused(
        &unseal(&team, &change("until 1", "until "), both),
        "APPROVAL_OVER",
    );
    assert!(team.running().gate().live().is_none());
    unseal(&team, &text, both).ok();
    assert!(team.running().gate().live().is_some());

    team.jobs_pass().await;
    assert_logged(&team);
    // the log has grown: another time needs another word
    let caller = team.operator().await;
    caller.system().seal(SealRequest::default()).await.unwrap();
    refused(&unseal(&team, &text, both), "APPROVAL_MISMATCH");
    team.close().await;
}

/// Why, and both signatures.
fn assert_logged(team: &Team) {
    let query = Query {
        from_sequence: u64::MAX,
        newest_first: true,
        filter: Filter {
            action: Some(Action::ConfirmAnchors),
            ..Filter::default()
        },
        limit: 1,
    };
    let page = team.running().audit().read(&query).unwrap();
    let entry = page.entries[0].entry.as_ref().unwrap();
    assert!(entry.item().unwrap().note.contains(REASON), "{entry:?}");
    let rests = approval_of(entry).unwrap();
    assert_eq!(rests.signatures.len(), 2);
    for signature in &rests.signatures {
        SignerKey::named_by(signature).unwrap();
    }
}
