//! What a file operation reads: a file, or stdin.

use crate::exit::Failure;
use crate::session::Session;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// Most bytes of a blob that is no file: a ciphertext of 64 KiB as text, with room.
const BLOB_MAX: u64 = 256 * 1024;
const TEXT_PREFIX: &str = "kms1:";

/// An open input.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its bytes; read without a buffer between.
    pub file: File,
    /// Its name, for messages.
    pub name: PathBuf,
    /// Bytes, where that is known.
    pub len: Option<u64>,
}

impl Source {
    /// For `[INPUT]`; nothing and `-` are stdin.
    ///
    /// # Errors
    /// Those of the file system, with the name.
    pub(crate) fn open(path: Option<&Path>, session: &Session) -> Result<Self, Failure> {
        let source = match path {
            Some(path) if path != Path::new("-") => {
                Self::at(path).map_err(|error| Failure::file(path, error))?
            }
            _ => Self::stdin()?,
        };
        if source.file.is_terminal() {
            session.note("reading from the terminal; end with Ctrl-D");
        }
        Ok(source)
    }

    fn at(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Ok(Self {
            file,
            name: path.to_owned(),
            len: metadata.is_file().then_some(metadata.len()),
        })
    }

    fn stdin() -> Result<Self, Failure> {
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Self {
            file,
            name: PathBuf::from("stdin"),
            len: None,
        })
    }

    /// Reads to the end; the bytes that were left.
    fn skip(&self) -> Result<u64, Failure> {
        io::copy(&mut (&self.file), &mut io::sink())
            .map_err(|error| Failure::file(&self.name, error))
    }

    /// All bytes of a small blob, text (`kms1:...`) decoded, or the beginning of something longer;
    /// and the length of the whole.
    ///
    /// # Errors
    /// Those of the file system, with the name.
    pub(crate) fn blob(&self) -> Result<(Vec<u8>, u64), Failure> {
        let mut bytes = Vec::new();
        let read = (&self.file).take(BLOB_MAX).read_to_end(&mut bytes);
        read.map_err(|error| Failure::file(&self.name, error))?;
        match std::str::from_utf8(&bytes) {
            Ok(text) if text.trim().starts_with(TEXT_PREFIX) => decoded(text.trim()),
            _ => {
                let len = match self.len {
                    Some(len) => len,
                    None => bytes.len() as u64 + self.skip()?,
                };
                Ok((bytes, len))
            }
        }
    }
}

/// A blob given as `kms1:...`, as the name of a file that holds one, or on stdin: see [`Source::blob`].
///
/// # Errors
/// Those of the file system; text that is cut or mistyped.
pub(crate) fn blob(argument: Option<&str>, session: &Session) -> Result<(Vec<u8>, u64), Failure> {
    match argument {
        Some(text) if text.starts_with(TEXT_PREFIX) => decoded(text),
        path => Source::open(path.map(Path::new), session)?.blob(),
    }
}

fn decoded(text: &str) -> Result<(Vec<u8>, u64), Failure> {
    let blob = kms_client::wrapped::from_text(text)
        .map_err(|_| Failure::failed("what follows kms1: is not base64url").next("is it cut?"))?;
    let len = blob.len() as u64;
    Ok((blob, len))
}
