//! The log proves itself: its files and the instance's public key are enough, and what root does to them is found.

use kms_tests::caller::context;
use kms_tests::console::Said;
use kms_tests::daemon::{Installation, Role};
use std::path::{Path, PathBuf};

/// A log of some entries, of a daemon that has ended.
pub(super) async fn logged(entries: u64) -> Installation {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    for n in 0..entries {
        let context = context("tenant", &format!("t{n}"));
        service.generate("files", &context, &[]).await.unwrap();
    }
    assert!(daemon.terminate().success());
    installation
}

pub(super) fn audit(installation: &Installation) -> PathBuf {
    installation.dir().join("data/audit")
}

pub(super) fn verify(installation: &Installation, dir: &Path, more: &[&str]) -> Said {
    let key = installation.dir().join("audit.pub");
    let mut args = vec!["audit", "verify", "--output", "json", "--offline"];
    args.extend([dir.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    args.extend(more);
    installation.kms(Role::Auditor).run(&args)
}

#[tokio::test]
async fn files_and_the_public_key_are_enough() {
    let installation = logged(600).await;
    let verdict = verify(&installation, &audit(&installation), &[])
        .ok()
        .json();
    assert!(verdict["entries"].as_u64().unwrap() > 600, "{verdict}");
    // what was written after sealing is covered by the first checkpoint after the next start
    let before = verdict["entries"].as_u64().unwrap();
    let kept = installation.scratch().join("kept");
    std::fs::copy(audit(&installation).join("checkpoint"), &kept).unwrap();
    let daemon = installation.start();
    assert!(daemon.terminate().success());
    let kept = kept.to_str().unwrap();
    let verdict = verify(
        &installation,
        &audit(&installation),
        &["--checkpoint", kept],
    );
    let after = verdict.ok().json()["entries"].as_u64().unwrap();
    assert!(after > before, "{before} {after}");
}

#[tokio::test]
async fn what_is_lost_of_the_tree_is_built_again() {
    let installation = logged(300).await;
    std::fs::remove_dir_all(audit(&installation).join("tile")).unwrap();
    let missing = verify(&installation, &audit(&installation), &[]);
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.err.contains("missing"), "{missing:?}");
    let daemon = installation.start();
    assert!(daemon.terminate().success());
    verify(&installation, &audit(&installation), &[]).ok();
}

#[tokio::test]
async fn an_edited_entry_is_named_and_nothing_more_is_signed() {
    let installation = logged(300).await;
    let checkpoint = std::fs::read(audit(&installation).join("checkpoint")).unwrap();
    let bundle = audit(&installation).join("tile/entries/000");
    let good = std::fs::read(&bundle).unwrap();
    let place = 100;
    let at = offset(&good, place);
    let mut bad = good.clone();
    // the wall time of the entry
    bad[at + 34 + 7] ^= 1;
    std::fs::write(&bundle, &bad).unwrap();
    let said = verify(&installation, &audit(&installation), &[]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("entry 100: its bytes were changed"),
        "{said:?}"
    );
    std::fs::write(&bundle, &good).unwrap();
    // Root edits the segment, checksum and all, and removes the tree: the daemon does not sign it.
    forge_segment(&audit(&installation), &good[at..at + 64]);
    std::fs::remove_dir_all(audit(&installation).join("tile")).unwrap();
    let daemon = installation.start();
    assert!(daemon.terminate().success());
    let after = std::fs::read(audit(&installation).join("checkpoint")).unwrap();
    assert_eq!(checkpoint, after);
    let said = verify(&installation, &audit(&installation), &[]);
    assert_eq!(said.code, 1, "{said:?}");
}

#[tokio::test]
async fn whoever_takes_the_tree_away_gets_no_new_one_over_other_entries() {
    let installation = logged(20).await;
    let log = audit(&installation);
    let bundle = std::fs::read(
        log.join("tile/entries/000.p")
            .read_dir()
            .unwrap()
            .map(|file| file.unwrap().path())
            .max_by_key(|path| std::fs::metadata(path).unwrap().len())
            .unwrap(),
    )
    .unwrap();
    let at = offset(&bundle, 1);
    forge_segment(&log, &bundle[at..at + 64]);
    for name in ["tile", "checkpoints"] {
        std::fs::remove_dir_all(log.join(name)).unwrap();
    }
    std::fs::remove_file(log.join("checkpoint")).unwrap();
    let daemon = installation.start();
    assert!(daemon.terminate().success());
    assert!(!log.join("checkpoint").exists());
    let said = std::fs::read_to_string(installation.log()).unwrap();
    assert!(said.contains("nothing is signed any more"), "{said}");
}

#[tokio::test]
async fn an_older_log_put_back_beside_the_newer_store_is_not_signed() {
    let installation = logged(20).await;
    let log = audit(&installation);
    let old = installation.scratch().join("old");
    // segments and all
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([&log, &old])
        .status();
    assert!(copied.unwrap().success());
    let daemon = installation.start();
    assert!(daemon.terminate().success());
    std::fs::remove_dir_all(&log).unwrap();
    std::fs::rename(&old, &log).unwrap();
    let before = std::fs::read(log.join("checkpoint")).unwrap();
    let daemon = installation.start();
    assert!(daemon.terminate().success());
    assert_eq!(std::fs::read(log.join("checkpoint")).unwrap(), before);
    let said = std::fs::read_to_string(installation.log()).unwrap();
    assert!(said.contains("nothing is signed any more"), "{said}");
}

/// Where the bytes of an entry begin in its bundle.
fn offset(bundle: &[u8], place: usize) -> usize {
    let mut at = 2;
    for _ in 0..place {
        at += 2 + usize::from(u16::from_be_bytes([bundle[at - 2], bundle[at - 1]]));
    }
    at
}

/// Changes the time of the leaf that begins so, and its frame's checksum to fit.
fn forge_segment(dir: &Path, leaf: &[u8]) {
    const MAGIC: &[u8] = &[0xF1, b'k', b'l', b'f'];
    let mut files = std::fs::read_dir(dir)
        .unwrap()
        .map(|file| file.unwrap().path());
    let path = files
        .find(|path| path.extension().is_some_and(|ending| ending == "log"))
        .unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let find = |what: &[u8], from: usize| {
        let found = bytes[from..]
            .windows(what.len())
            .position(|window| window == what);
        from + found.unwrap()
    };
    let at = find(leaf, 4096);
    let mut frame = find(MAGIC, 4096);
    let len = |frame: usize| {
        let field = bytes[frame + 4..frame + 8].try_into().unwrap();
        usize::try_from(u32::from_be_bytes(field)).unwrap()
    };
    while frame + 16 + len(frame) <= at {
        frame += 16 + len(frame);
    }
    let end = frame + 16 + len(frame);
    bytes[at + 34 + 7] ^= 1;
    let covered = [&bytes[frame + 4..frame + 12], &bytes[frame + 16..end]].concat();
    let checksum = kms_core::codec::crc32c(&covered).to_be_bytes();
    bytes[frame + 12..frame + 16].copy_from_slice(&checksum);
    std::fs::write(&path, bytes).unwrap();
}

/// What root can do to the files, and what is said of it.
#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a list of damages, each told apart")]
async fn other_damage_is_found_too() {
    let installation = logged(600).await;
    let log = audit(&installation);
    let found = |change: &dyn Fn(&Path), words: &str, more: &[&str]| {
        let copy = installation.scratch().join("copy");
        let _ = std::fs::remove_dir_all(&copy);
        copy_tree(&log, &copy);
        verify(&installation, &copy, more).ok();
        change(&copy);
        let said = verify(&installation, &copy, more);
        assert_eq!(said.code, 1, "{words}: {said:?}");
        assert!(said.err.contains(words), "{words}: {said:?}");
    };
    let gone = |name: &'static str| {
        move |dir: &Path| {
            let path = dir.join(name);
            if path.is_dir() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    };
    let edit = |name: &'static str, change: fn(&mut Vec<u8>)| {
        move |dir: &Path| {
            let path = dir.join(name);
            let mut bytes = std::fs::read(&path).unwrap();
            change(&mut bytes);
            std::fs::write(&path, bytes).unwrap();
        }
    };
    found(&gone("checkpoint"), "checkpoint is missing", &[]);
    found(&gone("checkpoints"), "history", &[]);
    found(&gone("log-keys"), "no certificate", &[]);
    found(
        &gone("tile/entries/001"),
        "entries 256 to 511: it is missing",
        &[],
    );
    found(&gone("tile/0/001"), "tile/0/001 is missing", &[]);
    let swap: fn(&mut Vec<u8>) = |bytes| {
        let (a, b, c) = (
            offset(bytes, 7) - 2,
            offset(bytes, 8) - 2,
            offset(bytes, 9) - 2,
        );
        bytes[a..c].rotate_left(b - a);
    };
    found(
        &edit("tile/entries/000", swap),
        "entry 7: entry 8 stands in its place",
        &[],
    );
    let remove: fn(&mut Vec<u8>) = |bytes| {
        let (from, to) = (offset(bytes, 9) - 2, offset(bytes, 10) - 2);
        bytes.drain(from..to);
    };
    found(
        &edit("tile/entries/001", remove),
        "entry 265: entry 266 stands in its place",
        &[],
    );
    let double: fn(&mut Vec<u8>) = |bytes| {
        let (from, to) = (offset(bytes, 3) - 2, offset(bytes, 4) - 2);
        let entry = bytes[from..to].to_vec();
        bytes.splice(to..to, entry);
    };
    found(
        &edit("tile/entries/000", double),
        "entry 4: entry 3 stands in its place",
        &[],
    );
    let flip: fn(&mut Vec<u8>) = |bytes| bytes[10] ^= 1;
    found(
        &edit("tile/0/000", flip),
        "entry 0: its bytes were changed",
        &[],
    );
    found(
        &edit("tile/1/000.p/2", flip),
        "entries 0 to 255: tile/1/000.p/2",
        &[],
    );
    let size: fn(&mut Vec<u8>) = |bytes| {
        let at = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        bytes[at + 1] = if bytes[at + 1] == b'9' { b'8' } else { b'9' };
    };
    found(&edit("checkpoint", size), "not signed", &[]);
    // the log as it was put back, and told by the checkpoint that someone kept
    let other = logged(3).await;
    let foreign = audit(&other).join("checkpoint");
    let foreign = std::fs::read(foreign).unwrap();
    found(
        &|dir| std::fs::write(dir.join("checkpoint"), &foreign).unwrap(),
        "not signed",
        &[],
    );
}

#[tokio::test]
async fn an_older_copy_is_told_by_a_checkpoint_kept_elsewhere() {
    let installation = logged(20).await;
    let log = audit(&installation);
    let old = installation.scratch().join("old");
    copy_tree(&log, &old);
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    service
        .generate("files", &context("tenant", "late"), &[])
        .await
        .unwrap();
    assert!(daemon.terminate().success());
    verify(&installation, &old, &[]).ok();
    let kept = log.join("checkpoint");
    let said = verify(
        &installation,
        &old,
        &["--checkpoint", kept.to_str().unwrap()],
    );
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("an older copy put back"), "{said:?}");
}

pub(super) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let name = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_tree(&path, &name);
        } else if path.extension().is_none_or(|ending| ending != "log") {
            std::fs::copy(&path, &name).unwrap();
        }
    }
}
