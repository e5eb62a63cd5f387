//! The tree's files for whoever asks over the wire, as a static server would give them. Gives nothing else of the
//! directory away: a path is taken only in the forms that the layout has.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tlog::{CERTIFICATES, CHECKPOINT, COSIGNED};

/// A part of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Its bytes from the offset on.
    pub bytes: Vec<u8>,
    /// Of the whole file.
    pub len: u64,
}

/// Folders of the layout (C2SP tlog-tiles, and this log's own two).
const FOLDERS: [&str; 3] = ["tile", "checkpoints", CERTIFICATES];

/// `checkpoint`, `cosigned`, or below one of the folders a path of words of the layout: digits, `x` and digits, `entries`.
fn is_of_tree(path: &str) -> bool {
    if path == CHECKPOINT || path == COSIGNED {
        return true;
    }
    let mut words = path.split('/');
    let folder = words.next().is_some_and(|first| FOLDERS.contains(&first));
    let mut any = false;
    let plain = words.all(|word| {
        any = true;
        let number = word.strip_prefix('x').unwrap_or(word);
        let number = number.strip_suffix(".p").unwrap_or(number);
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        word == "entries" || digits
    });
    folder && any && plain && path.len() <= 128
}

pub(super) fn read(
    dir: &Path,
    path: &str,
    offset: u64,
    most: usize,
) -> io::Result<Option<TreeFile>> {
    if !is_of_tree(path) {
        return Ok(None);
    }
    let file = match File::open(dir.join(path)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => return Err(error),
    };
    let about = file.metadata()?;
    if !about.is_file() {
        return Ok(None);
    }
    let len = about.len();
    let left = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; left.min(most)];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(Some(TreeFile { bytes, len }))
}

#[cfg(test)]
mod tests {
    use super::is_of_tree;

    #[test]
    fn only_paths_of_the_layout_are_taken() {
        for good in [
            "checkpoint",
            "tile/0/x001/067",
            "tile/1/000.p/44",
            "tile/entries/x001/000.p/1",
            "log-keys/00000001",
            "checkpoints/000",
        ] {
            assert!(is_of_tree(good), "{good}");
        }
        for bad in [
            "",
            "tile",
            "tile/",
            "index",
            "0000000001.log",
            "../keyring",
            "tile/../../keyring",
            "/etc/passwd",
            "tile//0",
            "tile/0/x001/067\0",
            "log-keys/../index",
            "checkpoints/.",
        ] {
            assert!(!is_of_tree(bad), "{bad}");
        }
    }
}
