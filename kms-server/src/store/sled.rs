//! The embedded engine on `sled`, and the only file that names it.
//!
//! sled's `flush` is no `fsync`, a killed snapshot keeps it from opening, and big values go to files that it
//! never syncs. So: half-written snapshots are removed before it opens, values stay small, and nothing is
//! acknowledged before `flush` *and* `sync_data` on a descriptor that was opened before the first write.
//! After a failed write or sync the store takes no more: a second sync could report what the first one lost.
//!
//! All values lie in one sled tree, under the tree's number and the key; a value is preceded by its stamp. The
//! data directory has been locked by then (another process is refused here too, by sled's own lock).

use super::lease::Leases;
use super::watch::Broadcast;
use super::{
    Item, Items, Lease, Stamp, Store, StoreError, StoreKey, TransactError, Transaction, VALUE_MAX,
    Watch,
};
use crate::system::clock::Clock;
use std::fs::{self, File};
use std::io;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bytes of pages that sled may keep in memory: the inner nodes over a million shred secrets and the leaves of
/// one batch. Leaves beyond that come from the system's cache. sled's own tables come on top, about 30 bytes for each record.
pub const CACHE_BYTES: u64 = 16 * 1024 * 1024;
/// Free bytes below which no transaction is begun: sled cannot be opened again on a full disk.
const RESERVE_BYTES: u64 = 16 * 1024 * 1024;
/// The tree of the engine's own numbers.
const OWN_TREE: u8 = 255;
/// Where the last stamp lies.
const LAST_STAMP: [u8; 2] = [OWN_TREE, 0];
const STAMP_LEN: usize = 8;

/// A store in a directory of its own.
pub struct SledStore {
    db: ::sled::Db,
    dir: PathBuf,
    /// The file that all of it lies in.
    file: File,
    /// The last stamp given out; its lock makes transactions one by one.
    stamp: Mutex<u64>,
    stopped: AtomicBool,
    syncs: AtomicU64,
    broadcast: Broadcast,
    leases: Leases,
}

impl SledStore {
    /// Opens the store in `dir`, or makes a new one. Leases expire on `clock`.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupted`] when sled cannot make sense of its files.
    pub fn open(dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::open_with_cache(dir, clock, CACHE_BYTES)
    }

    /// As [`Self::open`], with so many bytes of cache.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_with_cache(
        dir: &Path,
        clock: Arc<dyn Clock>,
        cache_bytes: u64,
    ) -> Result<Self, StoreError> {
        remove_half_snapshots(dir).map_err(io_error)?;
        let config = ::sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .mode(::sled::Mode::HighThroughput)
            .flush_every_ms(Some(200));
        let db = calm(|| config.open())?;
        let file = File::open(dir.join("db")).map_err(io_error)?;
        sync_directory(dir).map_err(io_error)?;
        let stamp = match calm(|| db.get(LAST_STAMP))? {
            None if calm(|| Ok(db.is_empty()))? => 0,
            None => return Err(StoreError::Corrupted),
            Some(bytes) => {
                let bytes: Result<[u8; STAMP_LEN], _> = bytes.as_ref().try_into();
                u64::from_be_bytes(bytes.map_err(|_| StoreError::Corrupted)?)
            }
        };
        Ok(Self {
            db,
            dir: dir.to_owned(),
            file,
            stamp: Mutex::new(stamp),
            stopped: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
            broadcast: Broadcast::new(),
            leases: Leases::new(clock),
        })
    }

    /// How often a transaction was synced to the device.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    fn stamp(&self) -> MutexGuard<'_, u64> {
        self.stamp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, key: &StoreKey) -> Result<Option<Item>, StoreError> {
        calm(|| self.db.get(flat(key)))?
            .map(|bytes| item(&bytes))
            .transpose()
    }

    fn check(&self, transaction: &Transaction) -> Result<(), TransactError> {
        let size = transaction.puts.iter().map(|(_, v)| v.len()).sum::<usize>();
        if transaction.puts.iter().any(|(_, v)| v.len() > VALUE_MAX) {
            return Err(TransactError::NotApplied(StoreError::TooLarge));
        }
        let disk = rustix::fs::statvfs(&self.dir);
        let disk = disk.map_err(|errno| TransactError::NotApplied(io_error(errno.into())))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let wanted = u64::try_from(size).unwrap_or(u64::MAX).saturating_mul(2);
        if free < RESERVE_BYTES.saturating_add(wanted) {
            return Err(TransactError::NotApplied(StoreError::Full));
        }
        let fence = transaction.fence.as_ref();
        if fence.is_some_and(|lease| !self.leases.holds(lease)) {
            return Err(TransactError::Conflict);
        }
        for (key, stamp) in &transaction.compares {
            let found = self.read(key).map_err(TransactError::NotApplied)?;
            if found.map(|item| item.stamp) != *stamp {
                return Err(TransactError::Conflict);
            }
        }
        Ok(())
    }

    /// sled recovers a batch wholly or not at all.
    fn write(&self, batch: ::sled::Batch) -> Result<(), StoreError> {
        calm(|| {
            self.db.apply_batch(batch)?;
            self.db.flush()
        })?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.file.sync_data().map_err(io_error)
    }
}

