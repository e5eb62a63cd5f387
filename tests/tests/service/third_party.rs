//! A client that shares no code with this project reads the log: Go's own packages over a static file server.

use super::audit_tree::{audit, logged};
use super::has_tool;
use kms_tests::binaries;
use std::process::Command;

#[tokio::test]
async fn a_static_file_server_is_enough_for_another_client() {
    if !has_tool("go") {
        println!("SKIPPED: Go is not installed, so no other client was tried");
        return;
    }
    let installation = logged(600).await;
    let log = audit(&installation);
    let program = installation.scratch().join("tlog_client");
    let source = binaries::checkout().join("tests/tlog_client");
    let built = Command::new("go")
        .args(["build", "-mod=readonly", "-o"])
        .arg(&program)
        .arg(".")
        .env("GOTOOLCHAIN", "local")
        .current_dir(source)
        .output()
        .unwrap();
    assert!(built.status.success(), "{built:?}");
    let check = || {
        let mut command = Command::new(&program);
        command.arg(&log).arg(installation.dir().join("audit.pub"));
        kms_tests::console::said(&command.output().unwrap())
    };
    let said = check().ok();
    assert!(said.out.starts_with("kms-dev/1 "), "{said:?}");
    assert!(!said.out.contains(" 0 included"), "{said:?}");
    assert!(!said.out.contains(" 0 checkpoints"), "{said:?}");
    // and it is not easily satisfied
    for path in ["tile/entries/000", "tile/0/000", "checkpoint"] {
        let good = std::fs::read(log.join(path)).unwrap();
        let mut bad = good.clone();
        bad[20] ^= 1;
        std::fs::write(log.join(path), &bad).unwrap();
        assert_eq!(check().code, 1, "{path}");
        std::fs::write(log.join(path), &good).unwrap();
    }
    check().ok();
}
