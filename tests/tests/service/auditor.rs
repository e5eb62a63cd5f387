//! An auditor's work, from the command line: find, follow, show, prove, verify.

use kms_proto::v1::{AuditEntry, ListEntriesRequest};
use kms_tests::caller::{Caller, context, dataset_name, subject};
use kms_tests::daemon::{Daemon, Installation, Role};
use kms_tests::in_process::InProcess;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

mod access;
mod export;
mod exposure;
mod filters;
mod forwarding;
mod log_keys;
mod report;

const HEALTH: &str = "/grpc.health.v1.Health/Check";

pub(crate) fn key(installation: &Installation) -> String {
    installation.dir().join("audit.pub").display().to_string()
}

/// A daemon whose log has a checkpoint over `calls` calls and more.
pub(crate) async fn with_checkpoint(installation: &Installation, calls: usize) -> Daemon {
    let daemon = installation.start();
    let service = daemon.caller(installation, Role::Service).await;
    for n in 0..calls {
        let context = context("tenant", &format!("t{}", n % 7));
        let dataset = if n % 3 == 0 {
            "files"
        } else {
            "backups-of-files"
        };
        // the second does not exist: denials
        let _ = service.generate(dataset, &context, &[]).await;
    }
    assert!(daemon.terminate().success());
    installation.start()
}

fn path(installation: &Installation, name: &str) -> PathBuf {
    installation.scratch().join(name)
}

#[tokio::test]
async fn an_entry_is_shown_with_everything_it_says() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let person = subject("acme", "jane", "customer");
    let mut context = context("tenant", "acme");
    context.insert("ticket".to_owned(), "4711".to_owned());
    let made = service.generate("customers", &context, &[person]).await;
    // the dataset demands an account too: refused, and yet it is an entry
    assert!(made.is_err());
    let kms = installation.kms(Role::Auditor);
    let denied = kms.run(&[
        "audit",
        "list",
        "--dataset",
        "customers",
        "--output",
        "json",
    ]);
    let listed = denied.ok().json();
    let listed = listed.as_array().unwrap().iter();
    let of_call = |entry: &&Value| entry["kind"] == "call" && entry["action"] == "GenerateDataKey";
    let sequence = listed.clone().find(of_call).unwrap()["sequence"].as_u64();
    let sequence = sequence.unwrap().to_string();
    let shown = kms.run(&["audit", "show", &sequence]).ok().out;
    for words in [
        "SHRED_SECRET_REQUIRED",
        "spiffe://",
        "certificate",
        "tenant=acme",
        "ticket=4711",
        "customers",
        "boot",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let json = kms
        .run(&["audit", "show", &sequence, "--output", "json"])
        .ok()
        .json();
    assert_eq!(json["authentication"], "certificate");
    assert_eq!(json["personal_state"], "open");
    let none = kms.run(&["audit", "show", "99999999"]);
    assert_eq!(none.code, 3, "{none:?}");
}

#[tokio::test]
async fn a_proof_needs_nothing_but_the_public_key() {
    let installation = Installation::new();
    let _daemon = with_checkpoint(&installation, 300).await;
    let kms = installation.kms(Role::Auditor);
    let file = path(&installation, "proof.json");
    let (name, key) = (file.to_str().unwrap(), key(&installation));
    for sequence in ["0", "255", "256", "299"] {
        kms.run(&["audit", "prove", sequence, "--key", &key, "-o", name])
            .ok();
        let said = kms
            .run(&["audit", "verify", "--proof", name, "--key", &key])
            .ok();
        assert!(said.out.contains(sequence), "{said:?}");
    }
    // the entry that this very call makes has no checkpoint yet
    let early = kms.run(&["audit", "prove", "999999", "--key", &key]);
    assert_eq!(early.code, 4, "{early:?}");
    let good: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let spoil: [fn(&mut Value); 5] = [
        |proof| proof["sequence"] = 298.into(),
        |proof| {
            let leaf = proof["leaf"].as_str().unwrap();
            proof["leaf"] = leaf.replacen("AAAA", "AAAB", 1).into();
        },
        |proof| proof["inclusion"].as_array_mut().unwrap().truncate(1),
        |proof| proof["checkpoint"] = good_note_of_another_size(proof).into(),
        |proof| proof["certificates"] = Value::Array(Vec::new()),
    ];
    for (place, spoil) in spoil.iter().enumerate() {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert_ne!(bad, good, "{place}");
        std::fs::write(&file, bad.to_string()).unwrap();
        let said = kms.run(&["audit", "verify", "--proof", name, "--key", &key]);
        assert_eq!(said.code, 1, "{place}: {said:?}");
    }
    // and another installation's key opens nothing
    let other = Installation::new();
    drop(other.start());
    std::fs::write(&file, good.to_string()).unwrap();
    let said = kms.run(&[
        "audit",
        "verify",
        "--proof",
        name,
        "--key",
        &self::key(&other),
    ]);
    assert_eq!(said.code, 1, "{said:?}");
}

fn good_note_of_another_size(proof: &Value) -> String {
    let note = proof["checkpoint"].as_str().unwrap();
    let mut lines: Vec<_> = note.split('\n').map(str::to_owned).collect();
    lines[1] = format!("{}1", lines[1]);
    lines.join("\n")
}

