//! Wrapped data keys as this side sees them: it reads the header, offline, and never opens one.
//!
//! `format 1 | blob kind 1 | dataset key id 16 | key version 4 | n 1 | n x (secret kind 1, shred secret
//! id 16) | cobblestone message`, big-endian.

use crate::error::Error;
use crate::name::SecretKind;
use data_encoding::BASE64URL_NOPAD;
use std::fmt;

const FORMAT: u8 = 1;
const TEXT_PREFIX: &str = "kms1:";
const SECRETS_MAX: usize = 4;
const SECRET_LEN: usize = 17;
/// Bytes of the header without shred secrets.
const HEADER_LEN: usize = 23;
/// Bytes of a wrapped data key without shred secrets; each adds 17.
pub const WRAPPED_LEN: usize = 127;
/// Most bytes of a wrapped data key.
pub const WRAPPED_LEN_MAX: usize = WRAPPED_LEN + SECRETS_MAX * SECRET_LEN;

/// What follows the header of a blob that the service made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlobKind {
    /// A data key of 32 bytes.
    DataKey,
    /// What [`Client::encrypt`](crate::Client::encrypt) was given.
    Ciphertext,
}

/// A shred secret as a blob names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    /// What it stands for.
    pub kind: SecretKind,
    /// Its id.
    pub id: [u8; 16],
}

/// What a blob of the service tells of itself without any key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Header {
    /// What follows.
    pub kind: BlobKind,
    /// The dataset's key.
    pub key_id: [u8; 16],
    /// The key's version, from 1.
    pub version: u32,
    /// The shred secrets that took part, at most four.
    pub secrets: Vec<SecretRef>,
}

impl Header {
    /// Reads the header of a blob; `None` when it is none of the service's.
    #[must_use]
    pub fn parse(blob: &[u8]) -> Option<Self> {
        let (fixed, rest) = blob.split_first_chunk::<HEADER_LEN>()?;
        let [FORMAT, kind, names @ .., count] = fixed else {
            return None;
        };
        let kind = match kind {
            1 => BlobKind::DataKey,
            2 => BlobKind::Ciphertext,
            _ => return None,
        };
        let (key_id, version) = names.split_first_chunk::<16>()?;
        let version = u32::from_be_bytes(version.try_into().ok()?);
        let count = usize::from(*count);
        let (secrets, _) = rest.split_at_checked(count.checked_mul(SECRET_LEN)?)?;
        let secrets = secrets.chunks_exact(SECRET_LEN).map(|bytes| {
            let (number, id) = bytes.split_first()?;
            Some(SecretRef {
                kind: SecretKind::from_number(*number)?,
                id: id.try_into().ok()?,
            })
        });
        let secrets = secrets.collect::<Option<Vec<_>>>()?;
        let rising = secrets.is_sorted_by(|a, b| a < b);
        let sized = kind == BlobKind::Ciphertext || blob.len() == WRAPPED_LEN + count * SECRET_LEN;
        (version > 0 && count <= SECRETS_MAX && rising && sized).then_some(Self {
            kind,
            key_id: *key_id,
            version,
            secrets,
        })
    }
}

/// A wrapped data key: 127 to 195 bytes to store beside what it encrypts. No secret.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WrappedDataKey {
    bytes: Box<[u8]>,
    header: Header,
}

impl WrappedDataKey {
    /// Takes over stored bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable) when they are no wrapped data key.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let header = Header::parse(bytes).filter(|header| header.kind == BlobKind::DataKey);
        let header = header.ok_or_else(Error::undecryptable)?;
        let bytes = bytes.into();
        Ok(Self { bytes, header })
    }

    /// The bytes to store.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it tells of itself.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// As text: `kms1:` and base64url without padding (RFC 4648, section 5).
    #[must_use]
    pub fn to_text(&self) -> String {
        to_text(&self.bytes)
    }

    /// From [`WrappedDataKey::to_text`].
    ///
    /// # Errors
    /// [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable) when it is no wrapped data key.
    pub fn from_text(text: &str) -> Result<Self, Error> {
        Self::parse(&from_text(text)?)
    }
}

impl fmt::Debug for WrappedDataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WrappedDataKey").field(&self.header).finish()
    }
}

/// `kms1:` and base64url: the text form of every blob.
#[must_use]
pub fn to_text(blob: &[u8]) -> String {
    let mut text = String::from(TEXT_PREFIX);
    BASE64URL_NOPAD.encode_append(blob, &mut text);
    text
}

