//! Labels of a dataset: words that say what it is, which access policies may ask for. Never secret, never personal.

use super::{InvalidName, is_label};
use std::collections::BTreeMap;

/// Most labels of a dataset.
const LABELS_MAX: usize = 16;
/// Longest key, and longest value.
const LEN_MAX: usize = 63;

/// At most 16; keys `[a-z][a-z0-9-]{0,62}`, values `[A-Za-z0-9._-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(BTreeMap<Box<str>, Box<str>>);

/// No labels.
pub static NO_LABELS: Labels = Labels(BTreeMap::new());

impl Labels {
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, InvalidName> {
        let mut labels = BTreeMap::new();
        for (key, value) in pairs {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            let fits = value.len() <= LEN_MAX && value.bytes().all(plain);
            if !is_label(key, LEN_MAX) || !fits || labels.len() == LABELS_MAX {
                return Err(InvalidName(
                    "at most 16 labels, keys [a-z][a-z0-9-]{0,62}, values [A-Za-z0-9._-]{0,63}",
                ));
            }
            labels.insert(key.into(), value.into());
        }
        Ok(Self(labels))
    }

    /// The pairs, sorted by key.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (&**key, &**value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_one_form() {
        let labels = Labels::new([("team", "billing"), ("cost-centre", "A_7.1"), ("x", "")]);
        let labels = labels.unwrap();
        let pairs: Vec<_> = labels.pairs().collect();
        assert_eq!(
            pairs,
            [("cost-centre", "A_7.1"), ("team", "billing"), ("x", "")]
        );
        let long = "v".repeat(64);
        for bad in [
            ("", "v"),
            ("Team", "v"),
            ("1a", "v"),
            ("a_b", "v"),
            ("team", "a b"),
            ("team", "a/b"),
            ("team", "\u{e9}"),
            ("team", &long),
        ] {
            assert!(Labels::new([bad]).is_err(), "{bad:?}");
        }
        let keys: Vec<String> = (0..17).map(|i| format!("k{i}")).collect();
        let pairs = |count: usize| keys.iter().take(count).map(|key| (&**key, "v"));
        assert!(Labels::new(pairs(16)).is_ok());
        assert!(Labels::new(pairs(17)).is_err());
    }
}
