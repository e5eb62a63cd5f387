//! Measures the store: creates shred secrets through the writer in batches of 1,000 (a record and a name
//! each, with two leaves of 30 KB), then opens the store again and reads some at random. A directory that was
//! filled before is only read: a fresh process shows what an idle daemon's store takes in memory.
//!
//! `cargo run --release -p kms-server --example million_secrets -- DIRECTORY [COUNT [CACHE_MIB]]`

use kms_core::cipher::{sha256, system_entropy::SystemEntropy};
use kms_core::format::stored::{MasterKeys, RecordCipher};
use kms_core::key::record::{
    Expect, Record, RecordKey, ShredRecord, ShredState, SystemKeys, Write,
};
use kms_core::name::{AccountName, RetentionClass, SecretId, SecretKind, ShredScope};
use kms_core::secret::{IndexKey, InstanceSeed, IntakeKey, MasterKey, SetHashKey, ShredSecret};
use kms_core::time::Timestamp;
use kms_server::store::sled::{CACHE_BYTES, SledStore};
use kms_server::store::writer::WriterParts;
use kms_server::store::{
    Change, ChangeError, Committed, CreateError, Published, Records, Sink, Writer, create, load,
};
use kms_server::system::clock::SystemClock;
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

const BATCH: u64 = 1_000;

/// As the daemon's.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc> =
    zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().collect();
    let dir = arguments
        .get(1)
        .ok_or("usage: million_secrets DIRECTORY [COUNT [CACHE_MIB]]")?;
    let count = arguments
        .get(2)
        .map_or(Ok(1_000_000), |text| text.parse())?;
    let cache = arguments.get(3).map(|text| text.parse::<u64>());
    let cache = cache.transpose()?.map_or(CACHE_BYTES, |mib| mib << 20);
    let mut out = std::io::stdout().lock();
    writeln!(out, "at start          {}", memory())?;
    let records = open(Path::new(dir), cache)?;
    if load(&records)?.root.last_change == 0 {
        fill(records, count, &mut out)?;
    } else {
        drop(records);
    }
    let start = Instant::now();
    let records = open(Path::new(dir), cache)?;
    let opened = start.elapsed();
    let loaded = load(&records)?;
    let both = start.elapsed();
    writeln!(out, "open {opened:?}, open and load {both:?}  {}", memory())?;
    let mut reads = Vec::new();
    for i in 0..10_000_u64 {
        let id = i.wrapping_mul(7_919) % count;
        let begun = Instant::now();
        let found = records.get(&RecordKey::shred(secret_id(id)))?;
        reads.push(begun.elapsed());
        found.ok_or("a secret is missing")?;
    }
    let (p50, p99) = percentiles(&mut reads);
    writeln!(out, "cold reads: p50 {p50:?}, p99 {p99:?}  {}", memory())?;
    writeln!(out, "last change {}", loaded.root.last_change)?;
    Ok(())
}

