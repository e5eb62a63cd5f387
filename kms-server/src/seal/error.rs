//! What can go wrong with a keyring, a line each for whoever starts the daemon.

use super::SEALS_MAX;
use super::passphrase::Weak;
use crate::system::failure::{Failure, FailureKind};
use crate::system::private_file::Refused;
use kms_core::cipher::password::OutOfMemory;
use kms_core::entropy::EntropyUnavailable;
use std::path::PathBuf;

/// The keyring file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// It cannot be read, or others can.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It is not there.
    #[error("the keyring {0} is missing: this directory was never set up, or the keyring is lost")]
    Missing(PathBuf),
    /// It is damaged.
    #[error("the keyring {0} is damaged: put a copy of it back, nothing else opens the store")]
    Damaged(PathBuf),
    /// It was written by a later version.
    #[error("the keyring {0} has format {1}, which this version does not know")]
    Format(PathBuf, u8),
}

/// No seal opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// No passphrase seal opens with it.
    #[error("wrong passphrase")]
    WrongPassphrase,
    /// The seal opened, but the keyring's other bytes are not those that were sealed.
    #[error("the keyring was changed by someone who does not hold a seal: nothing is unsealed")]
    Altered,
    /// No seal has a passphrase.
    #[error("no seal of this keyring is opened by a passphrase")]
    NoSuchSeal,
    /// Argon2id needs more memory than there is.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// Too many wrong ones lately.
    #[error("too many failed attempts, try again in {} s", retry_after.as_secs() + 1)]
    TooManyAttempts {
        /// When the next attempt is taken.
        retry_after: std::time::Duration,
    },
}

/// A keyring cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotMade {
    /// The passphrase is too easy to guess.
    #[error(transparent)]
    Weak(#[from] Weak),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyUnavailable),
    /// Argon2id needs more memory than there is.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// None or too many seals, or one did not open again what it sealed.
    #[error("a keyring needs 1 to {SEALS_MAX} seals, each of which opens what it sealed")]
    Seals,
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        match error {
            KeyringError::Refused(refused) => refused.into(),
            KeyringError::Missing(_) | KeyringError::Damaged(_) | KeyringError::Format(..) => {
                Self::new(FailureKind::Corrupted, error.to_string())
            }
        }
    }
}

impl From<UnsealError> for Failure {
    fn from(error: UnsealError) -> Self {
        let kind = match error {
            UnsealError::WrongPassphrase | UnsealError::NoSuchSeal => FailureKind::WrongPassphrase,
            UnsealError::Altered => FailureKind::Corrupted,
            UnsealError::OutOfMemory(_) | UnsealError::TooManyAttempts { .. } => FailureKind::Other,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<NotMade> for Failure {
    fn from(error: NotMade) -> Self {
        Self::new(FailureKind::Other, error.to_string())
    }
}
