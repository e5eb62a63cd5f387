//! Password and codes from files beside a development installation. Codes are taken from the oldest step that
//! the service still takes, each once: so scripts need not wait, and a real authenticator's code stays good.

use super::{Answers, OperatorProfile};
use crate::error::{Error, ErrorKind};
use data_encoding::BASE32_NOPAD;
use ring::hmac;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Seconds of a step.
const STEP: u64 = 30;
/// Steps before now that the first code comes from; a development service takes 2,880.
const BACK: u64 = 2_000;

/// See the module.
#[derive(Debug)]
pub struct AnswersFromFiles {
    password: PathBuf,
    totp: PathBuf,
}

impl AnswersFromFiles {
    /// Of a profile that names both files.
    #[must_use]
    pub fn of(profile: &OperatorProfile) -> Option<Self> {
        Some(Self {
            password: profile.password_file.clone()?,
            totp: profile.totp_file.clone()?,
        })
    }

    /// The next step whose code was not given yet. A lock on the file keeps two programs apart.
    fn next_step(&self) -> std::io::Result<u64> {
        let mut name = self.totp.clone().into_os_string();
        name.push(".step");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(name)?;
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = since.map_err(std::io::Error::other)?.as_secs() / STEP;
        let last: u64 = text.trim().parse().unwrap_or(0);
        let step = last.saturating_add(1).max(now.saturating_sub(BACK));
        file.seek(SeekFrom::Start(0))?;
        file.set_len(0)?;
        writeln!(file, "{step}")?;
        Ok(step)
    }
}

fn refused(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Profile, format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<Zeroizing<String>, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| refused(path, error))?;
    let text = Zeroizing::new(text);
    Ok(Zeroizing::new(text.trim_end().to_owned()))
}

/// RFC 6238 with HMAC-SHA-1 and six digits.
fn code(secret: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = tag.last().map_or(0, |last| usize::from(last & 15));
    let taken = tag.get(at..at + 4).and_then(|four| four.try_into().ok());
    let number = u32::from_be_bytes(taken.unwrap_or_default()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

impl Answers for AnswersFromFiles {
    fn password(&self) -> Result<Zeroizing<String>, Error> {
        read(&self.password)
    }

    fn code(&self, _why: &str) -> Result<Zeroizing<String>, Error> {
        let text = read(&self.totp)?;
        let secret = BASE32_NOPAD.decode(text.as_bytes());
        let secret = secret.map_err(|error| refused(&self.totp, error))?;
        let secret = Zeroizing::new(secret);
        let step = self
            .next_step()
            .map_err(|error| refused(&self.totp, error))?;
        Ok(Zeroizing::new(code(&secret, step)))
    }

    fn opens_sessions(&self) -> bool {
        true
    }

    fn only_development(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B.
    #[test]
    fn codes_are_those_of_the_rfc() {
        assert_eq!(code(b"12345678901234567890", 59 / STEP), "287082");
        assert_eq!(
            code(b"12345678901234567890", 1_111_111_109 / STEP),
            "081804"
        );
    }

    #[test]
    fn no_step_is_given_twice() {
        let folder = tempfile::tempdir().unwrap();
        let answers = AnswersFromFiles {
            password: folder.path().join("p"),
            totp: folder.path().join("t"),
        };
        let first = answers.next_step().unwrap();
        assert_eq!(answers.next_step().unwrap(), first + 1);
    }
}
