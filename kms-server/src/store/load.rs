//! Making a store, and reading it at unseal: what the data plane needs comes into memory, verified against
//! the root record. Shred secrets, their names and request outcomes stay where they are, however many.
//!
//! Never repairs anything: what does not add up is named, and stays as it is.

use super::fold::Fold;
use super::records::{ReadError, Records};
use super::{StoreError, StoreKey, TransactError};
use kms_core::entropy::Entropy;
use kms_core::format::place::{RecordKey, Tree};
use kms_core::format::root::{Root, SetHash, Shard, Sum};
use kms_core::key::record::{OutboxRecord, Record, Stored, SystemKeys, Write};
use std::collections::{BTreeMap, HashSet};

/// Records read from the engine at once.
const SLICE: usize = 512;

/// What a store holds, verified.
#[derive(Debug)]
pub struct Loaded {
    /// Datasets, their names, versions, audit keys, system records and usage.
    pub stored: Vec<Stored>,
    /// The root record.
    pub root: Root,
    /// Leaves that may not be in the log yet, in order.
    pub outbox: Vec<OutboxRecord>,
    /// Records that do not open, and all records of shards that do not add up: one of them was put back
    /// from an older copy, or one beside them was removed.
    pub quarantined: Vec<RecordKey>,
    /// Shards that do not add up.
    pub shards: Vec<Shard>,
    /// The set hash under the store's own key.
    pub set_hash: SetHash,
}

/// Why a store cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing was ever made here.
    #[error("there is no root record: this store was never set up")]
    NotCreated,
    /// Wrong master key or damaged bytes.
    #[error("the root record does not open: it is damaged or of another installation")]
    RootDamaged,
    /// Without them nothing can be verified.
    #[error("the service's own keys are missing or damaged")]
    SystemKeysDamaged,
}

/// Why a store was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is one already.
    #[error("this store was set up before")]
    Exists,
    /// The engine failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No salts.
    #[error("no randomness available")]
    Entropy,
    /// The first records have no system keys.
    #[error("a new store needs its system keys")]
    NoSystemKeys,
}

/// Makes a new store with its root record and these records, at revision 1. Among them must be the
/// [`SystemKeys`]. `seals` is the SHA-256 of the seals' public halves.
///
/// # Errors
/// [`CreateError`]; after an engine's error it is not known whether the store was made.
pub fn create(
    records: &Records,
    seals: [u8; 32],
    first: Vec<Write>,
    entropy: &dyn Entropy,
) -> Result<(), CreateError> {
    let is_keys = |write: &Write| match &write.record {
        Some(Record::SystemKeys(keys)) => Some(SetHash::new(&keys.set_hash)),
        _ => None,
    };
    let set_hash = first.iter().find_map(is_keys);
    let set_hash = set_hash.ok_or(CreateError::NoSystemKeys)?;
    let mut fold = Fold::new(records, &set_hash, Root::new(seals), None, entropy);
    for write in &first {
        fold.put(&write.key, write.record.as_ref())
            .map_err(|_| CreateError::Entropy)?;
    }
    let (transaction, _) = fold.finish().map_err(|_| CreateError::Entropy)?;
    match records.store().transact(transaction) {
        Ok(_) => Ok(()),
        Err(TransactError::Conflict) => Err(CreateError::Exists),
        Err(TransactError::NotApplied(error) | TransactError::Unknown(error)) => Err(error.into()),
    }
}

