//! Names and contexts, checked at the edge by the same limits as the service's. A value of these types
//! cannot be malformed, so that a typing error shows here and not in production's audit log.

mod shred;

pub use shred::{SecretKind, ShredUse};

use crate::error::Error;
use std::collections::BTreeMap;
use std::fmt;

/// Most pairs of a context.
pub const CONTEXT_PAIRS_MAX: usize = 64;
/// Most bytes of a canonical context.
pub const CONTEXT_BYTES_MAX: usize = 8 * 1024;

/// A dataset's name: `[a-z][a-z0-9-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetName(Box<str>);

impl DatasetName {
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn parse(text: &str) -> Result<Self, Error> {
        if is_label(text, 63) {
            Ok(Self(text.into()))
        } else {
            let form = "a name of the form [a-z][a-z0-9-]{0,62}";
            Err(Error::invalid("dataset", form))
        }
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `datasets/{dataset}`, as requests name it.
    #[must_use]
    pub fn resource(&self) -> String {
        format!("datasets/{}", self.0)
    }
}

impl std::str::FromStr for DatasetName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `[a-z][a-z0-9-]*`, at most `max` bytes.
fn is_label(text: &str, max: usize) -> bool {
    let first = text.bytes().next();
    let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    text.len() <= max && first.is_some_and(|b| b.is_ascii_lowercase()) && text.bytes().all(known)
}

macro_rules! context {
    ($($(#[$doc:meta])* $name:ident $field:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default, Hash)]
        pub struct $name(BTreeMap<String, String>);

        impl $name {
            /// From pairs of key and value; of a key that stands twice the last value counts.
            ///
            /// # Errors
            /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for more than 64
            /// pairs or 8 KiB, or an empty key.
            pub fn new<K: Into<String>, V: Into<String>>(
                pairs: impl IntoIterator<Item = (K, V)>,
            ) -> Result<Self, Error> {
                let pairs = pairs.into_iter().map(|(key, value)| (key.into(), value.into()));
                let pairs: BTreeMap<String, String> = pairs.collect();
                let bytes: usize = pairs.iter().map(|(k, v)| 8 + k.len() + v.len()).sum();
                let fits = pairs.len() <= CONTEXT_PAIRS_MAX && bytes <= CONTEXT_BYTES_MAX;
                if !fits || pairs.contains_key("") {
                    let limit = "at most 64 pairs and 8 KiB, with no empty key";
                    return Err(Error::invalid($field, limit));
                }
                Ok(Self(pairs))
            }

            /// The pairs, sorted by key.
            #[must_use]
            pub const fn pairs(&self) -> &BTreeMap<String, String> {
                &self.0
            }

            /// The canonical form: for each pair in the order of its key's bytes `len(key) u32 | key |
            /// len(value) u32 | value`, big-endian.
            #[must_use]
            pub fn canonical(&self) -> Vec<u8> {
                let mut form = Vec::new();
                for text in self.0.iter().flat_map(|(key, value)| [key, value]) {
                    push_counted(&mut form, text.as_bytes());
                }
                form
            }
        }
    )+};
}

context! {
    /// The key context: given to the service, authenticated, bound into the wrap, logged. To open a data
    /// key the whole map must be given again, exactly.
    KeyContext "key_context",
    /// The item context: stays in the client, bound into the ciphertext only.
    ItemContext "item_context",
}

/// A four-byte length, big-endian, and the bytes. Every caller bounds them far below 4 GiB.
pub(crate) fn push_counted(form: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    form.extend_from_slice(&len.to_be_bytes());
    form.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn dataset_names() {
        for good in ["a", "customers", "call-logs", "x1-"] {
            let name = DatasetName::parse(good).unwrap();
            assert_eq!(name.resource(), format!("datasets/{good}"));
        }
        let long = "a".repeat(64);
        for bad in ["", "A", "1a", "-a", "a_b", "a/b", "ä", "a\0", long.as_str()] {
            let error = DatasetName::parse(bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bad:?}");
            assert_eq!(error.violations()[0].field, "dataset");
        }
    }

    #[test]
    fn the_canonical_form_tells_neighbouring_fields_apart() {
        let form = |pairs: &[(&str, &str)]| {
            let context = ItemContext::new(pairs.iter().copied()).unwrap();
            context.canonical()
        };
        assert_eq!(form(&[("a", "b")]), [0, 0, 0, 1, b'a', 0, 0, 0, 1, b'b']);
        assert_ne!(form(&[("ab", "c")]), form(&[("a", "bc")]));
        assert_eq!(
            form(&[("b", "2"), ("a", "1")]),
            form(&[("a", "1"), ("b", "2")])
        );
    }

    #[test]
    fn context_limits_hold() {
        let full = (0..64).map(|i| (i.to_string(), ""));
        assert!(KeyContext::new(full).is_ok());
        let many = (0..65).map(|i| (i.to_string(), ""));
        assert!(KeyContext::new(many).is_err());
        let just = "v".repeat(CONTEXT_BYTES_MAX - 9);
        assert!(KeyContext::new([("k", just.clone())]).is_ok());
        assert!(KeyContext::new([("k", just + "v")]).is_err());
        assert!(KeyContext::new([("", "v")]).is_err());
    }
}
