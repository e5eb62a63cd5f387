//! A log's directory as a static file server would serve it, on a disk or elsewhere. Only reads.

use crate::hash::{HASH_LEN, Hash};
use crate::proof::Tiles;
use crate::tile::Tile;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The newest checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// The newest checkpoint that witnesses cosigned.
pub const COSIGNED: &str = "cosigned";
/// Folder of the log keys' certificates.
pub const CERTIFICATES: &str = "log-keys";
/// Most bytes of a file that is read at once: a bundle of 256 entries of 64 KiB.
const FILE_MAX: u64 = 17 << 20;

/// Name of a certificate's file in [`CERTIFICATES`].
#[must_use]
pub fn certificate_name(number: u64) -> String {
    format!("{number:08}")
}

/// Files of a log that lie elsewhere.
pub trait Served: Send + Sync {
    /// The bytes of a file; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be had.
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
}

/// See the module.
#[derive(Clone)]
pub struct Directory(Place);

#[derive(Clone)]
enum Place {
    Folder(PathBuf),
    Elsewhere(Arc<dyn Served>),
}

impl Directory {
    /// The one at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self(Place::Folder(path.to_owned()))
    }

    /// One whose files somebody else gives.
    #[must_use]
    pub fn served(files: Arc<dyn Served>) -> Self {
        Self(Place::Elsewhere(files))
    }

    /// The bytes of a file; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or is longer than any file of a log.
    pub fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let folder = match &self.0 {
            Place::Folder(folder) => folder,
            Place::Elsewhere(files) => return files.read(path),
        };
        let file = match File::open(folder.join(path)) {
            Ok(file) => file,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(Some(bytes))
    }

    /// The text of a file; what is not UTF-8 is an error.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_text(&self, path: &str) -> io::Result<Option<String>> {
        let bytes = self.read(path)?;
        let text = bytes.map(String::from_utf8).transpose();
        text.map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// The certificates of the log keys, from the first on, as far as they are there.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn certificates(&self) -> io::Result<Vec<String>> {
        let mut notes = Vec::new();
        for number in 1.. {
            let path = format!("{CERTIFICATES}/{}", certificate_name(number));
            match self.read_text(&path)? {
                Some(note) => notes.push(note),
                None => break,
            }
        }
        Ok(notes)
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

impl Tiles for Directory {
    type Error = io::Error;

    /// Of a partial tile that became full since, the full one's beginning.
    fn tile(&self, tile: Tile) -> io::Result<Vec<Hash>> {
        let full = Tile { width: 256, ..tile };
        let bytes = match self.read(&tile.path())? {
            Some(bytes) => Some(bytes).filter(|b| b.len() == usize::from(tile.width) * HASH_LEN),
            None => self.read(&full.path())?,
        };
        let bytes = bytes.unwrap_or_default();
        let (hashes, _) = bytes.as_chunks::<HASH_LEN>();
        let hashes = hashes.get(..usize::from(tile.width));
        let hashes = hashes.ok_or(io::ErrorKind::InvalidData)?;
        Ok(hashes.iter().copied().map(Hash).collect())
    }
}