impl Store for SledStore {
    fn get(&self, key: &StoreKey) -> Result<Option<Item>, StoreError> {
        self.read(key)
    }

    fn range(&self, tree: u8, after: Option<&[u8]>, limit: usize) -> Result<Items, StoreError> {
        let from = after.map_or_else(
            || Bound::Included(vec![tree]),
            |after| Bound::Excluded([&[tree], after].concat()),
        );
        let to = Bound::Excluded(vec![tree.saturating_add(1)]);
        let found = calm(|| {
            let values = self.db.range((from, to)).take(limit);
            values.collect::<Result<Vec<_>, _>>()
        })?;
        let split = |(key, value): (::sled::IVec, ::sled::IVec)| {
            Ok((key.get(1..).unwrap_or_default().into(), item(&value)?))
        };
        found.into_iter().map(split).collect()
    }

    fn transact(&self, transaction: Transaction) -> Result<Stamp, TransactError> {
        let mut last = self.stamp();
        if self.stopped.load(Ordering::Acquire) {
            return Err(TransactError::NotApplied(StoreError::Stopped));
        }
        self.check(&transaction)?;
        let stamp = last.saturating_add(1);
        let mut batch = ::sled::Batch::default();
        for key in &transaction.deletes {
            batch.remove(flat(key));
        }
        for (key, value) in &transaction.puts {
            batch.insert(flat(key), [&stamp.to_be_bytes()[..], value].concat());
        }
        batch.insert(&LAST_STAMP, &stamp.to_be_bytes());
        *last = stamp;
        if let Err(error) = self.write(batch) {
            self.stopped.store(true, Ordering::Release);
            return Err(TransactError::Unknown(error));
        }
        let stamp = Stamp(stamp);
        self.broadcast
            .send(stamp, || super::memory::keys(&transaction));
        Ok(stamp)
    }

    fn recover(&self) -> Result<(), StoreError> {
        if self.stopped.load(Ordering::Acquire) {
            return Err(StoreError::Stopped);
        }
        Ok(())
    }

    fn watch(&self) -> Watch {
        self.broadcast.watch()
    }

    fn acquire(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, StoreError> {
        let mut last = self.stamp();
        self.leases.acquire(name, ttl, || {
            *last = last.saturating_add(1);
            Ok(*last)
        })
    }

    fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, StoreError> {
        Ok(self.leases.renew(lease, ttl))
    }

    fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.leases.release(&lease);
        Ok(())
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        calm(|| self.db.size_on_disk())
    }
}

