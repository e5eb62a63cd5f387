//! Where copies of the audit log go as it grows: syslog, HTTPS or a file, and how each stands. Sends what it is given,
//! whole or not at all as far as it knows; which entries come next is its caller's to say. Never part of a call.

mod file;
mod https;
mod standing;
mod syslog;

pub use standing::Standing;

use crate::config::forward::{Forward, To};
use crate::system::clock::Clock;
use file::AppendedFile;
use https::Https;
use kms_core::time::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use syslog::Syslog;

/// One message: an entry, or that some are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// The entry's place in the log, or the first that is missing.
    pub sequence: u64,
    /// `call`, `detail`, `system`, ..., or `gap`.
    pub kind: String,
    /// How much it is worth looking at.
    pub weight: Weight,
    /// A CloudEvent, one line.
    pub json: String,
}

/// How much a message is worth looking at, as syslog's severities have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Entries are missing.
    Warning = 4,
    /// Refused.
    Notice = 5,
    /// Done.
    Informational = 6,
}

/// A receiver.
#[derive(Debug)]
pub struct Destination {
    name: Box<str>,
    from_start: bool,
    sink: Sink,
    standing: Mutex<Standing>,
}

#[derive(Debug)]
enum Sink {
    Syslog(Syslog),
    Https(Https),
    File(AppendedFile),
}

impl Destination {
    /// As configured; nothing is connected or opened yet.
    ///
    /// # Errors
    /// What cannot be used, in words.
    pub fn new(config: &Forward, clock: &Arc<dyn Clock>) -> Result<Self, String> {
        let sink = match &config.to {
            To::Syslog { address, ca } => Sink::Syslog(Syslog::new(address, ca, clock)?),
            To::Https {
                url,
                ca,
                authorization_file,
            } => Sink::Https(Https::new(url, ca, authorization_file.as_deref(), clock)?),
            To::File { path } => Sink::File(AppendedFile::new(path)),
        };
        Ok(Self {
            name: config.name.as_str().into(),
            from_start: config.from_start,
            sink,
            standing: Mutex::default(),
        })
    }

    /// Its configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the first entry of the log is the first that it gets; else that is the first one after it was configured.
    #[must_use]
    pub const fn from_start(&self) -> bool {
        self.from_start
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.sink {
            Sink::Syslog(_) => "syslog",
            Sink::Https(_) => "https",
            Sink::File(_) => "file",
        }
    }

    /// How it stands.
    pub fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends, in this order; done when the receiver has taken all of it.
    ///
    /// # Errors
    /// Why not, in words for the daemon's own messages; some of it may have arrived.
    pub async fn send(&self, events: &[Event], clock: &dyn Clock) -> Result<(), String> {
        match &self.sink {
            Sink::Syslog(syslog) => syslog.send(events, clock).await,
            Sink::Https(https) => https.send(events, clock).await,
            Sink::File(file) => file.append(events).await,
        }
    }
}
