//! A witness elsewhere: what it has seen of a log, nobody takes back.

use super::audit_tree::{audit, copy_tree, logged, verify};
use kms_tests::binaries;
use kms_tests::caller::context;
use kms_tests::console::Said;
use kms_tests::daemon::{Installation, Role};
use std::path::Path;

/// `kms audit witness` over the log in `dir`.
fn witness(installation: &Installation, dir: &Path) -> Said {
    let key = installation.dir().join("audit.pub");
    let state = installation.scratch().join("elsewhere");
    installation.kms(Role::Auditor).run(&[
        "audit",
        "witness",
        "--output",
        "json",
        "--offline",
        dir.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
        "--state",
        state.to_str().unwrap(),
    ])
}

/// Starts the daemon, makes an entry, ends it.
async fn goes_on(installation: &Installation) {
    let daemon = installation.start();
    let service = daemon.caller(installation, Role::Service).await;
    let context = context("tenant", "later");
    service.generate("files", &context, &[]).await.unwrap();
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn a_log_that_was_put_back_or_changed_is_refused() {
    let installation = logged(300).await;
    let log = audit(&installation);
    let first = witness(&installation, &log).ok().json();
    assert_eq!(first["before"], 0);
    // asked again it says the same
    let again = witness(&installation, &log).ok().json();
    assert_eq!(again["before"], first["entries"]);
    let old = installation.scratch().join("old");
    copy_tree(&log, &old);
    goes_on(&installation).await;
    let second = witness(&installation, &log).ok().json();
    assert_eq!(second["before"], first["entries"]);
    assert!(second["entries"].as_u64() > first["entries"].as_u64());
    let kept = second["kept_in"].as_str().unwrap().to_owned();

    let said = witness(&installation, &old);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("an older copy was put back"), "{said:?}");
    // what it remembers is what an auditor compares with
    verify(&installation, &old, &[]).ok();
    let said = verify(&installation, &old, &["--checkpoint", &kept]);
    assert!(said.err.contains("older copy put back"), "{said:?}");
    verify(&installation, &log, &["--checkpoint", &kept]).ok();

    // tiles that prove another history than the one seen
    let tile = log.join("tile/1/000.p/1");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[3] ^= 1;
    goes_on(&installation).await;
    std::fs::write(&tile, &bytes).unwrap();
    let said = witness(&installation, &log);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("at least one was changed"), "{said:?}");
    let third = std::fs::read_to_string(&kept).unwrap();
    assert!(
        third.contains(&format!("\n{}\n", second["entries"])),
        "{third}"
    );
}

/// What docs/witness.md shows is what happens.
#[tokio::test]
async fn root_edits_the_log_and_two_others_tell() {
    let text = std::fs::read_to_string(binaries::checkout().join("docs/witness.md")).unwrap();
    let blocks = text.split("```sh demo\n").skip(1);
    let blocks: Vec<_> = blocks
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    let installation = logged(20).await;
    let folder = installation.scratch();
    let setting = format!(
        "LOG={} KEY={}\nkms() {{ '{}' \"$@\"; }}\n",
        audit(&installation).display(),
        installation.dir().join("audit.pub").display(),
        binaries::kms().display(),
    );
    let run = |block: &str| {
        std::fs::write(folder.join("demo.sh"), format!("set -eu\n{setting}{block}")).unwrap();
        let mut command = std::process::Command::new("bash");
        command.current_dir(folder).arg("demo.sh");
        kms_tests::console::said(&command.output().unwrap()).ok()
    };
    run(blocks[0]);
    goes_on(&installation).await;
    let said = run(blocks[1]);
    assert!(said.err.contains("at least one was changed"), "{said:?}");
    assert!(
        said.err.contains("entries and tiles were changed together"),
        "{said:?}"
    );
    assert!(said.err.contains("entries 0 to "), "{said:?}");
    assert!(said.out.contains("refused: exit code 4"), "{said:?}");
    assert!(said.out.contains("not sound: exit code 1"), "{said:?}");
}

#[test]
fn a_key_is_made_once_and_shown_without_its_secret() {
    let installation = Installation::new();
    let daemon = installation.start();
    assert!(daemon.terminate().success());
    let state = installation.scratch().join("witness");
    let key = |more: &[&str]| {
        let mut args = vec!["witness", "key", "--output", "json", "--state"];
        args.push(state.to_str().unwrap());
        args.extend(more);
        installation.kms(Role::Auditor).run(&args)
    };
    assert_eq!(key(&[]).code, 2);
    let made = key(&["--name", "witness.example/1"]).ok().json();
    let made = made["key"].as_str().unwrap();
    assert!(made.starts_with("witness.example/1+"), "{made}");
    assert_eq!(key(&[]).ok().json()["key"], made);
    assert_eq!(key(&["--name", "other"]).code, 1);
    let mode = std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(state.join("key")).unwrap());
    assert_eq!(mode & 0o7777, 0o600);
}
