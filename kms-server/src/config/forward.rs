//! `[[audit.forward]]`: where copies of the audit log go as it grows.

use std::path::PathBuf;

/// Most receivers.
pub const FORWARDS_MAX: usize = 8;

/// A receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// `[a-z][a-z0-9-]{0,31}`; where it stands is kept under this name.
    pub name: String,
    /// What it is.
    pub to: To,
    /// Whether it gets the log from its first entry on; else from when it was configured on.
    pub from_start: bool,
}

/// What a receiver is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// Syslog over TLS 1.3 (RFC 5424, RFC 5425).
    Syslog {
        /// Host, and port unless it is 6514.
        address: String,
        /// Authorities that certify it, in PEM.
        ca: PathBuf,
    },
    /// Batches of CloudEvents by POST, over TLS 1.3.
    Https {
        /// An `https` URL.
        url: String,
        /// Authorities that certify it, in PEM.
        ca: PathBuf,
        /// Holds the value of the header `authorization`.
        authorization_file: Option<PathBuf>,
    },
    /// CloudEvents, one a line.
    File {
        /// Appended to.
        path: PathBuf,
    },
}
