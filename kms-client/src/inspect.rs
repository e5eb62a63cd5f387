//! What a blob or file is, without the service: its kind, the dataset key, version and shred secrets
//! that it names. Reads only what stands in the clear, so nothing it says is proven genuine.

use crate::file::{Condition, FileId, HEADER_LEN, Header};
use std::fmt;

/// Bytes that [`Inspection::of`] wants to see of something longer.
pub const BEGINNING_LEN: usize = HEADER_LEN;

const FORMAT: u8 = 1;
const SECRETS_MAX: usize = 4;
/// Bytes of a wrapped data key without shred secrets, and what each one adds.
const WRAPPED_LEN: usize = 127;
const SECRET_LEN: usize = 17;

/// What a blob is and what it says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Inspection {
    /// A wrapped data key.
    DataKey(WrapHeader),
    /// What the service's `Encrypt` answered.
    Ciphertext {
        /// Its header.
        header: WrapHeader,
        /// Bytes of plaintext.
        plaintext_len: u64,
    },
    /// An encrypted file.
    File(FileInspection),
}

/// What an encrypted file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInspection {
    /// Its id.
    pub id: FileId,
    /// How often its data key was wrapped, from 1.
    pub generation: u64,
    /// Whether both header slots are well.
    pub condition: Condition,
    /// The header of its wrapped data key; `None` when that is of a format this build does not know.
    pub data_key: Option<WrapHeader>,
    /// Bytes of plaintext; `None` when the file was cut or extended to a length that none has.
    pub plaintext_len: Option<u64>,
}

impl Inspection {
    /// Of something `total_len` bytes long that starts with `beginning`: all of it, or at least
    /// [`BEGINNING_LEN`] bytes. `None` when it is nothing of ours, or damaged beyond telling.
    #[must_use]
    pub fn of(beginning: &[u8], total_len: u64) -> Option<Self> {
        if let Some(file) = beginning.first_chunk::<HEADER_LEN>()
            && let Ok(header) = Header::parse(file)
        {
            let message_len = total_len.saturating_sub(HEADER_LEN as u64);
            return Some(Self::File(FileInspection {
                id: header.file_id(),
                generation: header.generation(),
                condition: header.condition(),
                data_key: WrapHeader::parse(header.wrapped()).map(|(header, _)| header),
                plaintext_len: cobblestone::plaintext_len(message_len),
            }));
        }
        let (header, header_len) = WrapHeader::parse(beginning)?;
        let message_len = total_len.checked_sub(header_len as u64)?;
        match header.kind {
            WrapKind::DataKey => {
                let len = WRAPPED_LEN + header.secrets.len() * SECRET_LEN;
                (total_len == len as u64).then_some(Self::DataKey(header))
            }
            WrapKind::Ciphertext => Some(Self::Ciphertext {
                header,
                plaintext_len: cobblestone::plaintext_len(message_len)?,
            }),
        }
    }
}

/// What a wrapped data key or direct ciphertext names: `format 1 | blob kind 1 | dataset key id 16 |
/// key version 4 | n 1 | n x (secret kind 1, shred secret id 16)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrapHeader {
    /// What follows the header.
    pub kind: WrapKind,
    /// The dataset's key.
    pub key_id: [u8; 16],
    /// Its version, from 1.
    pub version: u32,
    /// The shred secrets that take part, at most four.
    pub secrets: Vec<SecretRef>,
}

/// What stands behind a wrap header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WrapKind {
    /// A data key of 32 bytes.
    DataKey,
    /// At most 64 KiB.
    Ciphertext,
}

/// A shred secret as a blob names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretRef {
    /// What it stands for.
    pub kind: SecretKind,
    /// Its id.
    pub id: [u8; 16],
}

/// What a shred secret stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretKind {
    /// One natural person.
    Subject,
    /// One tenant of the CRM.
    Account,
    /// One calendar month.
    Period,
}

impl fmt::Display for SecretKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Subject => "subject",
            Self::Account => "account",
            Self::Period => "period",
        })
    }
}

