//! What became of each file.

use crate::exit::Failure;
use crate::output::{Report, Table};
use serde::Serialize;
use std::path::Path;

/// What was done to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its data key is now under this version.
    Rewrapped {
        /// The active version.
        version: u32,
    },
    /// It was under the active version already.
    Current {
        /// The active version.
        version: u32,
    },
    /// It was under the active version already; a damaged or unfinished header slot was written anew.
    Mended {
        /// The active version.
        version: u32,
    },
    /// It has a new data key and new contents.
    Reencrypted {
        /// The active version.
        version: u32,
    },
}

/// One file.
#[derive(Debug, Serialize)]
pub(crate) struct FileReport {
    file: String,
    outcome: &'static str,
    version: Option<u32>,
    error: Option<String>,
    #[serde(skip)]
    failure: Option<Failure>,
}

impl FileReport {
    /// Of one file.
    pub(crate) fn new(path: &Path, outcome: Result<Outcome, Failure>) -> Self {
        let (word, version, failure) = match outcome {
            Ok(Outcome::Rewrapped { version }) => ("rewrapped", Some(version), None),
            Ok(Outcome::Current { version }) => ("current", Some(version), None),
            Ok(Outcome::Mended { version }) => ("mended", Some(version), None),
            Ok(Outcome::Reencrypted { version }) => ("reencrypted", Some(version), None),
            Err(failure) => ("failed", None, Some(failure)),
        };
        Self {
            file: path.display().to_string(),
            outcome: word,
            version,
            error: failure.as_ref().map(Failure::to_string),
            failure,
        }
    }

    /// Why it failed.
    pub(crate) const fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
}

impl Report for Vec<FileReport> {
    fn table(&self) -> Table {
        let mut table = Table::list(&["file", "outcome", "version"]);
        for report in self {
            table.row([
                report.file.clone(),
                report.outcome.to_owned(),
                report
                    .version
                    .map(|version| version.to_string())
                    .unwrap_or_default(),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_stands() {
        let reports = vec![
            FileReport::new(Path::new("a"), Ok(Outcome::Rewrapped { version: 3 })),
            FileReport::new(Path::new("b"), Err(Failure::failed("lost"))),
        ];
        let expected = serde_json::json!([
            {"file": "a", "outcome": "rewrapped", "version": 3, "error": null},
            {"file": "b", "outcome": "failed", "version": null, "error": "lost"},
        ]);
        assert_eq!(serde_json::to_value(reports).unwrap(), expected);
    }
}
