//! A full disk, the reserve, permissions.

use super::*;
use std::process::Command;

#[test]
fn the_reserve_is_for_operators() {
    let dir = TempDir::new().unwrap();
    let options = Options {
        reserve_bytes: u64::MAX,
        tree: true,
        ..SMALL
    };
    let (log, _) = AuditLog::open(dir.path(), "test/1", options, clock()).unwrap();
    assert_eq!(log.append_blocking(status_call(0)), Err(AuditUnavailable));
    let mut operators = status_call(1);
    operators.space = Space::Operator;
    assert_eq!(log.append_blocking(operators), Ok(0));
    assert_eq!(log.figures().refused, 1);
    assert!(log.free_space().unwrap() > 0);
}

/// A file system of one MiB; unmounted when dropped.
pub(super) struct SmallDisk(TempDir);

impl SmallDisk {
    pub(super) fn mount() -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(dir.path())
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(dir))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_full_disk_nothing_is_acknowledged_and_it_goes_on_when_there_is_space() {
    let Some(disk) = SmallDisk::mount() else {
        // KMS_TESTS_REQUIRE turns a missing right into a failure
        assert!(std::env::var_os("KMS_TESTS_REQUIRE").is_none());
        println!("SKIPPED: a tmpfs cannot be mounted here, so no full disk was tried");
        return;
    };
    let dir = disk.0.path().join("audit");
    let (log, _) = open(&dir);
    let ballast = disk.0.path().join("ballast");
    // all that is left but a few pages
    let _ = std::fs::write(&ballast, vec![1; 1 << 20]);
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for n in 0..400 {
        match log.append_blocking(status_call(n)) {
            Ok(_) => acknowledged.push(id(n)),
            Err(AuditUnavailable) => refused += 1,
        }
    }
    assert!(refused > 0 && !acknowledged.is_empty());
    assert_eq!(all_ids(&log), acknowledged);
    std::fs::remove_file(&ballast).unwrap();
    log.append_blocking(status_call(1_000)).unwrap();
    acknowledged.push(id(1_000));
    drop(log);
    assert_eq!(all_ids(&open(&dir).0), acknowledged);
}
