//! `kms decrypt`: the plaintext appears only when all of it is genuine.

use super::encrypt::crashed;
use crate::args::Context;
use crate::destination::{Destination, Privacy};
use crate::exit::Failure;
use crate::progress::Progress;
use crate::session::Session;
use crate::source::Source;
use clap::Args;
use kms_client::file::{Condition, Contents, Header};
use kms_client::{ItemContext, KeyContext, UnwrapRequest, UnwrappedDataKey};
use std::path::{Path, PathBuf};

/// Decrypt a file.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms decrypt report.pdf.kms -o report.pdf --context tenant=acme
  kms decrypt docs.tar.kms | tar x

OUTPUT (mode 0600) appears only when it is whole and genuine. On stdout the beginning may have been
written before damage shows: check the exit code.")]
pub(crate) struct Decrypt {
    /// Encrypted file; `-` or nothing is stdin.
    input: Option<PathBuf>,
    /// File for the plaintext; `-` or nothing is stdout.
    #[arg(short = 'o', long = "out", value_name = "OUTPUT")]
    out: Option<PathBuf>,
    #[command(flatten)]
    pub context: Context,
}

impl Decrypt {
    /// Runs it.
    ///
    /// # Errors
    /// The service's and the file system's; damage. No file is then left behind.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let key_context = self.context.key_context()?;
        let mut source = Source::open(self.input.as_deref(), session)?;
        let name = source.name.clone();
        let failed = |error| Failure::envelope(&name, &error);
        let header = Header::read(&mut source.file).map_err(failed)?;
        warn_of_condition(session, &name, &header);
        let destination = Destination::open(self.out.as_deref(), Privacy::Private)?;
        let opened = unwrap(session, &name, &header, key_context).await?;
        note_of_version(session, &name, &opened);

        let contents = Contents::new(header.file_id(), &opened.data_key, &ItemContext::default());
        let target = destination.writer()?;
        let progress = Progress::of_bytes(session, source.len);
        let decrypting = tokio::task::spawn_blocking(move || {
            contents.decrypt(
                source.file,
                target,
                progress.parallel(&|done| progress.set(done)),
            )
        });
        decrypting.await.map_err(crashed)?.map_err(failed)?;
        destination.commit()
    }
}

/// Opens the data key in a file's header.
///
/// # Errors
/// The service's, with the file's name.
pub(crate) async fn unwrap(
    session: &Session,
    name: &Path,
    header: &Header,
    key_context: KeyContext,
) -> Result<UnwrappedDataKey, Failure> {
    let request = UnwrapRequest {
        wrapped: header.wrapped().clone(),
        key_context,
    };
    let opened = session.client().await?.unwrap_data_key(&request).await;
    opened.map_err(|error| Failure::from(error).about(name.display()))
}

/// Says so when a header slot is not well: the file opens all the same.
pub(crate) fn warn_of_condition(session: &Session, name: &Path, header: &Header) {
    let what = match header.condition() {
        Condition::Sound => return,
        Condition::Unfinished => {
            "an earlier rewrap was interrupted; `kms rewrap` finishes it".to_owned()
        }
        Condition::Damaged(slot) => format!(
            "header slot {} of 2 is damaged, the other one is whole; `kms rewrap` mends it",
            slot + 1
        ),
    };
    session.warn(&format!("{}: {what}", name.display()));
}

fn note_of_version(session: &Session, name: &Path, opened: &UnwrappedDataKey) {
    let (name, version) = (name.display(), opened.version);
    if opened.version_compromised {
        session.warn(&format!(
            "{name}: key version {version} is marked compromised; encrypt it again: `kms rewrap --reencrypt`"
        ));
    } else if !opened.version_active {
        session.note(&format!(
            "{name}: key version {version} is not the active one; `kms rewrap` brings it up to date"
        ));
    }
}
