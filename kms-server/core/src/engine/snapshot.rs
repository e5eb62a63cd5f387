//! Everything the data plane needs of datasets and versions, immutable and shared. A change costs
//! O(what changed), never O(datasets).

mod approvals;
mod months;
mod operators;
mod policies;
mod services;

pub use approvals::{Approvals, Kept};
pub use months::{MonthKey, Months};
pub use operators::{Operator, Operators};
pub use policies::{Policies, ROLE_TABLE};
pub use services::{Service, Services};

use crate::cipher::MessageKey;
use crate::format::wrapped::{BlobKind, input_key};
use crate::key::record::{
    DatasetRecord, Record, Revision, Stored, Tree, TrustRecord, VersionRecord, VersionState,
};
use crate::name::{DatasetName, KeyId, VersionNumber};
use crate::policy::AboutDataset;
use crate::secret::VersionKey;
use std::sync::Arc;

/// One state of all datasets.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    datasets: imbl::HashMap<KeyId, Arc<Dataset>>,
    names: imbl::OrdMap<DatasetName, KeyId>,
    /// The people who administer the service.
    pub operators: Operators,
    /// What waits for the word of others, and who may give it.
    pub approvals: Approvals,
    /// Access policies, all generations.
    pub policies: Policies,
    /// What the built-in authority certifies.
    pub services: Services,
    /// Months of the audit log.
    pub months: Months,
    /// What was approved to say who is who; `None` while nothing was.
    pub trust: Option<Kept<TrustRecord>>,
}

/// A dataset with its versions.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its record.
    pub record: Arc<DatasetRecord>,
    /// The record's revision; its etag.
    pub revision: Revision,
    /// Its versions by number.
    pub versions: imbl::OrdMap<VersionNumber, Arc<Version>>,
    /// The ACTIVE one.
    pub active: Option<VersionNumber>,
    /// A record of it was found damaged: every use is refused with QUARANTINED.
    pub quarantined: bool,
}

/// A version, its key ready for use.
#[derive(Debug)]
pub struct Version {
    /// Its record.
    pub record: VersionRecord,
    /// The record's revision.
    pub revision: Revision,
    /// Input keys for n = 0; `None` exactly when destroyed.
    pub input_keys: Option<InputKeys>,
}

/// Input keys of a version without shred secrets, derived once.
#[derive(Debug)]
pub struct InputKeys {
    /// For wrapped data keys.
    pub data_key: MessageKey,
    /// For direct ciphertexts.
    pub ciphertext: MessageKey,
}

impl InputKeys {
    fn derive(key: &VersionKey) -> Self {
        Self {
            data_key: input_key(BlobKind::DataKey, key, &[]),
            ciphertext: input_key(BlobKind::Ciphertext, key, &[]),
        }
    }
}

impl Dataset {
    /// What decisions see of it.
    #[must_use]
    pub fn about(&self) -> AboutDataset<'_> {
        AboutDataset {
            key_id: self.record.key_id,
            name: &self.record.name,
            classes: &self.record.policy.retention_classes,
            labels: &self.record.labels,
            revision: self.revision,
        }
    }

    /// The ACTIVE version.
    #[must_use]
    pub fn active_version(&self) -> Option<&Arc<Version>> {
        self.versions.get(&self.active?)
    }
}

impl Snapshot {
    /// By key id.
    #[must_use]
    pub fn by_id(&self, id: KeyId) -> Option<&Arc<Dataset>> {
        self.datasets.get(&id)
    }

    /// By name.
    #[must_use]
    pub fn by_name(&self, name: &DatasetName) -> Option<&Arc<Dataset>> {
        self.by_id(*self.names.get(name)?)
    }

    /// All, by name, from after `after`.
    pub fn after<'a>(
        &'a self,
        after: Option<&DatasetName>,
    ) -> impl Iterator<Item = &'a Arc<Dataset>> {
        use std::ops::Bound;
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.clone()));
        self.names
            .range((from, Bound::Unbounded))
            .filter_map(|(_, id)| self.by_id(*id))
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// None at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Takes a stored record over. Records that are no dataset's, version's, operator's, service's, approval's or policy's
    /// are not its business and come back.
    pub fn apply(&mut self, stored: Stored) -> Option<Stored> {
        match (stored.key.tree, stored.record) {
            (Tree::Dataset, Some(Record::Dataset(record))) => {
                self.apply_dataset(record, stored.revision);
                None
            }
            (Tree::Version, Some(Record::Version(record))) => {
                self.apply_version(record, stored.revision);
                None
            }
            (Tree::Trust, Some(Record::Trust(record))) => {
                self.trust = Some(Kept {
                    record: Arc::new(record),
                    revision: stored.revision,
                });
                None
            }
            (_, record) => {
                let stored = Stored {
                    key: stored.key,
                    revision: stored.revision,
                    record,
                };
                self.months.note(&stored);
                let rest = self.operators.apply(stored)?;
                let rest = self.services.apply(rest)?;
                let rest = self.approvals.apply(rest)?;
                self.policies.apply(rest)
            }
        }
    }

    fn apply_dataset(&mut self, record: DatasetRecord, revision: Revision) {
        self.names.insert(record.name.clone(), record.key_id);
        let old = self.by_id(record.key_id);
        let dataset = Dataset {
            revision,
            versions: old.map(|d| d.versions.clone()).unwrap_or_default(),
            active: old.and_then(|d| d.active),
            quarantined: old.is_some_and(|d| d.quarantined),
            record: Arc::new(record),
        };
        self.datasets
            .insert(dataset.record.key_id, Arc::new(dataset));
    }

    /// A version may come before its dataset only while loading; see [`Self::apply_all`].
    fn apply_version(&mut self, record: VersionRecord, revision: Revision) {
        let Some(old) = self.by_id(record.key_id) else {
            return;
        };
        let mut dataset = Dataset::clone(old);
        let (id, number) = (record.key_id, record.number);
        if record.state == VersionState::Active {
            dataset.active = Some(number);
        } else if dataset.active == Some(number) {
            dataset.active = None;
        }
        let input_keys = record.key.as_ref().map(InputKeys::derive);
        let version = Version {
            record,
            revision,
            input_keys,
        };
        dataset.versions.insert(number, Arc::new(version));
        self.datasets.insert(id, Arc::new(dataset));
    }

    /// Takes many over, datasets before versions; what is not its business comes back. Where one change
    /// makes one version ACTIVE and another not, the order between them does not matter.
    pub fn apply_all(&mut self, stored: impl IntoIterator<Item = Stored>) -> Vec<Stored> {
        let (datasets, rest): (Vec<_>, Vec<_>) = stored
            .into_iter()
            .partition(|s| s.key.tree == Tree::Dataset);
        datasets
            .into_iter()
            .chain(rest)
            .filter_map(|stored| self.apply(stored))
            .collect()
    }

    /// Marks a dataset damaged: refused from now on.
    pub fn quarantine(&mut self, id: KeyId) {
        if let Some(old) = self.by_id(id) {
            let mut dataset = Dataset::clone(old);
            dataset.quarantined = true;
            self.datasets.insert(id, Arc::new(dataset));
        }
    }
}
