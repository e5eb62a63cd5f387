//! A map of records, what the engine needs around it, and a writer that holds every expectation.

use kms_core::cipher::HashKey;
use kms_core::engine::{Change, Idempotency, Moment, Named, ShredEntry, Snapshot, View, index};
use kms_core::entropy::{Entropy, EntropyUnavailable};
use kms_core::key::record::{
    Expect, Record, RecordKey, RequestRecord, Revision, ShredRecord, Stored, TimeMark, Tree,
};
use kms_core::name::labels::NO_LABELS;
use kms_core::name::{DatasetName, KeyId, PrincipalName, RequestId, SecretId, ShredScope};
use kms_core::policy::{
    AboutDataset, Action, ActionKind, Authentication, Authorised, Circumstances, Decide, Principal,
    Resource, Roles, SecondFactor, Verdict, authorise, limits,
};
use kms_core::time::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Never the same bytes twice (splitmix64).
#[derive(Default)]
pub(crate) struct Bytes(AtomicU64);

impl Entropy for Bytes {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        for part in bytes.chunks_mut(8) {
            let mut z = self
                .0
                .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
                .wrapping_add(0x9e37_79b9_7f4a_7c15);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            part.copy_from_slice(&(z ^ (z >> 31)).to_be_bytes()[..part.len()]);
        }
        Ok(())
    }
}

struct Everybody;
impl Decide for Everybody {
    fn decide(&self, _: &Principal, _: Action, _: &Resource<'_>, _: &Circumstances) -> Verdict {
        Verdict::plain(true)
    }
    fn revision(&self) -> u64 {
        1
    }
}

/// The change met a record that is not as expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Conflict;

pub(crate) struct Gathered {
    by_scope: HashMap<ShredScope, Option<Named>>,
    by_id: HashMap<SecretId, Option<Arc<ShredEntry>>>,
}