#[tokio::test]
async fn verification_by_rpc_is_that_of_the_files() {
    let installation = Installation::new();
    let daemon = with_checkpoint(&installation, 900).await;
    let kms = installation.kms(Role::Auditor);
    let key = key(&installation);
    let audit = installation.dir().join("data/audit");
    let verify = |more: &[&str]| {
        let args = ["audit", "verify", "--key", &key, "--output", "json"];
        kms.run(&[&args[..], more].concat())
    };
    let verdict = verify(&[]).ok().json();
    assert!(verdict["entries"].as_u64().unwrap() > 900, "{verdict}");
    let kept = path(&installation, "kept");
    std::fs::copy(audit.join("checkpoint"), &kept).unwrap();
    assert!(daemon.terminate().success());
    let daemon = installation.start();
    let since = verify(&["--from", kept.to_str().unwrap()]).ok().json();
    assert!(since["entries"].as_u64() > verdict["entries"].as_u64());
    // root changes an entry under the running daemon
    let bundle = audit.join("tile/entries/002");
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[2 + 34 + 7] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    let said = verify(&[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("entry 512: its bytes were changed"),
        "{said:?}"
    );
    // what a kept checkpoint vouches for is not read again
    verify(&["--from", kept.to_str().unwrap()]).ok();
    // a log that was put back: the checkpoint of later
    let newest = path(&installation, "newest");
    assert!(daemon.terminate().success());
    std::fs::copy(audit.join("checkpoint"), &newest).unwrap();
    std::fs::copy(&kept, audit.join("checkpoint")).unwrap();
    let offline = [
        "--offline",
        audit.to_str().unwrap(),
        "--from",
        newest.to_str().unwrap(),
    ];
    let said = verify(&offline);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("an older copy put back"), "{said:?}");
}

#[tokio::test]
async fn a_tail_shows_what_comes() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let kms = installation.kms(Role::Auditor);
    let args = [
        "audit",
        "list",
        "--tail",
        "--output",
        "json",
        "--dataset",
        "files",
    ];
    let mut tail = kms.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // what is made before the tail looks is shown as well as what is made while it waits
    for round in 0..5 {
        let tenant = format!("round-{round}");
        let context = context("tenant", &tenant);
        service.generate("files", &context, &[]).await.unwrap();
        loop {
            let line = lines.next().unwrap().unwrap();
            let entry: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(entry["dataset"], "files", "{entry}");
            if entry["lasting_context"]["tenant"] == tenant.as_str() {
                break;
            }
        }
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
}

/// A page of a tail waits for news, and of its own reading it makes none.
#[tokio::test]
async fn a_tail_of_a_log_that_rests_writes_one_entry_a_page() {
    let daemon = InProcess::new();
    let running = daemon.serve().await;
    let auditor = daemon.caller(&running, Role::Auditor).await;
    let other = daemon.caller(&running, Role::Service).await;
    // a connection is introduced behind its first call
    auditor.entries(0).await.unwrap();
    let all = auditor.entries(0).await.unwrap();
    let mut token = String::new();
    let mut from = all.last().unwrap().sequence + 1;
    for _ in 0..3 {
        let request = ListEntriesRequest {
            from_sequence: from,
            page_token: token.clone(),
            wait: Some(prost_types::Duration {
                seconds: 20,
                nanos: 0,
            }),
            ..Default::default()
        };
        let waiting = tokio::spawn({
            let auditor = auditor.clone();
            async move {
                let mut request = tonic::Request::new(request);
                // the clock is moved in leaps, and a deadline runs on it
                request.set_timeout(Duration::from_secs(290));
                auditor.audit().list_entries(request).await
            }
        });
        let mut leaps = 0..250;
        while !waiting.is_finished() {
            // past the end of the wait and no further: on a busy machine the deadline would be next
            if leaps.next().is_some() {
                daemon.clock.advance(Duration::from_secs(1));
            }
            let answer = other.wire.raw(HEALTH, bytes::Bytes::new()).await;
            answer.unwrap();
        }
        let page = waiting.await.unwrap().unwrap().into_inner();
        for entry in page.entries {
            assert!(is_reading(&entry) || is_job(&entry), "{entry:?}");
        }
        assert!(!page.next_page_token.is_empty());
        token = page.next_page_token;
        from = 0;
    }
    let since = auditor.entries(all.len() as u64).await.unwrap();
    let read = since.iter().filter(|entry| is_reading(entry)).count();
    assert!(read <= 5, "{read} entries about reading: {since:?}");
    running.stop().await;
}

fn is_reading(entry: &AuditEntry) -> bool {
    entry.kind == "call" && entry.action == "ListEntries"
}

/// Of the daemon's own: the clock that is moved wakes its jobs.
fn is_job(entry: &AuditEntry) -> bool {
    entry.authentication == "internal"
}

/// Every entry of the log.
pub(crate) async fn everything(auditor: &Caller) -> Vec<AuditEntry> {
    auditor.entries(0).await.unwrap()
}

pub(crate) fn name(dataset: &str) -> String {
    dataset_name(dataset)
}

pub(crate) fn remove_index(installation: &Installation) {
    let file: &Path = &installation.dir().join("data/audit/index");
    std::fs::remove_file(file).unwrap();
}
