//! One transaction in the making: encrypts records for the next revision and keeps the root record's sums
//! in step. Never writes anything itself.

use super::records::{ReadError, Records};
use super::{Stamp, StoreKey, Transaction};
use kms_core::cipher::sha256;
use kms_core::entropy::{Entropy, EntropyUnavailable};
use kms_core::format::place::{RecordKey, Revision};
use kms_core::format::root::{Element, Root, SetHash};
use kms_core::key::record::Record;
use std::collections::HashMap;

/// Records in one transaction after which it takes no further change.
const RECORDS_MAX: usize = 1_024;
/// Bytes in one transaction after which it takes no further change.
const BYTES_MAX: usize = 1024 * 1024;

/// Why a record could not be folded in.
#[derive(Debug, thiserror::Error)]
pub(super) enum FoldError {
    /// The record that it replaces.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// No salts.
    #[error("no randomness available")]
    Entropy,
}

impl From<EntropyUnavailable> for FoldError {
    fn from(_: EntropyUnavailable) -> Self {
        Self::Entropy
    }
}

/// What a transaction does to one record of the set.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) before: Option<Element>,
    /// With the hash of the plaintext.
    pub(super) after: Option<(Element, [u8; 32])>,
}

/// The root after the transaction, and what it wrote.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) root: Root,
    pub(super) written: HashMap<RecordKey, Written>,
}

/// Revision and hash of what lies at a key.
type Current = Option<(Revision, [u8; 32])>;

pub(super) struct Fold<'a> {
    pub(super) root: Root,
    records: &'a Records,
    set_hash: &'a SetHash,
    entropy: &'a dyn Entropy,
    current: HashMap<RecordKey, Current>,
    written: HashMap<RecordKey, Written>,
    transaction: Transaction,
    bytes: usize,
}

impl<'a> Fold<'a> {
    /// Begins the transaction after `root`, which lies in the store under `stamp`.
    pub(super) fn new(
        records: &'a Records,
        set_hash: &'a SetHash,
        mut root: Root,
        stamp: Option<Stamp>,
        entropy: &'a dyn Entropy,
    ) -> Self {
        root.revision = Revision(root.revision.0.saturating_add(1));
        let transaction = Transaction {
            compares: vec![(StoreKey::root(), stamp)],
            ..Transaction::default()
        };
        Self {
            root,
            records,
            set_hash,
            entropy,
            current: HashMap::new(),
            written: HashMap::new(),
            transaction,
            bytes: 0,
        }
    }

    /// The revision of the record in the store, as it was before this transaction.
    pub(super) fn revision(&mut self, key: &RecordKey) -> Result<Option<Revision>, ReadError> {
        Ok(self.look_up(key)?.map(|(revision, _)| revision))
    }

    /// This transaction writes or removes the record.
    pub(super) fn touches(&self, key: &RecordKey) -> bool {
        self.written.contains_key(key)
    }

    /// Large enough.
    pub(super) fn is_full(&self) -> bool {
        self.written.len() >= RECORDS_MAX || self.bytes >= BYTES_MAX
    }

    /// Writes a record that this transaction does not touch yet, or removes it.
    pub(super) fn put(
        &mut self,
        key: &RecordKey,
        record: Option<&Record>,
    ) -> Result<Option<Element>, FoldError> {
        let before = self.look_up(key)?;
        let before = before.map(|(revision, hash)| self.set_hash.element(key, revision, &hash));
        if let Some(element) = &before {
            self.root.remove(key, element);
        }
        let Some(record) = record else {
            if before.is_some() {
                self.delete(key, before);
            }
            return Ok(None);
        };
        let plaintext = record.encode();
        let revision = self.root.revision;
        let cipher = self.records.cipher();
        let bytes = cipher.encrypt(key, revision, &plaintext, self.entropy)?;
        let hash = sha256(&[&plaintext]);
        let element = self.set_hash.element(key, revision, &hash);
        self.root.add(key, &element);
        self.bytes += bytes.len();
        self.transaction.puts.push((key.into(), bytes));
        let after = Some((element, hash));
        self.written.insert(key.clone(), Written { before, after });
        Ok(Some(element))
    }

    /// Removes a record whose element is known.
    pub(super) fn remove_known(&mut self, key: &RecordKey, element: Element) {
        self.root.remove(key, &element);
        self.delete(key, Some(element));
    }

    fn delete(&mut self, key: &RecordKey, before: Option<Element>) {
        self.transaction.deletes.push(key.into());
        let after = None;
        self.written.insert(key.clone(), Written { before, after });
    }

    /// The transaction, root record included.
    pub(super) fn finish(mut self) -> Result<(Transaction, Folded), FoldError> {
        let plaintext = self.root.encode();
        let cipher = self.records.cipher();
        let bytes = cipher.encrypt_root(self.root.revision, &plaintext, self.entropy)?;
        self.transaction.puts.push((StoreKey::root(), bytes));
        let folded = Folded {
            root: self.root,
            written: self.written,
        };
        Ok((self.transaction, folded))
    }

    fn look_up(&mut self, key: &RecordKey) -> Result<Current, ReadError> {
        if let Some(current) = self.current.get(key) {
            return Ok(*current);
        }
        let current = self.records.identify(key)?;
        self.current.insert(key.clone(), current);
        Ok(current)
    }
}
