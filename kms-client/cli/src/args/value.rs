//! Values on the command line: each parser says what form it wants.

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kms_client::DatasetName;
use kms_client::proto::v1;
use std::time::Duration;

/// A dataset, as `customers` or `datasets/customers`.
pub(crate) fn dataset(text: &str) -> Result<DatasetName, &'static str> {
    let name = text.strip_prefix("datasets/").unwrap_or(text);
    DatasetName::parse(name)
        .map_err(|_| "a dataset's name is a-z, 0-9 and '-', at most 63, and begins with a letter")
}

fn is_label(text: &str, len_max: usize) -> bool {
    text.len() <= len_max
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A retention class: `[a-z][a-z0-9-]{0,31}`.
pub(crate) fn retention_class(text: &str) -> Result<String, &'static str> {
    if is_label(text, 32) {
        Ok(text.to_owned())
    } else {
        Err("a retention class is a-z, 0-9 and '-', at most 32, and begins with a letter")
    }
}

/// `K=V`; the first `=` counts, V may be empty.
pub(crate) fn pair(text: &str) -> Result<(String, String), &'static str> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a pair is KEY=VALUE with a key that is not empty"),
    }
}

/// `90d`, `12w`, `36h`, `15m`, `20s`.
pub(crate) fn duration(text: &str) -> Result<Duration, &'static str> {
    const FORM: &str = "a time is a whole number and s, m, h, d or w, for example 90d";
    let unit = text.chars().next_back().ok_or(FORM)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return Err(FORM),
    };
    let number = text.strip_suffix(unit).unwrap_or_default();
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(FORM);
    }
    let number: u64 = number.parse().map_err(|_| FORM)?;
    number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or(FORM)
}

/// `2026-11-24T06:00:00Z`, `2026-11-24` (midnight UTC), or `2h` (that long ago).
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = duration(text) {
        let then = Timestamp::now().checked_sub(ago);
        return then.map_err(|_| "that is before the calendar begins".to_owned());
    }
    if let Ok(date) = text.parse::<Date>()
        && text.len() == 10
    {
        let midnight = date.to_zoned(TimeZone::UTC);
        return midnight
            .map(|zoned| zoned.timestamp())
            .map_err(|e| e.to_string());
    }
    text.parse().map_err(|_| {
        "a time is 2026-11-24T06:00:00Z, 2026-11-24 (UTC), or 2h (that long ago)".to_owned()
    })
}

/// 32 hex digits.
pub(crate) fn id(text: &str) -> Result<[u8; 16], &'static str> {
    const FORM: &str = "an id is 32 hex digits";
    let mut bytes = [0; 16];
    let digits: Vec<u8> = text
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()
        .filter(|digits: &Vec<u8>| digits.len() == 32)
        .ok_or(FORM)?;
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().fold(0, |value, digit| value << 4 | digit);
    }
    Ok(bytes)
}

/// `YYYY-MM`.
pub(crate) fn month(text: &str) -> Result<String, &'static str> {
    match format!("{text}-01").parse::<Date>() {
        Ok(_) if text.len() == 7 => Ok(text.to_owned()),
        _ => Err("a month is YYYY-MM"),
    }
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// What a shred secret stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SecretKind {
    /// One natural person.
    Subject,
    /// One tenant of the CRM.
    Account,
    /// One calendar month.
    Period,
}

impl SecretKind {
    /// As the service names it.
    pub(crate) const fn proto(self) -> v1::SecretKind {
        match self {
            Self::Subject => v1::SecretKind::Subject,
            Self::Account => v1::SecretKind::Account,
            Self::Period => v1::SecretKind::Period,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("90d"), Ok(Duration::from_hours(90 * 24)));
        assert_eq!(duration("2w"), duration("14d"));
        assert_eq!(duration("60m"), duration("1h"));
        for bad in [
            "",
            "d",
            "90",
            "-1d",
            "+1d",
            "1.5d",
            "9 d",
            "90 days",
            "1y",
            "99999999999999999w",
        ] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_utc() {
        let at = |text| moment(text).unwrap().to_string();
        assert_eq!(at("2026-11-24"), "2026-11-24T00:00:00Z");
        assert_eq!(at("2026-11-24T06:00:00+01:00"), "2026-11-24T05:00:00Z");
        assert!(moment("1h").unwrap() < Timestamp::now());
        for bad in ["", "2026-13-01", "24.11.2026", "2026-11-24T06:00:00", "now"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_hex() {
        let text = "00ff0102030405060708090a0b0c0d0E";
        assert_eq!(id(text).unwrap()[..4], [0, 0xff, 1, 2]);
        assert_eq!(id(text).unwrap()[15], 0x0e);
        assert!(id(&text[1..]).is_err());
        assert!(id(&text.replace('f', "g")).is_err());
        assert!(id(&text.replace('f', "é")).is_err());
    }

    #[test]
    fn datasets_go_by_either_name() {
        let name = dataset("datasets/call-logs").unwrap();
        assert_eq!(name, dataset("call-logs").unwrap());
        for bad in ["", "datasets/", "A", "1a", "a_b", "a/b", &"a".repeat(64)] {
            assert!(dataset(bad).is_err(), "{bad}");
        }
    }
}
