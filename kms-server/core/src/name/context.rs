//! The key context: an authenticated string map with one canonical encoding. Never compared in part.

use super::InvalidName;
use std::collections::BTreeMap;

/// Most pairs of a context.
pub const PAIRS_MAX: usize = 64;
/// Most bytes of a canonical context.
pub const BYTES_MAX: usize = 8 * 1024;

/// A key context: at most 64 pairs and 8 KiB in canonical form; exact match of the whole map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyContext(BTreeMap<String, String>);

impl KeyContext {
    /// # Errors
    /// [`InvalidName`] when it has too many pairs or bytes, or an empty key.
    pub fn new(pairs: BTreeMap<String, String>) -> Result<Self, InvalidName> {
        let bytes: usize = pairs.iter().map(|(k, v)| 8 + k.len() + v.len()).sum();
        if pairs.len() > PAIRS_MAX || bytes > BYTES_MAX || pairs.contains_key("") {
            return Err(InvalidName("at most 64 pairs and 8 KiB, with no empty key"));
        }
        Ok(Self(pairs))
    }

    /// Hands the canonical form to `part`, piece by piece: for each pair in the order of its key's
    /// bytes `len(key) u32 | key | len(value) u32 | value`, big-endian.
    pub fn canonical_parts(&self, mut part: impl FnMut(&[u8])) {
        for text in self.0.iter().flat_map(|(key, value)| [key, value]) {
            part(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
            part(text.as_bytes());
        }
    }

    /// The pairs, sorted by key.
    #[must_use]
    pub const fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_tells_neighbouring_fields_apart() {
        let form = |pairs: &[(&str, &str)]| {
            let map = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            let mut bytes = Vec::new();
            KeyContext::new(map)
                .unwrap()
                .canonical_parts(|part| bytes.extend_from_slice(part));
            bytes
        };
        assert_eq!(form(&[("a", "b")]), [0, 0, 0, 1, b'a', 0, 0, 0, 1, b'b']);
        assert_ne!(form(&[("ab", "c")]), form(&[("a", "bc")]));
        assert_eq!(
            form(&[("b", "2"), ("a", "1")]),
            form(&[("a", "1"), ("b", "2")])
        );
    }

    #[test]
    fn limits_hold() {
        let many = (0..65).map(|i| (i.to_string(), String::new())).collect();
        assert!(KeyContext::new(many).is_err());
        let big = [("k".to_owned(), "v".repeat(BYTES_MAX))].into();
        assert!(KeyContext::new(big).is_err());
        assert!(KeyContext::new([(String::new(), "v".to_owned())].into()).is_err());
    }
}
