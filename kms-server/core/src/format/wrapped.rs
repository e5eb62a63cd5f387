//! Wrapped data keys and direct ciphertexts: a header that names its key, then one Cobblestone message.
//!
//! `format 1 | blob kind 1 | dataset key id 16 | key version 4 | n 1 | n x (secret kind 1, shred secret
//! id 16) | cobblestone message`. Never holds a name and is never tried against more than the key it names.

use crate::cipher::{self, MessageKey, Undecryptable, label};
use crate::codec::{Malformed, Reader};
use crate::entropy::{Entropy, EntropyUnavailable};
use crate::name::{KeyContext, KeyId, SecretId, SecretKind, VersionNumber};
use crate::secret::{ShredSecret, VersionKey};
use zeroize::Zeroizing;

/// The only format so far.
pub const FORMAT: u8 = 1;
/// Most shred secrets of one blob.
pub const SECRETS_MAX: usize = 4;
/// Bytes of a wrapped data key without shred secrets.
pub const WRAPPED_LEN: usize = 127;
/// Bytes that each shred secret adds.
pub const SECRET_REF_LEN: usize = 17;
/// Most bytes of a wrapped data key.
pub const WRAPPED_LEN_MAX: usize = WRAPPED_LEN + SECRETS_MAX * SECRET_REF_LEN;

/// What the message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BlobKind {
    /// A data key of 32 bytes.
    DataKey = 1,
    /// At most 64 KiB that a caller gave.
    Ciphertext = 2,
}

/// A shred secret as a blob names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretRef {
    /// What it stands for.
    pub kind: SecretKind,
    /// Its id.
    pub id: SecretId,
}

/// A blob's header: names the key, its version and the shred secrets, in strictly increasing order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What the message holds.
    pub kind: BlobKind,
    /// The dataset key.
    pub key_id: KeyId,
    /// Its version.
    pub version: VersionNumber,
    secrets: Vec<SecretRef>,
}

impl Header {
    /// Sorts the secrets.
    ///
    /// # Errors
    /// [`Malformed`] for more than four or the same one twice.
    pub fn new(
        kind: BlobKind,
        key_id: KeyId,
        version: VersionNumber,
        mut secrets: Vec<SecretRef>,
    ) -> Result<Self, Malformed> {
        secrets.sort_unstable();
        let strict = secrets
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a < b));
        if secrets.len() > SECRETS_MAX || !strict {
            return Err(Malformed);
        }
        Ok(Self {
            kind,
            key_id,
            version,
            secrets,
        })
    }

    /// The shred secrets, strictly increasing by kind and id.
    #[must_use]
    pub fn secrets(&self) -> &[SecretRef] {
        &self.secrets
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(WRAPPED_LEN_MAX);
        out.extend_from_slice(&[FORMAT, self.kind as u8]);
        out.extend_from_slice(&self.key_id.0);
        out.extend_from_slice(&self.version.get().to_be_bytes());
        out.push(u8::try_from(self.secrets.len()).unwrap_or(u8::MAX));
        for secret in &self.secrets {
            out.push(secret.kind.number());
            out.extend_from_slice(&secret.id.0);
        }
        out
    }

    /// Splits a blob into its header and its message.
    ///
    /// # Errors
    /// [`Malformed`] for another format or kind, secrets that are too many, unknown or out of order,
    /// version 0, or a data key of another length.
    pub fn parse(blob: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut reader = Reader::new(blob);
        if reader.u8()? != FORMAT {
            return Err(Malformed);
        }
        let kind = match reader.u8()? {
            1 => BlobKind::DataKey,
            2 => BlobKind::Ciphertext,
            _ => return Err(Malformed),
        };
        let key_id = KeyId(reader.array()?);
        let version = VersionNumber::new(reader.u32()?).ok_or(Malformed)?;
        let count = usize::from(reader.u8()?);
        if count > SECRETS_MAX {
            return Err(Malformed);
        }
        let mut secrets = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = SecretKind::from_number(reader.u8()?).ok_or(Malformed)?;
            secrets.push(SecretRef {
                kind,
                id: SecretId(reader.array()?),
            });
        }
        if !secrets
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a < b))
        {
            return Err(Malformed);
        }
        let message = reader.rest();
        if kind == BlobKind::DataKey && blob.len() != WRAPPED_LEN + count * SECRET_REF_LEN {
            return Err(Malformed);
        }
        Ok((
            Self {
                kind,
                key_id,
                version,
                secrets,
            },
            message,
        ))
    }

    fn context(&self, encoded: &[u8], key_context: &KeyContext) -> Vec<u8> {
        let mut hash = cipher::Sha256::new();
        key_context.canonical_parts(|part| hash.update(part));
        let mut context = Vec::with_capacity(label::WRAP_CONTEXT.len() + encoded.len() + 32);
        context.extend_from_slice(label::WRAP_CONTEXT);
        context.extend_from_slice(encoded);
        context.extend_from_slice(&hash.finish());
        context
    }
}

