//! The file envelope: two header slots that hold the wrapped data key, then one Cobblestone message.
//!
//! Encrypts files of any size in bounded memory, opens them as streams or at any offset, and puts a
//! newly wrapped data key into the header in place, so that a crash at any moment leaves a file that
//! opens. Never stores a key in the clear or the key context, and never asks the service for
//! anything: wrapped keys and data keys are handed in. Layout: docs/formats.md, "File envelope".
//!
//! ```no_run
//! use kms_client::file::{Contents, Header};
//! use kms_client::{Client, DataKeyRequest, ItemContext, KeyContext, UnwrapRequest};
//! use std::fs::File;
//!
//! # async fn example(client: &Client, request: &DataKeyRequest) -> Result<(), Box<dyn std::error::Error>> {
//! let made = client.generate_data_key(request).await?;
//! let header = Header::make(&made.wrapped)?;
//! let contents = Contents::new(header.file_id(), &made.data_key, &ItemContext::default());
//! let mut target = File::create("report.kms")?;
//! std::io::Write::write_all(&mut target, &header.encode())?;
//! contents.encrypt(File::open("report.pdf")?, target, 0)?;
//!
//! let mut source = File::open("report.kms")?;
//! let header = Header::read(&mut source)?;
//! let wrapped = header.wrapped().clone();
//! let key_context = request.key_context().clone();
//! let opened = client.unwrap_data_key(&UnwrapRequest { wrapped, key_context }).await?;
//! let contents = Contents::new(header.file_id(), &opened.data_key, &ItemContext::default());
//! contents.decrypt(source, File::create("report.pdf")?, 0)?;
//! # Ok(())
//! # }
//! ```

mod contents;
mod header;
mod in_place;

pub use contents::Contents;
pub use header::{Condition, FileId, HEADER_LEN, Header, SLOT_LEN};
pub use in_place::InPlace;

use std::io;

/// Why a file could not be made, opened or rewrapped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system, or the caller's own reader or writer.
    #[error(transparent)]
    Io(io::Error),
    /// Neither header slot bears the mark of an encrypted file.
    #[error("not a file that kms encrypted")]
    NotAnEnvelope,
    /// The mark is there, but with a format this build does not know.
    #[error("file format {0} is newer than this program")]
    Format(u8),
    /// Both header slots are damaged, so the wrapped data key is lost.
    #[error("both header slots are damaged")]
    HeaderLost,
    /// Wrong data key or item context, or damaged, missing or added bytes: one reason for all.
    #[error("wrong context, wrong key or damaged bytes")]
    Undecryptable,
    /// Another process is rewrapping the file.
    #[error("another process is rewrapping this file")]
    Busy,
    /// Longer than a message may be, about 4 PiB.
    #[error("the input is longer than 4 PiB")]
    TooLong,
    /// The operating system gave no random bytes.
    #[error("the system's random number generator failed")]
    RandomUnavailable,
}

impl From<cobblestone::Error> for Error {
    fn from(error: cobblestone::Error) -> Self {
        match error {
            cobblestone::Error::TooLong => Self::TooLong,
            cobblestone::Error::RandomUnavailable => Self::RandomUnavailable,
            _ => Self::Undecryptable,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match cobblestone::Error::of(&error) {
            Some(reason) => reason.into(),
            None => Self::Io(error),
        }
    }
}

#[cfg(test)]
mod tests;
