//! `kms audit verify`: the log, or something that was taken from it, against the instance's public key. Believes no file
//! and no answer that it has not checked.

use super::prove::file::ProofFile;
use super::remote::with_log;
use super::{read, read_key};
use crate::exit::Failure;
use crate::output::{Report, Table};
use crate::progress::Progress;
use crate::session::Session;
use clap::{ArgGroup, Args};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tlog::proof::prove_consistency;
use tlog::{
    CHECKPOINT, Checkpoint, Damage, Directory, Keychain, Options, Untrusted, Verified, VerifierKey,
};

/// Format of an entry, and where its place in the log stands (docs/formats.md, "Audit leaf").
const FORMAT: u8 = 1;
const PLACE_AT: std::ops::Range<usize> = 2..10;
/// How often the bar of an online verification moves.
const MOVES: Duration = Duration::from_millis(250);

/// Verify the audit log: every entry, every tile, every checkpoint.
///
/// Asks the service for its log, or reads a copy, a proof or an export without any service. Succeeds only when everything
/// holds; otherwise names the first bad entry and what happened to it.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").args(["offline", "proof", "export"]))]
#[command(after_help = "\
Examples:
  kms audit verify --key audit.pub
  kms audit verify --key audit.pub --from kept-yesterday
  kms audit verify --offline kms-dev/data/audit --key kms-dev/audit.pub
  kms audit verify --offline copy --key audit.pub --checkpoint kept-elsewhere
  kms audit verify --proof entry-17.json --key audit.pub
  kms audit verify --export october --key audit.pub")]
pub(crate) struct Verify {
    /// Directory of the log, or a copy of it; no service is asked.
    #[arg(long, value_name = "DIR")]
    offline: Option<PathBuf>,
    /// A proof of one entry, as `kms audit prove` makes it; no service is asked.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["checkpoint", "from"])]
    proof: Option<PathBuf>,
    /// A folder that `kms audit export` made; no service is asked.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["checkpoint", "from"])]
    export: Option<PathBuf>,
    /// The instance's public key: a file like `audit.pub`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A checkpoint kept elsewhere, which the log must extend; may be given several times.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// A checkpoint kept from an earlier verification, which the log must extend: entries before it are not read again.
    #[arg(long, value_name = "CHECKPOINT")]
    from: Option<PathBuf>,
}

/// What the log must agree with.
struct Given {
    key: VerifierKey,
    kept: Vec<String>,
    since: Option<String>,
}

impl Verify {
    /// Runs it.
    ///
    /// # Errors
    /// The first damage.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let key = read_key(&self.key)?;
        if let Some(path) = &self.proof {
            return proof(session, path, &key);
        }
        if let Some(folder) = &self.export {
            return session.show(&super::export::check::export(session, folder, &key)?);
        }
        let kept: Result<Vec<_>, _> = self.checkpoint.iter().map(|path| read(path)).collect();
        let given = Given {
            key,
            kept: kept?,
            since: self.from.as_deref().map(read).transpose()?,
        };
        let verdict = match &self.offline {
            Some(dir) => {
                let bar = Progress::of_entries(session);
                given.verify(&Directory::new(dir), &mut |done, of| bar.set_of(done, of))?
            }
            None => online(session, given).await?,
        };
        session.show(&verdict)
    }
}

fn proof(session: &Session, path: &std::path::Path, key: &VerifierKey) -> Result<(), Failure> {
    let text = read(path)?;
    let proof: ProofFile =
        serde_json::from_str(&text).map_err(|error| Failure::file(path, error))?;
    let checkpoint = proof.verify(key)?;
    session.show(&Proven {
        sequence: proof.sequence(),
        origin: checkpoint.origin,
        entries: checkpoint.size,
        root: checkpoint.root.to_string(),
        leaf: proof.leaf_hex(),
    })
}

