//! One daemon for one data directory: an advisory lock (`flock(2)`) on a file in it. The lock dies with
//! the process, so a stale one cannot stand in the way; the file itself is never removed.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Name of the file in the data directory.
pub const FILE: &str = "lock";

/// The directory is ours as long as this lives.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// The directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum NotLocked {
    /// Another process has it.
    #[error("{directory} is in use by another kms-server (process {process})")]
    Taken {
        /// The data directory.
        directory: PathBuf,
        /// The process's number as it wrote it, or `unknown`.
        process: String,
    },
    /// The file cannot be opened or locked.
    #[error("{0}: {1}")]
    Failed(PathBuf, #[source] io::Error),
}

impl DirectoryLock {
    /// Takes the directory, without waiting.
    ///
    /// # Errors
    /// [`NotLocked`].
    pub fn take(directory: &Path) -> Result<Self, NotLocked> {
        let path = directory.join(FILE);
        let failed = |error| NotLocked::Failed(path.clone(), error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(NotLocked::Taken {
                    directory: directory.to_owned(),
                    process: holder(&mut file),
                });
            }
            Err(error) => return Err(failed(error.into())),
        }
        // The number only serves the message above; on a full disk the lock holds without it.
        let _ = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(20).read_to_string(&mut text);
    let number = text.trim();
    if read.is_ok() && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        number.to_owned()
    } else {
        "unknown".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_taken_once_and_free_again_after() {
        let place = tempfile::tempdir().unwrap();
        let first = DirectoryLock::take(place.path()).unwrap();
        let told = DirectoryLock::take(place.path()).unwrap_err().to_string();
        let number = std::process::id().to_string();
        assert!(told.contains("in use by another"), "{told}");
        assert!(told.contains(&number), "{told}");
        drop(first);
        DirectoryLock::take(place.path()).unwrap();
    }

    #[test]
    fn a_directory_that_is_missing_is_named() {
        let place = tempfile::tempdir().unwrap();
        let missing = place.path().join("missing");
        let told = DirectoryLock::take(&missing).unwrap_err().to_string();
        assert!(told.contains("missing/lock"), "{told}");
    }
}
