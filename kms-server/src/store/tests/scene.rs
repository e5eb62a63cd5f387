//! What the tests of this module share: stores with system keys, simple records, a sink that publishes at once.

use crate::store::memory::MemoryStore;
use crate::store::sled::SledStore;
use crate::store::writer::{Change, ChangeError, Committed, Published, Sink, Writer, WriterParts};
use crate::store::{
    Item, Items, Lease, Loaded, Records, Stamp, Store, StoreError, StoreKey, TransactError,
    Transaction, Watch, create, load,
};
use crate::system::clock::ManualClock;
use kms_core::cipher::system_entropy::SystemEntropy;
use kms_core::format::stored::{MasterKeys, RecordCipher};
use kms_core::key::record::{
    Expect, Record, RecordKey, ShredRecord, ShredState, SystemKeys, Write,
};
use kms_core::name::{AccountName, RetentionClass, SecretId, SecretKind, ShredScope};
use kms_core::secret::{IndexKey, InstanceSeed, IntakeKey, MasterKey, SetHashKey, ShredSecret};
use kms_core::time::Timestamp;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

pub(in crate::store) const SEALS: [u8; 32] = [5; 32];

pub(in crate::store) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_micros(0)))
}

pub(in crate::store) fn memory() -> Arc<MemoryStore> {
    Arc::new(MemoryStore::new(clock()))
}

pub(in crate::store) fn sled(dir: &Path) -> Arc<SledStore> {
    Arc::new(SledStore::open(dir, clock()).unwrap())
}

pub(in crate::store) fn records(store: Arc<dyn Store>) -> Records {
    let master = [(1, MasterKey::take_bytes(&mut [1; 32]))].into();
    let cipher = RecordCipher::new(&MasterKeys::new(1, master).unwrap());
    Records::new(store, Arc::new(cipher))
}

pub(in crate::store) fn put(key: RecordKey, expect: Expect, record: Record) -> Write {
    Write {
        key,
        expect,
        record: Some(record),
    }
}

pub(in crate::store) fn system_keys() -> Write {
    let keys = SystemKeys {
        index: IndexKey::take_bytes(&mut [2; 32]),
        set_hash: SetHashKey::take_bytes(&mut [3; 32]),
        directory: IndexKey::take_bytes(&mut [4; 32]),
        instance: InstanceSeed::take_bytes(&mut [5; 32]),
        intake: IntakeKey::take_bytes(&mut [6; 32]),
    };
    let record = Record::SystemKeys(keys);
    put(RecordKey::system_keys(), Expect::Absent, record)
}

/// A shred secret whose id and bytes come from `id`.
pub(in crate::store) fn shred(id: u64, state: ShredState) -> Record {
    let name = format!("subject-{id}");
    let destroyed = matches!(state, ShredState::Destroyed { .. });
    Record::Shred(ShredRecord {
        id: secret_id(id),
        scope: ShredScope::new(
            SecretKind::Subject,
            AccountName::parse("acme").unwrap(),
            &name,
            RetentionClass::parse("customer").unwrap(),
        )
        .unwrap(),
        state,
        created_at: Timestamp::from_micros(1),
        succeeds: None,
        secret: (!destroyed).then(|| ShredSecret::take_bytes(&mut [id as u8; 32])),
    })
}

/// Spread over all first bytes.
pub(in crate::store) fn secret_id(id: u64) -> SecretId {
    let hash = kms_core::cipher::sha256(&[&id.to_be_bytes()]);
    SecretId(*hash.first_chunk().unwrap())
}

pub(in crate::store) fn shred_key(id: u64) -> RecordKey {
    RecordKey::shred(secret_id(id))
}

/// A store that was made and its records.
pub(in crate::store) fn made(store: Arc<dyn Store>) -> Records {
    let records = records(store);
    create(&records, SEALS, vec![system_keys()], &SystemEntropy::new()).unwrap();
    records
}

/// Publishes at once, or holds changes back while its gate is shut.
#[derive(Default)]
pub(in crate::store) struct TestSink {
    pub(in crate::store) generation: AtomicU64,
    /// The writer's thread waits here.
    pub(in crate::store) gate: Mutex<()>,
    /// Number, leaves, keys and presence of records of every change.
    pub(in crate::store) seen: Mutex<Vec<Seen>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Seen {
    pub(in crate::store) change: u64,
    pub(in crate::store) revision: u64,
    pub(in crate::store) leaves: Vec<Vec<u8>>,
    pub(in crate::store) records: Vec<(RecordKey, bool)>,
}

impl Sink for TestSink {
    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn committed(&self, changes: Vec<Committed>) {
        for committed in changes {
            if committed.restricts {
                self.generation.fetch_add(1, Ordering::SeqCst);
            }
            let records = committed.stored.iter();
            self.seen.lock().unwrap().push(Seen {
                change: committed.change,
                revision: committed.revision.0,
                leaves: committed.leaves,
                records: records
                    .map(|s| (s.key.clone(), s.record.is_some()))
                    .collect(),
            });
            let _ = committed.done.send(Ok(Published {
                change: committed.change,
                revision: committed.revision,
            }));
        }
        drop(self.gate.lock());
    }
}

/// Puts the number into the first eight bytes.
pub(in crate::store) fn stamp_change(head: &mut [u8], change: u64) {
    head[..8].copy_from_slice(&change.to_be_bytes());
}

/// A running writer over a store that was made.
pub(in crate::store) struct Scene {
    pub(in crate::store) records: Records,
    pub(in crate::store) sink: Arc<TestSink>,
    pub(in crate::store) writer: Writer,
}

/// The end of a change, when it comes.
pub(in crate::store) type End = oneshot::Receiver<Result<Published, ChangeError>>;

impl Scene {
    pub(in crate::store) fn new(store: Arc<dyn Store>) -> Self {
        Self::resume(made(store)).0
    }

