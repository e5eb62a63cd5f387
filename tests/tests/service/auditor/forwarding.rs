//! Copies of the log as it grows: to a file, to syslog over TLS, to HTTPS. Receivers are real, go away, break off in
//! the middle and come back; nothing is lost, and what comes twice comes in order.

mod receiver;

use super::{HEALTH, everything};
use bytes::Bytes;
use kms_tests::caller::{Caller, context};
use kms_tests::daemon::{Daemon, Installation, Role};
use receiver::{Manners, Receiver};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// An installation that forwards as `table` says, from the first entry on.
fn forwarding(table: &str) -> Installation {
    let installation = Installation::new();
    assert!(installation.start().terminate().success());
    forward(&installation, table);
    installation
}

fn forward(installation: &Installation, table: &str) {
    let path = installation.dir().join("kms.toml");
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    writeln!(file, "\n[[audit.forward]]\nfrom_start = true\n{table}").unwrap();
}

fn file(installation: &Installation) -> PathBuf {
    installation.scratch().join("copy.jsonl")
}

fn to_file(installation: &Installation) -> String {
    format!("name = \"copy\"\nfile = {:?}", file(installation))
}

/// Asks again and again, without an entry in the log.
async fn until(caller: &Caller, mut holds: impl FnMut() -> bool) {
    for _ in 0..200_000 {
        if holds() {
            return;
        }
        caller.wire.raw(HEALTH, Bytes::new()).await.unwrap();
    }
    panic!("it did not come about");
}

fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    whole.collect()
}

fn sequence(event: &Value) -> u64 {
    event["data"]["metadata"]["sequence"].as_u64().unwrap()
}

/// None is missing, and none comes before the one before it came.
fn assert_whole(events: &[Value], end: u64) {
    let mut expected = 0;
    for event in events {
        let sequence = sequence(event);
        assert!(sequence <= expected, "{sequence} before {expected}");
        expected = expected.max(sequence + 1);
    }
    assert!(expected > end, "only {expected} of {end} came");
}

async fn make_keys(service: &Caller, count: usize) {
    for _ in 0..count {
        let context = context("tenant", "acme");
        service.generate("files", &context, &[]).await.unwrap();
    }
}

async fn service(daemon: &Daemon, installation: &Installation) -> Caller {
    daemon.caller(installation, Role::Service).await
}

/// The last entry that is there now.
async fn end(daemon: &Daemon, installation: &Installation) -> u64 {
    let auditor = daemon.caller(installation, Role::Auditor).await;
    everything(&auditor).await.last().unwrap().sequence
}

#[tokio::test]
async fn a_file_gets_every_entry_in_order_through_kills_and_no_personal_value() {
    let installation = Installation::new();
    assert!(installation.start().terminate().success());
    forward(&installation, &to_file(&installation));
    let path = file(&installation);
    for _ in 0..3 {
        let before = events(&path).len();
        let daemon = installation.start();
        let caller = service(&daemon, &installation).await;
        make_keys(&caller, 40).await;
        until(&caller, || events(&path).len() > before).await;
        daemon.kill();
    }
    let daemon = installation.start();
    let caller = service(&daemon, &installation).await;
    make_keys(&caller, 5).await;
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let entries = everything(&auditor).await;
    let end = entries.last().unwrap().sequence;
    until(&caller, || {
        events(&path).iter().any(|event| sequence(event) >= end)
    })
    .await;
    let events = events(&path);
    assert_whole(&events, end);
    for event in &events {
        let place = usize::try_from(sequence(event)).unwrap();
        let Some(entry) = entries.get(place) else {
            continue;
        };
        let leaf: String = entry.leaf.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(event["data"]["raw_data"], leaf);
        assert_eq!(event["data"]["unmapped"]["personal"], serde_json::json!({}));
    }
    // addresses are personal: they stand in the log, and die with their month
    assert!(entries.iter().any(|entry| !entry.personal.is_empty()));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("127.0.0.1"), "an address is in the copy");
    let began = entries
        .iter()
        .filter(|entry| entry.action == "ForwardEntries");
    assert_eq!(began.count(), 4, "each start says that copies go there");
}

