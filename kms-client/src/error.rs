//! What can go wrong, in kinds that a caller acts on. Never carries key bytes or plaintext.

mod decode;

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A limit of rate or concurrency: wait [`Error::retry_after`].
    Throttled,
    /// The service cannot be reached, is sealed, is stopping, or cannot write its log: later.
    Unavailable,
    /// The deadline passed before the answer came.
    DeadlineExceeded,
    /// The change may or may not have been made: ask again with the same request id.
    OutcomeUnknown,
    /// The service does not accept our certificate.
    Unauthenticated,
    /// Not allowed, or no such thing: the two look the same.
    Denied,
    /// The key version is disabled or scheduled for destruction.
    Disabled,
    /// The key version was destroyed.
    Destroyed,
    /// A shred secret that takes part is blocked or destroyed.
    Erased,
    /// Wrong context, wrong key or damaged bytes.
    Undecryptable,
    /// The server's public key is none of the pinned ones: perhaps someone is in between.
    PinMismatch,
    /// The server's certificate was not issued by the given authority for this name and time.
    ServerUntrusted,
    /// The request breaks a stated limit or form; the message names the field.
    InvalidArgument,
    /// The name exists already.
    AlreadyExists,
    /// The state of the thing does not allow it; [`Error::reason`] says which.
    Precondition,
    /// Bytes were damaged on the way, or the answer is not of the stated form.
    Corrupted,
    /// The profile, or a file that it names, is missing or malformed.
    Profile,
    /// The caller's own reader or writer failed.
    Io,
    /// A defect on either side: tell the operator the request id.
    Internal,
}

/// A failed call. Cheap to clone: one failed batch is the failure of each of its items.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    reason: Option<String>,
    approval: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    violations: Vec<Violation>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// One field of the request that breaks a stated limit or form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, for example `items[3].dataset`.
    pub field: String,
    /// What it must be.
    pub description: String,
}

impl Error {
    /// An error made on this side.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            reason: None,
            approval: None,
            request_id: None,
            retry_after: None,
            violations: Vec::new(),
            source: None,
        }))
    }

    /// Nobody answers for a person, or what was answered cannot be used: for those who implement
    /// [`crate::operator::Answers`].
    #[must_use]
    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unauthenticated, message)
    }

    pub(crate) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.adding(|inner| inner.source = Some(source.into()))
    }

    /// A value that this side already refuses.
    pub(crate) fn invalid(field: &str, description: impl Into<String>) -> Self {
        let description = description.into();
        let message = format!("{field} must be {description}");
        let field = field.to_owned();
        Self::new(ErrorKind::InvalidArgument, message)
            .adding(|inner| inner.violations.push(Violation { field, description }))
    }

    /// One kind for a wrong key, a wrong context and damaged bytes.
    pub(crate) fn undecryptable() -> Self {
        let message = "wrong context, wrong key or damaged bytes";
        Self::new(ErrorKind::Undecryptable, message)
            .adding(|inner| inner.reason = Some("UNDECRYPTABLE".into()))
    }

    pub(crate) fn corrupted(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupted, message)
    }

    /// Only while it is being made, so that nobody else holds it.
    fn adding(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        }
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The service's reason, a name of `kms.v1.Reason` without its prefix; `None` when it did not give one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The pending approval that others must sign first: `approvals/{approval}`.
    #[must_use]
    pub fn approval(&self) -> Option<&str> {
        self.0.approval.as_deref()
    }

    /// The call's id, hex of 16 bytes; the operator finds its audit entry by it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// How long the service asks to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The fields that the service or this library refused.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for violation in &self.0.violations {
            if !self.0.message.contains(violation.description.as_str()) {
                write!(f, "; {}: {}", violation.field, violation.description)?;
            }
        }
        match (&self.0.reason, &self.0.request_id) {
            (Some(reason), Some(id)) => write!(f, " ({reason}, request {id})"),
            (Some(reason), None) => write!(f, " ({reason})"),
            (None, Some(id)) => write!(f, " (request {id})"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("reason", &self.0.reason)
            .field("request_id", &self.0.request_id)
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<cobblestone::Error> for Error {
    fn from(error: cobblestone::Error) -> Self {
        match error {
            cobblestone::Error::Undecryptable => Self::undecryptable(),
            cobblestone::Error::TooLong => Self::invalid("plaintext", error.to_string()),
            error => Self::new(ErrorKind::Internal, error.to_string()),
        }
    }
}

/// Of a reader or writer of ours: cobblestone's errors keep their meaning.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        match cobblestone::Error::of(&error) {
            Some(error) => error.into(),
            None => Self::new(ErrorKind::Io, error.to_string()).with_source(error),
        }
    }
}
