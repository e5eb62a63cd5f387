//! Entry bundles: up to 256 entries, each behind its length in two bytes (C2SP tlog-tiles).

/// The bytes are no bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bundle ends inside an entry")]
pub struct BadBundle;

/// Appends an entry to a bundle; `false`, and nothing appended, when it is longer than 65,535 bytes.
#[must_use]
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> bool {
    let Ok(len) = u16::try_from(entry.len()) else {
        return false;
    };
    bundle.extend_from_slice(&len.to_be_bytes());
    bundle.extend_from_slice(entry);
    true
}

/// The entries of a bundle in their order; the last item is an error when the bytes do not end with an entry.
pub fn bundle_entries(bundle: &[u8]) -> impl Iterator<Item = Result<&[u8], BadBundle>> {
    let mut rest = Some(bundle);
    std::iter::from_fn(move || {
        let bytes = rest.filter(|bytes| !bytes.is_empty())?;
        let parts = bytes
            .split_first_chunk::<2>()
            .and_then(|(len, bytes)| bytes.split_at_checked(u16::from_be_bytes(*len).into()));
        rest = parts.map(|(_, behind)| behind);
        Some(parts.map(|(entry, _)| entry).ok_or(BadBundle))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_and_a_cut_is_seen() {
        let mut bundle = Vec::new();
        for entry in [&b"one"[..], b"", b"three"] {
            assert!(push_entry(&mut bundle, entry));
        }
        assert!(!push_entry(&mut bundle, &[0; 65_536]));
        let read: Result<Vec<_>, _> = bundle_entries(&bundle).collect();
        assert_eq!(read.unwrap(), [&b"one"[..], b"", b"three"]);
        for cut in [1, 3, bundle.len() - 1] {
            let read: Vec<_> = bundle_entries(&bundle[..cut]).collect();
            assert_eq!(read.last(), Some(&Err(BadBundle)), "{cut}");
        }
    }
}
