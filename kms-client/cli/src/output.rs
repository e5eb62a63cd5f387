//! Results on stdout: a table for people, JSON for programs. What came from elsewhere is shown without
//! anything that could steer a terminal.

use crate::args::Form;
use crate::exit::{Failure, printable};
use serde::Serialize;
use std::io::{self, Write as _};

/// A result. Its JSON form is an interface: fields are added, never renamed.
pub(crate) trait Report: Serialize {
    /// For people.
    fn table(&self) -> Table;
}

/// Columns without borders.
pub(crate) struct Table(comfy_table::Table);

impl Table {
    fn new() -> Self {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        Self(table)
    }

    /// One line for each thing.
    pub(crate) fn list(header: &[&str]) -> Self {
        let mut table = Self::new();
        table
            .0
            .set_header(header.iter().map(|name| name.to_uppercase()));
        table
    }

    /// One line for each property of one thing.
    pub(crate) fn facts() -> Self {
        Self::new()
    }

    /// Adds a line.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.0.add_row(cells.iter().map(|cell| printable(cell)));
    }

    /// Adds a time, unless there is none.
    pub(crate) fn time(&mut self, name: &str, time: Option<&String>) {
        if time.is_some() {
            self.row([name.to_owned(), brief(time)]);
        }
    }

    /// Adds a property, unless there is nothing to say.
    pub(crate) fn fact(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.row([name.to_owned(), value]);
        }
    }

    /// As it is written to stdout.
    pub(crate) fn text(&self) -> String {
        let lines = self.0.lines();
        // the style leaves one space before and after each cell
        let lines =
            lines.map(|line| line.trim_end().strip_prefix(' ').unwrap_or("").to_owned() + "\n");
        lines.collect()
    }
}

/// Writes the result. A reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// Those of stdout.
pub(crate) fn show(form: Form, report: &impl Report) -> Result<(), Failure> {
    let text = match form {
        Form::Table => report.table().text(),
        Form::Json => json(report)?,
    };
    write(&text)
}

/// Indented JSON, ended by a line end.
///
/// # Errors
/// None that can be had with our own types.
pub(crate) fn json(report: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(report);
    Ok(text.map_err(|error| Failure::failed(error.to_string()))? + "\n")
}

/// JSON on one line, not ended.
///
/// # Errors
/// As [`json`].
pub(crate) fn json_line(report: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(report).map_err(|error| Failure::failed(error.to_string()))
}

/// Writes text as it is.
///
/// # Errors
/// Those of stdout.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// `1.2 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    indicatif::HumanBytes(count).to_string()
}

/// `90 days`, `36 hours`.
pub(crate) fn duration(seconds: i64) -> String {
    let (number, unit) = match seconds {
        s if s % 86_400 == 0 => (s / 86_400, "day"),
        s if s % 3_600 == 0 => (s / 3_600, "hour"),
        s => (s, "second"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

/// `2026-11-24T06:00:00Z`.
pub(crate) fn time(at: &prost_types::Timestamp) -> Option<String> {
    jiff::Timestamp::new(at.seconds, at.nanos)
        .ok()
        .map(|at| at.to_string())
}

/// A time that may be absent.
pub(crate) fn optional_time(at: Option<&prost_types::Timestamp>) -> Option<String> {
    at.and_then(time)
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A time for people: to the second, `-` when there is none.
pub(crate) fn brief(time: Option<&String>) -> String {
    match time {
        None => "-".to_owned(),
        Some(time) => match time.split_once('.') {
            Some((seconds, _)) => format!("{seconds}Z"),
            None => time.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_bare_columns() {
        let mut table = Table::list(&["version", "state"]);
        table.row(["1".into(), "DECRYPT_ONLY".into()]);
        table.row(["12".into(), "\x1b[31mACTIVE".into()]);
        assert_eq!(
            table.text(),
            "VERSION  STATE\n1        DECRYPT_ONLY\n12       \\u{1b}[31mACTIVE\n"
        );
    }

    #[test]
    fn durations_are_said_in_the_largest_whole_unit() {
        for (seconds, text) in [
            (86_400, "1 day"),
            (7_776_000, "90 days"),
            (129_600, "36 hours"),
            (90, "90 seconds"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn times_are_rfc_3339() {
        let at = prost_types::Timestamp {
            seconds: 1_795_500_000,
            nanos: 250_000_000,
        };
        assert_eq!(time(&at).unwrap(), "2026-11-24T06:00:00.25Z");
    }
}
