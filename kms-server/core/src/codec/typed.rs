//! Secrets that are printed for a person and typed again: base32 in groups of four, read in either case, whatever
//! stands between the groups.

use data_encoding::BASE32_NOPAD;

/// Characters that count.
const LEN_MAX: usize = 64;

/// What was typed, as it is hashed.
#[must_use]
pub fn canonical(text: &str) -> Vec<u8> {
    let kept = text.bytes().filter(|byte| !b" -".contains(byte));
    kept.take(LEN_MAX)
        .map(|byte| byte.to_ascii_lowercase())
        .collect()
}

/// What a person is shown.
#[must_use]
pub fn printed(bytes: &[u8]) -> String {
    let text = BASE32_NOPAD.encode(bytes).to_ascii_lowercase();
    let groups: Vec<_> = text
        .as_bytes()
        .chunks(4)
        .map(String::from_utf8_lossy)
        .collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_does_not_matter() {
        let shown = printed(&[0xA5; 20]);
        assert_eq!(shown.len(), 39);
        for typed in [
            shown.to_uppercase(),
            shown.replace('-', " "),
            shown.replace('-', ""),
        ] {
            assert_eq!(canonical(&typed), canonical(&shown));
        }
        assert_ne!(canonical("abcd"), canonical("abce"));
    }
}
