//! Witnesses of the daemon's own: they cosign what it signs, and without them, or against them, it stays sealed.

use super::audit_tree::{audit, verify};
use kms_proto::v1::SealState;
use kms_tests::binaries;
use kms_tests::caller::context;
use kms_tests::daemon::{Daemon, Installation, Role};
use kms_tests::in_process::InProcess;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tlog::{Note, VerifierKey};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A witness on a machine of its own, as far as files can be that.
struct Witness {
    state: PathBuf,
    audit_pub: PathBuf,
    log: PathBuf,
    key: String,
}

impl Witness {
    fn new(installation: &Installation, name: &str) -> Self {
        let state = installation.scratch().join(name);
        let args = [
            "witness", "key", "--output", "json", "--name", name, "--state",
        ];
        let mut args = args.to_vec();
        args.push(state.to_str().unwrap());
        let made = installation.kms(Role::Auditor).run(&args).ok().json();
        Self {
            log: installation.scratch().join(format!("{name}.log")),
            audit_pub: installation.dir().join("audit.pub"),
            key: made["key"].as_str().unwrap().to_owned(),
            state,
        }
    }

    fn serve(&self, port: u16) -> Daemon {
        let mut command = Command::new(binaries::kms());
        command
            .args(["witness", "serve", "--state"])
            .arg(&self.state);
        command.arg("--log").arg(&self.audit_pub);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        Daemon::spawn(command, &self.log).unwrap()
    }
}

/// Tells the daemon of its witnesses.
fn configure(installation: &Installation, min_anchors: usize, witnesses: &[(&Witness, u16)]) {
    let path = installation.dir().join("kms.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut text = match text.split_once("\n[[audit.witnesses]]") {
        Some((before, _)) => before.to_owned(),
        None => text,
    };
    let lines = text.lines().filter(|line| !line.starts_with("min_anchors"));
    text = lines.collect::<Vec<_>>().join("\n");
    text = text.replace("[audit]", &format!("[audit]\nmin_anchors = {min_anchors}"));
    for (witness, port) in witnesses {
        let key = &witness.key;
        text += &format!(
            "\n[[audit.witnesses]]\nurl = \"http://127.0.0.1:{port}/\"\nkey = \"{key}\"\n"
        );
    }
    std::fs::write(&path, text).unwrap();
}

/// With modes and all.
fn copy_disk(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.unwrap().success());
}

