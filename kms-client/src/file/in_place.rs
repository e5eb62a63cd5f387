//! Replacing the wrapped data key of a file in place. Writes and syncs one slot, then the other,
//! first the one that readers do not need: at every moment one valid slot is on the disk itself, not
//! only in the kernel's memory, where a killed rewrap or a failed sync may have left it.

use super::header::SLOT_LEN;
use super::{Condition, Error, Header};
use crate::wrapped::WrappedDataKey;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

/// How often a file may be replaced by another while we lock it.
const RENAMES_MAX: usize = 16;

/// A file that is locked for a rewrap; dropping it unlocks.
#[derive(Debug)]
pub struct InPlace {
    file: File,
    header: Header,
}

impl InPlace {
    /// Locks the file (`flock`, exclusive) and reads its header. The lock keeps other rewraps out;
    /// readers need none.
    ///
    /// # Errors
    /// [`Error::Busy`] when another process holds the lock; as [`Header::read`].
    pub fn lock(path: &Path) -> Result<Self, Error> {
        for _ in 0..RENAMES_MAX {
            let mut file = OpenOptions::new().read(true).write(true).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Error::Busy),
                Err(TryLockError::Error(error)) => return Err(error.into()),
            }
            if is_at(&file, path)? {
                let header = Header::read(&mut file)?;
                return Ok(Self { file, header });
            }
        }
        Err(Error::Busy)
    }

    /// The header as it stands in the file.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The locked file, standing behind the header.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Puts `wrapped` into both slots, durably.
    ///
    /// # Errors
    /// Those of the file system: the file then opens with the old key or the new one.
    pub fn replace(self, wrapped: &WrappedDataKey) -> Result<(), Error> {
        replace(&self.file, &self.header, wrapped)
    }

    /// Writes the slot that does not count anew if it is not well; whether it was not.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn mend(self) -> Result<bool, Error> {
        if self.header.condition() == Condition::Sound {
            return Ok(false);
        }
        settle(&self.file, &self.header)?;
        write_slot(&self.file, 1 - self.header.newest(), &self.header)?;
        Ok(true)
    }
}

/// Whether `path` still names `file`: someone may have renamed another file to it before we had the lock.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let (ours, named) = (file.metadata()?, std::fs::metadata(path)?);
    Ok((ours.dev(), ours.ino()) == (named.dev(), named.ino()))
}

/// What a rewrap does to a file; tests put a failing disk here.
trait Disk {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
}

impl Disk for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Puts `wrapped` where `header` was read.
fn replace(disk: &impl Disk, header: &Header, wrapped: &WrappedDataKey) -> Result<(), Error> {
    settle(disk, header)?;
    let successor = header.successor(wrapped);
    write_slot(disk, 1 - header.newest(), &successor)?;
    write_slot(disk, header.newest(), &successor)
}

/// Makes the slot that counts durable before the other one is touched. After a failed sync the kernel
/// takes for clean what never reached the disk, so the slot is written again unless both are well.
fn settle(disk: &impl Disk, header: &Header) -> Result<(), Error> {
    match header.condition() {
        Condition::Sound => Ok(disk.sync()?),
        _ => write_slot(disk, header.newest(), header),
    }
}

