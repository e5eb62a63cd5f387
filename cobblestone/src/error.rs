//! Why an operation was refused. Never says *what* was wrong with a message: wrong key, wrong
//! context, damage, truncation and extension are one reason, so that no error is an oracle.

use std::io;

/// Every way this crate refuses, apart from the errors of a caller's own reader or writer.
///
/// The streaming, random-access and parallel interfaces carry it inside an [`io::Error`]; see
/// [`Error::of`] for the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The message does not open under this key and context. Deliberately without detail.
    #[error("the message does not open under this key and context")]
    Undecryptable,
    /// The plaintext would need more than 2^38 chunks (about 4 PiB), or more memory than an
    /// address can name.
    #[error("the plaintext is longer than a message may be")]
    TooLong,
    /// The operating system gave no random bytes for a salt.
    #[error("the system's random number generator failed")]
    RandomUnavailable,
}

impl Error {
    /// The reason carried by an [`io::Error`] of this crate; `None` where the error came from
    /// the caller's own reader or writer.
    pub fn of(error: &io::Error) -> Option<Self> {
        error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Self>())
            .copied()
    }
}

/// `Undecryptable` becomes [`io::ErrorKind::InvalidData`], `TooLong`
/// [`io::ErrorKind::FileTooLarge`].
impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Undecryptable => io::ErrorKind::InvalidData,
            Error::TooLong => io::ErrorKind::FileTooLarge,
            Error::RandomUnavailable => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
