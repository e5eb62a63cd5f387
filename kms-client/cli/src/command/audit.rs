//! `kms audit`: the log of every call, read, proven and verified.

mod access;
mod anonymise;
mod entry;
mod export;
mod exposure;
mod list;
mod overriding;
mod prove;
mod remote;
mod report;
mod rotate_key;
mod show;
mod tail;
mod verify;
mod witness;

use crate::exit::Failure;
use crate::session::Session;
use clap::Subcommand;
use std::path::Path;
use tlog::VerifierKey;

/// Read, prove and verify the audit log. Reading it is logged.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    List(list::List),
    Show(show::Show),
    Prove(prove::Prove),
    Verify(verify::Verify),
    Witness(witness::Witness),
    Export(export::Export),
    Exposure(exposure::Exposure),
    Access(access::Access),
    RotateKey(rotate_key::RotateKey),
    Report(report::Report),
    Anonymise(anonymise::Anonymise),
    Override(overriding::Override),
}

impl Audit {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(session).await,
            Self::Show(show) => show.run(session).await,
            Self::Prove(prove) => prove.run(session).await,
            Self::Verify(verify) => verify.run(session).await,
            Self::Witness(witness) => witness.run(session),
            Self::Export(export) => export.run(session).await,
            Self::Exposure(exposure) => exposure.run(session).await,
            Self::Access(access) => access.run(session).await,
            Self::RotateKey(rotate) => rotate.run(session).await,
            Self::Report(report) => report.run(session).await,
            Self::Anonymise(anonymise) => anonymise.run(session).await,
            Self::Override(overriding) => overriding.run(session).await,
        }
    }
}

/// The text of a file that is named on the command line.
fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))
}

/// The instance's public key.
fn read_key(path: &Path) -> Result<VerifierKey, Failure> {
    VerifierKey::parse(&read(path)?).map_err(|error| Failure::file(path, error))
}
