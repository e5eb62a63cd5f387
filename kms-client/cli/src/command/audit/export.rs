//! `kms audit export`: whole ranges of the log as a file for others, with a manifest that proves them: each line holds
//! its entry's bytes, so that whoever has the public key can check that these entries, all of them, are the log's.

pub(super) mod check;
mod csv;
mod manifest;

use super::entry::EntryReport;
use super::list::{Filter, page};
use super::remote::with_log;
use super::{read_key, verify};
use crate::args::value;
use crate::command::call;
use crate::destination::{Destination, Privacy};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::progress::Progress;
use crate::session::Session;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use kms_client::proto::v1;
use manifest::Manifest;
use serde::Serialize;
use std::io::Write;
use std::path::{Path, PathBuf};
use tlog::{CHECKPOINT, Checkpoint, Digest, Hash, Keychain, VerifierKey, prove_range};

/// Form of the exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line, as `kms audit list --output json` shows entries.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
    /// One CloudEvent a line around an OCSF API Activity (class 6003).
    Ocsf,
}

impl Format {
    const fn word(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Ocsf => "ocsf",
        }
    }

    const fn file_name(self) -> &'static str {
        match self {
            Self::Jsonl => "entries.jsonl",
            Self::Csv => "entries.csv",
            Self::Ocsf => "entries.ocsf.jsonl",
        }
    }
}

/// Export a whole range of the log with its proofs, into a folder.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms audit export --format jsonl --from 2026-10-01 --to 2026-11-01 --key audit.pub -o october
  kms audit verify --export october --key audit.pub")]
pub(crate) struct Export {
    /// Form of the file.
    #[arg(long, value_enum, value_name = "FORM")]
    format: Format,
    /// From the first entry of this time on: 2026-11-24, 2026-11-24T06:00:00Z, or 2h (that long ago).
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    from: Option<Timestamp>,
    /// To the last entry before this time.
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    to: Option<Timestamp>,
    /// The instance's public key: a file like `audit.pub`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Folder to make; it must not exist.
    #[arg(short, value_name = "FOLDER")]
    output_folder: PathBuf,
}

/// A run of entries.
#[derive(Debug, Clone, Copy)]
struct Range {
    first: u64,
    end: u64,
}

/// What the manifest takes from the tree.
struct Proven {
    range: Range,
    certificates: Vec<String>,
    note: String,
    checkpoint: Checkpoint,
    proof: tlog::RangeProof,
}