/// From [`to_text`].
///
/// # Errors
/// [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable) when it is not of that form.
pub fn from_text(text: &str) -> Result<Vec<u8>, Error> {
    let encoded = text.strip_prefix(TEXT_PREFIX).map(str::as_bytes);
    let decoded = encoded.and_then(|encoded| BASE64URL_NOPAD.decode(encoded).ok());
    decoded.ok_or_else(Error::undecryptable)
}

/// What this library puts around a wrapped data key and a message; the numbers go on from [`BlobKind`]'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Frame {
    Field = 3,
    Stream = 4,
}

/// Bytes of a frame before its wrapped data key.
pub(crate) const FRAME_HEADER_LEN: usize = 3;

/// `format 1 | blob kind 1 | length 1 | wrapped data key`; the message follows.
pub(crate) fn frame(kind: Frame, wrapped: &WrappedDataKey) -> Vec<u8> {
    let len = u8::try_from(wrapped.bytes.len()).unwrap_or(u8::MAX);
    let mut bytes = Vec::with_capacity(FRAME_HEADER_LEN + WRAPPED_LEN_MAX);
    bytes.extend_from_slice(&[FORMAT, kind as u8, len]);
    bytes.extend_from_slice(&wrapped.bytes);
    bytes
}

/// The length of the wrapped data key that a frame's first bytes announce.
pub(crate) fn framed_len(kind: Frame, header: [u8; FRAME_HEADER_LEN]) -> Result<usize, Error> {
    match header {
        [FORMAT, number, len] if number == kind as u8 => Ok(usize::from(len)),
        _ => Err(Error::undecryptable()),
    }
}

/// Takes a frame apart into wrapped data key and message.
pub(crate) fn split_frame(kind: Frame, bytes: &[u8]) -> Result<(WrappedDataKey, &[u8]), Error> {
    let split = bytes.split_first_chunk::<FRAME_HEADER_LEN>();
    let (header, rest) = split.ok_or_else(Error::undecryptable)?;
    let split = rest.split_at_checked(framed_len(kind, *header)?);
    let (wrapped, message) = split.ok_or_else(Error::undecryptable)?;
    Ok((WrappedDataKey::parse(wrapped)?, message))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The header that the service would write.
    pub(crate) fn header(key_id: [u8; 16], version: u32, secrets: &[(u8, [u8; 16])]) -> Vec<u8> {
        let mut bytes = vec![FORMAT, 1];
        bytes.extend_from_slice(&key_id);
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.push(secrets.len() as u8);
        for (kind, id) in secrets {
            bytes.push(*kind);
            bytes.extend_from_slice(id);
        }
        bytes
    }

    fn sample() -> Vec<u8> {
        let mut bytes = header([9; 16], 3, &[(1, [1; 16]), (2, [0; 16])]);
        bytes.resize(WRAPPED_LEN + 2 * SECRET_LEN, 0xEE);
        bytes
    }

    #[test]
    fn the_header_tells_key_version_and_secrets() {
        let wrapped = WrappedDataKey::parse(&sample()).unwrap();
        let header = wrapped.header();
        assert_eq!((header.key_id, header.version), ([9; 16], 3));
        let kinds: Vec<_> = header.secrets.iter().map(|secret| secret.kind).collect();
        assert_eq!(kinds, [SecretKind::Subject, SecretKind::Account]);
        assert_eq!(
            WrappedDataKey::from_text(&wrapped.to_text()).unwrap(),
            wrapped
        );
    }

    #[test]
    fn malformed_headers_are_refused() {
        let mut cases = vec![sample(); 8];
        cases[0][0] = 2; // format
        cases[1][1] = 2; // a ciphertext, not a data key
        cases[2][18..22].fill(0); // version 0
        cases[3][22] = 5; // too many secrets
        cases[4][23] = 4; // unknown kind
        cases[5][23] = 2; // account before account of a smaller id
        cases[6].push(0);
        cases[7].truncate(22);
        for (index, bytes) in cases.iter().enumerate() {
            assert!(WrappedDataKey::parse(bytes).is_err(), "case {index}");
        }
        assert!(WrappedDataKey::from_text("kms2:AAAA").is_err());
        assert!(WrappedDataKey::from_text("kms1:=").is_err());
    }

    proptest! {
        #[test]
        fn text_reads_what_it_writes(bytes: Vec<u8>) {
            prop_assert_eq!(from_text(&to_text(&bytes)).unwrap(), bytes);
        }

        #[test]
        fn parsing_never_panics(bytes: Vec<u8>) {
            let _ = Header::parse(&bytes);
        }
    }
}
