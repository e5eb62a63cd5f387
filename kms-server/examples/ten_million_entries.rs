//! Measures the audit log at size: appends entries as calls make them, waits for tree and index, and times filters; then,
//! in a process of its own, the offline verification.
//!
//! `cargo run --release -p kms-server --example ten_million_entries -- DIRECTORY [COUNT]`, then with `verify DIRECTORY`

use kms_core::audit::leaf::{
    BootId, CallFacts, CallerFacts, Coordinates, LeafKeys, Month, MonthKeys, PrincipalId,
    encode_call,
};
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::cipher::signature::{InstanceKey, LogKey};
use kms_core::cipher::system_entropy::SystemEntropy;
use kms_core::name::{CallId, KeyId, SecretId, VersionNumber};
use kms_core::policy::{Action, Authentication};
use kms_core::reason::Reason;
use kms_core::secret::{AuditMonthKey, InstanceSeed, LogSeed};
use kms_core::time::Timestamp;
use kms_server::audit_log::{AuditLog, Filter, Options, Query, Signer, Space, Submission};
use kms_server::system::clock::SystemClock;
use std::collections::VecDeque;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tlog::{Certificate, Hash, VerifierKey, signature_line};

/// Entries of one submission, and submissions under way at once.
const BATCH: u64 = 1_000;
const UNDER_WAY: usize = 8;
/// One caller in so many calls is the one who calls seldom.
const SELDOM: u64 = 100_000;
const ORIGIN: &str = "bench/1";

/// As the daemon's.
#[global_allocator]
static ALLOCATOR: zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc> =
    zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout().lock();
    match &arguments[..] {
        [verify, dir] if verify == "verify" => verified(Path::new(dir), &mut out),
        [dir] => filled(Path::new(dir), 10_000_000, &mut out),
        [dir, count] => filled(Path::new(dir), count.parse()?, &mut out),
        _ => Err("usage: ten_million_entries DIRECTORY [COUNT] | verify DIRECTORY".into()),
    }
}

fn open(dir: &Path) -> Result<AuditLog, Box<dyn Error>> {
    let clock = Arc::new(SystemClock::new());
    let (log, _) = AuditLog::open(dir, ORIGIN, Options::default(), clock)?;
    Ok(log)
}

/// A log key, certified by an instance key whose public half goes into a file.
fn signer(dir: &Path) -> Result<Signer, Box<dyn Error>> {
    let entropy = SystemEntropy::new();
    let seed = InstanceSeed::make_random(&entropy).map_err(|_| "no randomness")?;
    let instance = InstanceKey::new(&seed)?;
    let key = LogKey::new(&LogSeed::make_random(&entropy).map_err(|_| "no randomness")?)?;
    let (name, _) = ORIGIN.split_once('/').ok_or("no name")?;
    let certifier = VerifierKey::new(name, instance.public().0)?;
    let certificate = Certificate {
        origin: ORIGIN.to_owned(),
        number: 1,
        key: VerifierKey::new(ORIGIN, key.public().0)?,
        from_size: 0,
        from_root: Hash::empty(),
    };
    let text = certificate.text();
    let line = signature_line(&certifier, &instance.sign(text.as_bytes()));
    std::fs::write(dir.with_extension("pub"), certifier.to_string())?;
    Ok(Signer {
        number: 1,
        head: None,
        verifier: certificate.key,
        key,
        certificate: format!("{text}\n{line}"),
    })
}

fn principal(n: u64) -> PrincipalId {
    let mut id = [0x5a; 16];
    let (front, _) = id.split_at_mut(8);
    front.copy_from_slice(&n.to_be_bytes());
    PrincipalId(id)
}

fn dataset(n: u64) -> KeyId {
    KeyId(principal(n).0)
}

/// Call `n`: of 40 callers, on 12 datasets, with two shred secrets each of a million, one in 50 denied.
fn call(
    n: u64,
    month: &MonthKeys,
    entropy: &SystemEntropy,
) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let outcome = match n % 50 {
        0 => Outcome::Refused(Reason::Denied),
        _ => Outcome::Ok,
    };
    let mut detail = Detail::new(outcome);
    detail.dataset = Some(dataset(n % 12));
    detail.version = VersionNumber::new(1 + u32::try_from(n / 1_000_000)?);
    detail.lasting = vec![("tenant".into(), format!("t{}", n % 300).into())];
    detail.secrets = [n.wrapping_mul(7_919) % 1_000_000, n % 300]
        .map(|id| SecretId(principal(id).0))
        .to_vec();
    let caller = CallerFacts {
        principal: principal(if n % SELDOM == 77 { 1_000 } else { n % 40 }),
        name: None,
        authentication: Some(Authentication::Certificate),
        mfa_age: None,
        connection: 1 + n % 40,
    };
    let facts = CallFacts {
        id: CallId(principal(n).0),
        at: Coordinates {
            // three calls a second
            time: Timestamp::from_micros(1_795_500_000_000_000 + i64::try_from(n)? * 333_333),
            monotonic: Duration::from_millis(n),
            node: 1,
            boot: BootId([1; 8]),
        },
        trace: None,
        policy_revision: 1,
        subject: None,
    };
    let action = if n.is_multiple_of(3) {
        Action::GenerateDataKey
    } else {
        Action::UnwrapDataKey
    };
    let facts_of = Facts::single(action, detail);
    Ok(encode_call(
        &facts_of,
        &caller,
        &facts,
        LeafKeys::Unsealed(month),
        entropy,
    )?)
}

