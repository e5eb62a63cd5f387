//! What each value may be. An error says the key and the limit.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A key and what is wrong with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) key: String,
    pub(super) problem: String,
}

impl Problem {
    pub(super) fn new(key: &str, problem: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            problem: problem.into(),
        }
    }
}

/// An integer within `range`, or `default`.
pub(super) fn number<N>(
    key: &str,
    value: Option<u64>,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<N, Problem>
where
    N: TryFrom<u64>,
{
    let value = value.unwrap_or(default);
    let broken = || {
        let (low, high) = (range.start(), range.end());
        Problem::new(key, format!("is {value}, must be {low} to {high}"))
    };
    if range.contains(&value) {
        N::try_from(value).map_err(|_| broken())
    } else {
        Err(broken())
    }
}

/// A duration such as `"5s"`, `"500ms"`, `"10m"` or `"1h 30m"` within `range`, or `default`.
pub(super) fn duration(
    key: &str,
    value: Option<&str>,
    default: Duration,
    range: RangeInclusive<Duration>,
) -> Result<Duration, Problem> {
    let Some(text) = value else {
        return Ok(default);
    };
    let form = || {
        let (low, high) = (range.start(), range.end());
        let limit = format!("must be a duration of {low:?} to {high:?}, as \"30s\" or \"5m\"");
        Problem::new(key, format!("is {text:?}, {limit}"))
    };
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| form())?;
    let parsed = Duration::try_from(parsed).map_err(|_| form())?;
    range.contains(&parsed).then_some(parsed).ok_or_else(form)
}

/// One word of a list, or the first of it when absent.
pub(super) fn word<T: Copy>(
    key: &str,
    value: Option<&str>,
    words: &[(&str, T)],
    default: T,
) -> Result<T, Problem> {
    let Some(text) = value else {
        return Ok(default);
    };
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, meaning)| *meaning).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        Problem::new(key, format!("is {text:?}, must be {}", known.join(" or ")))
    })
}

/// Something that must be there.
pub(super) fn required<T>(key: &str, value: Option<T>) -> Result<T, Problem> {
    value.ok_or_else(|| Problem::new(key, "is missing"))
}

/// Where paths of the file start.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    /// The file's directory.
    pub(super) directory: &'a Path,
    /// What systemd's `LoadCredential=` filled, if it did.
    pub(super) credentials: Option<&'a Path>,
}

const CREDENTIAL: &str = "${CREDENTIALS_DIRECTORY}/";

impl Places<'_> {
    /// A path: absolute, relative to the file, or a systemd credential.
    pub(super) fn path(&self, key: &str, text: &str) -> Result<PathBuf, Problem> {
        if let Some(name) = text.strip_prefix(CREDENTIAL) {
            let Some(directory) = self.credentials else {
                let problem = "names a systemd credential, but CREDENTIALS_DIRECTORY is not set";
                return Err(Problem::new(key, problem));
            };
            if name.is_empty() || name.contains('/') || name.contains("${") {
                return Err(Problem::new(key, "must name one file of the credentials"));
            }
            return Ok(directory.join(name));
        }
        if text.is_empty() {
            return Err(Problem::new(key, "is empty, must be a path"));
        }
        if text.contains("${") {
            let problem = format!("only {CREDENTIAL}NAME is expanded, at the path's start");
            return Err(Problem::new(key, problem));
        }
        Ok(self.directory.join(text))
    }

    /// A path that must be given.
    pub(super) fn required(&self, key: &str, text: Option<&str>) -> Result<PathBuf, Problem> {
        self.path(key, required(key, text)?)
    }

    /// A path that may be given.
    pub(super) fn optional(
        &self,
        key: &str,
        text: Option<&str>,
    ) -> Result<Option<PathBuf>, Problem> {
        text.map(|text| self.path(key, text)).transpose()
    }
}
