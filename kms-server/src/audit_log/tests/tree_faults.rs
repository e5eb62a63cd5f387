//! The tree on disks that say no, and what it signs beside what the store remembers.

use super::disk::SmallDisk;
use super::*;
use kms_core::cipher::signature::{InstanceKey, LogKey};
use kms_core::secret::{InstanceSeed, LogSeed};
use tlog::{Certificate, Checkpoint, Hash, VerifierKey, signature_line};

fn instance() -> (InstanceKey, VerifierKey) {
    let key = InstanceKey::new(&InstanceSeed::take_bytes(&mut [8; 32])).unwrap();
    let verifier = VerifierKey::new("test", key.public().0).unwrap();
    (key, verifier)
}

fn signer(head: Option<Checkpoint>) -> Signer {
    let key = LogKey::new(&LogSeed::take_bytes(&mut [7; 32])).unwrap();
    let verifier = VerifierKey::new("test/1", key.public().0).unwrap();
    let certificate = Certificate {
        origin: "test/1".to_owned(),
        number: 1,
        key: verifier.clone(),
        from_size: 0,
        from_root: Hash::empty(),
    };
    let text = certificate.text();
    let (instance, name) = instance();
    let line = signature_line(&name, &instance.sign(text.as_bytes()));
    Signer {
        number: 1,
        key,
        verifier,
        certificate: format!("{text}\n{line}"),
        head,
    }
}

fn append(log: &AuditLog, calls: std::ops::Range<u64>) {
    calls.for_each(|n| {
        log.append_blocking(status_call(n)).unwrap();
    });
}

fn verify(dir: &Path) -> Result<tlog::Verified, tlog::Found> {
    let options = tlog::Options {
        external: &[],
        since: None,
        check: &mut |_, _| Ok(()),
        progress: &mut |_, _| {},
    };
    tlog::verify(dir, &instance().1, options)
}

/// Everything in `dir` holds; how many entries are signed.
fn verified(dir: &Path) -> u64 {
    verify(dir)
        .unwrap_or_else(|found| panic!("{found}"))
        .checkpoint
        .size
}

/// Its name is taken by a thing of another kind, so that it can be neither made nor replaced.
fn obstruct(dir: &Path, name: &str) -> PathBuf {
    let (path, aside) = (dir.join(name), dir.join("aside"));
    let _ = std::fs::remove_dir_all(&aside);
    if path.exists() {
        std::fs::rename(&path, &aside).unwrap();
    }
    if name == "checkpoint" {
        std::fs::create_dir_all(path.join("in the way")).unwrap();
    } else {
        std::fs::write(&path, "in the way").unwrap();
    }
    path
}

fn clear(path: &Path) {
    let aside = path.with_file_name("aside");
    if path.is_dir() {
        std::fs::remove_dir_all(path).unwrap();
    } else {
        std::fs::remove_file(path).unwrap();
    }
    if aside.exists() {
        std::fs::rename(&aside, path).unwrap();
    }
}

#[test]
fn a_tree_that_cannot_be_written_refuses_no_entry_and_grows_again() {
    for name in ["tile", "checkpoint", "checkpoints", "log-keys"] {
        let dir = TempDir::new().unwrap();
        let (log, _) = open(dir.path());
        // before anything was signed, and in the middle
        for first in [0, 600] {
            let obstacle = obstruct(dir.path(), name);
            append(&log, first..first + 300);
            log.sign_with(signer(None));
            let _ = log.sign_now();
            let told = log.tree_problem();
            // a certificate is written once
            assert!(
                told.is_some() || (name == "log-keys" && first > 0),
                "{name}"
            );
            append(&log, first + 300..first + 600);
            clear(&obstacle);
            let signed = log.sign_now().unwrap();
            assert_eq!(log.tree_problem(), None, "{name}");
            assert_eq!(signed.checkpoint.size, log.len(), "{name}");
            assert_eq!(verified(dir.path()), log.len(), "{name}");
        }
    }
}