fn filled(dir: &Path, count: u64, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(dir)?;
    let log = open(dir)?;
    if log.is_empty() {
        log.sign_with(signer(dir)?);
        fill(&log, count, out)?;
    }
    let begun = Instant::now();
    while log.indexed_len() + 256 <= log.len() || log.signed_len() < log.len().min(count) {
        log.checkpoint_soon();
        std::thread::sleep(Duration::from_millis(50));
    }
    writeln!(out, "tree and index complete {:?} later", begun.elapsed())?;
    let sizes = [("index", std::fs::metadata(dir.join("index"))?.len())];
    for (name, bytes) in sizes {
        writeln!(out, "{name}: {} MiB", bytes >> 20)?;
    }
    times(&log, out)?;
    writeln!(out, "{}", memory())?;
    log.close();
    Ok(())
}

fn fill(log: &AuditLog, count: u64, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let entropy = SystemEntropy::new();
    let key = AuditMonthKey::make_random(&entropy).map_err(|_| "no randomness")?;
    let month = MonthKeys::new(Month::parse("2026-11").ok_or("no month")?, &key);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut under_way = VecDeque::new();
    let (begun, mut bytes) = (Instant::now(), 0);
    for first in (0..count).step_by(usize::try_from(BATCH)?) {
        let mut leaves = Vec::new();
        for n in first..(first + BATCH).min(count) {
            leaves.extend(call(n, &month, &entropy)?);
        }
        bytes += leaves.iter().map(Vec::len).sum::<usize>();
        under_way.push_back(log.append(Submission {
            leaves,
            usage: Vec::new(),
            space: Space::Operator,
        }));
        if under_way.len() >= UNDER_WAY
            && let Some(oldest) = under_way.pop_front()
        {
            runtime.block_on(oldest)?;
        }
    }
    for last in under_way {
        runtime.block_on(last)?;
    }
    let per_second = count as f64 / begun.elapsed().as_secs_f64();
    writeln!(
        out,
        "{count} entries of {} bytes appended in {:?}, {per_second:.0} a second",
        bytes as u64 / count.max(1),
        begun.elapsed()
    )?;
    Ok(())
}

/// How long one page takes for filters of each kind, newest first and oldest first.
fn times(log: &AuditLog, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let by = |n| Filter {
        principal: Some(principal(n)),
        ..Filter::default()
    };
    let on = |n| Filter {
        dataset: Some(dataset(n)),
        ..Filter::default()
    };
    let denied = Some(Outcome::Refused(Reason::Denied));
    let filters = [
        ("principal, often", by(3)),
        ("principal, one call in 100,000", by(1_000)),
        ("principal, never", by(2_000)),
        ("dataset", on(5)),
        ("dataset, never", on(500)),
        (
            "principal and dataset",
            Filter {
                dataset: Some(dataset(5)),
                ..by(1_000)
            },
        ),
        (
            "dataset, denied",
            Filter {
                outcome: denied,
                ..on(0)
            },
        ),
        (
            "action, never",
            Filter {
                action: Some(Action::Seal),
                ..Filter::default()
            },
        ),
    ];
    for (name, filter) in filters {
        for newest_first in [false, true] {
            let mut query = Query {
                from_sequence: if newest_first { u64::MAX } else { 0 },
                newest_first,
                filter: filter.clone(),
                limit: 100,
            };
            let begun = Instant::now();
            let (mut found, mut pages) = (0, 0);
            // the first hundred, however many pages that takes
            loop {
                let page = log.read(&query)?;
                (found, pages) = (found + page.entries.len(), pages + 1);
                match page.next {
                    Some(next) if found < 100 => query.from_sequence = next,
                    _ => break,
                }
            }
            let order = if newest_first {
                "newest first"
            } else {
                "oldest first"
            };
            writeln!(
                out,
                "{name}, {order}: {found} entries in {:?}, {pages} pages",
                begun.elapsed()
            )?;
        }
    }
    Ok(())
}

fn verified(dir: &Path, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let key = VerifierKey::parse(&std::fs::read_to_string(dir.with_extension("pub"))?)?;
    let begun = Instant::now();
    let options = tlog::Options {
        external: &[],
        since: None,
        check: &mut |_, _| Ok(()),
        progress: &mut |_, _| {},
    };
    let verified = tlog::verify(dir, &key, options)?;
    let entries = verified.checkpoint.size;
    let per_second = entries as f64 / begun.elapsed().as_secs_f64();
    writeln!(
        out,
        "{entries} entries verified in {:?}, {per_second:.0} a second; {}",
        begun.elapsed(),
        memory()
    )?;
    Ok(())
}

/// The most memory that was resident.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.unwrap_or_default().to_owned()
}
