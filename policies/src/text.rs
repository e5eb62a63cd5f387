//! Texts of policies: where they are read, and the one fingerprint that a set of them has.

use data_encoding::HEXLOWER;
use std::io;
use std::path::{Path, PathBuf};
use tlog::leaf_hash;

/// Most bytes of all texts of one generation, names included.
pub const TEXTS_BYTES_MAX: usize = 48 * 1024;
/// Stands before what the fingerprint is made of.
const LABEL: &[u8] = b"kms/v1/policies;";

/// One file of policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// Its file's bare name, for errors and answers.
    pub name: String,
    /// Its contents.
    pub text: String,
}

/// Texts that cannot be read. One line.
#[derive(Debug, thiserror::Error)]
pub enum NotRead {
    /// The file system says no.
    #[error("{path}: {error}")]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A directory without policies is half a configuration.
    #[error("{0}: holds no file *.cedar")]
    Empty(PathBuf),
    /// Two texts of one name, which errors could not tell apart.
    #[error("two files are named {0}")]
    Twice(String),
    /// Too much.
    #[error("{0} bytes of policies: at most 49,152")]
    TooLong(usize),
}

/// Reads files, and of directories every `*.cedar` file, in the order of their names.
///
/// # Errors
/// [`NotRead`]; nothing is half taken.
pub fn read(paths: &[impl AsRef<Path>]) -> Result<Vec<PolicyText>, NotRead> {
    let mut files = Vec::new();
    for path in paths {
        let path = path.as_ref();
        if path.is_dir() {
            files.extend(listed(path)?);
        } else {
            files.push(path.to_owned());
        }
    }
    let mut texts = files
        .iter()
        .map(|path| one(path))
        .collect::<Result<Vec<_>, _>>()?;
    texts.sort_by(|a, b| a.name.cmp(&b.name));
    let twice = texts
        .iter()
        .zip(texts.iter().skip(1))
        .find(|(a, b)| a.name == b.name);
    if let Some((text, _)) = twice {
        return Err(NotRead::Twice(text.name.clone()));
    }
    let length = texts
        .iter()
        .map(|text| text.name.len() + text.text.len())
        .sum();
    if length > TEXTS_BYTES_MAX {
        return Err(NotRead::TooLong(length));
    }
    Ok(texts)
}

fn listed(directory: &Path) -> Result<Vec<PathBuf>, NotRead> {
    let io = |error| NotRead::Io {
        path: directory.to_owned(),
        error,
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|ending| ending == "cedar") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(NotRead::Empty(directory.to_owned()));
    }
    Ok(paths)
}

fn one(path: &Path) -> Result<PolicyText, NotRead> {
    let io = |error| NotRead::Io {
        path: path.to_owned(),
        error,
    };
    let length = std::fs::metadata(path).map_err(io)?.len();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > TEXTS_BYTES_MAX {
        return Err(NotRead::TooLong(length));
    }
    let text = std::fs::read_to_string(path).map_err(io)?;
    let name = path.file_name().unwrap_or_default().display().to_string();
    Ok(PolicyText { name, text })
}

/// What stands for a set of texts, whatever order they come in: `sha256:` and the hash of a log's leaf (RFC 6962) that
/// holds a label and, in order of their names, name and text, each after its length in 4 bytes.
#[must_use]
pub fn fingerprint(texts: &[PolicyText]) -> String {
    let mut sorted: Vec<&PolicyText> = texts.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let mut bytes = LABEL.to_vec();
    for part in sorted.iter().flat_map(|text| [&text.name, &text.text]) {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    format!("sha256:{}", HEXLOWER.encode(&leaf_hash(&bytes).0))
}
