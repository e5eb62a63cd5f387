//! A witness's memory on the disk: for each log its newest checkpoint and its keys. Each file is replaced as a whole and
//! synced; one process at a time.

use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use tlog::{Checkpoint, Note, read_notes};

/// Longest origin that is remembered, in bytes: it becomes the name of a folder.
const ORIGIN_MAX: usize = 80;
/// Most bytes of a file here.
const FILE_MAX: u64 = 1 << 20;

/// See the module.
#[derive(Debug)]
pub(crate) struct Memory {
    folder: PathBuf,
    // held to the last
    _lock: File,
}

impl Memory {
    /// The one in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// As the file system says; `WouldBlock` when another witness uses it.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        make_folder(folder)?;
        let mut options = File::options();
        let lock = options.write(true).create(true).truncate(false);
        let lock = lock.open(folder.join("lock"))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// The last checkpoint of a log.
    ///
    /// # Errors
    /// When it cannot be read: then the witness vouches for nothing.
    pub(crate) fn last(&self, origin: &str) -> io::Result<Option<Checkpoint>> {
        let Some(note) = read(&self.of(origin)?.join("checkpoint"))? else {
            return Ok(None);
        };
        let parsed = Note::parse(&note).and_then(|note| Checkpoint::parse(note.text()));
        let checkpoint = parsed.map_err(io::Error::other)?;
        if checkpoint.origin != origin {
            return Err(io::Error::other("a checkpoint lies in another log's place"));
        }
        Ok(Some(checkpoint))
    }

    /// Replaces it, durably.
    ///
    /// # Errors
    /// As the file system says; it is then the old or the new one.
    pub(crate) fn remember(&self, origin: &str, note: &str) -> io::Result<()> {
        replace(&self.of(origin)?, "checkpoint", note)
    }

    /// Where [`Self::remember`] writes.
    ///
    /// # Errors
    /// For an origin that is too long.
    pub(crate) fn place(&self, origin: &str) -> io::Result<PathBuf> {
        Ok(self.of(origin)?.join("checkpoint"))
    }

    /// Keeps a signed checkpoint that did not extend the last one; the newest of a log.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn keep_evidence(&self, origin: &str, note: &str) -> io::Result<()> {
        replace(&self.of(origin)?, "refused", note)
    }

    /// Certificates of a log's keys, from the first on.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn log_keys(&self, origin: &str) -> io::Result<Vec<String>> {
        let notes = read(&self.of(origin)?.join("log-keys"))?.unwrap_or_default();
        let notes = read_notes(&notes).map_err(io::Error::other)?;
        Ok(notes.into_iter().map(|(text, _)| text.to_owned()).collect())
    }

    /// Replaces them.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn remember_log_keys(&self, origin: &str, notes: &[String]) -> io::Result<()> {
        replace(&self.of(origin)?, "log-keys", &notes.concat())
    }

    fn of(&self, origin: &str) -> io::Result<PathBuf> {
        if origin.len() > ORIGIN_MAX {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        Ok(self.folder.join("logs").join(folder_name(origin)))
    }
}

/// Every byte but letters, digits, `-` and `_` as `%XX`: one name for each origin, and no path.
fn folder_name(origin: &str) -> String {
    let mut name = String::with_capacity(origin.len());
    for byte in origin.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    name
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    let found = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if found.len() > FILE_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    std::fs::read_to_string(path).map(Some)
}

fn replace(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    make_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name))?;
    // the name, and those of the folders that may be new
    for folder in folder.ancestors().take(3) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Writes a new file that only its owner may read; never over one that is there.
///
/// # Errors
/// As the file system says.
pub(super) fn write_secret(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    make_folder(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(folder.join(name))?;
    File::open(folder)?.sync_all()
}
