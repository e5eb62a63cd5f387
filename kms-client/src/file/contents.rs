//! A file's contents: one Cobblestone message under a key of its own. Never the wrapped data key's
//! business: a rewrap leaves the contents as they are.

use super::{Error, FileId};
use crate::data_key::DataKey;
use crate::label;
use crate::name::ItemContext;
use cobblestone::{Key, OpenAt, OpenReader, Parallel, Salt, SealWriter};
use std::fmt;
use std::io::{Read, Seek, Write};

/// Encrypts or decrypts the contents of one file: holds their key and context.
pub struct Contents {
    key: Key,
    context: Vec<u8>,
}

impl Contents {
    /// For the file `id`, whose header holds `data_key` wrapped. The item context is bound in and not
    /// stored.
    #[must_use]
    pub fn new(id: FileId, data_key: &DataKey, item_context: &ItemContext) -> Self {
        Self {
            key: data_key.deriver().derive_key(&[label::FILE_KEY]),
            context: [label::FILE_CONTEXT, &id.0, &item_context.canonical()].concat(),
        }
    }

    /// Encrypts all of `source` onto `target`, behind the header; the plaintext bytes. Uses several
    /// cores, and at most 64 MiB whatever the input.
    ///
    /// # Errors
    /// Those of `source` and `target`; [`Error::TooLong`]; [`Error::RandomUnavailable`]. What was
    /// written is then no file.
    pub fn encrypt<'a>(
        &self,
        source: impl Read + Send,
        target: impl Write,
        parallel: impl Into<Parallel<'a>>,
    ) -> Result<u64, Error> {
        let salt = Salt::random()?;
        let sealed =
            cobblestone::seal_parallel(&self.key, &self.context, &salt, source, target, parallel);
        Ok(sealed?)
    }

    /// Decrypts `source`, which stands behind the header, to its end onto `target`; the plaintext
    /// bytes. Memory as [`Contents::encrypt`].
    ///
    /// # Errors
    /// Those of `source` and `target`; [`Error::Undecryptable`]: `target` then holds the genuine
    /// beginning of the file, which must not be taken for the file.
    pub fn decrypt<'a>(
        &self,
        source: impl Read + Send,
        target: impl Write,
        parallel: impl Into<Parallel<'a>>,
    ) -> Result<u64, Error> {
        let opened = cobblestone::open_parallel(&self.key, &self.context, source, target, parallel);
        Ok(opened?)
    }

    /// Encrypts what is written to it, on one core; `finish` ends the file.
    ///
    /// # Errors
    /// [`Error::RandomUnavailable`].
    pub fn writer<W: Write>(&self, target: W) -> Result<SealWriter<W>, Error> {
        Ok(SealWriter::new(
            target,
            &self.key,
            &self.context,
            &Salt::random()?,
        ))
    }

    /// Decrypts as it is read, on one core. Only its end says that it was the whole file.
    ///
    /// # Errors
    /// Those of `source`; [`Error::Undecryptable`].
    pub fn reader<R: Read>(&self, source: R) -> Result<OpenReader<R>, Error> {
        Ok(OpenReader::new(source, &self.key, &self.context)?)
    }

    /// Opens the file for reads at any offset of the plaintext. `source` stands behind the header
    /// and ends with the file.
    ///
    /// # Errors
    /// Those of `source`; [`Error::Undecryptable`].
    pub fn open_at<R: Read + Seek>(&self, source: R) -> Result<OpenAt<R>, Error> {
        Ok(OpenAt::new(source, &self.key, &self.context)?)
    }
}

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contents(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_bytes() {
        let contents = Contents::new(
            FileId([0; 16]),
            &DataKey::from_slice(&[0x41; 32]).unwrap(),
            &ItemContext::default(),
        );
        assert_eq!(format!("{contents:?}"), "Contents(<redacted>)");
    }
}
