//! Why the daemon does not start or goes on: one line for people, one number for programs.

use super::directory::Unsafe;
use super::lock::NotLocked;
use super::private_file::Refused;
use crate::config::ConfigError;
use kms_core::cipher::self_test::Failed;
use std::fmt;
use std::io;
use std::path::Path;

/// A failure of the whole daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What sort.
    pub kind: FailureKind,
    /// One line: what, where, and what to do about it.
    pub message: String,
}

/// Sort of failure. Its number is the process's exit code; docs/operations.md lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FailureKind {
    /// None of the others.
    Other = 1,
    /// The configuration cannot be used.
    Configuration = 10,
    /// Others could read or change what only the daemon may.
    Permissions = 11,
    /// Another daemon has the data directory.
    Locked = 12,
    /// Another program has the address.
    PortInUse = 13,
    /// No space left.
    DiskFull = 14,
    /// The passphrase opens no seal.
    WrongPassphrase = 15,
    /// Keyring, store or audit log are damaged, or were put back from an older copy.
    Corrupted = 16,
    /// An algorithm gave a wrong answer.
    SelfTest = 17,
}

impl Failure {
    /// From its parts.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// An input or output error at `path`: a full disk and missing rights are told apart from the rest.
    #[must_use]
    pub fn io(path: &Path, error: &io::Error) -> Self {
        let said = || format!("{}: {error}", path.display());
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::disk_full(path),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::new(FailureKind::Permissions, said())
            }
            _ => Self::new(FailureKind::Other, said()),
        }
    }

    /// No space left where `path` lies.
    #[must_use]
    pub fn disk_full(path: &Path) -> Self {
        let path = path.display();
        let message = format!("the disk of {path} is full: free some space and start again");
        Self::new(FailureKind::DiskFull, message)
    }

    /// A wrong passphrase came from the file at `path`; other failures say enough.
    #[must_use]
    pub fn beside(mut self, path: &Path) -> Self {
        if self.kind == FailureKind::WrongPassphrase {
            self.message = format!("{} (in {})", self.message, path.display());
        }
        self
    }

    /// The process's exit code.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        self.kind as u8
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(FailureKind::Configuration, error.to_string())
    }
}

impl From<Failed> for Failure {
    fn from(error: Failed) -> Self {
        Self::new(FailureKind::SelfTest, error.to_string())
    }
}

impl From<Unsafe> for Failure {
    fn from(error: Unsafe) -> Self {
        match &error {
            Unsafe::Unreadable(path, inner) => Self::io(path, inner),
            Unsafe::Open(..) | Unsafe::Foreign(..) => {
                Self::new(FailureKind::Permissions, error.to_string())
            }
            Unsafe::NotDirectory(_) => Self::new(FailureKind::Other, error.to_string()),
        }
    }
}

impl From<NotLocked> for Failure {
    fn from(error: NotLocked) -> Self {
        match &error {
            NotLocked::Failed(path, inner) => Self::io(path, inner),
            NotLocked::Taken { .. } => Self::new(FailureKind::Locked, error.to_string()),
        }
    }
}

impl From<Refused> for Failure {
    fn from(error: Refused) -> Self {
        match &error {
            Refused::Failed(path, inner) => Self::io(path, inner),
            Refused::Open(..) | Refused::Foreign(..) => {
                Self::new(FailureKind::Permissions, error.to_string())
            }
            Refused::TooLong(..) => Self::new(FailureKind::Other, error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_missing_rights_have_their_own_codes() {
        let path = Path::new("/srv/kms/data/keyring");
        for (error, kind) in [
            (io::Error::from_raw_os_error(28), FailureKind::DiskFull),
            (io::Error::from_raw_os_error(122), FailureKind::DiskFull),
            (io::Error::from_raw_os_error(13), FailureKind::Permissions),
            (io::Error::from_raw_os_error(5), FailureKind::Other),
        ] {
            let failure = Failure::io(path, &error);
            assert_eq!(failure.kind, kind);
            assert!(failure.message.contains("/srv/kms/data/keyring"));
            assert!(!failure.message.contains('\n'));
        }
    }

    #[test]
    fn exit_codes_are_as_documented() {
        let table = include_str!("../../../docs/operations.md");
        for (kind, word) in [
            (FailureKind::Configuration, "configuration"),
            (FailureKind::Permissions, "permissions"),
            (FailureKind::Locked, "in use by another"),
            (FailureKind::PortInUse, "address"),
            (FailureKind::DiskFull, "full"),
            (FailureKind::WrongPassphrase, "passphrase"),
            (FailureKind::Corrupted, "damaged"),
            (FailureKind::SelfTest, "self test"),
        ] {
            let code = Failure::new(kind, "").exit_code();
            let row = table
                .lines()
                .find(|line| line.starts_with(&format!("| {code} |")));
            assert!(row.is_some_and(|row| row.contains(word)), "{code}: {row:?}");
        }
    }
}