pub(crate) struct World {
    pub(crate) store: BTreeMap<RecordKey, (Revision, Vec<u8>)>,
    pub(crate) snapshot: Snapshot,
    pub(crate) now: Timestamp,
    pub(crate) mark: TimeMark,
    pub(crate) entropy: Bytes,
    index: HashKey,
    revision: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let now = Timestamp::from_micros(1_795_392_000_000_000);
        Self {
            store: BTreeMap::new(),
            snapshot: Snapshot::default(),
            now,
            mark: TimeMark {
                high_water: now,
                paused: false,
            },
            entropy: Bytes::default(),
            index: HashKey::new(&[7; 32]),
            revision: 0,
        }
    }

    pub(crate) fn moment(&self) -> Moment<'_> {
        Moment {
            now: self.now,
            keys: &self.entropy,
            salts: &self.entropy,
        }
    }

    pub(crate) fn read(&self, key: &RecordKey) -> Option<(Revision, Record)> {
        let (revision, bytes) = self.store.get(key)?;
        Some((*revision, Record::decode(bytes).unwrap()))
    }

    fn shred(&self, id: SecretId) -> Option<Arc<ShredEntry>> {
        match self.read(&RecordKey::shred(id))? {
            (revision, Record::Shred(record)) => Some(Arc::new(entry(revision, record))),
            _ => panic!("another record under a shred secret's key"),
        }
    }

    pub(crate) fn gather(&self, scopes: &[ShredScope], ids: &[SecretId]) -> Gathered {
        let named = |scope: &ShredScope| {
            let (name_revision, record) = self.read(&index::shred_name_key(&self.index, scope))?;
            let Record::ShredName(id) = record else {
                panic!("another record under a scope's key")
            };
            let entry = self.shred(id).unwrap();
            assert_eq!(entry.scope, *scope);
            Some(Named {
                name_revision,
                entry,
            })
        };
        Gathered {
            by_scope: scopes.iter().map(|s| (s.clone(), named(s))).collect(),
            by_id: ids.iter().map(|id| (*id, self.shred(*id))).collect(),
        }
    }

    pub(crate) fn newest(&self, scope: &ShredScope) -> Option<Arc<ShredEntry>> {
        let gathered = self.gather(std::slice::from_ref(scope), &[]);
        let named = gathered.by_scope.get(scope).unwrap();
        named.as_ref().map(|named| Arc::clone(&named.entry))
    }

    pub(crate) fn view<'a>(&'a self, gathered: &'a Gathered) -> View<'a> {
        View {
            snapshot: &self.snapshot,
            by_scope: &gathered.by_scope,
            by_id: &gathered.by_id,
            index: &self.index,
            time_mark: self.mark,
        }
    }

    pub(crate) fn idempotency(&self, action: Action, number: u8, body: &[u8]) -> Idempotency {
        let caller = principal().name;
        let key = index::request_key(&self.index, &caller, action, RequestId([number; 16]));
        let prior: Option<RequestRecord> = self.read(&key).map(|(_, record)| match record {
            Record::Request(record) => record,
            _ => panic!("another record under a request's key"),
        });
        Idempotency {
            fingerprint: index::request_fingerprint(&self.index, action, body),
            key,
            prior,
            replaces: None,
        }
    }

    /// All writes or none, under one revision.
    pub(crate) fn commit(&mut self, change: Option<Change>) -> Result<(), Conflict> {
        let Some(change) = change else {
            return Ok(());
        };
        for write in &change.writes {
            let current = self.store.get(&write.key).map(|(revision, _)| *revision);
            let holds = match write.expect {
                Expect::Absent => current.is_none(),
                Expect::Unchanged(revision) => current == Some(revision),
                Expect::Anything => true,
            };
            if !holds {
                return Err(Conflict);
            }
        }
        self.revision += 1;
        let revision = Revision(self.revision);
        let mut stored = Vec::new();
        for write in change.writes {
            match &write.record {
                Some(record) => {
                    let bytes = record.encode().to_vec();
                    self.store.insert(write.key.clone(), (revision, bytes));
                }
                None => {
                    self.store.remove(&write.key);
                }
            }
            stored.push(Stored {
                key: write.key,
                revision,
                record: write.record,
            });
        }
        self.snapshot.apply_all(stored);
        Ok(())
    }

    /// The snapshot as a restart makes it.
    pub(crate) fn reloaded(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let stored = self.store.iter().map(|(key, (revision, bytes))| Stored {
            key: key.clone(),
            revision: *revision,
            record: Some(Record::decode(bytes).unwrap()),
        });
        let wanted = stored.filter(|s| matches!(s.key.tree, Tree::Dataset | Tree::Version));
        assert!(snapshot.apply_all(wanted.collect::<Vec<_>>()).is_empty());
        snapshot
    }
}

fn entry(revision: Revision, record: ShredRecord) -> ShredEntry {
    ShredEntry {
        revision,
        id: record.id,
        scope: record.scope,
        state: record.state,
        created_at: record.created_at,
        succeeds: record.succeeds,
        secret: record.secret,
    }
}

pub(crate) fn principal() -> Principal {
    Principal {
        name: PrincipalName::parse("spiffe://crm/model").unwrap(),
        authentication: Authentication::OperatorSession,
        roles: Roles::default(),
        attributes: None,
        second_factor: Some(SecondFactor {
            at: Timestamp::from_micros(0),
            with_this_request: true,
        }),
    }
}

pub(crate) fn allowed<A: ActionKind>(dataset: Option<KeyId>) -> Authorised<A> {
    let name = DatasetName::parse("any").unwrap();
    let resource = Resource {
        dataset: dataset.map(|key_id| AboutDataset {
            key_id,
            name: &name,
            classes: &[],
            labels: &NO_LABELS,
            revision: Revision(0),
        }),
        ..Resource::default()
    };
    let here = Circumstances {
        source: None,
        now: Timestamp::from_micros(0),
    };
    let mut who = principal();
    if limits::is_own(A::ACTION) {
        who.authentication = Authentication::Internal;
    }
    authorise(&Everybody, &who, &resource, &here).unwrap()
}
