//! The log under `kill -9`: a child process appends and says so over a pipe; what it said before it was
//! killed must be there.

#![expect(clippy::unwrap_used, reason = "a test")]

use kms_core::audit::Outcome;
use kms_core::audit::leaf::{BootId, Coordinates, SystemEvent, decode, encode_system};
use kms_core::name::CallId;
use kms_core::time::Timestamp;
use kms_server::audit_log::{AuditLog, Filter, Options, Query, Space, Submission};
use kms_server::system::clock::SystemClock;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const CHILD: &str = "KMS_TEST_AUDIT_LOG_CHILD";
const WRITERS: u64 = 8;

fn open(dir: &Path) -> AuditLog {
    let options = Options {
        segment_bytes: 64 * 1024,
        reserve_bytes: 0,
        tree: true,
    };
    let clock = Arc::new(SystemClock::new());
    AuditLog::open(dir, "crash/1", options, clock).unwrap().0
}

fn submission(n: u64) -> Submission {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    let at = Coordinates {
        time: Timestamp::from_micros(0),
        monotonic: Duration::ZERO,
        node: 1,
        boot: BootId([0; 8]),
    };
    let leaf = encode_system(SystemEvent::Start, Outcome::Ok, "", CallId(id), at).unwrap();
    Submission {
        leaves: vec![leaf],
        usage: Vec::new(),
        space: Space::Data,
    }
}

/// Appends for ever, from several threads, and prints `sequence number` after each acknowledgement.
fn child(dir: &Path) {
    let log = open(dir);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let log = &log;
            scope.spawn(move || {
                for n in (writer..).step_by(usize::try_from(WRITERS).unwrap()) {
                    let sequence = log.append_blocking(submission(n)).unwrap();
                    let line = format!("ack {sequence} {n}\n");
                    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// Kills the child after `acks` acknowledgements; all that it said.
fn run_and_kill(dir: &Path, acks: usize) -> Vec<(u64, u64)> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "what_was_acknowledged_outlives_a_kill",
            "--nocapture",
        ])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        let mut words = line.split(' ');
        if words.next() == Some("ack") {
            let mut number = || words.next().and_then(|word| word.parse().ok());
            // the last line may be cut short
            if let (Some(sequence), Some(n)) = (number(), number()) {
                said.push((sequence, n));
            }
        }
        if said.len() == acks {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        said.len() >= acks,
        "the child ended by itself after {}",
        said.len()
    );
    said
}

fn check(dir: &Path, said: &[(u64, u64)]) {
    let log = open(dir);
    let mut logged = Vec::new();
    let mut query = Query {
        from_sequence: 0,
        newest_first: false,
        filter: Filter::default(),
        limit: 10_000,
    };
    loop {
        let page = log.read(&query).unwrap();
        for entry in page.entries {
            assert_eq!(entry.sequence, logged.len() as u64);
            let id = decode(&entry.leaf).unwrap().prefix.id.0;
            logged.push(u64::from_be_bytes(id[..8].try_into().unwrap()));
        }
        match page.next {
            Some(next) => query.from_sequence = next,
            None => break,
        }
    }
    for (sequence, n) in said {
        let found = logged.get(usize::try_from(*sequence).unwrap());
        assert_eq!(found, Some(n), "sequence {sequence}");
    }
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    if let Some(dir) = std::env::var_os(CHILD) {
        child(Path::new(&dir));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // 700 acks are more than a segment
    let mut said = Vec::new();
    for acks in [1, 2, 3, 7, 20, 55, 150, 400, 700, 1_500] {
        said.extend(run_and_kill(dir.path(), acks));
        check(dir.path(), &said);
    }
}