/// Reads and verifies what [`Tree::verified_at_unseal`] says. The caller compares
/// [`Root::last_change`] with the log: a root behind it is an old copy of the whole store.
///
/// # Errors
/// [`LoadError`].
pub fn load(records: &Records) -> Result<Loaded, LoadError> {
    let (root, _) = read_root(records)?.ok_or(LoadError::NotCreated)?;
    let set_hash = SetHash::new(&read_system_keys(records)?.set_hash);
    let mut loading = Loading {
        records,
        set_hash: &set_hash,
        sums: BTreeMap::new(),
        stored: Vec::new(),
        damaged: Vec::new(),
    };
    let trees = || Tree::ALL.iter().filter(|tree| tree.verified_at_unseal());
    for tree in trees() {
        loading.read_tree(*tree)?;
    }
    let Loading {
        sums,
        stored,
        damaged,
        ..
    } = loading;
    let shards: HashSet<Shard> = trees()
        .flat_map(|tree| Shard::of_tree(*tree))
        .filter(|shard| sums.get(shard).copied().unwrap_or_default() != root.sum(*shard))
        .collect();
    let in_bad_shard = stored.iter().map(|s| &s.key);
    let in_bad_shard = in_bad_shard.filter(|key| shards.contains(&Shard::of(key)));
    let mut quarantined: Vec<_> = in_bad_shard.cloned().chain(damaged).collect();
    quarantined.extend(nameless_datasets(&stored));
    quarantined.sort_unstable();
    quarantined.dedup();
    let mut shards: Vec<_> = shards.into_iter().collect();
    shards.sort_unstable();
    let (outbox, stored) = split_outbox(stored);
    Ok(Loaded {
        stored,
        root,
        outbox,
        quarantined,
        shards,
        set_hash,
    })
}

/// The root record and its stamp.
pub(super) fn read_root(records: &Records) -> Result<Option<(Root, super::Stamp)>, LoadError> {
    let Some(item) = records.store().get(&StoreKey::root())? else {
        return Ok(None);
    };
    let opened = records.cipher().open_root(&item.value);
    let opened = opened.map_err(|_| LoadError::RootDamaged)?;
    let root = Root::decode(&opened.plaintext).map_err(|_| LoadError::RootDamaged)?;
    if root.revision != opened.revision {
        return Err(LoadError::RootDamaged);
    }
    Ok(Some((root, item.stamp)))
}

fn read_system_keys(records: &Records) -> Result<SystemKeys, LoadError> {
    match records.get(&RecordKey::system_keys()) {
        Ok(Some(Stored {
            record: Some(Record::SystemKeys(keys)),
            ..
        })) => Ok(keys),
        Err(ReadError::Store(error)) => Err(error.into()),
        Ok(_) | Err(ReadError::Damaged(_)) => Err(LoadError::SystemKeysDamaged),
    }
}

struct Loading<'a> {
    records: &'a Records,
    set_hash: &'a SetHash,
    sums: BTreeMap<Shard, Sum>,
    stored: Vec<Stored>,
    damaged: Vec<RecordKey>,
}

impl Loading<'_> {
    fn read_tree(&mut self, tree: Tree) -> Result<(), StoreError> {
        let mut after: Option<Box<[u8]>> = None;
        loop {
            let store = self.records.store();
            let items = store.range(tree as u8, after.as_deref(), SLICE)?;
            let more = items.len() == SLICE;
            for (key, item) in items {
                after = Some(key.clone());
                match self.records.open(RecordKey { tree, key }, &item) {
                    Ok(found) => {
                        let Stored { key, revision, .. } = &found.stored;
                        let element = self.set_hash.element(key, *revision, &found.hash);
                        self.sums.entry(Shard::of(key)).or_default().add(&element);
                        self.stored.push(found.stored);
                    }
                    Err(key) => self.damaged.push(key),
                }
            }
            if !more {
                return Ok(());
            }
        }
    }
}

/// Datasets whose name is kept but whose record is gone: they have no record that could be named itself.
fn nameless_datasets(stored: &[Stored]) -> Vec<RecordKey> {
    let named = stored.iter().filter_map(|s| match s.record {
        Some(Record::DatasetName(id)) => Some(RecordKey::dataset(id)),
        _ => None,
    });
    let there: HashSet<_> = stored.iter().map(|s| &s.key).collect();
    named.filter(|key| !there.contains(key)).collect()
}

fn split_outbox(stored: Vec<Stored>) -> (Vec<OutboxRecord>, Vec<Stored>) {
    let mut outbox = Vec::new();
    let mut rest = Vec::with_capacity(stored.len());
    for stored in stored {
        match stored.record {
            Some(Record::Outbox(record)) => outbox.push(record),
            _ => rest.push(stored),
        }
    }
    (outbox, rest)
}

#[cfg(test)]
mod tests;
