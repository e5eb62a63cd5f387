//! How a command fails: one line that says what happened and what to do next, and an exit code.

use crate::destination::Unwritable;
use kms_client::file;
use kms_client::{Error, ErrorKind};
use std::fmt;
use std::io;
use std::path::Path;

/// Exit codes; 0 is success. Scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Exit {
    /// A dry run that found nothing.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// Wrong usage.
    Usage = 2,
    /// Not found, or not allowed.
    Denied = 3,
    /// The state of the thing does not allow it.
    Precondition = 4,
    /// The identity is not accepted.
    Authentication = 5,
    /// The service is not available now.
    Unavailable = 69,
    /// Interrupted by a signal (128 + SIGINT).
    Interrupted = 130,
}

/// A command that failed.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    next: Option<String>,
}

impl Failure {
    /// With an exit code of one's own choice.
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            next: None,
        }
    }

    /// Exit code 1.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// Exit code 0: a dry run found nothing, and nothing was done.
    pub(crate) fn dry_run() -> Self {
        Self::new(Exit::Done, "a dry run: it would be done, and nothing was")
    }

    /// Exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: &Path, error: impl fmt::Display) -> Self {
        let text = error.to_string();
        let words = text.split(" (os error ").next().unwrap_or(&text);
        Self::failed(format!("{}: {words}", path.display()))
    }

    /// Says what to do next.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Names the thing it happened to, in front.
    #[must_use]
    pub(crate) fn about(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The exit code.
    pub(crate) const fn exit(&self) -> Exit {
        self.exit
    }

    /// An envelope that cannot be made or opened, with the file's name, or the output's where that failed.
    pub(crate) fn envelope(path: &Path, error: &file::Error) -> Self {
        if let file::Error::Io(cause) = error
            && cause
                .get_ref()
                .is_some_and(|inner| inner.is::<Unwritable>())
        {
            return Self::failed(cause.to_string());
        }
        let failure = Self::file(path, error);
        match error {
            file::Error::Undecryptable => failure.next(
                "the file was changed or cut since it was encrypted: take another copy of it",
            ),
            file::Error::HeaderLost => failure.next("take another copy of the file"),
            file::Error::Busy => failure.next("try again when it has finished"),
            file::Error::Format(_) => failure.next("use a newer kms"),
            _ => failure,
        }
    }
}

/// One line: control characters of whatever origin are shown as escapes.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.message))?;
        match &self.next {
            Some(next) => write!(f, "; {}", printable(next)),
            None => Ok(()),
        }
    }
}

/// `text` on one line and without what could steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(' '),
            c if c.is_control() || is_reordering(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}

/// Marks that make a terminal show text in another order (Unicode UAX 9).
const fn is_reordering(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = exit_of(&error);
        let next = match error.approval() {
            Some(approval) => Some(format!(
                "it waits as {approval}: when others have approved it (`kms approval show`), or a small team's delay is over, repeat the command with --approval {}",
                crate::session::bare_approval(approval)
            )),
            None => next_step(&error).map(str::to_owned),
        };
        Self {
            exit,
            message: error.to_string(),
            next,
        }
    }
}

/// Of stdin and stdout; files go through [`Failure::file`].
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::failed(error.to_string())
    }
}

fn exit_of(error: &Error) -> Exit {
    match error.kind() {
        ErrorKind::InvalidArgument | ErrorKind::Profile => Exit::Usage,
        ErrorKind::Denied => Exit::Denied,
        ErrorKind::Unauthenticated => Exit::Authentication,
        ErrorKind::Disabled
        | ErrorKind::Destroyed
        | ErrorKind::Erased
        | ErrorKind::AlreadyExists
        | ErrorKind::Precondition => Exit::Precondition,
        ErrorKind::Throttled
        | ErrorKind::Unavailable
        | ErrorKind::DeadlineExceeded
        | ErrorKind::OutcomeUnknown => Exit::Unavailable,
        _ => Exit::Failed,
    }
}

/// What to do next, by the service's reason, else by the kind.
fn next_step(error: &Error) -> Option<&'static str> {
    Some(match error.reason() {
        Some("UNDECRYPTABLE") => {
            "give exactly the --context that was given when encrypting; if you did, the bytes are damaged"
        }
        Some("DENIED") => {
            "check the name and whether this profile may do it; an operator finds the request in `kms audit list`"
        }
        Some("SEALED") => "an operator unseals it with `kms unseal`",
        Some("SESSION_REQUIRED") => "log in with `kms login`",
        Some("RECENT_CODE_REQUIRED" | "NEW_CODE_REQUIRED") => "add --totp CODE",
        Some("CODE_REFUSED") => "wait for the authenticator's next code: each is taken once",
        Some("LOGIN_FAILED") => "each code is taken once: try again with the next one",
        Some("LOCKED_OUT") => "`kms operator unlock` by another operator ends it at once",
        Some("APPROVAL_MISMATCH" | "APPROVAL_OVER") => {
            "repeat the command without --approval: that asks for a new one"
        }
        Some("VOTE_REFUSED") => "see `kms approval roster` for whose keys count, and from when",
        Some("SIGNATURE_REFUSED") => "read it again with `kms approval show`, and sign that",
        Some("QUORUM_UNREACHABLE") => {
            "have more approvers enrol a key: `kms approval key make`, `add`"
        }
        Some("LAST_ADMINISTRATOR") => {
            "give another operator the role security-admin, or the policies one who may, first"
        }
        Some("UNSEAL_FAILED") => "try another passphrase",
        Some("VERSION_DISABLED") => {
            "see `kms key versions`; an operator brings it back with `kms key enable` or `kms key restore`"
        }
        Some("VERSION_DESTROYED") => "what only this version could decrypt is gone for good",
        Some("VERSION_STATE") => "see `kms key versions`",
        Some("DELETION_PROTECTED") => {
            "`kms dataset update DATASET --deletion-protection off` does that"
        }
        Some("SUBJECT_ERASED") => "see `kms shred show`; what was destroyed stays destroyed",
        Some("SHRED_SECRET_REQUIRED") => "see `kms dataset show` for the kinds it demands",
        Some("COMPROMISED_VERSION") => "that is --reencrypt, or --keep-data-key-reason TEXT",
        Some("TIMERS_PAUSED") => "an operator confirms the clock with `kms clock confirm`",
        Some("ETAG_MISMATCH" | "CONFLICT") => "someone else changed it meanwhile: try again",
        Some("OUTCOME_UNKNOWN") => "look whether the change was made before you try again",
        Some("AUDIT_UNAVAILABLE" | "STORE_UNAVAILABLE") => {
            "the operator must look at the service's disk; see `kms status`"
        }
        Some("INTERNAL" | "QUARANTINED") => "tell the operator the request id",
        _ => return next_step_of_kind(error.kind()),
    })
}

const fn next_step_of_kind(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::Unavailable => "check the profile's address and that the service runs",
        ErrorKind::PinMismatch => {
            "if the service has a new key, put its pin into the profile; else someone is in between"
        }
        ErrorKind::ServerUntrusted => "check the profile's `ca` and `server_name`",
        ErrorKind::Unauthenticated => "check the profile's certificate: is it expired or revoked?",
        ErrorKind::Throttled | ErrorKind::DeadlineExceeded => "try again later",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_that_cannot_steer_a_terminal() {
        let failure = Failure::failed("bad\nname \x1b[2J\u{202e}x")
            .about("file")
            .next("go on");
        assert_eq!(
            failure.to_string(),
            "file: bad name \\u{1b}[2J\\u{202e}x; go on"
        );
    }
}
