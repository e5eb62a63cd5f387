//! Tells by its directory entry whether a file changed since it was read. Never reads it.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

/// Device, inode, length, time of the last change.
type Entry = (u64, u64, u64, i64, i64);

/// Of several files, where they are there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stamp(Vec<Option<Entry>>);

impl Stamp {
    /// As they are now.
    pub(crate) fn of<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let one = |path: &PathBuf| {
            let found = std::fs::metadata(path).ok()?;
            let changed = (found.mtime(), found.mtime_nsec());
            Some((found.dev(), found.ino(), found.size(), changed.0, changed.1))
        };
        Self(paths.into_iter().map(one).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_another_and_an_untouched_one_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let absent = Stamp::of([&path]);
        std::fs::write(&path, "one").unwrap();
        let first = Stamp::of([&path]);
        assert_ne!(absent, first);
        assert_eq!(first, Stamp::of([&path]));
        let beside = folder.path().join("beside");
        std::fs::write(&beside, "two").unwrap();
        std::fs::rename(&beside, &path).unwrap();
        assert_ne!(first, Stamp::of([&path]));
    }
}
