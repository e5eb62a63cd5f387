//! Replacing the wrapped data key of a file in place. Writes and syncs one slot, then the other,
//! first the one that readers do not need: at every moment one valid slot is on the disk.

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
        write_both(&self.file, &self.header.successor(wrapped))
    }

    /// Writes the slot that does not count anew if it is not well; whether it was not.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn mend(self) -> Result<bool, Error> {
        if self.header.condition() == Condition::Sound {
            return Ok(false);
        }
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

/// `header` replaces what both slots hold; its newest slot is the one that counted so far.
fn write_both(disk: &impl Disk, header: &Header) -> Result<(), Error> {
    write_slot(disk, 1 - header.newest(), header)?;
    write_slot(disk, header.newest(), header)
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

    /// A disk that loses power at its `steps`-th operation: of what was not synced, the first
    /// `kept` bytes have reached the platter.
    struct FailingDisk {
        platter: RefCell<[u8; HEADER_LEN]>,
        cache: RefCell<Option<(usize, Vec<u8>)>>,
        steps: Cell<usize>,
        kept: usize,
    }

    impl FailingDisk {
        fn new(platter: [u8; HEADER_LEN], steps: usize, kept: usize) -> Self {
            Self {
                platter: RefCell::new(platter),
                cache: RefCell::default(),
                steps: Cell::new(steps),
                kept,
            }
        }

        fn step(&self) -> io::Result<()> {
            match self.steps.get().checked_sub(1) {
                Some(left) => self.steps.set(left),
                None => return Err(io::Error::other("power lost")),
            }
            Ok(())
        }

        fn settle(&self, len: usize) {
            if let Some((offset, bytes)) = self.cache.take() {
                let len = len.min(bytes.len());
                self.platter.borrow_mut()[offset..offset + len].copy_from_slice(&bytes[..len]);
            }
        }

        fn after_power_loss(self) -> [u8; HEADER_LEN] {
            self.settle(self.kept);
            self.platter.into_inner()
        }
    }

    impl Disk for FailingDisk {
        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
            self.step()?;
            self.settle(SLOT_LEN);
            *self.cache.borrow_mut() = Some((offset as usize, bytes.to_vec()));
            Ok(())
        }

        fn sync(&self) -> io::Result<()> {
            self.step()?;
            self.settle(SLOT_LEN);
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

    #[test]
    fn power_lost_at_any_step_and_byte_leaves_a_file_that_opens_and_can_be_mended() {
        for beginning in beginnings() {
            let header = Header::parse(&beginning).unwrap();
            for steps in 0..=4 {
                for kept in 0..=SLOT_LEN {
                    let disk = FailingDisk::new(beginning, steps, kept);
                    let written = write_both(&disk, &header.successor(&new()));
                    assert_eq!(written.is_ok(), steps == 4);
                    let after = Header::parse(&disk.after_power_loss()).unwrap();
                    assert_eq!(after.file_id(), header.file_id());
                    assert!(*after.wrapped() == old() || *after.wrapped() == new());
                    // one slot synced: the new key is in, and stays
                    assert!(steps < 2 || *after.wrapped() == new(), "{steps} {kept}");

                    let disk = FailingDisk::new(beginning, 4, 0);
                    write_both(&disk, &after.successor(&new())).unwrap();
                    let mended = Header::parse(&disk.after_power_loss()).unwrap();
                    assert_eq!(mended.condition(), Condition::Sound);
                    assert_eq!(*mended.wrapped(), new());
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