/// The input key: `HKDF-SHA-512(salt = s1 || ... || sn in header order, ikm = version key, info = label
/// || blob kind || n)`. Cache it per version for n = 0.
#[must_use]
pub fn input_key(kind: BlobKind, version_key: &VersionKey, secrets: &[&ShredSecret]) -> MessageKey {
    let mut salt = Zeroizing::new(Vec::with_capacity(secrets.len() * 32));
    for secret in secrets {
        salt.extend_from_slice(secret.expose_bytes());
    }
    let count = u8::try_from(secrets.len()).unwrap_or(u8::MAX);
    let info: &[&[u8]] = &[label::WRAP_KEY, &[kind as u8, count]];
    MessageKey::new(&cipher::derive_key(&salt, version_key.expose_bytes(), info))
}

/// Wraps `plaintext` under `key`, which must be the header's [`input_key`].
///
/// # Errors
/// [`EntropyUnavailable`] when no salt can be drawn.
pub fn wrap(
    header: &Header,
    key: &MessageKey,
    key_context: &KeyContext,
    plaintext: &[u8],
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, EntropyUnavailable> {
    let mut blob = header.encode();
    let context = header.context(&blob, key_context);
    key.seal_into(&context, plaintext, entropy, &mut blob)?;
    Ok(blob)
}

/// Opens a blob's `message` under `key`, which must be the header's [`input_key`].
///
/// # Errors
/// [`Undecryptable`]: wrong key, wrong context or damaged bytes.
pub fn unwrap(
    header: &Header,
    key: &MessageKey,
    key_context: &KeyContext,
    message: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Undecryptable> {
    key.open(&header.context(&header.encode(), key_context), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;
    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
            bytes.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8);
            Ok(())
        }
    }

    fn secret_ref(kind: SecretKind, byte: u8) -> SecretRef {
        SecretRef {
            kind,
            id: SecretId([byte; 16]),
        }
    }

    fn header(secrets: Vec<SecretRef>) -> Header {
        Header::new(
            BlobKind::DataKey,
            KeyId([9; 16]),
            VersionNumber::FIRST,
            secrets,
        )
        .unwrap()
    }

    #[test]
    fn lengths_are_as_documented() {
        let key = input_key(
            BlobKind::DataKey,
            &VersionKey::take_bytes(&mut [1; 32]),
            &[],
        );
        for n in 0..=SECRETS_MAX {
            let secrets = (0..n)
                .map(|i| secret_ref(SecretKind::Subject, i as u8))
                .collect();
            let blob = wrap(
                &header(secrets),
                &key,
                &KeyContext::default(),
                &[5; 32],
                &Counting,
            )
            .unwrap();
            assert_eq!(blob.len(), WRAPPED_LEN + n * SECRET_REF_LEN);
        }
        assert_eq!(header(Vec::new()).encode().len(), 23);
    }

    #[test]
    fn every_bit_of_a_wrapped_data_key_counts() {
        let version_key = VersionKey::take_bytes(&mut [1; 32]);
        let shred = ShredSecret::take_bytes(&mut [2; 32]);
        let head = header(vec![secret_ref(SecretKind::Account, 1)]);
        let key = input_key(BlobKind::DataKey, &version_key, &[&shred]);
        let context = KeyContext::new([("tenant".into(), "acme".into())].into()).unwrap();
        let blob = wrap(&head, &key, &context, &[5; 32], &Counting).unwrap();
        let (parsed, message) = Header::parse(&blob).unwrap();
        assert_eq!(parsed, head);
        assert_eq!(
            unwrap(&parsed, &key, &context, message).unwrap().as_slice(),
            [5; 32]
        );
        for bit in 0..blob.len() * 8 {
            let mut bad = blob.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let opened = Header::parse(&bad)
                .ok()
                .and_then(|(header, message)| unwrap(&header, &key, &context, message).ok());
            assert!(opened.is_none(), "bit {bit}");
        }
        assert!(unwrap(&parsed, &key, &KeyContext::default(), message).is_err());
        let without = input_key(BlobKind::DataKey, &version_key, &[]);
        assert!(unwrap(&parsed, &without, &context, message).is_err());
    }

    #[test]
    fn secrets_must_rise_and_be_few() {
        let subject = secret_ref(SecretKind::Subject, 1);
        let twice = vec![subject, subject];
        assert!(
            Header::new(
                BlobKind::DataKey,
                KeyId([0; 16]),
                VersionNumber::FIRST,
                twice
            )
            .is_err()
        );
        let mut blob = header(vec![subject, secret_ref(SecretKind::Account, 0)]).encode();
        blob.resize(WRAPPED_LEN + 2 * SECRET_REF_LEN, 0);
        assert!(Header::parse(&blob).is_ok());
        let swapped = [&blob[..23], &blob[40..57], &blob[23..40], &blob[57..]].concat();
        assert!(Header::parse(&swapped).is_err());
    }
}
