//! Data keys in the clear, for as short as can be: boxed, wiped on drop, never printed, copied or compared.

use crate::error::Error;
use crate::name::{DatasetName, KeyContext, ShredUse};
use crate::wrapped::WrappedDataKey;
use cobblestone::Key;
use ring::error::Unspecified;
use ring::hkdf::{HKDF_SHA512, KeyType, Okm, Prk, Salt};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a data key.
pub const DATA_KEY_LEN: usize = 32;
/// Most shred secrets of one wrap.
const SHRED_MAX: usize = 4;

/// A data key in the clear.
pub struct DataKey(Box<Zeroizing<[u8; DATA_KEY_LEN]>>);

impl DataKey {
    /// Takes over what the service answered; `None` when it is not 32 bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut key = Self(Box::new(Zeroizing::new([0; DATA_KEY_LEN])));
        if bytes.len() != DATA_KEY_LEN {
            return None;
        }
        key.0.copy_from_slice(bytes);
        Some(key)
    }

    /// The bytes themselves, for encryption that this library does not do. They are the caller's to wipe.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; DATA_KEY_LEN] {
        &self.0
    }

    /// Prepares it for deriving the keys of its uses.
    pub(crate) fn deriver(&self) -> Deriver {
        let extracted = Salt::new(HKDF_SHA512, &[]).extract(self.0.as_slice());
        Deriver(Box::new(extracted))
    }
}

/// A data key prepared for derivation, as keyed state. Boxed, so that moving it leaves no copies; ring
/// does not wipe it on drop, which a zeroising global allocator makes up for.
pub(crate) struct Deriver(Box<Prk>);

impl Deriver {
    /// The key of one use: `HKDF-SHA-512(salt = empty, ikm = data key, info = info[0] || info[1] ||
    /// ..., L = 32)` (RFC 5869). `info` begins with a label and counts what follows.
    pub(crate) fn derive_key(&self, info: &[&[u8]]) -> Key {
        let mut bytes = Zeroizing::new([0; DATA_KEY_LEN]);
        fill(self.0.expand(info, KeyLen), bytes.as_mut_slice());
        Key::new(&bytes)
    }
}

impl fmt::Debug for Deriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deriver(<redacted>)")
    }
}

#[expect(
    clippy::expect_used,
    reason = "HKDF refuses only lengths over 16,320 bytes; 32 is fixed here"
)]
fn fill(expanded: Result<Okm<'_, KeyLen>, Unspecified>, out: &mut [u8]) {
    expanded
        .and_then(|okm| okm.fill(out))
        .expect("32 bytes are less than HKDF's limit");
}

struct KeyLen;

impl KeyType for KeyLen {
    fn len(&self) -> usize {
        DATA_KEY_LEN
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(<redacted>)")
    }
}

/// What a new data key is to be bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataKeyRequest {
    dataset: DatasetName,
    key_context: KeyContext,
    shred: Vec<ShredUse>,
}

impl DataKeyRequest {
    /// The dataset whose key wraps it, the context that is needed again, exactly, to open it, and the
    /// shred secrets that take part: at most four, distinct, of all the kinds that the dataset demands.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn new(
        dataset: DatasetName,
        key_context: KeyContext,
        mut shred: Vec<ShredUse>,
    ) -> Result<Self, Error> {
        shred.sort_unstable();
        let distinct = shred.is_sorted_by(|a, b| a.identity() < b.identity());
        if shred.len() > SHRED_MAX || !distinct {
            let limit = "at most four distinct shred secrets";
            return Err(Error::invalid("shred_secrets", limit));
        }
        Ok(Self {
            dataset,
            key_context,
            shred,
        })
    }

    /// The dataset.
    #[must_use]
    pub const fn dataset(&self) -> &DatasetName {
        &self.dataset
    }

    /// The key context.
    #[must_use]
    pub const fn key_context(&self) -> &KeyContext {
        &self.key_context
    }

    /// The shred secrets, in an order of their own.
    #[must_use]
    pub fn shred(&self) -> &[ShredUse] {
        &self.shred
    }
}

/// A new data key, in the clear and wrapped.
#[derive(Debug)]
pub struct GeneratedDataKey {
    /// In the clear.
    pub data_key: DataKey,
    /// To store beside what it encrypts.
    pub wrapped: WrappedDataKey,
}

/// A wrapped data key to open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnwrapRequest {
    /// As it was stored.
    pub wrapped: WrappedDataKey,
    /// Exactly the context that it was made with.
    pub key_context: KeyContext,
}

/// An opened data key.
#[derive(Debug)]
pub struct UnwrappedDataKey {
    /// In the clear.
    pub data_key: DataKey,
    /// `datasets/{dataset}`.
    pub dataset: String,
    /// Version that wrapped it.
    pub version: u32,
    /// False when that version is not the ACTIVE one: encrypt nothing new under this data key.
    pub version_active: bool,
    /// The version is marked compromised: encrypt the data again under a new data key.
    pub version_compromised: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_byte() {
        let data_key = DataKey::from_slice(&[0x41; 32]).unwrap();
        assert_eq!(format!("{data_key:?}"), "DataKey(<redacted>)");
        let unwrapped = UnwrappedDataKey {
            data_key,
            dataset: "datasets/customers".into(),
            version: 1,
            version_active: true,
            version_compromised: false,
        };
        assert!(format!("{unwrapped:?}").contains("<redacted>"));
    }

    #[test]
    fn shred_secrets_are_few_and_distinct() {
        let request = |shred: Vec<ShredUse>| {
            let dataset = DatasetName::parse("customers").unwrap();
            DataKeyRequest::new(dataset, KeyContext::default(), shred)
        };
        let subject = |name: &str| ShredUse::subject(name).unwrap();
        assert!(request(["a", "b", "c", "d"].map(subject).into()).is_ok());
        assert!(request(["a", "b", "c", "d", "e"].map(subject).into()).is_err());
        assert!(request(vec![subject("a"), subject("a").create_if_absent()]).is_err());
        let elsewhere = subject("a").of_account("acme").unwrap();
        assert!(request(vec![subject("a"), elsewhere]).is_ok());
    }

    #[test]
    fn only_32_bytes_are_a_data_key() {
        assert!(DataKey::from_slice(&[0; 31]).is_none());
        assert!(DataKey::from_slice(&[0; 33]).is_none());
        assert!(DataKey::from_slice(&[]).is_none());
    }
}
