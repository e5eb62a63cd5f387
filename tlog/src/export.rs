//! What the log key says of an export: which entries, into which file, when and by whom. Signed as a note.

use crate::checkpoint::parse_number;
use crate::hash::Hash;
use crate::note::BadNote;

/// First line, behind the origin: no checkpoint and no certificate begins so.
const SUFFIX: &str = "/export";

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportStatement {
    /// Name of the log's life.
    pub origin: String,
    /// First entry.
    pub first: u64,
    /// The first entry behind the last.
    pub end: u64,
    /// Form of the file: one word.
    pub format: String,
    /// SHA-256 of the file.
    pub file: Hash,
    /// When: seconds since 1970.
    pub at: u64,
    /// Who exported.
    pub by: String,
}

impl ExportStatement {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}{SUFFIX}\n{}\n{}\n{}\n{}\n{}\n{}\n",
            self.origin, self.first, self.end, self.format, self.file, self.at, self.by
        )
    }

    /// Reads a note's text.
    ///
    /// # Errors
    /// [`BadNote`].
    pub fn parse(text: &str) -> Result<Self, BadNote> {
        let bad = BadNote("statement of an export");
        let lines: Vec<_> = text.strip_suffix('\n').ok_or(bad)?.split('\n').collect();
        let [name, first, end, format, file, at, by] = lines[..] else {
            return Err(bad);
        };
        let number = |text| parse_number(text).ok_or(bad);
        Ok(Self {
            origin: name.strip_suffix(SUFFIX).ok_or(bad)?.to_owned(),
            first: number(first)?,
            end: number(end)?,
            format: format.to_owned(),
            file: Hash::parse(file).ok_or(bad)?,
            at: number(at)?,
            by: by.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Certificate, Checkpoint};

    #[test]
    fn a_statement_reads_as_written_and_is_nothing_else() {
        let statement = ExportStatement {
            origin: "kms/1".to_owned(),
            first: 3,
            end: 9,
            format: "jsonl".to_owned(),
            file: Hash([7; 32]),
            at: 1_795_500_000,
            by: "operators/ada".to_owned(),
        };
        let text = statement.text();
        assert_eq!(ExportStatement::parse(&text), Ok(statement));
        assert!(Checkpoint::parse(&text).is_err());
        assert!(Certificate::parse(&text).is_err());
        assert!(ExportStatement::parse(&text.replace("/export", "")).is_err());
        assert!(ExportStatement::parse(text.trim_end()).is_err());
    }
}