/// By RPC. In the end the newest checkpoint of then must extend what was verified.
async fn online(session: &Session, given: Given) -> Result<Verdict, Failure> {
    let bar = Progress::of_entries(session);
    let counts = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let counted = Arc::clone(&counts);
    let work = with_log(session, move |log| {
        let mut count = |done, of| {
            counted.0.store(done, Ordering::Relaxed);
            counted.1.store(of, Ordering::Relaxed);
        };
        let verdict = given.verify(log, &mut count)?;
        given.still_extends(log, &verdict)?;
        Ok(verdict)
    });
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(MOVES);
    loop {
        tokio::select! {
            verdict = &mut work => return verdict,
            _ = ticks.tick() => {
                bar.set_of(counts.0.load(Ordering::Relaxed), counts.1.load(Ordering::Relaxed));
            }
        }
    }
}

impl Given {
    fn verify(
        &self,
        log: &Directory,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Verdict, Failure> {
        let options = Options {
            external: &self.kept,
            since: self.since.as_deref(),
            check: &mut check,
            progress,
        };
        let verified = tlog::verify_directory(log, &self.key, options);
        let verified = verified.map_err(|found| Failure::failed(found.to_string()))?;
        Ok(Verdict::from(verified))
    }

    fn still_extends(&self, log: &Directory, verdict: &Verdict) -> Result<(), Failure> {
        let unreadable = |error: std::io::Error| Failure::failed(error.to_string());
        let certificates = log.certificates().map_err(unreadable)?;
        let keys = Keychain::follow(&self.key, &certificates).map_err(untrusted)?;
        let note = log.read_text(CHECKPOINT).map_err(unreadable)?;
        let newest = keys
            .checkpoint(&note.unwrap_or_default())
            .map_err(untrusted)?;
        let verified = &verdict.checkpoint;
        let proof = if newest.size > verified.size {
            prove_consistency(log, newest.size, verified.size).map_err(unreadable)?
        } else {
            Vec::new()
        };
        tlog::extends(verified, &newest, &proof).map_err(|error| Failure::failed(error.to_string()))
    }
}

/// Nobody's signature counts.
pub(super) fn untrusted(error: Untrusted) -> Failure {
    Failure::failed(error.to_string())
}

/// An entry must say the place that it has.
pub(super) fn check(place: u64, entry: &[u8]) -> Result<(), Damage> {
    if entry.first() != Some(&FORMAT) {
        return Err(Damage::Malformed("of an unknown format".to_owned()));
    }
    let says = entry.get(PLACE_AT).and_then(|at| at.try_into().ok());
    let says = says.ok_or_else(|| Damage::Malformed("too short".to_owned()))?;
    let says = u64::from_be_bytes(says);
    if says == place {
        Ok(())
    } else {
        Err(Damage::Misplaced { says })
    }
}

/// A log in which everything holds.
#[derive(Debug, Serialize)]
struct Verdict {
    origin: String,
    entries: u64,
    root: String,
    checkpoints: u64,
    log_keys: usize,
    #[serde(skip)]
    checkpoint: Checkpoint,
}

impl From<Verified> for Verdict {
    fn from(verified: Verified) -> Self {
        let checkpoint = verified.checkpoint;
        Self {
            origin: checkpoint.origin.clone(),
            entries: checkpoint.size,
            root: checkpoint.root.to_string(),
            checkpoints: verified.checkpoints,
            log_keys: verified.log_keys,
            checkpoint,
        }
    }
}

impl Report for Verdict {
    fn table(&self) -> Table {
        let mut table = Table::list(&["origin", "entries", "root", "signed roots", "log keys"]);
        table.row([
            self.origin.clone(),
            self.entries.to_string(),
            self.root.clone(),
            self.checkpoints.to_string(),
            self.log_keys.to_string(),
        ]);
        table
    }
}

/// An entry that stands in the log.
#[derive(Debug, Serialize)]
struct Proven {
    sequence: u64,
    origin: String,
    /// Entries of the signed tree.
    entries: u64,
    root: String,
    leaf: String,
}

impl Report for Proven {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("entry", self.sequence.to_string());
        table.fact("of the log", self.origin.clone());
        table.fact("signed with", format!("{} entries", self.entries));
        table.fact("root", self.root.clone());
        table.fact("bytes", self.leaf.clone());
        table
    }
}
