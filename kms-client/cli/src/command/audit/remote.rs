//! The log's files by RPC, for code that reads them one by one: the same that reads a directory. The reader has a thread
//! of its own and asks; the program's runtime fetches, some files ahead where a reader goes through them in order.

use crate::command::call;
use crate::exit::Failure;
use crate::session::Session;
use kms_client::proto::v1;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc as blocking};
use tlog::{CHECKPOINT, Directory, Served, Tile, entries_path};
use tokio::sync::mpsc;

/// Bundles that are fetched ahead, each with its tile.
const AHEAD: u64 = 8;
/// Most files of one call.
const FILES_MAX: usize = 64;

type Files = Vec<(String, Option<Vec<u8>>)>;

/// What the reader asks.
struct Ask {
    paths: Vec<String>,
    reply: blocking::Sender<Result<Files, String>>,
}

struct Remote {
    asks: mpsc::UnboundedSender<Ask>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    ahead: HashMap<String, Vec<u8>>,
    /// The newest checkpoint, as it was first read: what comes after it is not looked at.
    checkpoint: Option<Vec<u8>>,
}

/// Runs `work` over the service's log.
///
/// # Errors
/// The service's; whatever `work` makes of them.
pub(super) async fn with_log<T: Send + 'static>(
    session: &Session,
    work: impl FnOnce(&Directory) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let (asks, mut asked) = mpsc::unbounded_channel::<Ask>();
    let remote = Remote {
        asks,
        kept: Mutex::default(),
    };
    let directory = Directory::served(Arc::new(remote));
    let mut work = tokio::task::spawn_blocking(move || work(&directory));
    let mut refused = None;
    loop {
        tokio::select! {
            ended = &mut work => {
                let ended = ended.map_err(|error| Failure::failed(error.to_string()))?;
                return refused.map_or(ended, Err);
            }
            Some(ask) = asked.recv() => {
                let files = fetch(session, &ask.paths).await;
                let files = files.map_err(|failure| {
                    let text = failure.to_string();
                    refused = Some(failure);
                    text
                });
                // a reader that has ended needs nothing more
                let _ = ask.reply.send(files);
            }
        }
    }
}

async fn fetch(session: &Session, paths: &[String]) -> Result<Files, Failure> {
    let mut files = Vec::new();
    let mut part = Vec::new();
    while let Some(rest) = paths.get(files.len()..).filter(|rest| !rest.is_empty()) {
        let wanted = rest.iter().take(FILES_MAX).enumerate();
        let wanted = wanted.map(|(place, path)| v1::LogFileRequest {
            path: path.clone(),
            offset: if place == 0 { part.len() as u64 } else { 0 },
        });
        let request = v1::GetLogFilesRequest {
            files: wanted.collect(),
        };
        let answer =
            call!(session, repeat audit_service_client::AuditServiceClient.get_log_files, request)?;
        let before = (files.len(), part.len());
        for (file, path) in answer.files.into_iter().zip(rest) {
            part.extend_from_slice(&file.contents);
            if file.found && (part.len() as u64) < file.size {
                break;
            }
            let contents = std::mem::take(&mut part);
            files.push((path.clone(), file.found.then_some(contents)));
        }
        if before == (files.len(), part.len()) {
            return Err(Failure::failed("the service gives no file of the log"));
        }
    }
    Ok(files)
}

impl Served for Remote {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(contents) = kept.ahead.remove(path) {
            return Ok(Some(contents));
        }
        let (reply, answer) = blocking::channel();
        let mut paths = vec![path.to_owned()];
        paths.extend(ahead(path));
        let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
        self.asks.send(Ask { paths, reply }).map_err(|_| gone())?;
        let files = answer.recv().map_err(|_| gone())?;
        let mut files = files.map_err(io::Error::other)?.into_iter();
        let (_, contents) = files.next().ok_or_else(gone)?;
        let found = files.filter_map(|(path, contents)| Some((path, contents?)));
        kept.ahead.extend(found);
        if path == CHECKPOINT && kept.checkpoint.is_none() {
            kept.checkpoint.clone_from(&contents);
        }
        Ok(contents.map(|contents| kept.until_checkpoint(path, contents)))
    }
}

impl Kept {
    /// A history, up to the checkpoint that was read first: the log goes on while it is read.
    fn until_checkpoint(&self, path: &str, mut contents: Vec<u8>) -> Vec<u8> {
        if let Some(note) = &self.checkpoint
            && path.starts_with("checkpoints/")
            && let Some(at) = contents
                .windows(note.len().max(1))
                .position(|part| part == note)
        {
            contents.truncate(at + note.len());
        }
        contents
    }
}

/// What comes next for who reads full bundles in their order.
fn ahead(path: &str) -> Vec<String> {
    let Some(number) = path.strip_prefix("tile/entries/") else {
        return Vec::new();
    };
    let digits: String = number
        .split('/')
        .map(|word| word.trim_start_matches('x'))
        .collect();
    let Ok(first) = digits.parse::<u64>() else {
        return Vec::new();
    };
    let tile = |index| Tile {
        level: 0,
        index,
        width: 256,
    };
    let bundles = (first + 1..=first + AHEAD).flat_map(|n| [entries_path(n, 256), tile(n).path()]);
    std::iter::once(tile(first).path()).chain(bundles).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_bundles_in_order_is_served_ahead() {
        let paths = ahead("tile/entries/x001/999");
        assert_eq!(paths.first().unwrap(), "tile/0/x001/999");
        assert_eq!(paths.get(1).unwrap(), "tile/entries/x002/000");
        assert_eq!(paths.len(), 17);
        assert!(ahead("tile/entries/000.p/7").is_empty());
        assert!(ahead("tile/0/000").is_empty());
    }
}