impl Export {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; precondition when no signed entry lies in the time asked for.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let key = read_key(&self.key)?;
        let asked = self.range(session).await?;
        let for_proof = key.clone();
        let proven = with_log(session, move |log| prove(log, &for_proof, asked)).await?;
        let folder = self.output_folder.as_path();
        std::fs::create_dir(folder).map_err(|error| Failure::file(folder, error))?;
        let path = folder.join(self.format.file_name());
        let file = self.write(session, &proven, &path).await?;
        let range = proven.range;
        let statement = self.sign(session, range, file).await?;
        let manifest = Manifest::new(self.format, file, proven, statement);
        let text = output::json(&manifest)?;
        let path = folder.join(manifest::FILE_NAME);
        let destination = Destination::open(Some(&path), Privacy::Private)?;
        destination.writer()?.write_all(text.as_bytes())?;
        destination.commit()?;
        let checked = check::export(session, folder, &key)?;
        if asked.end > range.end {
            let left = asked.end - range.end;
            session.note(&format!(
                "{left} newest entries have no checkpoint yet and are left out"
            ));
        }
        session.show(&checked)
    }

    /// The entries of the time asked for: from the first to the last, and all between.
    async fn range(&self, session: &Session) -> Result<Range, Failure> {
        let one = |newest_first| {
            let filter = Filter {
                from: self.from,
                to: self.to,
                ..Filter::default()
            };
            v1::ListEntriesRequest {
                newest_first,
                page_size: 1,
                ..filter.request()
            }
        };
        let first = self.one(session, one(false)).await?;
        let last = self.one(session, one(true)).await?;
        match (first, last) {
            (Some(first), Some(last)) => Ok(Range {
                first,
                end: last + 1,
            }),
            _ => Err(Failure::new(
                Exit::Precondition,
                "there is no entry of that time",
            )),
        }
    }

    async fn one(
        &self,
        session: &Session,
        mut request: v1::ListEntriesRequest,
    ) -> Result<Option<u64>, Failure> {
        loop {
            let page = page(session, &request).await?;
            if let Some(entry) = page.entries.first() {
                return Ok(Some(entry.sequence));
            }
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Writes the file; its digest.
    async fn write(
        &self,
        session: &Session,
        proven: &Proven,
        path: &Path,
    ) -> Result<Hash, Failure> {
        let destination = Destination::open(Some(path), Privacy::Private)?;
        let mut out = Digested {
            out: destination.writer()?,
            digest: Digest::new(),
        };
        if self.format == Format::Csv {
            out.line(&csv::header())?;
        }
        let bar = Progress::of_entries(session);
        let range = proven.range;
        let mut next = range.first;
        while next < range.end {
            let request = v1::ListEntriesRequest {
                from_sequence: next,
                page_size: 1_000,
                ..Default::default()
            };
            let page = page(session, &request).await?;
            let entries = page
                .entries
                .iter()
                .filter(|entry| entry.sequence < range.end);
            let before = next;
            for entry in entries {
                if entry.sequence != next {
                    return Err(Failure::failed(format!(
                        "the service leaves out entry {next}"
                    )));
                }
                out.line(&self.rendered(entry, &proven.checkpoint.origin)?)?;
                next += 1;
            }
            if next == before {
                return Err(Failure::failed(format!(
                    "the service does not give entry {next}"
                )));
            }
            bar.set_of(next - range.first, range.end - range.first);
        }
        let digest = out.digest.finish();
        drop(bar);
        destination.commit()?;
        Ok(digest)
    }

    fn rendered(&self, entry: &v1::AuditEntry, origin: &str) -> Result<String, Failure> {
        let report = EntryReport::from(entry);
        match self.format {
            Format::Jsonl => output::json_line(&report),
            Format::Csv => Ok(csv::line(&report)),
            Format::Ocsf => output::json_line(&kms_ocsf::event(entry, origin)),
        }
    }

    async fn sign(&self, session: &Session, range: Range, file: Hash) -> Result<String, Failure> {
        let request = v1::SignExportRequest {
            from_sequence: range.first,
            end_sequence: range.end,
            format: self.format.word().to_owned(),
            file_sha256: file.0.to_vec().into(),
        };
        let answer =
            call!(session, repeat audit_service_client::AuditServiceClient.sign_export, request)?;
        Ok(answer.note)
    }
}

/// The part of the range that is signed, with its proof.
fn prove(log: &tlog::Directory, key: &VerifierKey, asked: Range) -> Result<Proven, Failure> {
    let unreadable = |error: std::io::Error| Failure::failed(error.to_string());
    let certificates = log.certificates().map_err(unreadable)?;
    let keys = Keychain::follow(key, &certificates).map_err(verify::untrusted)?;
    let note = log.read_text(CHECKPOINT).map_err(unreadable)?;
    let note = note.ok_or_else(|| Failure::failed("the log has no checkpoint yet"))?;
    let checkpoint = keys.checkpoint(&note).map_err(verify::untrusted)?;
    let range = Range {
        first: asked.first,
        end: asked.end.min(checkpoint.size),
    };
    if range.first >= range.end {
        let unsigned = "the entries of that time have no checkpoint yet";
        return Err(Failure::new(Exit::Precondition, unsigned).next("wait 10 s"));
    }
    let proof = prove_range(log, checkpoint.size, range.first, range.end).map_err(unreadable)?;
    Ok(Proven {
        range,
        certificates,
        note,
        checkpoint,
        proof,
    })
}

/// Lines, and the digest over what was written.
struct Digested<W> {
    out: W,
    digest: Digest,
}

impl<W: Write> Digested<W> {
    fn line(&mut self, line: &str) -> Result<(), Failure> {
        let line = format!("{line}\n");
        self.digest.update(line.as_bytes());
        Ok(self.out.write_all(line.as_bytes())?)
    }
}

/// What an export holds, once it was verified.
#[derive(Debug, Serialize)]
pub(super) struct Checked {
    file: String,
    format: String,
    origin: String,
    first: u64,
    end: u64,
    entries: u64,
    exported_by: String,
    exported_at: String,
}

impl output::Report for Checked {
    fn table(&self) -> output::Table {
        let mut table = output::Table::facts();
        table.fact("file", self.file.clone());
        table.fact("of the log", self.origin.clone());
        table.fact(
            "entries",
            format!("{} to {}", self.first, self.end.saturating_sub(1)),
        );
        table.fact("count", self.entries.to_string());
        table.fact("exported by", self.exported_by.clone());
        table.fact("exported at", self.exported_at.clone());
        table
    }
}