#[test]
fn a_full_disk_stops_the_tree_and_space_lets_it_grow() {
    let Some(disk) = SmallDisk::mount() else {
        assert!(std::env::var_os("KMS_TESTS_REQUIRE").is_none());
        println!("SKIPPED: a tmpfs cannot be mounted here, so no full disk was tried");
        return;
    };
    let dir = disk.path().join("audit");
    let (log, _) = open(&dir);
    append(&log, 0..300);
    let ballast = disk.path().join("ballast");
    let _ = std::fs::write(&ballast, vec![1; 1 << 20]);
    log.sign_with(signer(None));
    let _ = log.sign_now();
    assert!(log.tree_problem().is_some());
    std::fs::remove_file(&ballast).unwrap();
    let signed = log.sign_now().unwrap();
    assert_eq!((log.tree_problem(), signed.checkpoint.size), (None, 300));
    assert_eq!(verified(&dir), 300);
}

/// A log of 300 entries, signed; its newest checkpoint.
fn signed_log(dir: &Path) -> Checkpoint {
    let (log, _) = open(dir);
    append(&log, 0..300);
    log.sign_with(signer(None));
    let signed = log.sign_now().unwrap();
    assert_eq!(signed.checkpoint.size, 300);
    signed.checkpoint.clone()
}

#[test]
fn what_the_store_remembers_is_extended_or_nothing_is_signed() {
    for is_removed in [false, true] {
        let dir = TempDir::new().unwrap();
        let head = signed_log(dir.path());
        if is_removed {
            for name in ["tile", "checkpoints"] {
                std::fs::remove_dir_all(dir.path().join(name)).unwrap();
            }
            std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
        }
        let before = std::fs::read(dir.path().join("checkpoint")).ok();
        let mut other = head.clone();
        other.root = Hash([1; 32]);
        let mut longer = head.clone();
        longer.size = 1_000;
        let mut foreign = head.clone();
        foreign.origin = "test/2".to_owned();
        for (head, words) in [
            (other, "are not those that were signed"),
            (
                longer,
                "the audit log ends at entry 310, but was signed up to 1000",
            ),
            (foreign, "which this is not"),
        ] {
            let (log, _) = open(dir.path());
            if log.len() == 300 {
                append(&log, 300..310);
            }
            log.sign_with(signer(Some(head)));
            assert_eq!(log.sign_now(), None);
            let told = log.tree_problem().unwrap();
            assert!(told.contains(words), "{told}");
            assert_eq!(std::fs::read(dir.path().join("checkpoint")).ok(), before);
        }
        let (log, _) = open(dir.path());
        log.sign_with(signer(Some(head)));
        assert_eq!(log.sign_now().unwrap().checkpoint.size, 310);
        assert_eq!(log.tree_problem(), None);
        if is_removed {
            // the daemon goes on, and says in each checkpoint that one before is gone
            let found = verify(dir.path()).unwrap_err();
            assert_eq!(found.damage, tlog::Damage::CheckpointMissing(300));
        } else {
            assert_eq!(verified(dir.path()), 310);
        }
    }
}

#[test]
fn signatures_of_witnesses_are_kept_beside_the_newest_checkpoint_or_in_it() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    append(&log, 0..10);
    log.sign_with(signer(None));
    let first = log.sign_now().unwrap();
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let cosigned = |signed: &Signed, line: &str| Signed {
        checkpoint: signed.checkpoint.clone(),
        note: format!("{}{line}", signed.note),
    };
    let (one, two) = ("\u{2014} one AAAAAAAA\n", "\u{2014} two AAAAAAAA\n");
    log.keep_cosigned(cosigned(&first, one));
    log.keep_cosigned(cosigned(&first, &format!("{one}{two}")));
    let _ = log.sign_now();
    let whole = format!("{}{one}{two}", first.note);
    assert_eq!(read("cosigned"), whole);
    assert_eq!(
        (read("checkpoint"), read("checkpoints/000")),
        (whole.clone(), whole)
    );
    append(&log, 10..20);
    let second = log.sign_now().unwrap();
    log.keep_cosigned(cosigned(&first, one));
    let _ = log.sign_now();
    assert_eq!(read("checkpoint"), second.note);
    assert_eq!(read("cosigned"), format!("{}{one}", first.note));
    assert_eq!(verified(dir.path()), 20);
}

#[test]
fn nobody_waits_for_a_thread_that_is_gone() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    log.close();
    let (done, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let signed = log.sign_now();
        log.sign_off();
        done.send(signed.is_none())
    });
    assert_eq!(end.recv_timeout(Duration::from_secs(60)), Ok(true));
}
