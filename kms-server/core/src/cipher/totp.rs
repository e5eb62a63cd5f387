//! Time-based one-time passwords (RFC 6238): HMAC-SHA-1, 6 digits, 30 s, as every authenticator app has them.
//!
//! Answers *which step* a code belongs to and never that a code is good by itself: whoever accepts one stores
//! the step, and takes only later ones after it.

use super::constant_time_eq;
use crate::secret::TotpSecret;
use crate::time::Timestamp;
use data_encoding::BASE32_NOPAD;
use totp_rs::{Algorithm, Builder, Totp};
use zeroize::Zeroizing;

/// Seconds of a step.
pub const STEP_SECONDS: u64 = 30;
/// Digits of a code.
pub const DIGITS: u8 = 6;
/// Steps after the present one that are taken: an authenticator's clock may be ahead.
const AHEAD: u64 = 1;

/// Number of the step that `now` lies in; `None` before 1970.
#[must_use]
pub fn step_of(now: Timestamp) -> Option<u64> {
    let seconds = u64::try_from(now.as_micros()).ok()? / 1_000_000;
    Some(seconds / STEP_SECONDS)
}

fn totp(secret: &TotpSecret) -> Option<Totp> {
    let builder = Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(DIGITS)
        .with_step_duration(STEP_SECONDS)
        .with_secret(*secret.expose_bytes());
    builder.build().ok()
}

/// The code of a step; `None` for a step beyond all time.
#[must_use]
pub fn code(secret: &TotpSecret, step: u64) -> Option<String> {
    let time = step.checked_mul(STEP_SECONDS)?;
    Some(totp(secret)?.generate(time).to_string())
}

/// The six digits of a code as it was typed: spaces between them do not count. Anything else is no code;
/// digits of other scripts are none.
#[must_use]
pub fn digits(typed: &str) -> Option<[u8; DIGITS as usize]> {
    let mut digits = [0; DIGITS as usize];
    let mut places = digits.iter_mut();
    for byte in typed.bytes().filter(|byte| *byte != b' ') {
        if !byte.is_ascii_digit() {
            return None;
        }
        *places.next()? = byte;
    }
    places.next().is_none().then_some(digits)
}

/// The first step after `last` whose code this is, among those from `back` steps before now to one after.
/// Every step of the window is computed, whatever was typed.
#[must_use]
pub fn accept(
    secret: &TotpSecret,
    typed: &str,
    now: Timestamp,
    last: u64,
    back: u32,
) -> Option<u64> {
    let present = step_of(now)?;
    let totp = totp(secret)?;
    let typed = digits(typed);
    let mut found = None;
    for step in present.saturating_sub(u64::from(back))..=present.saturating_add(AHEAD) {
        let expected = totp.generate(step.checked_mul(STEP_SECONDS)?).to_string();
        let same = constant_time_eq(expected.as_bytes(), &typed.unwrap_or_default());
        if same && typed.is_some() && step > last && found.is_none() {
            found = Some(step);
        }
    }
    found
}

/// The secret as people type it into an authenticator: base32 without padding.
#[must_use]
pub fn expose_text(secret: &TotpSecret) -> Zeroizing<String> {
    Zeroizing::new(BASE32_NOPAD.encode(secret.expose_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TotpSecret {
        TotpSecret::from_slice(b"12345678901234567890").unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_micros(i64::try_from(seconds * 1_000_000).unwrap())
    }

    /// RFC 6238, appendix B, SHA-1: the last six of its eight digits.
    #[test]
    fn the_vectors_of_the_rfc() {
        for (seconds, eight) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let step = step_of(at(seconds)).unwrap();
            assert_eq!(code(&secret(), step).unwrap(), &eight[2..]);
            let taken = accept(&secret(), &eight[2..], at(seconds), 0, 1);
            assert_eq!(taken, Some(step));
        }
    }

    #[test]
    fn a_code_is_six_ascii_digits_and_spaces() {
        for good in ["123456", "123 456", " 1 2 3 4 5 6 "] {
            assert_eq!(digits(good), Some(*b"123456"), "{good:?}");
        }
        for bad in [
            "",
            "12345",
            "1234567",
            "123-456",
            "12345a",
            "１２３４５６",
            "١٢٣٤٥٦",
            "123\u{a0}456",
            "123456\n",
        ] {
            assert_eq!(digits(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_window_is_one_step_to_each_side_and_never_at_or_before_the_last() {
        let now = at(1_000_000_000);
        let present = step_of(now).unwrap();
        for step in present - 3..=present + 3 {
            let typed = code(&secret(), step).unwrap();
            let near = step.abs_diff(present) <= 1;
            assert_eq!(accept(&secret(), &typed, now, 0, 1), near.then_some(step));
            let later = near && step > present;
            assert_eq!(
                accept(&secret(), &typed, now, present, 1),
                later.then_some(step)
            );
        }
        let old = code(&secret(), present - 3).unwrap();
        assert_eq!(accept(&secret(), &old, now, 0, 3), Some(present - 3));
        assert_eq!(accept(&secret(), "", now, 0, 1), None);
        assert_eq!(
            accept(&secret(), &old, Timestamp::from_micros(-1), 0, 1),
            None
        );
    }
}
