//! When a certificate is valid, out of its DER (RFC 5280, 4.1). Reads nothing else of it; whoever trusts it checks the rest.

use crate::error::{Error, ErrorKind};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From when to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from: SystemTime,
    /// The last one.
    pub until: SystemTime,
}

impl Validity {
    /// Of a certificate in DER; `None` when it is none.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let (certificate, _) = value(der, SEQUENCE)?;
        let (mut rest, _) = value(certificate, SEQUENCE)?;
        if let Some((_, after)) = value(rest, EXPLICIT_0) {
            rest = after;
        }
        // serial number, algorithm, issuer
        for _ in 0..3 {
            (_, _, rest) = element(rest)?;
        }
        let (validity, _) = value(rest, SEQUENCE)?;
        let (tag, from, validity) = element(validity)?;
        let from = time(tag, from)?;
        let (tag, until, _) = element(validity)?;
        let until = time(tag, until)?;
        Some(Self { from, until })
    }

    /// Of the first certificate in a PEM file.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`].
    pub fn of_file(path: &Path) -> Result<Self, Error> {
        let refused = |why: String| {
            let message = format!("{} cannot be used: {why}", path.display());
            Error::new(ErrorKind::Profile, message)
        };
        let certificate = CertificateDer::from_pem_file(path);
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        Self::of(&certificate).ok_or_else(|| refused("it holds no certificate".into()))
    }

    /// When it is time to renew: two thirds of its life.
    #[must_use]
    pub fn due(&self) -> SystemTime {
        let life = self.until.duration_since(self.from).unwrap_or_default();
        self.from + life * 2 / 3
    }

    /// Whether that time has come.
    #[must_use]
    pub fn is_due_at(&self, now: SystemTime) -> bool {
        self.due() <= now
    }
}

/// Tag, value, what comes after. Short and long lengths of at most four bytes.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut len = usize::from(*first);
    if *first & 0x80 != 0 {
        let count = usize::from(*first & 0x7f);
        if !(1..=4).contains(&count) {
            return None;
        }
        let (digits, after) = rest.split_at_checked(count)?;
        len = digits
            .iter()
            .fold(0, |len, digit| (len << 8) | usize::from(*digit));
        rest = after;
    }
    let (value, after) = rest.split_at_checked(len)?;
    Some((*tag, value, after))
}

fn value(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, value, after) = element(bytes)?;
    (tag == wanted).then_some((value, after))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, from 1970 on.
fn time(tag: u8, text: &[u8]) -> Option<SystemTime> {
    let digits = text.strip_suffix(b"Z")?;
    let years = match tag {
        UTC_TIME if digits.len() == 12 => 2,
        GENERALIZED_TIME if digits.len() == 14 => 4,
        _ => return None,
    };
    let number = |part: &[u8]| {
        let digit = |sum: u64, byte: &u8| {
            byte.is_ascii_digit()
                .then(|| sum * 10 + u64::from(byte - b'0'))
        };
        part.iter().try_fold(0, digit)
    };
    let (year, rest) = digits.split_at_checked(years)?;
    let year = match (years, number(year)?) {
        (2, short) if short < 50 => 2_000 + short,
        (2, short) => 1_900 + short,
        (_, year) => year,
    };
    let mut parts = rest.chunks_exact(2).map(number);
    let mut next = || parts.next().flatten();
    let (month, day, hour, minute, second) = (next()?, next()?, next()?, next()?, next()?);
    if !(1..=12).contains(&month)
        || !(1..=31).contains(&day)
        || hour > 23
        || minute > 59
        || second > 60
    {
        return None;
    }
    let days = days_before(year, month)? + day - 1;
    Some(UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second))
}

/// Days from 1970 to the first of a month (the civil calendar, counted from March).
fn days_before(year: u64, month: u64) -> Option<u64> {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn seconds(at: SystemTime) -> u64 {
        at.duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    /// The seconds are those of `date -u +%s -d DAY`.
    #[test]
    fn times_are_read_in_both_forms() {
        for (from, until, expected) in [
            ((1970, 1, 1), (2000, 2, 29), (0, 951_782_400)),
            (
                (2026, 11, 25),
                (2026, 12, 2),
                (1_795_564_800, 1_796_169_600),
            ),
            ((2049, 12, 31), (2050, 1, 1), (2_524_521_600, 2_524_608_000)),
            ((2100, 2, 28), (2100, 3, 1), (4_107_456_000, 4_107_542_400)),
        ] {
            let validity = Validity::of(&certificate(from, until)).unwrap();
            assert_eq!((seconds(validity.from), seconds(validity.until)), expected);
        }
    }

    #[test]
    fn it_is_due_at_two_thirds() {
        let validity = Validity::of(&certificate((2026, 11, 1), (2026, 11, 4))).unwrap();
        let day = Duration::from_secs(86_400);
        assert_eq!(validity.due(), validity.from + day * 2);
        assert!(!validity.is_due_at(validity.from + day));
        assert!(validity.is_due_at(validity.from + day * 2));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let _ = Validity::of(&bytes);
            let mut good = certificate((2026, 1, 1), (2027, 1, 1));
            let at = at.index(good.len());
            prop_assert!(Validity::of(&good[..at]).is_none());
            good[at] = byte;
            let _ = Validity::of(&good);
        }
    }
}