#[tokio::test]
async fn syslog_gets_everything_after_it_was_down_and_after_it_broke_off() {
    let receiver = Receiver::reserve();
    let installation = forwarding(&format!(
        "name = \"siem\"\nsyslog = \"{}\"\nca = {:?}",
        receiver.address(),
        receiver.authority()
    ));
    let daemon = installation.start();
    let caller = service(&daemon, &installation).await;
    make_keys(&caller, 60).await;
    // down: that is told, and delays no call
    let alarmed = async || {
        let status = caller.status().await.unwrap();
        let forward = &status.audit_forwards[0];
        assert_eq!((&*forward.name, &*forward.kind), ("siem", "syslog"));
        let alarm = status.alarms.iter().any(|alarm| alarm.contains("siem"));
        assert_eq!(alarm, forward.failures >= 3, "{status:?}");
        alarm
    };
    while !alarmed().await {}
    // up: one that hangs up in the middle of the first batch, then one with manners
    let serving = receiver.serve_syslog(Manners::BreaksOffOnce).await;
    let end = end(&daemon, &installation).await;
    until(&caller, || {
        serving.events().iter().any(|event| sequence(event) >= end)
    })
    .await;
    assert!(serving.broke_off(), "it hung up once");
    assert_whole(&serving.events(), end);
    // all the way to the status
    loop {
        let status = caller.status().await.unwrap();
        let forward = &status.audit_forwards[0];
        if forward.failures == 0 && forward.next_sequence > end {
            break;
        }
    }
    let said = installation.kms(Role::Auditor).run(&["status"]).ok().out;
    assert!(said.contains("siem (syslog)"), "{said}");
}

#[tokio::test]
async fn https_gets_batches_of_cloud_events_until_it_takes_them() {
    let receiver = Receiver::reserve();
    let installation = Installation::new();
    assert!(installation.start().terminate().success());
    let secret = installation.scratch().join("authorization");
    std::fs::write(&secret, "Bearer of-the-siem\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).unwrap();
    forward(
        &installation,
        &format!(
            "name = \"siem\"\nhttps = \"https://{}/events\"\nca = {:?}\nauthorization_file = {secret:?}",
            receiver.address(),
            receiver.authority()
        ),
    );
    let serving = receiver.serve_https("Bearer of-the-siem", 2).await;
    let daemon = installation.start();
    let caller = service(&daemon, &installation).await;
    make_keys(&caller, 30).await;
    let end = end(&daemon, &installation).await;
    until(&caller, || {
        serving.events().iter().any(|event| sequence(event) >= end)
    })
    .await;
    assert_whole(&serving.events(), end);
    let event = serving.events().remove(0);
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["data"]["class_uid"], 6003);
}

/// One frame of the log is damaged: what it held is said to be missing, in its place.
#[tokio::test]
async fn what_cannot_be_read_is_a_gap_that_everybody_is_told_of() {
    let installation = Installation::new();
    let daemon = installation.start();
    make_keys(&service(&daemon, &installation).await, 20).await;
    assert!(daemon.terminate().success());
    let lost = damage_a_frame(&installation.dir().join("data/audit"));
    forward(&installation, &to_file(&installation));
    let daemon = installation.start();
    let caller = service(&daemon, &installation).await;
    let path = file(&installation);
    let is_gap = |event: &Value| event["type"] == "kms.v1.audit.gap";
    until(&caller, || events(&path).iter().any(is_gap)).await;
    let gap = events(&path).into_iter().find(is_gap).unwrap();
    let (first, end) = (gap["data"]["first"].as_u64(), gap["data"]["end"].as_u64());
    assert_eq!((first, end), (Some(lost), Some(lost + 1)), "{gap}");
    let told: Vec<Value> = events(&path);
    let place = told.iter().position(is_gap).unwrap();
    assert_eq!(sequence(&told[place - 1]) + 1, lost);
    assert_eq!(sequence(&told[place + 1]), lost + 1);
    loop {
        let status = caller.status().await.unwrap();
        if status.audit_forwards[0].skipped == 1 {
            break;
        }
    }
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let words = format!("copy: entries {lost} to {lost} cannot be read");
    while !everything(&auditor)
        .await
        .iter()
        .any(|entry| entry.detail == words)
    {}
}

/// Changes a byte of a frame that holds one entry; says which.
fn damage_a_frame(audit: &Path) -> u64 {
    const MAGIC: [u8; 4] = [0xf1, 0x6b, 0x6c, 0x66];
    let files = std::fs::read_dir(audit)
        .unwrap()
        .map(|file| file.unwrap().path());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut segments: Vec<_> = files
        .filter(|path| name(path).starts_with("segment-"))
        .collect();
    segments.sort();
    let path = segments.first().unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let starts: Vec<usize> = (0..bytes.len() - 64)
        .filter(|at| bytes[*at..].starts_with(&MAGIC))
        .collect();
    let single = |at: &&usize| bytes[**at + 16..**at + 18] == [0, 1];
    let at = *starts.iter().skip(starts.len() / 2).find(single).unwrap();
    // behind magic, length, group, checksum, count and the leaf's length: format, kind, sequence
    let sequence = u64::from_be_bytes(bytes[at + 22..at + 30].try_into().unwrap());
    bytes[at + 60] ^= 1;
    std::fs::write(path, bytes).unwrap();
    sequence
}
