//! The manifest of an export: JSON, docs/formats.md, "Export".

use super::{Format, Proven};
use serde::{Deserialize, Serialize};
use tlog::Hash;

/// Its file's name.
pub(super) const FILE_NAME: &str = "manifest.json";
/// Name and number of the form.
pub(super) const FORMAT: &str = "kms-audit-export/1";

/// See the module.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: String,
    /// Name of the file with the entries, beside the manifest.
    pub(super) file: String,
    /// `jsonl`, `csv`, `ocsf`.
    pub(super) form: String,
    /// SHA-256 of the file, base64.
    pub(super) sha256: String,
    /// First entry, and the first behind the last.
    pub(super) first: u64,
    pub(super) end: u64,
    /// Roots of the subtrees before the first entry, base64.
    pub(super) before: Vec<String>,
    /// Proof that the tree up to the last entry is the beginning of the signed one, base64.
    pub(super) behind: Vec<String>,
    /// Signed note of the checkpoint.
    pub(super) checkpoint: String,
    /// Signed notes that certify the log keys.
    pub(super) certificates: Vec<String>,
    /// Signed note by which the log key says who exported what when.
    pub(super) statement: String,
}

impl Manifest {
    /// Of its parts.
    pub(super) fn new(format: Format, file: Hash, proven: Proven, statement: String) -> Self {
        let texts = |hashes: &[Hash]| hashes.iter().map(Hash::to_string).collect();
        Self {
            format: FORMAT.to_owned(),
            file: format.file_name().to_owned(),
            form: format.word().to_owned(),
            sha256: file.to_string(),
            first: proven.range.first,
            end: proven.range.end,
            before: texts(&proven.proof.before),
            behind: texts(&proven.proof.behind),
            checkpoint: proven.note,
            certificates: proven.certificates,
            statement,
        }
    }
}