    /// Loads and goes on.
    pub(in crate::store) fn resume(records: Records) -> (Self, Loaded) {
        let loaded = load(&records).unwrap();
        let again = load(&records).unwrap();
        let sink = Arc::new(TestSink::default());
        let writer = Writer::start(WriterParts {
            records: records.clone(),
            root: again.root,
            set_hash: again.set_hash,
            sink: Arc::clone(&sink) as Arc<dyn Sink>,
            entropy: Arc::new(SystemEntropy::new()),
            stamp_change,
        })
        .unwrap();
        let scene = Self {
            records,
            sink,
            writer,
        };
        (scene, loaded)
    }

    pub(in crate::store) fn submit(&self, writes: Vec<Write>, leaves: Vec<Vec<u8>>) -> End {
        self.submit_with(writes, leaves, self.sink.generation(), false)
    }

    pub(in crate::store) fn submit_with(
        &self,
        writes: Vec<Write>,
        leaves: Vec<Vec<u8>>,
        generation: u64,
        restricts: bool,
    ) -> End {
        let (done, end) = oneshot::channel();
        self.writer.submit(Change {
            writes,
            leaves,
            generation,
            restricts,
            done,
        });
        end
    }

    /// One change with one small leaf, waited for.
    pub(in crate::store) fn change(&self, writes: Vec<Write>) -> Result<Published, ChangeError> {
        self.submit(writes, vec![vec![0; 100]])
            .blocking_recv()
            .unwrap()
    }

    /// Ends the writer; the store stays.
    pub(in crate::store) fn stop(self) -> Records {
        block_on(self.writer.stop());
        self.records
    }
}

pub(in crate::store) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(future)
}

/// What goes wrong with a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Fault {
    /// Refused for certain.
    Refused(StoreError),
    /// Answered with an error, not applied.
    LostBefore,
    /// Answered with an error, applied nevertheless.
    LostAfter,
    /// Applied with a bit flipped in the first value.
    Altered,
}

/// The memory engine with faults ahead of it.
pub(in crate::store) struct Faulty {
    pub(in crate::store) inner: Arc<MemoryStore>,
    pub(in crate::store) faults: Mutex<VecDeque<Fault>>,
    /// What [`Store::recover`] answers.
    pub(in crate::store) recovers: AtomicBool,
}

impl Faulty {
    pub(in crate::store) fn new(inner: Arc<MemoryStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            faults: Mutex::default(),
            recovers: AtomicBool::new(true),
        })
    }
}

impl Store for Faulty {
    fn transact(&self, mut transaction: Transaction) -> Result<Stamp, TransactError> {
        let lost = TransactError::Unknown(StoreError::Io(std::io::ErrorKind::Other));
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            Some(Fault::Refused(error)) => return Err(TransactError::NotApplied(error)),
            Some(Fault::LostBefore) => return Err(lost),
            Some(Fault::Altered) => *transaction.puts[0].1.last_mut().unwrap() ^= 1,
            Some(Fault::LostAfter) | None => {}
        }
        let stamp = self.inner.transact(transaction)?;
        if fault == Some(Fault::LostAfter) {
            return Err(lost);
        }
        Ok(stamp)
    }

    fn recover(&self) -> Result<(), StoreError> {
        let recovers = self.recovers.load(Ordering::SeqCst);
        recovers.then_some(()).ok_or(StoreError::Stopped)
    }

    fn get(&self, key: &StoreKey) -> Result<Option<Item>, StoreError> {
        self.inner.get(key)
    }

    fn range(&self, tree: u8, after: Option<&[u8]>, limit: usize) -> Result<Items, StoreError> {
        self.inner.range(tree, after, limit)
    }

    fn watch(&self) -> Watch {
        self.inner.watch()
    }

    fn acquire(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, StoreError> {
        self.inner.acquire(name, ttl)
    }

    fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, StoreError> {
        self.inner.renew(lease, ttl)
    }

    fn release(&self, lease: Lease) -> Result<(), StoreError> {
        self.inner.release(lease)
    }

    fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.inner.size_on_disk()
    }
}
