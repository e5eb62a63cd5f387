//! An OAuth 2.0 access token that another program keeps in a file: sent on each call, read again when the file changes.
//! Never looks into it; never shows it.

use crate::error::{Error, ErrorKind};
use crate::stamp::Stamp;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use tonic::metadata::{Ascii, MetadataValue};
use zeroize::Zeroizing;

/// The service takes no longer ones.
const LEN_MAX: usize = 8 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    // its `Debug` says nothing of a sensitive value
    held: Mutex<Option<(Stamp, MetadataValue<Ascii>)>>,
}

impl TokenFile {
    /// Not read yet.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self {
            path,
            held: Mutex::new(None),
        }
    }

    /// The value of `authorization`, as the file has it now.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] when the file cannot be read or holds no token: an old token is not used on.
    pub(crate) fn authorization(&self) -> Result<MetadataValue<Ascii>, Error> {
        // before it is read: what comes between is read again
        let stamp = Stamp::of([&self.path]);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, value)) = &*held
            && *known == stamp
        {
            return Ok(value.clone());
        }
        let value = self.read()?;
        *held = Some((stamp, value.clone()));
        Ok(value)
    }

    fn read(&self) -> Result<MetadataValue<Ascii>, Error> {
        let refused = |why: &dyn std::fmt::Display| {
            let message = format!("token file {}: {why}", self.path.display());
            Error::new(ErrorKind::Profile, message)
        };
        let text = std::fs::read_to_string(&self.path).map_err(|error| refused(&error))?;
        let text = Zeroizing::new(text);
        let token = text.trim();
        let fits = (1..=LEN_MAX).contains(&token.len())
            && token.bytes().all(|byte| byte.is_ascii_graphic());
        if !fits {
            return Err(refused(
                &"it holds no token of 1 to 8,192 visible characters",
            ));
        }
        let value = Zeroizing::new(format!("Bearer {token}"));
        let mut value: MetadataValue<Ascii> =
            value.parse().map_err(|_| refused(&"it holds no token"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_says_now_is_sent_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = TokenFile::new(path.clone());
        assert_eq!(file.authorization().unwrap_err().kind(), ErrorKind::Profile);
        for token in ["a.b.c", "a.b.d2"] {
            std::fs::write(&path, format!("{token}\n")).unwrap();
            let value = file.authorization().unwrap();
            assert_eq!(value.to_str().unwrap(), format!("Bearer {token}"));
            assert!(!format!("{file:?}").contains(token));
        }
        for bad in ["", " \n", "two words", "a\u{e9}", &"a".repeat(LEN_MAX + 1)] {
            std::fs::write(&path, bad).unwrap();
            assert!(file.authorization().is_err(), "{bad:?}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(file.authorization().is_err(), "an old token is not used on");
    }
}
