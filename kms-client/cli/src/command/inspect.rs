//! `kms inspect`: what a blob or file is, without the service or any key.

mod report;

use crate::exit::Failure;
use crate::session::Session;
use crate::source;
use clap::Args;
use kms_client::inspect::Inspection;
use report::InspectionReport;

/// Show what a file or blob is: dataset key, version, shred secrets. Works offline, proves nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms inspect report.pdf.kms
  kms inspect kms1:AQEJCQkJ... --output json")]
pub(crate) struct Inspect {
    /// File, blob as text (kms1:...), or `-` for stdin.
    #[arg(value_name = "INPUT")]
    input: Option<String>,
}

impl Inspect {
    /// Runs it.
    ///
    /// # Errors
    /// Something that `kms` did not make; those of the file system.
    pub(crate) fn run(self, session: &Session) -> Result<(), Failure> {
        let (blob, len) = source::blob(self.input.as_deref(), session)?;
        match Inspection::of(&blob, len) {
            Some(inspection) => session.show(&InspectionReport::from(&inspection)),
            None => Err(Failure::failed(format!(
                "{}: not made by kms, or damaged",
                self.input.as_deref().unwrap_or("stdin")
            ))),
        }
    }
}
