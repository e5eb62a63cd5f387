//! What a blob or file is, without the service: its kind, the dataset key, version and shred secrets
//! that it names. Reads only what stands in the clear, so nothing it says is proven genuine.

use crate::file::{Condition, FileId, HEADER_LEN, Header};
use crate::wrapped::{
    BlobKind, FRAME_HEADER_LEN, Frame, Header as WrapHeader, WrappedDataKey, split_frame,
};

/// Bytes that [`Inspection::of`] wants to see of something longer.
pub const BEGINNING_LEN: usize = HEADER_LEN;

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
    /// A field that stands alone.
    Field {
        /// The header of its wrapped data key.
        data_key: WrapHeader,
        /// Bytes of plaintext.
        plaintext_len: u64,
    },
    /// A stream.
    Stream {
        /// The header of its wrapped data key.
        data_key: WrapHeader,
        /// Bytes of plaintext; `None` when it was cut or extended to a length that none has.
        plaintext_len: Option<u64>,
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
    /// The header of its wrapped data key.
    pub data_key: WrapHeader,
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
                data_key: header.wrapped().header().clone(),
                plaintext_len: cobblestone::plaintext_len(message_len),
            }));
        }
        Self::of_frame(beginning, total_len).or_else(|| Self::of_blob(beginning, total_len))
    }

    /// What this library put around a wrapped data key and a message.
    fn of_frame(beginning: &[u8], total_len: u64) -> Option<Self> {
        let plaintext_len = |wrapped: &WrappedDataKey| {
            let header_len = (FRAME_HEADER_LEN + wrapped.as_bytes().len()) as u64;
            cobblestone::plaintext_len(total_len.checked_sub(header_len)?)
        };
        if let Ok((wrapped, _)) = split_frame(Frame::Field, beginning) {
            return Some(Self::Field {
                plaintext_len: plaintext_len(&wrapped)?,
                data_key: wrapped.header().clone(),
            });
        }
        let (wrapped, _) = split_frame(Frame::Stream, beginning).ok()?;
        Some(Self::Stream {
            plaintext_len: plaintext_len(&wrapped),
            data_key: wrapped.header().clone(),
        })
    }

    /// What the service made.
    fn of_blob(beginning: &[u8], total_len: u64) -> Option<Self> {
        let header = WrapHeader::parse(beginning)?;
        match header.kind {
            // its length is part of its form
            BlobKind::DataKey => {
                (total_len == beginning.len() as u64).then_some(Self::DataKey(header))
            }
            BlobKind::Ciphertext => {
                let header_len = (23 + 17 * header.secrets.len()) as u64;
                let message_len = total_len.checked_sub(header_len)?;
                Some(Self::Ciphertext {
                    plaintext_len: cobblestone::plaintext_len(message_len)?,
                    header,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::SecretKind;
    use crate::wrapped::frame;
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
    fn fields_and_streams_tell_their_data_key_and_length() {
        let wrapped = WrappedDataKey::parse(&blob(1, &[(1, 5)], 104)).unwrap();
        let framed = |kind, message_len| {
            let mut bytes = frame(kind, &wrapped);
            bytes.resize(bytes.len() + message_len, 0xee);
            of(&bytes)
        };
        let data_key = wrapped.header().clone();
        let field = Inspection::Field {
            data_key: data_key.clone(),
            plaintext_len: 9,
        };
        assert_eq!(framed(Frame::Field, 56 + 9 + 16), Some(field));
        assert_eq!(framed(Frame::Field, 56), None);
        for (message_len, plaintext_len) in [(56 + 9 + 16, Some(9)), (57, None)] {
            let stream = Inspection::Stream {
                data_key: data_key.clone(),
                plaintext_len,
            };
            assert_eq!(framed(Frame::Stream, message_len), Some(stream));
        }
    }

    #[test]
    fn what_the_service_would_not_take_is_nothing_of_ours() {
        for bad in [
            blob(5, &[], 104),
            blob(3, &[], 104),
            blob(4, &[], 104),
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
        let wrapped = WrappedDataKey::parse(&blob(1, &[(3, 1)], 104)).unwrap();
        let header = Header::make(&wrapped).unwrap();
        let total = (HEADER_LEN as u64) + cobblestone::sealed_len(1 << 30).unwrap();
        let Some(Inspection::File(file)) = Inspection::of(&header.encode(), total) else {
            panic!("not seen as a file");
        };
        assert_eq!(file.id, header.file_id());
        assert_eq!(file.plaintext_len, Some(1 << 30));
        assert_eq!(file.data_key.version, 3);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
            let _ = of(&bytes);
            let _ = of(&[&[1, 2], bytes.as_slice()].concat());
        }
    }
}
