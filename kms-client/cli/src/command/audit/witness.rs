//! `kms audit witness`: remembers the newest checkpoint of a log elsewhere, if it extends the last one remembered.
//! Reads files alone; believes none that it has not checked.

use crate::command::witness::read_verifier;
use crate::exit::{Exit, Failure};
use crate::output::{Report, Table};
use crate::session::Session;
use crate::witness::{Added, Memory, Refusal, Trust, Witness as Memorising};
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use tlog::{CHECKPOINT, Checkpoint, Directory, Note, proof};

/// Remember a log's newest checkpoint in a place that its operators do not own.
///
/// Refuses a checkpoint that does not extend the last one remembered: then the log was changed, cut, or put back.
/// The line that it prints can be kept on paper, too.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  kms audit witness --offline kms-dev/data/audit --key kms-dev/audit.pub --state /media/usb/witness")]
pub(crate) struct Witness {
    /// Directory of the log, or a copy of it.
    #[arg(long, value_name = "DIR")]
    offline: PathBuf,
    /// The instance's public key: a file like `audit.pub`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Folder in which checkpoints are remembered.
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
}

impl Witness {
    /// Runs it.
    ///
    /// # Errors
    /// Precondition: the checkpoint does not extend the last one; else those of files.
    pub(crate) fn run(self, session: &Session) -> Result<(), Failure> {
        let key = read_verifier(&self.key)?;
        let memory = Memory::open(&self.state);
        let memory = memory.map_err(|error| Failure::file(&self.state, error))?;
        let witness = Memorising {
            memory,
            trust: Trust::new(vec![key]),
            cosigner: None,
        };
        let log = Directory::new(&self.offline);
        let added = take(&witness, &log, &self.offline)?;
        let place = witness.memory.place(&added.checkpoint.origin)?;
        session.show(&Remembered {
            origin: added.checkpoint.origin,
            entries: added.checkpoint.size,
            root: added.checkpoint.root.to_string(),
            before: added.before,
            kept_in: place.display().to_string(),
        })
    }
}

fn take(witness: &Memorising, log: &Directory, dir: &Path) -> Result<Added, Failure> {
    let at = |path: &str, error: &dyn std::fmt::Display| Failure::file(&dir.join(path), error);
    let certificates = log.certificates().map_err(|error| at("log-keys", &error))?;
    let refused = |refusal: Refusal| match &refusal {
        Refusal::NotExtended(_) => {
            let text = format!("not remembered: {refusal}");
            Failure::new(Exit::Precondition, text).next(format!(
                "keep a copy of {}, and find the entry with kms audit verify --checkpoint",
                dir.display()
            ))
        }
        _ => at(CHECKPOINT, &refusal),
    };
    witness
        .add_log_keys(&certificates.concat())
        .map_err(|refusal| at("log-keys", &refusal))?;
    let note = log.read_text(CHECKPOINT);
    let note = note.map_err(|error| at(CHECKPOINT, &error))?;
    let note = note.ok_or_else(|| at(CHECKPOINT, &"there is none"))?;
    let size = Note::parse(&note)
        .and_then(|note| Checkpoint::parse(note.text()))
        .map_err(|error| at(CHECKPOINT, &error))?
        .size;
    // tiles that cannot be read prove nothing, and that is what is told
    let prove = |old| Ok(proof::prove_consistency(log, size, old).unwrap_or_default());
    witness.add(&note, None, 0, prove).map_err(refused)
}

/// What is remembered now.
#[derive(Debug, Serialize)]
struct Remembered {
    origin: String,
    entries: u64,
    root: String,
    before: u64,
    kept_in: String,
}

impl Report for Remembered {
    fn table(&self) -> Table {
        let mut table = Table::list(&["origin", "entries", "root", "before", "kept in"]);
        table.row([
            self.origin.clone(),
            self.entries.to_string(),
            self.root.clone(),
            self.before.to_string(),
            self.kept_in.clone(),
        ]);
        table
    }
}
