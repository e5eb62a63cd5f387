//! `kms audit prove`: that one entry stands in the signed log, as a file that needs nothing but the public key. What is
//! printed was verified here first, as anybody will verify it.

pub(super) mod file;

use super::remote::with_log;
use super::{read_key, verify};
use crate::destination::{Destination, Privacy};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::session::Session;
use clap::Args;
use file::ProofFile;
use std::io::Write as _;
use std::path::PathBuf;
use tlog::proof::prove_inclusion;
use tlog::{CHECKPOINT, Directory, Keychain, Tile, VerifierKey, bundle_entries, entries_path};

/// Prove that an entry stands in the signed log.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms audit prove 17 --key audit.pub -o entry-17.json
  kms audit verify --proof entry-17.json --key audit.pub")]
pub(crate) struct Prove {
    /// Its sequence number.
    #[arg(value_name = "SEQUENCE")]
    sequence: u64,
    /// The instance's public key: a file like `audit.pub`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write the proof [default: stdout].
    #[arg(short, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

impl Prove {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; precondition when no checkpoint covers the entry yet.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let key = read_key(&self.key)?;
        let sequence = self.sequence;
        let proof = with_log(session, move |log| prove(log, &key, sequence)).await?;
        let text = output::json(&proof)?;
        let path = self.output_file.as_deref();
        let destination = Destination::open(path, Privacy::Shared)?;
        destination.writer()?.write_all(text.as_bytes())?;
        destination.commit()
    }
}

/// Makes a proof from the log's files and verifies it.
pub(super) fn prove(
    log: &Directory,
    key: &VerifierKey,
    sequence: u64,
) -> Result<ProofFile, Failure> {
    let unreadable = |error: std::io::Error| Failure::failed(error.to_string());
    let certificates = log.certificates().map_err(unreadable)?;
    let keys = Keychain::follow(key, &certificates).map_err(verify::untrusted)?;
    let note = log.read_text(CHECKPOINT).map_err(unreadable)?;
    let note = note.ok_or_else(|| Failure::failed("the log has no checkpoint yet"))?;
    let checkpoint = keys.checkpoint(&note).map_err(verify::untrusted)?;
    if sequence >= checkpoint.size {
        let covered = format!(
            "the newest checkpoint covers the entries before {}",
            checkpoint.size
        );
        return Err(Failure::new(Exit::Precondition, covered)
            .next("a new entry waits for its checkpoint at most 10 s"));
    }
    let tile = bundle_of(sequence, checkpoint.size);
    let leaf = leaf(log, tile, sequence).map_err(unreadable)?;
    let inclusion = prove_inclusion(log, checkpoint.size, sequence).map_err(unreadable)?;
    let proof = ProofFile::new(sequence, &leaf, &inclusion, note, certificates);
    proof.verify(key)?;
    Ok(proof)
}

fn bundle_of(sequence: u64, size: u64) -> Tile {
    let index = sequence / tlog::TILE_WIDTH;
    let width = (size - index * tlog::TILE_WIDTH).min(tlog::TILE_WIDTH);
    Tile {
        level: 0,
        index,
        width: u16::try_from(width).unwrap_or(256),
    }
}

fn leaf(log: &Directory, tile: Tile, sequence: u64) -> std::io::Result<Vec<u8>> {
    let mut bundle = log.read(&entries_path(tile.index, tile.width))?;
    if bundle.is_none() {
        // it became full since
        bundle = log.read(&entries_path(tile.index, 256))?;
    }
    let bundle = bundle.ok_or(std::io::ErrorKind::NotFound)?;
    let place = usize::try_from(sequence % tlog::TILE_WIDTH).unwrap_or(usize::MAX);
    let entry = bundle_entries(&bundle).nth(place);
    let entry = entry
        .and_then(Result::ok)
        .ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(entry.to_vec())
}
