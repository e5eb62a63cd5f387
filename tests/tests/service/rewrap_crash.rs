//! An in-place rewrap killed at each of its system calls: the file opens all the same.

use crate::has_tool;
use kms_tests::binaries;
use kms_tests::daemon::{Installation, Role};
use std::fs;
use std::process::{Command, Stdio};

/// System calls by which a file changes or becomes durable.
const CALLS: &str = "write,pwrite64,writev,pwritev,pwritev2,fsync,fdatasync,rename,renameat,renameat2,ftruncate,\
                     fallocate,copy_file_range,flock,fcntl";

#[test]
fn a_rewrap_killed_at_any_step_leaves_a_file_that_opens() {
    if !has_tool("strace") {
        return;
    }
    let installation = Installation::new();
    let daemon = installation.start();
    let text = b"a letter to keep".repeat(5_000);
    let path = |name: &str| installation.scratch().join(name);
    fs::write(path("plain"), &text).unwrap();
    let kms = installation.kms(Role::Service);
    kms.run(&[
        "encrypt",
        "files",
        "plain",
        "-o",
        "made.kms",
        "--context",
        "tenant=acme",
    ])
    .ok();
    installation
        .kms(Role::Operator)
        .run(&["key", "rotate", "files"])
        .ok();
    let opens = |what: &str| {
        let _ = fs::remove_file(path("opened"));
        kms.run(&[
            "decrypt",
            "file.kms",
            "-o",
            "opened",
            "--context",
            "tenant=acme",
        ])
        .ok();
        assert!(fs::read(path("opened")).unwrap() == text, "{what}");
    };
    let mut kills = 0;
    for nth in 1..400 {
        fs::copy(path("made.kms"), path("file.kms")).unwrap();
        let status = Command::new("strace")
            .current_dir(installation.scratch())
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={CALLS}"))
            .arg("-e")
            .arg(format!("inject={CALLS}:signal=SIGKILL:when={nth}"))
            .arg(binaries::kms())
            .arg("--profile")
            .arg(installation.profile(Role::Service))
            .args(["rewrap", "file.kms", "--context", "tenant=acme"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        opens(&format!("killed at call {nth}"));
        if status.success() {
            // It ran to the end: the file is under the ACTIVE version now, and every step before was killed once.
            let inspected = kms.run(&["inspect", "file.kms", "--output", "json"]).ok();
            assert!(inspected.out.contains("\"version\": 2"), "{inspected:?}");
            break;
        }
        kills += 1;
    }
    assert!(kills > 3, "only {kills} steps were killed");
    // After each kill a rewrap can be run again to the end.
    fs::copy(path("made.kms"), path("file.kms")).unwrap();
    kms.run(&["rewrap", "file.kms", "--context", "tenant=acme"])
        .ok();
    opens("rewrapped");
    assert!(daemon.terminate().success());
}
