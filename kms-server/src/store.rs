//! Records on disk: the interface to engines, their encryption, the one writer. Engines never see a name or
//! a key in the clear.
//!
//! An engine keeps small values under keys in numbered trees. Everything is written by [`Writer`]; others
//! read through [`Records`]. All of it blocks: async callers go through a blocking pool.

mod fold;
mod lease;
pub mod load;
pub mod memory;
pub mod records;
pub mod scrub;
pub mod sled;
mod watch;
pub mod writer;

#[cfg(test)]
mod tests;

pub use lease::Lease;
pub use load::{CreateError, LoadError, Loaded, create, load};
pub use records::{Page, ReadError, Records};
pub use watch::{Event, Missed, Watch};
pub use writer::{Change, ChangeError, Committed, Done, Published, Sink, Writer};

use crate::system::failure::{Failure, FailureKind};
use kms_core::format::place::RecordKey;
use kms_core::format::stored::ROOT_KEY;
use std::path::Path;
use std::time::Duration;

/// Most bytes of a value that every engine takes.
pub const VALUE_MAX: usize = 63 * 1024;

/// Where an engine keeps a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreKey {
    /// Number of the tree, below 255.
    pub tree: u8,
    /// At most 64 bytes, unique in the tree.
    pub key: Box<[u8]>,
}

impl StoreKey {
    /// The root record's.
    #[must_use]
    pub fn root() -> Self {
        Self {
            tree: 0,
            key: ROOT_KEY.into(),
        }
    }
}

impl From<&RecordKey> for StoreKey {
    fn from(key: &RecordKey) -> Self {
        Self {
            tree: key.tree as u8,
            key: key.key.clone(),
        }
    }
}

/// The engine's token of a write. Never used again in the life of a store, restarts included, and larger
/// than all before it; all values that one transaction writes carry the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u64);

/// A value with its token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Of the transaction that wrote it.
    pub stamp: Stamp,
    /// The bytes.
    pub value: Vec<u8>,
}

/// Values of one tree by key.
pub type Items = Vec<(Box<[u8]>, Item)>;

/// What is written at once or not at all. A key stands at most once among puts and deletes.
#[derive(Debug, Default)]
pub struct Transaction {
    /// Each must hold: the key's stamp, or `None` for no value.
    pub compares: Vec<(StoreKey, Option<Stamp>)>,
    /// Values to write.
    pub puts: Vec<(StoreKey, Vec<u8>)>,
    /// Keys to remove; one that is not there is no fault.
    pub deletes: Vec<StoreKey>,
    /// A lease that must still be held.
    pub fence: Option<Lease>,
}

/// Why an engine did not do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No room on the device.
    #[error("the disk is full")]
    Full,
    /// The engine's files are damaged.
    #[error("the store's files are damaged")]
    Corrupted,
    /// Another process has the store open.
    #[error("the store is in use by another process")]
    Locked,
    /// A write or sync failed before; only a restart shows what is on disk.
    #[error("the store stopped after a failed write; restart to find out what is on disk")]
    Stopped,
    /// A value or key is larger than engines take.
    #[error("a value is too large for the store")]
    TooLarge,
    /// The operating system refused.
    #[error("the store cannot be read or written: {0}")]
    Io(std::io::ErrorKind),
}

impl StoreError {
    /// As a failure of the whole daemon, for the store at `path`.
    #[must_use]
    pub fn failure(self, path: &Path) -> Failure {
        let kind = match self {
            Self::Full => return Failure::disk_full(path),
            Self::Corrupted => FailureKind::Corrupted,
            Self::Locked => FailureKind::Locked,
            Self::Stopped | Self::TooLarge | Self::Io(_) => FailureKind::Other,
        };
        Failure::new(kind, format!("{}: {self}", path.display()))
    }
}

/// Why a transaction was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TransactError {
    /// A compare or the fence did not hold; nothing was written.
    #[error("the store has changed")]
    Conflict,
    /// Nothing was written.
    #[error(transparent)]
    NotApplied(StoreError),
    /// It may have been written or not, now or later.
    #[error("it is not known whether the store was changed: {0}")]
    Unknown(StoreError),
}

/// An engine.
pub trait Store: Send + Sync + 'static {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, key: &StoreKey) -> Result<Option<Item>, StoreError>;

    /// At most `limit` values of a tree in the order of their keys, from after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn range(&self, tree: u8, after: Option<&[u8]>, limit: usize) -> Result<Items, StoreError>;

    /// Writes all or nothing; durable when it returns `Ok`, with the stamp that its values carry.
    ///
    /// # Errors
    /// [`TransactError`].
    fn transact(&self, transaction: Transaction) -> Result<Stamp, TransactError>;

    /// After [`TransactError::Unknown`]: `Ok` once reads show the durable truth again and writes are taken.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] when only a restart can tell.
    fn recover(&self) -> Result<(), StoreError>;

    /// Tells of every transaction from now on.
    fn watch(&self) -> Watch;

    /// Takes a lease for `ttl`; `None` while another holds it.
    ///
    /// # Errors
    /// [`StoreError`].
    fn acquire(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, StoreError>;

    /// Holds a lease for `ttl` from now; `false` when it was lost.
    ///
    /// # Errors
    /// [`StoreError`].
    fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, StoreError>;

    /// Gives a lease back.
    ///
    /// # Errors
    /// [`StoreError`].
    fn release(&self, lease: Lease) -> Result<(), StoreError>;

    /// Bytes that the store takes on disk.
    ///
    /// # Errors
    /// [`StoreError`].
    fn size_on_disk(&self) -> Result<u64, StoreError>;
}
