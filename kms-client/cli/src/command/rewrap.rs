//! `kms rewrap`: brings the data keys of many files under the active version, in place. Whatever
//! interrupts it, every file opens afterwards.

mod report;

use super::decrypt::warn_of_condition;
use super::encrypt::crashed;
use super::reencrypt;
use crate::args::Context;
use crate::exit::{Exit, Failure};
use crate::progress::Progress;
use crate::session::Session;
use clap::Args;
use kms_client::file::{Error, InPlace};
use kms_client::{Client, KeyContext, RewrapRequest, Rewrapped, UnwrapRequest};
use report::{FileReport, Outcome};
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use tokio::task::JoinSet;

/// Files that are locked and written together.
const TOGETHER: usize = 64;

/// Wrap the data keys of files again under the active version, in place.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms rewrap archive/*.kms --context tenant=acme
  find archive -name '*.kms' | kms rewrap --files-from - --context tenant=acme
  kms rewrap --reencrypt leaked.kms")]
pub(crate) struct Rewrap {
    /// Encrypted files.
    #[arg(value_name = "FILE", required_unless_present = "files_from")]
    files: Vec<PathBuf>,
    /// File that names further files, one a line; `-` is stdin.
    #[arg(long, value_name = "LIST")]
    files_from: Option<PathBuf>,
    #[command(flatten)]
    context: Context,
    /// Make a new data key and encrypt the contents again: the only cure for a compromised version.
    #[arg(long)]
    reencrypt: bool,
    /// Keep data keys of a compromised version all the same; says why, and is logged.
    #[arg(long, value_name = "TEXT", conflicts_with = "reencrypt")]
    keep_data_key_reason: Option<String>,
}

impl Rewrap {
    /// Runs it.
    ///
    /// # Errors
    /// When a file failed; the others are done all the same.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let key_context = self.context.key_context()?;
        let files = self.all_files()?;
        session.client().await?;
        let progress = Progress::of_files(session, files.len());
        let mut reports = Vec::with_capacity(files.len());
        for batch in files.chunks(if self.reencrypt { 1 } else { TOGETHER }) {
            let outcomes = if self.reencrypt {
                reencrypt_all(session, batch, &key_context).await
            } else {
                self.rewrap_batch(session, batch, &key_context).await?
            };
            for (path, outcome) in batch.iter().zip(outcomes) {
                if let (Err(failure), true) = (&outcome, files.len() > 1) {
                    progress.suspend(|| session.error(failure));
                }
                reports.push(FileReport::new(path, outcome));
            }
            progress.set(reports.len() as u64);
        }
        drop(progress);
        session.show(&reports)?;
        verdict(&reports)
    }

    fn all_files(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut files = self.files.clone();
        if let Some(list) = &self.files_from {
            let lines: io::Result<Vec<String>> = if list == Path::new("-") {
                io::stdin().lock().lines().collect()
            } else {
                File::open(list).and_then(|file| BufReader::new(file).lines().collect())
            };
            let lines = lines.map_err(|error| Failure::file(list, error))?;
            files.extend(
                lines
                    .into_iter()
                    .filter(|line| !line.is_empty())
                    .map(PathBuf::from),
            );
        }
        Ok(files)
    }

    /// Locks the files, asks for all their keys at once, writes them side by side.
    async fn rewrap_batch(
        &self,
        session: &Session,
        batch: &[PathBuf],
        key_context: &KeyContext,
    ) -> Result<Vec<Result<Outcome, Failure>>, Failure> {
        let client = session.client().await?;
        let locked: Vec<Result<InPlace, Failure>> =
            batch.iter().map(|path| lock(session, path)).collect();
        let requests: Vec<_> = locked
            .iter()
            .flatten()
            .map(|file| self.request(file, key_context))
            .collect();
        let mut answers = ask(client, &requests).await.into_iter();
        let mut outcomes: Vec<Result<Outcome, Failure>> = Vec::with_capacity(batch.len());
        let mut writing = JoinSet::new();
        for (index, (path, file)) in batch.iter().zip(locked).enumerate() {
            let lost = || Failure::failed("the service's answer lacks a part");
            match file {
                Err(failure) => outcomes.push(Err(failure)),
                Ok(file) => {
                    let answer = answers.next().ok_or_else(lost)?;
                    outcomes.push(Err(lost()));
                    let path = path.clone();
                    writing.spawn_blocking(move || (index, write(&path, file, answer)));
                }
            }
        }
        while let Some(written) = writing.join_next().await {
            let (index, outcome) = written.map_err(crashed)?;
            if let Some(place) = outcomes.get_mut(index) {
                *place = outcome;
            }
        }
        Ok(outcomes)
    }

    fn request(&self, file: &InPlace, key_context: &KeyContext) -> RewrapRequest {
        RewrapRequest {
            stored: UnwrapRequest {
                wrapped: file.header().wrapped().clone(),
                key_context: key_context.clone(),
            },
            keep_data_key_reason: self.keep_data_key_reason.clone(),
        }
    }
}

async fn ask(
    client: &Client,
    requests: &[RewrapRequest],
) -> Vec<Result<Rewrapped, kms_client::Error>> {
    if requests.is_empty() {
        return Vec::new();
    }
    client.rewrap(requests).await
}

fn lock(session: &Session, path: &Path) -> Result<InPlace, Failure> {
    let file = InPlace::lock(path).map_err(|error| Failure::envelope(path, &error))?;
    warn_of_condition(session, path, file.header());
    Ok(file)
}

fn write(
    path: &Path,
    file: InPlace,
    answer: Result<Rewrapped, kms_client::Error>,
) -> Result<Outcome, Failure> {
    let rewrapped = answer.map_err(|error| Failure::from(error).about(path.display()))?;
    let version = rewrapped.wrapped.header().version;
    let written: Result<_, Error> = if rewrapped.changed {
        file.replace(&rewrapped.wrapped)
            .map(|()| Outcome::Rewrapped { version })
    } else {
        file.mend().map(|mended| match mended {
            true => Outcome::Mended { version },
            false => Outcome::Current { version },
        })
    };
    written.map_err(|error| Failure::envelope(path, &error))
}

async fn reencrypt_all(
    session: &Session,
    files: &[PathBuf],
    key_context: &KeyContext,
) -> Vec<Result<Outcome, Failure>> {
    let mut outcomes = Vec::with_capacity(files.len());
    for path in files {
        let version = reencrypt::reencrypt(session, path, key_context).await;
        outcomes.push(version.map(|version| Outcome::Reencrypted { version }));
    }
    outcomes
}

/// Fails when a file did: with its exit code, or 1 when there were several kinds.
fn verdict(reports: &[FileReport]) -> Result<(), Failure> {
    let failures: Vec<_> = reports.iter().filter_map(FileReport::failure).collect();
    let Some(first) = failures.first() else {
        return Ok(());
    };
    if reports.len() == 1 {
        return Err((*first).clone());
    }
    let alike = failures
        .iter()
        .all(|failure| failure.exit() == first.exit());
    let exit = if alike { first.exit() } else { Exit::Failed };
    let message = format!("{} of {} files failed", failures.len(), reports.len());
    Err(Failure::new(exit, message).next("run it again for those that failed"))
}
