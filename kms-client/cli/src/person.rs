//! The person at this side: who answers for password and codes, and where a session waits for the next command.
//! Never answers for anybody with --no-input, but what was given on the command line.

use crate::exit::{Failure, printable};
use crate::session::ask;
use kms_client::operator::{Answers, AnswersFromFiles};
use kms_client::{Error, Profile};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use zeroize::Zeroizing;

/// Most bytes of a session file.
const TOKEN_MAX: u64 = 256;

/// Answers from what was given, from a development profile's files, or by asking.
#[derive(Debug)]
pub(crate) struct Person {
    /// Of a development profile.
    pub files: Option<AnswersFromFiles>,
    /// Of `kms login`.
    pub password_file: Option<PathBuf>,
    /// Of `--totp`.
    pub code: Mutex<Option<Zeroizing<String>>>,
    /// There is somebody at the terminal.
    pub can_ask: bool,
}

fn nobody(what: &str) -> Error {
    Error::unauthenticated(format!("{what}, and nobody answers"))
}

fn told(failure: &Failure) -> Error {
    Error::unauthenticated(failure.to_string())
}

fn warn(what: &str) {
    // there is nobody to tell when stderr is gone
    let text = format!("kms: warning: development: {what} is answered from the profile's files");
    let _ = writeln!(anstream::stderr(), "{}", printable(&text));
}

impl Answers for Person {
    fn password(&self) -> Result<Zeroizing<String>, Error> {
        if let Some(path) = &self.password_file {
            let text = fs::read_to_string(path);
            let text = text.map_err(|error| told(&Failure::file(path, error)))?;
            let text = Zeroizing::new(text);
            return Ok(Zeroizing::new(
                text.trim_end_matches(['\r', '\n']).to_owned(),
            ));
        }
        match &self.files {
            Some(files) => {
                warn("the password");
                files.password()
            }
            None if self.can_ask => {
                let typed = rpassword::prompt_password("Password: ");
                typed
                    .map(Zeroizing::new)
                    .map_err(|error| told(&error.into()))
            }
            None => Err(nobody("a password is needed")),
        }
    }

    fn code(&self, why: &str) -> Result<Zeroizing<String>, Error> {
        let given = self
            .code
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(code) = given {
            return Ok(code);
        }
        match &self.files {
            Some(files) => {
                warn("a code");
                files.code(why)
            }
            None if self.can_ask => {
                let typed = ask(&format!("Code of your authenticator, {why}: "));
                typed.map(Zeroizing::new).map_err(|failure| told(&failure))
            }
            None => Err(nobody(
                "a code of the authenticator is needed (--totp CODE)",
            )),
        }
    }

    fn opens_sessions(&self) -> bool {
        self.files.is_some()
    }

    fn only_development(&self) -> bool {
        self.files.is_some()
    }
}

/// Where a session's token waits: mode 0600, in `$XDG_RUNTIME_DIR`, or in a directory of our own where there is
/// none.
#[derive(Debug)]
pub(crate) struct SessionFile(PathBuf);

impl SessionFile {
    /// One for each service, operator and certificate.
    pub(crate) fn of(profile: &Profile, user: &str) -> Self {
        let certificate = profile.certificate.as_deref().unwrap_or(Path::new(""));
        let certificate = certificate.to_string_lossy();
        let named = format!("{}-{user}-{certificate}", profile.address);
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
        let name: String = named.chars().map(plain).collect();
        // a name has at most 255 bytes; the end tells more than the beginning
        let start = name.len().saturating_sub(200);
        Self(directory().join(format!("session-{}", name.get(start..).unwrap_or_default())))
    }

    /// The token, if there is one and nobody else could have put it there.
    pub(crate) fn read(&self) -> Option<Zeroizing<String>> {
        let found = fs::symlink_metadata(&self.0).ok()?;
        let ours = found.uid() == rustix::process::geteuid().as_raw();
        if !found.is_file() || !ours || found.mode() & 0o077 != 0 || found.len() > TOKEN_MAX {
            return None;
        }
        let text = fs::read_to_string(&self.0).ok()?;
        Some(Zeroizing::new(text.trim_end().to_owned()))
    }

    /// Writes the token, or removes the file.
    pub(crate) fn keep(&self, token: Option<&Zeroizing<String>>) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::file(&self.0, error);
        let Some(token) = token else {
            return match fs::remove_file(&self.0) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        };
        if self.read().is_some_and(|kept| kept == *token) {
            return Ok(());
        }
        let folder = self.0.parent().unwrap_or(Path::new("."));
        private_folder(folder).map_err(failed)?;
        let beside = self.0.with_extension(std::process::id().to_string());
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)
            .and_then(|mut file| file.write_all(token.as_bytes()))
            .and_then(|()| fs::rename(&beside, &self.0));
        written.map_err(failed)
    }
}

fn directory() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    match runtime.filter(|path| path.is_absolute() && path.is_dir()) {
        Some(runtime) => runtime.join("kms"),
        None => {
            let user = rustix::process::geteuid().as_raw();
            std::env::temp_dir().join(format!("kms-{user}"))
        }
    }
}

/// Made if it is not there; one that others may enter, or that is not ours, is not used.
fn private_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(path)?;
    let ours = found.uid() == rustix::process::geteuid().as_raw();
    if found.is_dir() && ours && found.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::other("the directory is not ours alone"))
}
