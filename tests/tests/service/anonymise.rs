//! A month's audit key is destroyed when its time has come: nothing opens its personal values any more, and every
//! proof holds.

use super::audit_tree::{audit, verify};
use kms_proto::v1::AuditEntry;
use kms_server::jobs;
use kms_server::serve::Running;
use kms_tests::caller::context;
use kms_tests::daemon::Role;
use kms_tests::in_process::{DAY, InProcess};

/// Long enough for six whole months to lie between.
const MONTHS: u32 = 8;

async fn call(process: &InProcess, running: &Running) {
    let service = process.caller(running, Role::Service).await;
    let context = context("tenant", "acme");
    service.generate("files", &context, &[]).await.unwrap();
}

/// Moves both clocks a month on, and lets the jobs run twice.
async fn pass_a_month(process: &InProcess, running: &Running) {
    process.clock.advance(DAY * 30);
    let mut passes = running.passes();
    for _ in 0..2 {
        passes.borrow_and_update();
        process.clock.advance(jobs::PASS_EVERY * 2);
        passes.changed().await.unwrap();
    }
}

async fn entries(process: &InProcess, running: &Running) -> Vec<AuditEntry> {
    let auditor = process.caller(running, Role::Auditor).await;
    auditor.entries(0).await.unwrap()
}

fn introductions(entries: &[AuditEntry]) -> Vec<&AuditEntry> {
    let address = |entry: &&AuditEntry| entry.personal.contains_key("address");
    entries.iter().filter(address).collect()
}

#[tokio::test]
async fn a_month_long_past_opens_for_nobody_and_every_proof_holds() {
    let process = InProcess::new();
    let running = process.serve().await;
    call(&process, &running).await;
    let before = entries(&process, &running).await;
    let open = introductions(&before);
    assert!(!open.is_empty(), "{before:?}");
    let last = open.last().unwrap().sequence;
    for _ in 0..MONTHS {
        pass_a_month(&process, &running).await;
    }
    let after = entries(&process, &running).await;
    let done: Vec<_> = after
        .iter()
        .filter(|entry| entry.action == "DueAnonymisation")
        .collect();
    assert!(!done.is_empty(), "no month was anonymised");
    for entry in &after {
        assert!(
            entry.sequence > last || entry.personal.is_empty(),
            "{entry:?}"
        );
    }
    // nobody who asks now has been forgotten
    assert!(!introductions(&after).is_empty());
    // what stays readable is as it was, to the byte
    for (was, is) in before.iter().zip(&after) {
        assert_eq!(was.leaf, is.leaf);
        let facts = |e: &AuditEntry| {
            (
                e.action.clone(),
                e.dataset.clone(),
                e.lasting_context.clone(),
            )
        };
        assert_eq!(facts(was), facts(is));
    }
    running.stop().await;
    verify(&process.installation, &audit(&process.installation), &[]).ok();
    // and the store has kept a tombstone, not the key
    let running = process.serve().await;
    let live = running.gate().live().unwrap();
    let months = live.state.month_records();
    assert!(!months.is_empty() && months.len() <= 8, "{months:?}");
    drop(live);
    running.stop().await;
}

#[tokio::test]
async fn a_hold_suspends_it_visibly() {
    let process = InProcess::new();
    let path = process.installation.dir().join("kms.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let hold = "[audit]\nanonymisation_hold = \"incident 7\"";
    std::fs::write(&path, text.replace("[audit]", hold)).unwrap();
    let running = process.serve().await;
    call(&process, &running).await;
    let open = introductions(&entries(&process, &running).await).len();
    for _ in 0..MONTHS {
        pass_a_month(&process, &running).await;
    }
    let after = entries(&process, &running).await;
    assert!(after.iter().all(|entry| entry.action != "DueAnonymisation"));
    assert!(introductions(&after).len() >= open);
    let operator = process.caller(&running, Role::Operator).await;
    let alarms = operator.status().await.unwrap().alarms.join("\n");
    assert!(alarms.contains("is not anonymised: incident 7"), "{alarms}");
    running.stop().await;
}