/// A kill while sled writes a snapshot leaves `snap.*.generating`; the next open would call that corruption.
fn remove_half_snapshots(dir: &Path) -> io::Result<()> {
    if !dir.try_exists()? {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    sync_directory(dir)
}

fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn flat(key: &StoreKey) -> Vec<u8> {
    [&[key.tree], &*key.key].concat()
}

fn item(bytes: &[u8]) -> Result<Item, StoreError> {
    let (stamp, value) = bytes.split_first_chunk().ok_or(StoreError::Corrupted)?;
    Ok(Item {
        stamp: Stamp(u64::from_be_bytes(*stamp)),
        value: value.to_vec(),
    })
}

/// Calls sled. It panics on some damaged files; that is an answer too, and must not end the caller's thread.
fn calm<T>(call: impl FnOnce() -> ::sled::Result<T>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(sled_error),
        Err(_) => Err(StoreError::Corrupted),
    }
}

fn sled_error(error: ::sled::Error) -> StoreError {
    match error {
        ::sled::Error::Io(error) => io_error(error),
        ::sled::Error::Corruption { .. }
        | ::sled::Error::ReportableBug(_)
        | ::sled::Error::Unsupported(_)
        | ::sled::Error::CollectionNotFound(_) => StoreError::Corrupted,
    }
}

fn io_error(error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => StoreError::Corrupted,
        // sled's own words for a lock that another process holds; it gives no better kind
        io::ErrorKind::Other if error.to_string().contains("could not acquire lock") => {
            StoreError::Locked
        }
        kind => StoreError::Io(kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::scene::{clock, sled};

    fn value(store: &SledStore) -> Option<Vec<u8>> {
        store.get(&StoreKey::root()).unwrap().map(|i| i.value)
    }

    fn put(store: &SledStore, value: &[u8]) {
        let transaction = Transaction {
            puts: vec![(StoreKey::root(), value.to_vec())],
            ..Transaction::default()
        };
        store.transact(transaction).unwrap();
    }

    #[test]
    fn a_half_written_snapshot_does_not_stop_the_open() {
        let dir = tempfile::tempdir().unwrap();
        put(&sled(dir.path()), b"kept");
        let half = dir.path().join("snap.0000000000000042.generating");
        fs::write(&half, b"half").unwrap();
        let store = sled(dir.path());
        assert_eq!(value(&store), Some(b"kept".to_vec()));
        assert!(!half.exists());
    }

    #[test]
    fn a_second_open_is_refused_while_the_first_lasts() {
        let dir = tempfile::tempdir().unwrap();
        let first = sled(dir.path());
        let second = SledStore::open(dir.path(), clock());
        assert_eq!(second.err(), Some(StoreError::Locked));
        drop(first);
        SledStore::open(dir.path(), clock()).unwrap();
    }

    #[test]
    fn a_file_cut_short_is_a_clean_error() {
        let dir = tempfile::tempdir().unwrap();
        let store = sled(dir.path());
        for i in 0..40_u8 {
            let key = StoreKey {
                tree: 1,
                key: [i].into(),
            };
            let transaction = Transaction {
                puts: vec![(key, vec![i; 60_000])],
                ..Transaction::default()
            };
            store.transact(transaction).unwrap();
        }
        drop(store);
        // an open writes down where everything lies: without that a shorter log is just an older one
        drop(sled(dir.path()));
        let db = File::options().write(true).open(dir.path().join("db"));
        let db = db.unwrap();
        db.set_len(db.metadata().unwrap().len() / 2).unwrap();
        let opened = SledStore::open(dir.path(), clock());
        assert_eq!(opened.err(), Some(StoreError::Corrupted));
    }

    #[test]
    fn errors_of_the_device_are_told_apart() {
        let kind = |kind| io_error(io::Error::from(kind));
        assert_eq!(kind(io::ErrorKind::StorageFull), StoreError::Full);
        assert_eq!(kind(io::ErrorKind::UnexpectedEof), StoreError::Corrupted);
        let denied = io::ErrorKind::PermissionDenied;
        assert_eq!(kind(denied), StoreError::Io(denied));
        let panicked = calm(|| -> ::sled::Result<()> { panic!("as sled does on damaged files") });
        assert_eq!(panicked, Err(StoreError::Corrupted));
    }
}