/// Creates the secrets and closes the store.
fn fill(records: Records, count: u64, out: &mut impl std::io::Write) -> Result<(), Box<dyn Error>> {
    let store = Arc::clone(records.store());
    let loaded = load(&records)?;
    let writer = Writer::start(WriterParts {
        records,
        root: loaded.root,
        set_hash: loaded.set_hash,
        sink: Arc::new(Answering),
        entropy: Arc::new(SystemEntropy::new()),
        stamp_change: |_, _| (),
    })?;
    let start = Instant::now();
    let mut times = Vec::new();
    for first in (0..count).step_by(usize::try_from(BATCH)?) {
        let begun = Instant::now();
        let published = submit(&writer, first).blocking_recv()??;
        times.push(begun.elapsed());
        writer.logged(published.change, published.change);
        if (first + BATCH).is_multiple_of(100_000) {
            let size = store.size_on_disk()? >> 20;
            let (p50, p99) = percentiles(&mut times);
            times.clear();
            let done = first + BATCH;
            let took = start.elapsed().as_secs_f64();
            let line = format!("p50 {p50:?}  p99 {p99:?}  disk {size} MiB  {}", memory());
            writeln!(out, "{done:>9} in {took:6.1} s  {line}")?;
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(writer.stop());
    drop((writer, store));
    writeln!(out, "closed            {}", memory())?;
    Ok(())
}

/// Answers at once: what is measured here is the store, not the log.
struct Answering;

impl Sink for Answering {
    fn generation(&self) -> u64 {
        0
    }

    fn committed(&self, changes: Vec<Committed>) {
        for committed in changes {
            let published = Published {
                change: committed.change,
                revision: committed.revision,
            };
            // the receiver waits above
            let _ = committed.done.send(Ok(published));
        }
    }
}

fn submit(writer: &Writer, first: u64) -> oneshot::Receiver<Result<Published, ChangeError>> {
    let (done, end) = oneshot::channel();
    let writes = (first..first + BATCH).flat_map(|id| shred(id).into_iter().flatten());
    writer.submit(Change {
        writes: writes.collect(),
        leaves: vec![vec![1; 30_000]; 2],
        generation: 0,
        restricts: false,
        done,
    });
    end
}

/// A secret and its name.
fn shred(id: u64) -> Option<[Write; 2]> {
    let account = AccountName::parse(&format!("account-{}", id % 50)).ok()?;
    let class = RetentionClass::parse("customer").ok()?;
    let name = format!("subject-{id:09}@example.com");
    let scope = ShredScope::new(SecretKind::Subject, account, &name, class).ok()?;
    let record = ShredRecord {
        id: secret_id(id),
        scope,
        state: ShredState::Active,
        created_at: Timestamp::from_micros(1),
        succeeds: None,
        secret: Some(ShredSecret::take_bytes(&mut sha256(&[&id.to_be_bytes()]))),
    };
    let name = RecordKey::shred_name(sha256(&[b"name", &id.to_be_bytes()]));
    let write = |key, record| Write {
        key,
        expect: Expect::Absent,
        record: Some(record),
    };
    Some([
        write(name, Record::ShredName(record.id)),
        write(RecordKey::shred(record.id), Record::Shred(record)),
    ])
}

fn secret_id(id: u64) -> SecretId {
    let hash = sha256(&[&id.to_be_bytes()]);
    SecretId(hash.first_chunk().copied().unwrap_or_default())
}

fn open(dir: &Path, cache: u64) -> Result<Records, Box<dyn Error>> {
    let store = SledStore::open_with_cache(dir, Arc::new(SystemClock::new()), cache)?;
    let master = [(1, MasterKey::take_bytes(&mut [1; 32]))].into();
    let master = MasterKeys::new(1, master).ok_or("no master key")?;
    let records = Records::new(Arc::new(store), Arc::new(RecordCipher::new(&master)));
    let keys = SystemKeys {
        index: IndexKey::take_bytes(&mut [2; 32]),
        set_hash: SetHashKey::take_bytes(&mut [3; 32]),
        directory: IndexKey::take_bytes(&mut [4; 32]),
        instance: InstanceSeed::take_bytes(&mut [5; 32]),
        intake: IntakeKey::take_bytes(&mut [6; 32]),
    };
    let first = Write {
        key: RecordKey::system_keys(),
        expect: Expect::Absent,
        record: Some(Record::SystemKeys(keys)),
    };
    match create(&records, [0; 32], vec![first], &SystemEntropy::new()) {
        Ok(()) | Err(CreateError::Exists) => Ok(records),
        Err(error) => Err(error.into()),
    }
}

fn percentiles(times: &mut [Duration]) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied();
    (at(50).unwrap_or_default(), at(99).unwrap_or_default())
}

/// Resident memory now and at its peak.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines
        .map(|line| line.replace('\t', " "))
        .collect::<Vec<_>>()
        .join("  ")
}
