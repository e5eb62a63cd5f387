//! Who and what the ids in leaves are: filled from introductions as they are made or read, and from what the
//! daemon knows anyway. Only for showing; nothing is decided by it.

use super::lock;
use kms_core::audit::leaf::{Body, DirectoryKeys, Entry, Introduction, PrincipalId};
use kms_core::name::{DatasetName, KeyId, PrincipalName};
use std::collections::HashMap;
use std::sync::Mutex;

/// Most names kept of each sort; further ones are shown by id until they are introduced on the same page.
const NAMES_MAX: usize = 100_000;

/// The directory of one daemon.
#[derive(Debug, Default)]
pub struct Names {
    principals: Mutex<HashMap<PrincipalId, PrincipalName>>,
    datasets: Mutex<HashMap<KeyId, DatasetName>>,
}

impl Names {
    /// Knows nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns a principal.
    pub fn know_principal(&self, id: PrincipalId, name: PrincipalName) {
        insert(&self.principals, id, name);
    }

    /// Learns a dataset.
    pub fn know_dataset(&self, id: KeyId, name: DatasetName) {
        insert(&self.datasets, id, name);
    }

    /// Learns from an entry, if it is an introduction; operators' names need the directory's key.
    pub fn learn(&self, entry: &Entry, directory: Option<&DirectoryKeys>) {
        match &entry.body {
            Body::Introduction(Introduction::Caller {
                principal, naming, ..
            }) => {
                if let Some(name) = naming.resolve(*principal, directory) {
                    self.know_principal(*principal, name);
                }
            }
            Body::Introduction(Introduction::Dataset { key_id, name }) => {
                self.know_dataset(*key_id, name.clone());
            }
            _ => {}
        }
    }

    /// A principal's name.
    #[must_use]
    pub fn principal(&self, id: PrincipalId) -> Option<PrincipalName> {
        lock(&self.principals).get(&id).cloned()
    }

    /// A dataset's name.
    #[must_use]
    pub fn dataset(&self, id: KeyId) -> Option<DatasetName> {
        lock(&self.datasets).get(&id).cloned()
    }
}

fn insert<K: Eq + std::hash::Hash, V>(names: &Mutex<HashMap<K, V>>, id: K, name: V) {
    let mut names = lock(names);
    if names.len() < NAMES_MAX || names.contains_key(&id) {
        names.insert(id, name);
    }
}