async fn makes_entries(installation: &Installation, count: usize) {
    let daemon = installation.start();
    let service = daemon.caller(installation, Role::Service).await;
    for _ in 0..count {
        let context = context("tenant", "acme");
        service.generate("files", &context, &[]).await.unwrap();
    }
    // a connection that is left open would be waited for
    drop(service);
    assert!(daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn checkpoints_carry_the_signatures_of_two_witnesses() {
    let installation = Installation::new();
    makes_entries(&installation, 5).await;
    let (one, two) = (
        Witness::new(&installation, "one"),
        Witness::new(&installation, "two"),
    );
    let serving = (one.serve(0), two.serve(0));
    let ports = (serving.0.address.port(), serving.1.address.port());
    configure(&installation, 2, &[(&one, ports.0), (&two, ports.1)]);
    // each start shows them what the one before signed last
    for _ in 0..2 {
        makes_entries(&installation, 5).await;
    }
    let cosigned = audit(&installation).join("cosigned");
    let text = std::fs::read_to_string(&cosigned).unwrap();
    let note = Note::parse(&text).unwrap();
    for witness in [&one, &two] {
        let key = VerifierKey::parse(&witness.key).unwrap();
        assert!(note.signed_at(&key).unwrap() > 1_700_000_000, "{text}");
    }
    let kept = ["--checkpoint", cosigned.to_str().unwrap()];
    verify(&installation, &audit(&installation), &kept).ok();
    // what they said is in the log
    let daemon = installation.start();
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let entries = auditor.entries(0).await.unwrap();
    let confirmed = entries
        .iter()
        .filter(|entry| entry.action == "ConfirmAnchors");
    assert!(confirmed.count() >= 1);
}

/// The disk is as it was before entries that the witness has seen.
async fn put_disk_back(installation: &Installation) {
    let data = installation.dir().join("data");
    let old = installation.scratch().join("old");
    copy_disk(&data, &old);
    // the second start shows the witness what the first has signed
    makes_entries(installation, 5).await;
    makes_entries(installation, 1).await;
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&old, &data).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_whole_disk_put_back_stays_sealed() {
    let installation = Installation::new();
    makes_entries(&installation, 5).await;
    let witness = Witness::new(&installation, "one");
    let serving = witness.serve(0);
    let port = serving.address.port();
    configure(&installation, 1, &[(&witness, port)]);
    put_disk_back(&installation).await;

    let daemon = installation.start();
    let operator = daemon.caller(&installation, Role::Operator).await;
    let status = operator.status().await.unwrap();
    assert_eq!(status.seal_state(), SealState::Sealed);
    let alarms = status.alarms.join("\n");
    assert!(alarms.contains("an older copy was put back"), "{alarms}");
    drop(operator);
    assert!(daemon.terminate().success());
    let said = std::fs::read_to_string(installation.log()).unwrap();
    assert!(said.contains("stays sealed"), "{said}");
    // an operator who knows why can overrule them, in the configuration
    configure(&installation, 0, &[(&witness, port)]);
    makes_entries(&installation, 1).await;
}

/// Root puts the disk back, silences its own daemon, and has another history signed by the same key.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_second_host_refuses_a_fork_and_keeps_the_proof() {
    let installation = Installation::new();
    makes_entries(&installation, 5).await;
    let witness = Witness::new(&installation, "elsewhere");
    let serving = witness.serve(0);
    let port = serving.address.port();
    configure(&installation, 1, &[(&witness, port)]);
    put_disk_back(&installation).await;
    configure(&installation, 0, &[]);
    makes_entries(&installation, 40).await;
    // the machine alone finds nothing wrong
    verify(&installation, &audit(&installation), &[]).ok();
    configure(&installation, 1, &[(&witness, port)]);
    let daemon = installation.start();
    let operator = daemon.caller(&installation, Role::Operator).await;
    let status = operator.status().await.unwrap();
    assert_eq!(status.seal_state(), SealState::Sealed);
    let alarms = status.alarms.join("\n");
    assert!(alarms.contains("are not those that it saw"), "{alarms}");
    // signed by the log, and no extension of what the witness signed: both together prove the fork
    let kept = witness.state.join("logs/kms-dev%2F1");
    let kept = ["refused", "checkpoint"].map(|name| kept.join(name));
    for kept in &kept {
        let text = std::fs::read_to_string(kept).unwrap();
        assert!(text.starts_with("kms-dev/1\n"), "{text}");
    }
    let before = ["--checkpoint", kept[1].to_str().unwrap()];
    let said = verify(&installation, &audit(&installation), &before);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("the log was forked"), "{said:?}");
}

/// A way to a witness: whoever comes is hung up on until it is opened.
struct Way {
    port: u16,
    open: watch::Sender<bool>,
}

impl Way {
    async fn to(witness: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = watch::Sender::new(false);
        let is_open = open.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                if *is_open.borrow() {
                    let mut far = TcpStream::connect(witness).await.unwrap();
                    tokio::spawn(async move {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    });
                }
            }
        });
        Self { port, open }
    }
}

#[tokio::test]
async fn it_unseals_by_itself_when_enough_witnesses_answer() {
    let process = InProcess::new();
    let installation = &process.installation;
    // a log that was never signed has nothing to be asked about
    let running = process.serve().await;
    running.stop().await;
    let witness = Witness::new(installation, "one");
    let serving = witness.serve(0);
    let way = Way::to(serving.address).await;
    configure(installation, 1, &[(&witness, way.port)]);
    let running = process.serve().await;
    assert!(running.gate().live().is_none());
    let problems = running.gate().anchors().problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    way.open.send_replace(true);
    process.clock.advance(Duration::from_secs(10));
    let mut sealed = running.gate().sealed();
    sealed.wait_for(|sealed| !sealed).await.unwrap();
    assert!(running.gate().anchors().problems().is_empty());
    running.stop().await;
}
