//! Which new passwords are taken. Never says how good one is, only that it is too easy to guess.

use kms_core::engine::Refusal;
use zxcvbn::Score;

/// Fewest bytes.
const LEN_MIN: usize = 12;
/// So many characters are judged: a prefix that is hard to guess makes the whole so, and the time that judging takes
/// grows with the square.
const JUDGED_MAX: usize = 48;
/// Most bytes.
pub(super) const LEN_MAX: usize = 1_024;

/// Long enough, not a common one, and not guessable from common ones, patterns and the user's own name: at
/// least 10^10 guesses (zxcvbn's score 4; its lists hold the common passwords).
///
/// # Errors
/// INVALID_ARGUMENT naming `field`.
pub(super) fn check_new(password: &str, user: &str, field: &str) -> Result<(), Refusal> {
    if !(LEN_MIN..=LEN_MAX).contains(&password.len()) {
        return Err(Refusal::field(field, "12 to 1,024 bytes"));
    }
    let judged = password
        .char_indices()
        .nth(JUDGED_MAX)
        .and_then(|(end, _)| password.get(..end));
    let estimate = zxcvbn::zxcvbn(judged.unwrap_or(password), &[user, "kms", "operator"]);
    if estimate.score() < Score::Four {
        return Err(Refusal::field(
            field,
            "harder to guess: longer, and no common word, name, date or pattern",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_and_guessable_passwords_are_refused() {
        for bad in [
            "",
            "short",
            "password1234",
            "qwertyuiop123",
            "aaaaaaaaaaaaaaaa",
            "alice-alice-alice",
            "20261125-20261125",
            "letmein-letmein",
        ] {
            assert!(check_new(bad, "alice", "password").is_err(), "{bad}");
        }
        for good in ["plum-orbit-canyon-41-velvet", "tR4;pk92-wWq7:zx"] {
            assert!(check_new(good, "alice", "password").is_ok(), "{good}");
        }
        assert!(check_new(&"x9;".repeat(400), "alice", "password").is_err());
        // what stands behind a hard beginning takes nothing from it
        let long = format!("tR4;pk92-wWq7:zx{}", "4@8({[<3691!|70$5+%2".repeat(40));
        assert!(check_new(&long, "alice", "password").is_ok());
    }
}
