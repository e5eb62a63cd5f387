//! A month's audit key is destroyed, by a job when its time has come or by an operator: nothing opens its personal
//! values any more, and every proof holds.

mod evidence;
mod operator;

use super::access::passphrase;
use super::audit_tree::{audit, verify};
use evidence::{Evidence, leaves_of};
use kms_core::audit::leaf::{Entry, Month, Personal, PersonalKey};
use kms_proto::v1::{AuditEntry, SealRequest, UnsealRequest};
use kms_server::jobs;
use kms_server::serve::Running;
use kms_tests::caller::{Caller, context, reason, subject};
use kms_tests::daemon::{Installation, Role};
use kms_tests::in_process::{DAY, InProcess};

/// Long enough for six whole months to lie between.
const MONTHS: u32 = 8;

async fn call(service: &Caller) {
    let jane = subject("acme", "jane", "customer");
    let context = context("tenant", "acme");
    service.generate("files", &context, &[jane]).await.unwrap();
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

fn with_address(entries: &[AuditEntry]) -> Vec<&AuditEntry> {
    let address = |entry: &&AuditEntry| entry.personal.contains_key("address");
    entries.iter().filter(address).collect()
}

/// A real daemon is used, sealed, guessed at and unsealed.
async fn live_through(process: &InProcess) {
    let installation = &process.installation;
    let daemon = installation.start();
    let service = daemon.caller(installation, Role::Service).await;
    call(&service).await;
    let operator = daemon.caller(installation, Role::Operator).await;
    operator
        .system()
        .seal(SealRequest {
            validate_only: false,
        })
        .await
        .unwrap();
    let wrong = UnsealRequest {
        passphrase: "a guess".into(),
        ..Default::default()
    };
    // over a connection of its own, which is introduced while sealed
    let stranger = daemon.caller(installation, Role::Operator).await;
    let refused = stranger.system().unseal(wrong).await.unwrap_err();
    assert_eq!(reason(&refused), "UNSEAL_FAILED");
    let right = UnsealRequest {
        passphrase: passphrase(installation),
        ..Default::default()
    };
    operator.system().unseal(right).await.unwrap();
    call(&service).await;
    drop((service, operator, stranger));
    assert!(daemon.terminate().success());
}

/// No key of the running service opens the personal group.
fn is_closed(entry: &Entry, running: &Running) -> bool {
    let live = running.gate().live().unwrap();
    let months = live.state.months();
    is_closed_to(entry, PersonalKey::Intake(&live.keys.intake))
        && months.iter().all(|keys| {
            is_closed_to(entry, PersonalKey::Month(keys))
                && is_closed_to(entry, PersonalKey::Intake(&keys.derive_intake()))
        })
}

fn is_closed_to(entry: &Entry, key: PersonalKey<'_>) -> bool {
    entry.open_personal(key).is_err()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nothing_opens_a_month_long_past_in_log_index_or_exports_and_all_else_stays() {
    let process = InProcess::new();
    live_through(&process).await;
    let exported = evidence::export(&process.installation);
    let running = process.serve().await;
    let month = Month::of(process.now());
    let before = Evidence::gather(&process, &running).await;
    assert_eq!(before.of_jane.entries, 2);
    let open = with_address(&before.entries).len();
    let last = before.entries.last().unwrap().sequence;
    for _ in 0..MONTHS {
        pass_a_month(&process, &running).await;
    }
    let after = Evidence::gather(&process, &running).await;
    let is_done = |entry: &&AuditEntry| entry.action == "DueAnonymisation";
    assert!(after.entries.iter().any(|entry| is_done(&entry)));
    for entry in &after.entries {
        assert!(
            entry.sequence > last || entry.personal.is_empty(),
            "{entry:?}"
        );
    }
    // nobody who asks now has been forgotten
    assert!(open > 0 && !with_address(&after.entries).is_empty());
    // who, what, which tenant: as it was, and to the byte
    before.stays_in(&after);
    // one person is found no longer, and the answer says why
    assert_eq!(after.of_jane.entries, 0);
    let said = &after.of_jane.months_without_key;
    assert!(said.contains(&month.to_string()), "{said:?}");

    let leaves = after.entries.iter().map(|entry| entry.leaf.to_vec());
    let in_log: Vec<_> = leaves.take(before.entries.len()).collect();
    for leaves in [in_log, leaves_of(&exported)] {
        let (mut under_month, mut under_intake) = (0, 0);
        for leaf in leaves {
            let entry = kms_core::audit::leaf::decode(&leaf).unwrap();
            match entry.personal {
                Personal::Month { .. } => under_month += 1,
                Personal::Intake { .. } => under_intake += 1,
                Personal::None | Personal::Withheld => continue,
            }
            assert_eq!(entry.prefix.month, Some(month));
            assert!(is_closed(&entry, &running), "{entry:?}");
        }
        assert!(under_month > 0, "{under_month} under the month's key");
        assert!(under_intake > 0, "{under_intake} written while sealed");
    }

    let fetched = evidence::fetch(&process, &running).await;
    running.stop().await;
    verify(&process.installation, &fetched, &[]).ok();
    verify(&process.installation, &audit(&process.installation), &[]).ok();
    evidence::verify_export(&process.installation, &exported);
    // and the store has kept a tombstone, not the key
    let running = process.serve().await;
    let live = running.gate().live().unwrap();
    assert!(live.state.month(month).is_none());
    let kept = live.state.hold().snapshot.months.get(month);
    assert!(kept.unwrap().anonymised_at.is_some());
    drop(live);
    running.stop().await;
}

/// A connection that was introduced while sealed is introduced again: else its principal's id would mean nobody once the
/// month is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn who_came_while_sealed_has_a_name_that_outlives_the_month() {
    let installation = Installation::new();
    let daemon = installation.start();
    let operator = daemon.caller(&installation, Role::Operator).await;
    operator
        .system()
        .seal(SealRequest::default())
        .await
        .unwrap();
    let service = daemon.caller(&installation, Role::Service).await;
    service.status().await.unwrap();
    let right = UnsealRequest {
        passphrase: passphrase(&installation),
        ..Default::default()
    };
    operator.system().unseal(right).await.unwrap();
    call(&service).await;
    drop((service, operator));
    assert!(daemon.terminate().success());
    // this one has met nobody
    let daemon = installation.start();
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let entries = auditor.entries(0).await.unwrap();
    let made = entries.iter().find(|it| it.action == "GenerateDataKey");
    let who = &made.unwrap().principal;
    assert!(who.starts_with("spiffe://"), "{who}");
}

#[tokio::test]
async fn a_hold_suspends_it_visibly() {
    let process = InProcess::new();
    hold(&process);
    let running = process.serve().await;
    call(&process.caller(&running, Role::Service).await).await;
    let open = with_address(&entries(&process, &running).await).len();
    for _ in 0..MONTHS {
        pass_a_month(&process, &running).await;
    }
    let after = entries(&process, &running).await;
    assert!(after.iter().all(|entry| entry.action != "DueAnonymisation"));
    assert!(with_address(&after).len() >= open);
    let operator = process.caller(&running, Role::Operator).await;
    let alarms = operator.status().await.unwrap().alarms.join("\n");
    assert!(alarms.contains("is not anonymised: incident 7"), "{alarms}");
    running.stop().await;
}

fn hold(process: &InProcess) {
    let path = process.installation.dir().join("kms.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let hold = "[audit]\nanonymisation_hold = \"incident 7\"";
    std::fs::write(&path, text.replace("[audit]", hold)).unwrap();
}
