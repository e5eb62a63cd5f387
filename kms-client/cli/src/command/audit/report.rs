//! `kms audit report`: what an auditor asks for, as one file. Everything in it was read from the service under the auditor's
//! own role, the log was verified while it was made, and the entries that matter most carry their proofs with them.

mod controls;
mod facts;
mod gather;
mod html;

use super::read_key;
use crate::args::{Form, value};
use crate::destination::{Destination, Privacy};
use crate::exit::Failure;
use crate::output;
use crate::session::Session;
use clap::Args;
use facts::Span;
use jiff::Timestamp;
use std::io::Write as _;
use std::path::PathBuf;

/// Make a report for an auditor: one HTML file that needs neither network nor script, or JSON.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms audit report --from 2026-10-01 --to 2027-01-01 --key audit.pub -o report.html
  kms audit report --from 90d --key audit.pub --output json")]
pub(crate) struct Report {
    /// From this time on: 2026-11-24, 2026-11-24T06:00:00Z, or 90d (that long ago).
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    from: Timestamp,
    /// Until this time [default: now].
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    to: Option<Timestamp>,
    /// The instance's public key: a file like `audit.pub`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where to write the report [default: stdout].
    #[arg(short, value_name = "FILE")]
    output_file: Option<PathBuf>,
}

impl Report {
    /// Runs it.
    ///
    /// # Errors
    /// The service's. A log that does not hold is no error of the report: it stands in it, and the exit code says it too.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let key = read_key(&self.key)?;
        let made_at = Timestamp::now();
        let span = Span {
            from: self.from,
            to: self.to.unwrap_or(made_at),
        };
        if span.from >= span.to {
            return Err(Failure::usage("the time asked for ends before it begins"));
        }
        let facts = gather::facts(session, key, span, made_at).await?;
        let text = match session.form() {
            Form::Json => output::json(&facts)?,
            Form::Table => html::document(&facts)?,
        };
        let path = self.output_file.as_deref();
        let destination = Destination::open(path, Privacy::Private)?;
        destination.writer()?.write_all(text.as_bytes())?;
        destination.commit()?;
        match facts.verdict.holds {
            true => Ok(()),
            false => Err(Failure::failed(facts.verdict.words)),
        }
    }
}
