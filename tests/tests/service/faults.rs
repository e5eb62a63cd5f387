//! A disk that says no, and a kill, at each of the daemon's writes and syncs in turn. Nothing is handed out without its
//! entry, nothing acknowledged is lost, and calls are answered again as soon as the disk is well.

use crate::crash::{Acknowledged, Shared, check_audit, check_data_keys, check_versions};
use crate::has_tool;
use kms_tests::caller::{Caller, context, reason, request_id};
use kms_tests::daemon::{Daemon, Installation, Role};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// System calls by which log and store reach the disk; sockets use others.
const CALLS: [&str; 2] = ["pwrite64", "fdatasync"];
/// What happens there.
const FAULTS: [&str; 3] = ["error=EIO", "error=ENOSPC", "signal=SIGKILL"];
/// The first so many of each thread.
const STEPS: usize = 5;

/// A tracer that lets one system call of each of the daemon's threads end badly.
struct Fault(Child);

impl Fault {
    /// At the `nth` call of a thread. All threads are traced when this returns.
    fn inject(daemon: &Daemon, call: &str, fault: &str, nth: usize) -> Self {
        let pid = daemon.pid();
        let tracer = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={call}"))
            .arg("-e")
            .arg(format!("inject={call}:{fault}:when={nth}"))
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("strace runs");
        while !traced(pid) {
            std::thread::yield_now();
        }
        Self(tracer)
    }

    /// The disk is well again.
    fn end(mut self) {
        let tracer = Pid::from_raw(self.0.id().try_into().unwrap()).unwrap();
        // the kernel lets go of who was traced; one asked to end waits for threads that a kill has taken
        let _ = kill_process(tracer, Signal::KILL);
        self.0.wait().unwrap();
    }
}

/// Whether every thread has a tracer.
fn traced(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        // killed already
        return true;
    };
    threads.flatten().all(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        let tracer = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|pid| pid.trim() != "0")
    })
}

/// What callers heard, by reason.
type Heard = BTreeMap<String, usize>;

/// A few calls of both planes, one after the other.
async fn call_around(service: &Caller, operator: &Caller, all: &Shared, heard: &mut Heard) {
    for n in 0..9 {
        let context = context("tenant", "acme");
        let answer = if n % 3 == 2 {
            operator.rotate("files").await.map(|answer| {
                let id = request_id(answer.metadata());
                let number = answer.into_inner().version.unwrap().number;
                let mut all = all.lock().unwrap();
                all.rotations
                    .entry("files".into())
                    .or_default()
                    .push(number);
                all.calls.push(id);
            })
        } else {
            service
                .generate("files", &context, &[])
                .await
                .map(|answer| {
                    let mut all = all.lock().unwrap();
                    all.calls.push(request_id(answer.metadata()));
                    let made = answer.into_inner();
                    all.data_keys
                        .push((made.wrapped_data_key, context, made.plaintext));
                })
        };
        if let Err(status) = answer {
            let from_daemon = !request_id(status.metadata()).is_empty();
            let reason = from_daemon.then(|| reason(&status));
            *heard.entry(reason.unwrap_or_default()).or_default() += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_says_no_at_any_step_costs_nothing_acknowledged() {
    if !has_tool("strace") {
        return;
    }
    let installation = Installation::new();
    let all = Shared::default();
    let mut heard = Heard::new();
    let (mut daemon, mut checked) = (installation.start(), 0);
    let steps = || (1..=STEPS).flat_map(|n| FAULTS.map(|fault| (n, fault)));
    for (call, (nth, how)) in CALLS
        .into_iter()
        .flat_map(|call| steps().map(move |s| (call, s)))
    {
        let service = daemon.caller(&installation, Role::Service).await;
        let operator = daemon.caller(&installation, Role::Operator).await;
        // logs in
        operator.versions("files").await.unwrap();
        let fault = Fault::inject(&daemon, call, how, nth);
        call_around(&service, &operator, &all, &mut heard).await;
        fault.end();
        if how != "signal=SIGKILL" {
            resumes(&service, &format!("{how} at {call} number {nth}")).await;
        }
        daemon.kill();
        daemon = installation.start();
        checked = check_data_keys(&installation, &daemon, &all, checked).await;
    }
    println!("refused: {heard:?}");
    // nothing at all from a daemon that was killed; no session without the store, which keeps the codes taken
    let told = [
        "",
        "AUDIT_UNAVAILABLE",
        "OUTCOME_UNKNOWN",
        "SESSION_REQUIRED",
        "STORE_UNAVAILABLE",
    ];
    assert!(
        heard.keys().all(|reason| told.contains(&&**reason)),
        "{heard:?}"
    );
    for felt in ["AUDIT_UNAVAILABLE", "OUTCOME_UNKNOWN", "STORE_UNAVAILABLE"] {
        assert!(heard.contains_key(felt), "{heard:?}");
    }
    let operator = daemon.caller(&installation, Role::Operator).await;
    check_versions(&operator, &all).await;
    check_audit(&operator, &all).await;
    let acknowledged: &Acknowledged = &all.lock().unwrap();
    assert!(acknowledged.rotations["files"].len() > 10);
}

/// The data plane answers again without anybody's help.
async fn resumes(service: &Caller, what: &str) {
    let context = context("tenant", "acme");
    let again = async {
        while let Err(status) = service.generate("files", &context, &[]).await {
            assert_eq!(reason(&status), "AUDIT_UNAVAILABLE", "{what}");
        }
    };
    let limit = tokio::time::timeout(Duration::from_secs(60), again);
    limit
        .await
        .unwrap_or_else(|_| panic!("{what}: calls are not answered any more"));
}
