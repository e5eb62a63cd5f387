//! What the tests of the log share: a directory, real leaves, a clock that stands still.

mod appending;
mod counting;
mod damage;
mod disk;
mod index;
mod paging;
mod reconciling;
mod torn;
mod tree_faults;

use super::*;
use crate::system::clock::ManualClock;
use kms_core::audit::leaf::{
    BootId, CallFacts, CallerFacts, Coordinates, LeafKeys, PrincipalId, decode, encode_call,
};
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::entropy::{Entropy, EntropyUnavailable};
use kms_core::name::CallId;
use kms_core::policy::{Action, Authentication};
use kms_core::time::Timestamp;
use std::time::Duration;
use tempfile::TempDir;

/// The smallest segments, no reserve.
const SMALL: Options = Options {
    segment_bytes: 64 * 1024,
    reserve_bytes: 0,
    tree: true,
};

struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyUnavailable> {
        Err(EntropyUnavailable)
    }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_micros(
        1_795_392_000_000_000,
    )))
}

fn open(dir: &Path) -> (AuditLog, Opened) {
    AuditLog::open(dir, "test/1", SMALL, clock()).unwrap()
}

fn id(n: u64) -> CallId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    CallId(id)
}

/// Time of call `n`: a second apart.
fn time(n: u64) -> Timestamp {
    Timestamp::from_micros(1_795_392_000_000_000 + i64::try_from(n).unwrap() * 1_000_000)
}

/// The leaves of call `n`, by principal `n % 3`.
fn call(n: u64, facts: &Facts) -> Vec<Vec<u8>> {
    call_of(n % 3, n, facts)
}

fn call_of(who: u64, n: u64, facts: &Facts) -> Vec<Vec<u8>> {
    let caller = CallerFacts {
        principal: principal(who),
        name: None,
        authentication: Some(Authentication::Certificate),
        mfa_age: None,
        connection: 1,
    };
    let call = CallFacts {
        id: id(n),
        at: Coordinates {
            time: time(n),
            monotonic: Duration::from_secs(n),
            node: 1,
            boot: BootId([1; 8]),
        },
        trace: None,
        policy_revision: 1,
        subject: None,
    };
    encode_call(facts, &caller, &call, LeafKeys::Missing, &NoEntropy).unwrap()
}

fn principal(n: u64) -> PrincipalId {
    let mut id = [0xAA; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    PrincipalId(id)
}

fn status_call(n: u64) -> Submission {
    let facts = Facts::single(Action::GetStatus, Detail::new(Outcome::Ok));
    submission(call(n, &facts))
}

/// A batch: a head and `details` details.
fn batch_call(n: u64, details: u32) -> Submission {
    let items = (1..=details).map(|version| Detail {
        version: VersionNumber::new(version),
        ..Detail::new(Outcome::Ok)
    });
    submission(call(n, &Facts::batch(Action::UnwrapDataKey, items)))
}

fn submission(leaves: Vec<Vec<u8>>) -> Submission {
    Submission {
        leaves,
        usage: Vec::new(),
        space: Space::Data,
    }
}

/// All call ids in the log in order, each leaf's sequence checked.
fn all_ids(log: &AuditLog) -> Vec<CallId> {
    let mut ids = Vec::new();
    reading::walk_forward(&log.shared.segments, 0, |sequence, leaf| {
        assert_eq!(sequence, ids.len() as u64);
        ids.push(decode(leaf).unwrap().prefix.id);
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(ids.len() as u64, log.len());
    ids
}

/// The only files there are.
fn segment_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|item| item.unwrap().path())
        // folders are the tree's
        .filter(|path| path.is_file() && !path.ends_with("index"))
        .collect();
    files.sort();
    files
}

/// A copy of a log in a directory of its own.
fn copy(dir: &Path) -> TempDir {
    let to = TempDir::new().unwrap();
    for file in segment_files(dir) {
        std::fs::copy(&file, to.path().join(file.file_name().unwrap())).unwrap();
    }
    to
}
