//! A file's contents: one Cobblestone message under a key of its own. Never the wrapped data key's
//! business: a rewrap leaves the contents as they are.

use super::{Error, FileId};
use crate::data_key::DataKey;
use crate::name::ItemContext;
use cobblestone::{Key, OpenAt, OpenReader, Parallel, Salt, SealWriter};
use ring::hmac;
use std::fmt;
use std::io::{Read, Seek, Write};
use zeroize::Zeroizing;

/// Key of a file's message; derived from the data key.
pub(crate) const FILE_KEY: &[u8] = b"kms/v1/client/file/key;";
/// Context of a file's message; followed by file id and item context.
pub(crate) const FILE_CONTEXT: &[u8] = b"kms/v1/client/file/context;";

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
            key: derive_key(data_key),
            context: [FILE_CONTEXT, &id.0, &item_context.canonical()].concat(),
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

/// HKDF-SHA-512 (RFC 5869) without salt: extract, then the first 32 bytes of the first block. Written
/// with HMAC, which cannot fail, so that no key is ever used that was not derived.
fn derive_key(data_key: &DataKey) -> Key {
    let extracted = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA512, &[]),
        data_key.expose_bytes(),
    );
    let mut expand =
        hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA512, extracted.as_ref()));
    expand.update(FILE_KEY);
    expand.update(&[1]);
    let block = expand.sign();
    let mut key = Zeroizing::new([0; 32]);
    for (to, from) in key.iter_mut().zip(block.as_ref()) {
        *to = *from;
    }
    Key::new(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_hkdf_sha_512_of_the_data_key() {
        struct Len32;
        impl ring::hkdf::KeyType for Len32 {
            fn len(&self) -> usize {
                32
            }
        }
        let data_key = DataKey::from_slice(&[7; 32]).unwrap();
        let mut expected = [0; 32];
        ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA512, &[])
            .extract(data_key.expose_bytes())
            .expand(&[FILE_KEY], Len32)
            .unwrap()
            .fill(&mut expected)
            .unwrap();
        let salt = Salt::random().unwrap();
        let message = cobblestone::seal(&Key::new(&expected), b"context", &salt, b"text").unwrap();
        assert_eq!(
            cobblestone::open(&derive_key(&data_key), b"context", &message)
                .unwrap()
                .as_slice(),
            b"text"
        );
    }

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