impl WrapHeader {
    /// Reads the header at the start of `blob`; gives its length too.
    #[must_use]
    pub fn parse(blob: &[u8]) -> Option<(Self, usize)> {
        let (&[format, kind], rest) = blob.split_first_chunk::<2>()?;
        let kind = match (format, kind) {
            (FORMAT, 1) => WrapKind::DataKey,
            (FORMAT, 2) => WrapKind::Ciphertext,
            _ => return None,
        };
        let (&key_id, rest) = rest.split_first_chunk::<16>()?;
        let (&version, rest) = rest.split_first_chunk::<4>()?;
        let version = u32::from_be_bytes(version);
        let (&count, mut rest) = rest.split_first()?;
        if version == 0 || usize::from(count) > SECRETS_MAX {
            return None;
        }
        let mut secrets = Vec::with_capacity(usize::from(count));
        for _ in 0..count {
            let (&number, after) = rest.split_first()?;
            let (&id, after) = after.split_first_chunk::<16>()?;
            let kind = SecretKind::from_number(number)?;
            secrets.push((number, SecretRef { kind, id }));
            rest = after;
        }
        let rises = |(a, b): &(&(u8, SecretRef), &(u8, SecretRef))| (a.0, a.1.id) < (b.0, b.1.id);
        if !secrets
            .iter()
            .zip(secrets.iter().skip(1))
            .all(|pair| rises(&pair))
        {
            return None;
        }
        let header = Self {
            kind,
            key_id,
            version,
            secrets: secrets.into_iter().map(|(_, secret)| secret).collect(),
        };
        Some((header, blob.len() - rest.len()))
    }
}

impl SecretKind {
    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Subject),
            2 => Some(Self::Account),
            3 => Some(Self::Period),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blob(kind: u8, secrets: &[(u8, u8)], message_len: usize) -> Vec<u8> {
        let mut blob = vec![1, kind];
        blob.extend_from_slice(&[9; 16]);
        blob.extend_from_slice(&[0, 0, 0, 3, secrets.len() as u8]);
        for (kind, id) in secrets {
            blob.push(*kind);
            blob.extend_from_slice(&[*id; 16]);
        }
        blob.resize(blob.len() + message_len, 0xee);
        blob
    }

    fn of(blob: &[u8]) -> Option<Inspection> {
        Inspection::of(blob, blob.len() as u64)
    }

    #[test]
    fn a_wrapped_data_key_names_its_key_version_and_secrets() {
        let key = blob(1, &[(1, 5), (2, 4)], 104);
        assert_eq!(key.len(), 161);
        let Some(Inspection::DataKey(header)) = of(&key) else {
            panic!("not seen as a data key");
        };
        assert_eq!((header.key_id, header.version), ([9; 16], 3));
        let kinds: Vec<_> = header.secrets.iter().map(|s| (s.kind, s.id)).collect();
        assert_eq!(
            kinds,
            [
                (SecretKind::Subject, [5; 16]),
                (SecretKind::Account, [4; 16])
            ]
        );
        assert_eq!(of(&key[..160]), None);
    }

    #[test]
    fn a_ciphertext_tells_the_length_of_its_plaintext() {
        let len = cobblestone::sealed_len(20_000).unwrap() as usize;
        let Some(Inspection::Ciphertext { plaintext_len, .. }) = of(&blob(2, &[], len)) else {
            panic!("not seen as a ciphertext");
        };
        assert_eq!(plaintext_len, 20_000);
    }

    #[test]
    fn what_the_service_would_not_take_is_nothing_of_ours() {
        for bad in [
            blob(3, &[], 104),
            blob(1, &[(2, 4), (1, 5)], 104),
            blob(1, &[(1, 5), (1, 5)], 104),
            blob(1, &[(4, 0)], 104),
            blob(1, &[(1, 1), (1, 2), (1, 3), (1, 4), (1, 5)], 104),
            [&[2], &blob(1, &[], 104)[1..]].concat(),
        ] {
            assert_eq!(of(&bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_file_tells_its_data_key_and_length() {
        let header = Header::make(&blob(1, &[(3, 1)], 104)).unwrap();
        let total = (HEADER_LEN as u64) + cobblestone::sealed_len(1 << 30).unwrap();
        let Some(Inspection::File(file)) = Inspection::of(&header.encode(), total) else {
            panic!("not seen as a file");
        };
        assert_eq!(file.id, header.file_id());
        assert_eq!(file.plaintext_len, Some(1 << 30));
        assert_eq!(file.data_key.unwrap().version, 3);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = of(&bytes);
            let _ = of(&[&[1, 2], bytes.as_slice()].concat());
        }
    }
}
