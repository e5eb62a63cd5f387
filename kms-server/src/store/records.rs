//! Typed reading of the store: bytes are opened and decoded, or the record is named as damaged. Never
//! returns bytes that did not authenticate, and never writes.

use super::{Item, Store, StoreError, StoreKey};
use kms_core::cipher::sha256;
use kms_core::format::place::{RecordKey, Revision, Tree};
use kms_core::format::stored::RecordCipher;
use kms_core::key::record::{Record, Stored};
use std::sync::Arc;

/// Why a record could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record does not open in its place.
    #[error("a record of the store is damaged")]
    Damaged(RecordKey),
}

/// Reads records. Blocks.
#[derive(Clone)]
pub struct Records {
    store: Arc<dyn Store>,
    cipher: Arc<RecordCipher>,
}

/// A slice of a tree.
#[derive(Debug, Default)]
pub struct Page {
    /// Records in the order of their keys.
    pub stored: Vec<Stored>,
    /// Those that do not open.
    pub damaged: Vec<RecordKey>,
    /// The last key looked at; `None` at the end of the tree.
    pub next_after: Option<Box<[u8]>>,
}

/// A record as opened, with what the set hash needs.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) stored: Stored,
    pub(super) hash: [u8; 32],
}

impl Records {
    /// Of a store whose records lie under these keys.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, cipher: Arc<RecordCipher>) -> Self {
        Self { store, cipher }
    }

    /// A record and the revision that it was written at; `None` when there is none. What is read has been
    /// committed, but its entry may not be in the log yet.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn get(&self, key: &RecordKey) -> Result<Option<Stored>, ReadError> {
        Ok(self.find(key)?.map(|found| found.stored))
    }

    /// At most `limit` records of a tree, from after `after`.
    ///
    /// # Errors
    /// [`StoreError`]; damaged records are named in the page.
    pub fn range(
        &self,
        tree: Tree,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let items = self.store.range(tree as u8, after, limit)?;
        if items.len() == limit {
            page.next_after = items.last().map(|(key, _)| key.clone());
        }
        for (key, item) in items {
            match self.open(RecordKey { tree, key }, &item) {
                Ok(found) => page.stored.push(found.stored),
                Err(key) => page.damaged.push(key),
            }
        }
        Ok(page)
    }

    /// The engine.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub(super) fn cipher(&self) -> &RecordCipher {
        &self.cipher
    }

    pub(super) fn find(&self, key: &RecordKey) -> Result<Option<Found>, ReadError> {
        let Some(item) = self.store.get(&StoreKey::from(key))? else {
            return Ok(None);
        };
        let found = self.open(key.clone(), &item).map_err(ReadError::Damaged)?;
        Ok(Some(found))
    }

    /// The key comes back when its item does not open.
    pub(super) fn open(&self, key: RecordKey, item: &Item) -> Result<Found, RecordKey> {
        let Ok(opened) = self.cipher.open(&key, &item.value) else {
            return Err(key);
        };
        let Ok(record) = Record::decode(&opened.plaintext) else {
            return Err(key);
        };
        Ok(Found {
            hash: sha256(&[&opened.plaintext]),
            stored: Stored {
                key,
                revision: opened.revision,
                record: Some(record),
            },
        })
    }

    /// The revision and hash of what lies at `key`, without decoding it.
    pub(super) fn identify(
        &self,
        key: &RecordKey,
    ) -> Result<Option<(Revision, [u8; 32])>, ReadError> {
        let Some(item) = self.store.get(&StoreKey::from(key))? else {
            return Ok(None);
        };
        let opened = self.cipher.open(key, &item.value);
        let opened = opened.map_err(|_| ReadError::Damaged(key.clone()))?;
        Ok(Some((opened.revision, sha256(&[&opened.plaintext]))))
    }
}
