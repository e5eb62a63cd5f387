//! One entry as a line of comma-separated values (RFC 4180). A value that a spreadsheet would take for a formula gets an
//! apostrophe in front; line ends inside values become spaces, so that an entry is a line.

use crate::command::audit::entry::EntryReport;
use crate::exit::printable;

/// Names of the columns. The last is the entry's bytes in hex, without quotes.
pub(super) fn header() -> String {
    let columns = EntryReport::columns().map(|(name, _)| name);
    columns.join(",")
}

/// One entry.
pub(super) fn line(entry: &EntryReport) -> String {
    let values = EntryReport::columns().map(|(_, value)| field(&value(entry)));
    values.join(",")
}

fn field(value: &str) -> String {
    let mut text = printable(value);
    if text.starts_with(['=', '+', '-', '@']) {
        text.insert(0, '\'');
    }
    if text.contains(['"', ',']) {
        text = format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn values_are_values() {
        for (value, written) in [
            ("customers", "customers"),
            ("a,b", "\"a,b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("=1+1", "'=1+1"),
            ("one\ntwo", "one two"),
            ("", ""),
        ] {
            assert_eq!(field(value), written);
        }
    }
}
