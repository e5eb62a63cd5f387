//! `kms audit verify`: the whole log against the instance's public key, from files alone. Asks no service, believes
//! no file that it has not checked.

use crate::exit::Failure;
use crate::output::{Report, Table};
use crate::progress::Progress;
use crate::session::Session;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use tlog::{Damage, Options, Verified, VerifierKey};

/// Format of an entry, and where its place in the log stands (docs/formats.md, "Audit leaf").
const FORMAT: u8 = 1;
const PLACE_AT: std::ops::Range<usize> = 2..10;

/// Verify a copy of the audit log: every entry, every tile, every checkpoint.
///
/// Succeeds only when everything holds; otherwise names the first bad entry and what happened to it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms audit verify --offline kms-dev/data/audit --key kms-dev/audit.pub
  kms audit verify --offline copy --key audit.pub --checkpoint kept-elsewhere")]
pub(crate) struct Verify {
    /// Directory of the log, or a copy of it.
    #[arg(long, value_name = "DIR")]
    offline: PathBuf,
    /// The instance's public key: a file like `audit.pub`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A checkpoint kept elsewhere, which the log must extend; may be given several times.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

impl Verify {
    /// Runs it.
    ///
    /// # Errors
    /// The first damage.
    pub(crate) fn run(self, session: &Session) -> Result<(), Failure> {
        let key = read(&self.key)?;
        let key = VerifierKey::parse(&key).map_err(|error| Failure::file(&self.key, error))?;
        let kept: Result<Vec<_>, _> = self.checkpoint.iter().map(|path| read(path)).collect();
        let bar = Progress::of_entries(session);
        let options = Options {
            external: &kept?,
            check: &mut check,
            progress: &mut |done, of| bar.set_of(done, of),
        };
        let verified = tlog::verify(&self.offline, &key, options);
        drop(bar);
        let verified = verified.map_err(|found| Failure::failed(found.to_string()))?;
        session.show(&Verdict::from(verified))
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))
}

/// An entry must say the place that it has.
fn check(place: u64, entry: &[u8]) -> Result<(), Damage> {
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
}

impl From<Verified> for Verdict {
    fn from(verified: Verified) -> Self {
        Self {
            origin: verified.checkpoint.origin,
            entries: verified.checkpoint.size,
            root: verified.checkpoint.root.to_string(),
            checkpoints: verified.checkpoints,
            log_keys: verified.log_keys,
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
