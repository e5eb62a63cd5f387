//! `kms encrypt`: a file under a data key of its own.

use super::dataset;
use crate::args::owner::Owner;
use crate::args::{Context, value};
use crate::destination::{Destination, Privacy};
use crate::exit::Failure;
use crate::progress::Progress;
use crate::session::Session;
use crate::source::Source;
use clap::Args;
use kms_client::file::{Contents, Header};
use kms_client::{DataKeyRequest, DatasetName, ItemContext};
use std::io::Write as _;
use std::path::PathBuf;

/// Encrypt a file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms encrypt files report.pdf -o report.pdf.kms --context tenant=acme
  tar c docs | kms encrypt backups > docs.tar.kms
  kms encrypt customers jane.json -o jane.kms --account acme --subject jane@example.com

OUTPUT appears only when it is whole; a file of that name is replaced.")]
pub(crate) struct Encrypt {
    /// Dataset whose key protects the file.
    #[arg(value_parser = value::dataset)]
    dataset: DatasetName,
    /// File to encrypt; `-` or nothing is stdin.
    input: Option<PathBuf>,
    /// Encrypted file; `-` or nothing is stdout.
    #[arg(short = 'o', long = "out", value_name = "OUTPUT")]
    out: Option<PathBuf>,
    #[command(flatten)]
    context: Context,
    #[command(flatten)]
    owner: Owner,
}

impl Encrypt {
    /// Runs it.
    ///
    /// # Errors
    /// The service's and the file system's; no file is then left behind.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let key_context = self.context.key_context()?;
        let destination = Destination::open(self.out.as_deref(), Privacy::Shared)?;
        if destination.is_terminal() {
            return Err(
                Failure::usage("an encrypted file would garble the terminal")
                    .next("give -o OUTPUT or redirect stdout"),
            );
        }
        let source = Source::open(self.input.as_deref(), session)?;
        let shred = self
            .owner
            .shred_uses(&dataset::get(session, &self.dataset).await?)?;
        let request = DataKeyRequest::new(self.dataset, key_context, shred)?;
        let made = session.client().await?.generate_data_key(&request).await?;

        let name = source.name.clone();
        let failed = |error| Failure::envelope(&name, &error);
        let header = Header::make(&made.wrapped).map_err(failed)?;
        let contents = Contents::new(header.file_id(), &made.data_key, &ItemContext::default());
        let mut target = destination.writer()?;
        let progress = Progress::of_bytes(session, source.len);
        let encrypting = tokio::task::spawn_blocking(move || {
            target.write_all(&header.encode())?;
            contents.encrypt(
                source.file,
                target,
                progress.parallel(&|done| progress.set(done)),
            )
        });
        encrypting.await.map_err(crashed)?.map_err(failed)?;
        destination.commit()
    }
}

/// A worker that did not come back.
pub(crate) fn crashed(error: tokio::task::JoinError) -> Failure {
    Failure::failed(format!("a worker thread died: {error}"))
}