fn write_slot(disk: &impl Disk, slot: usize, header: &Header) -> Result<(), Error> {
    disk.write_at(&header.slot_bytes(), (slot * SLOT_LEN) as u64)?;
    disk.sync()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::HEADER_LEN;
    use crate::file::tests::wrapped;
    use std::cell::{Cell, RefCell};

    fn old() -> WrappedDataKey {
        wrapped(1)
    }

    fn new() -> WrappedDataKey {
        wrapped(2)
    }

    /// A disk behind a kernel that keeps writes until they are synced. It stops at its `steps`-th
    /// operation: killed, what was written is still to be read; without power, of each write that was
    /// not synced only the first `kept` bytes are there.
    struct StoppingDisk {
        pending: RefCell<Vec<(usize, Vec<u8>)>>,
        synced: RefCell<[u8; HEADER_LEN]>,
        steps: Cell<usize>,
    }

    impl StoppingDisk {
        fn new(platter: [u8; HEADER_LEN]) -> Self {
            Self {
                pending: RefCell::default(),
                synced: RefCell::new(platter),
                steps: Cell::new(usize::MAX),
            }
        }

        fn stop_after(&self, steps: usize) {
            self.steps.set(steps);
        }

        fn step(&self) -> io::Result<()> {
            match self.steps.get().checked_sub(1) {
                Some(left) => self.steps.set(left),
                None => return Err(io::Error::other("stopped")),
            }
            Ok(())
        }

        fn with_pending(&self, kept: usize) -> [u8; HEADER_LEN] {
            let mut bytes = *self.synced.borrow();
            for (offset, slot) in self.pending.borrow().iter() {
                bytes[*offset..offset + kept].copy_from_slice(&slot[..kept]);
            }
            bytes
        }

        /// As a reader sees it while the kernel lives.
        fn view(&self) -> Header {
            Header::parse(&self.with_pending(SLOT_LEN)).unwrap()
        }

        /// As a reader sees it after the power came back.
        fn after_power_loss(&self, kept: usize) -> Header {
            Header::parse(&self.with_pending(kept)).unwrap()
        }
    }

    impl Disk for StoppingDisk {
        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.step()?;
            self.pending
                .borrow_mut()
                .push((offset as usize, bytes.to_vec()));
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            self.step()?;
            let synced = self.with_pending(SLOT_LEN);
            self.synced.replace(synced);
            self.pending.borrow_mut().clear();
            Ok(())
        }
    }

    /// Every state of the header that a rewrap may begin with.
    fn beginnings() -> Vec<[u8; HEADER_LEN]> {
        let old = Header::make(&old()).unwrap();
        let unfinished = old.successor(&self::old());
        let mut states = vec![old.encode()];
        for slot in [0, 1] {
            let mut damaged = old.encode();
            damaged[slot * SLOT_LEN + 40] ^= 1;
            states.push(damaged);
            let mut torn = old.encode();
            torn[slot * SLOT_LEN..][..SLOT_LEN].copy_from_slice(&unfinished.slot_bytes());
            states.push(torn);
        }
        states
    }

    /// Operations of a rewrap of a sound file; of another one more.
    const STEPS: usize = 5;

    #[test]
    fn power_lost_at_any_step_and_byte_leaves_a_file_that_opens() {
        for beginning in beginnings() {
            let header = Header::parse(&beginning).unwrap();
            let extra = usize::from(header.condition() != Condition::Sound);
            for steps in 0..=STEPS + extra {
                let disk = StoppingDisk::new(beginning);
                disk.stop_after(steps);
                let done = replace(&disk, &header, &new()).is_ok();
                assert_eq!(done, steps == STEPS + extra);
                for kept in 0..=SLOT_LEN {
                    let after = disk.after_power_loss(kept);
                    assert_eq!(after.file_id(), header.file_id());
                    assert!([old(), new()].contains(after.wrapped()));
                    // one slot synced: the new key is in, and stays
                    assert!(steps < 3 + extra || *after.wrapped() == new());
                    assert!(!done || after.condition() == Condition::Sound);
                }
            }
        }
    }

    #[test]
    fn a_killed_rewrap_and_then_lost_power_leave_a_file_that_opens() {
        let wraps = [old(), new(), wrapped(3)];
        for beginning in beginnings() {
            for killed_after in 0..=STEPS + 1 {
                for steps in 0..=STEPS + 1 {
                    let disk = StoppingDisk::new(beginning);
                    disk.stop_after(killed_after);
                    let _ = replace(&disk, &disk.view(), &new());
                    disk.stop_after(steps);
                    let again = replace(&disk, &disk.view(), &wrapped(3));
                    for kept in 0..=SLOT_LEN {
                        assert!(wraps.contains(disk.after_power_loss(kept).wrapped()));
                    }
                    if again.is_ok() {
                        assert_eq!(disk.view().condition(), Condition::Sound);
                        assert_eq!(*disk.view().wrapped(), wrapped(3));
                    }
                }
            }
        }
    }

    #[test]
    fn rewraps_keep_one_another_out_and_mend() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut bytes = Header::make(&old()).unwrap().encode().to_vec();
        bytes.extend_from_slice(b"contents");
        std::fs::write(&path, &bytes).unwrap();

        let first = InPlace::lock(&path).unwrap();
        assert!(matches!(InPlace::lock(&path), Err(Error::Busy)));
        first.replace(&new()).unwrap();
        let second = InPlace::lock(&path).unwrap();
        assert_eq!(*second.header().wrapped(), new());
        assert_eq!(second.header().generation(), 2);
        assert!(!second.mend().unwrap());

        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes[HEADER_LEN..], *b"contents");
        bytes[300] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(InPlace::lock(&path).unwrap().mend().unwrap());
        let healed = InPlace::lock(&path).unwrap();
        assert_eq!(healed.header().condition(), Condition::Sound);
        assert_eq!(*healed.header().wrapped(), new());
    }
}
