//! What a report says, before it has a form. Its JSON form is an interface: fields are added, never renamed.

use super::controls::Control;
use crate::command::audit::entry::EntryReport;
use crate::command::audit::exposure::count::Row;
use crate::command::audit::prove::file::ProofFile;
use jiff::Timestamp;
use serde::Serialize;

/// Longest that a version may be ACTIVE (R12).
pub(super) const ROTATION_DAYS: i64 = 90;

/// Which time it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    pub(super) made_at: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) service: Service,
    pub(super) verdict: Verdict,
    pub(super) datasets: Vec<Dataset>,
    /// Calls and items by day, in order, from the first day with any to the last.
    pub(super) days: Vec<Day>,
    /// Calls and items by action.
    pub(super) actions: Vec<Tally>,
    /// What was refused, by who, what and why.
    pub(super) denials: Vec<Row>,
    pub(super) operators: Vec<Operator>,
    /// Logins and codes, by the certificate that they came over, and how they ended.
    pub(super) sessions: Vec<Row>,
    /// What people did to accounts and second factors, newest first.
    pub(super) people: Events,
    /// Approvals, newest first.
    pub(super) approvals: Events,
    /// Destructions and holds, blocked and unblocked secrets, lifted protections, newest first.
    pub(super) destruction: Events,
    pub(super) checkpoints: Checkpoints,
    pub(super) controls: Vec<Control>,
    /// Of the entries that matter most.
    pub(super) proofs: Vec<Proof>,
    /// The key by which all of it is checked.
    pub(super) public_key: String,
}

/// The daemon and its installation.
#[derive(Debug, Serialize)]
pub(super) struct Service {
    pub(super) version: String,
    pub(super) origin: String,
    pub(super) development: bool,
    pub(super) weakest_seal: String,
    pub(super) key_durability: String,
    pub(super) entries: u64,
    pub(super) started: Option<String>,
    pub(super) timers_paused: bool,
    pub(super) alarms: Vec<String>,
}

/// What verification said while the report was made.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) holds: bool,
    pub(super) words: String,
    /// Entries that were verified.
    pub(super) entries: u64,
    pub(super) root: String,
}

/// A dataset and its key's versions.
#[derive(Debug, Serialize)]
pub(super) struct Dataset {
    pub(super) name: String,
    pub(super) rotation_days: i64,
    pub(super) next_rotation: Option<String>,
    pub(super) required_secrets: Vec<String>,
    pub(super) deletion_protection: bool,
    /// Age of the ACTIVE version in whole days.
    pub(super) active_days: Option<i64>,
    /// Not older than 90 days, and its schedule is not longer.
    pub(super) complies: bool,
    pub(super) versions: Vec<Version>,
}

/// One version.
#[derive(Debug, Serialize)]
pub(super) struct Version {
    pub(super) number: u32,
    pub(super) state: String,
    pub(super) created: Option<String>,
    pub(super) days: i64,
    pub(super) uses: u64,
    pub(super) last_used: Option<String>,
    pub(super) compromised: Option<String>,
}

/// A day's calls and items.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Day {
    /// `2026-11-24`.
    pub(super) day: String,
    pub(super) done: u64,
    pub(super) refused: u64,
}

/// Counts of one thing.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Tally {
    pub(super) name: String,
    pub(super) done: u64,
    pub(super) refused: u64,
}

/// An operator.
#[derive(Debug, Serialize)]
pub(super) struct Operator {
    pub(super) name: String,
    pub(super) roles: Vec<String>,
    pub(super) state: String,
    /// Entries of what they did in the time of the report.
    pub(super) acts: u64,
}

/// Entries of one sort.
#[derive(Debug, Default, Serialize)]
pub(super) struct Events {
    /// How many there are.
    pub(super) count: u64,
    /// The newest of them.
    pub(super) newest: Vec<EntryReport>,
}

/// Signed heads.
#[derive(Debug, Default, Serialize)]
pub(super) struct Checkpoints {
    pub(super) count: usize,
    pub(super) log_keys: usize,
    /// The newest, newest first.
    pub(super) newest: Vec<Head>,
}

/// One signed head.
#[derive(Debug, Serialize)]
pub(super) struct Head {
    pub(super) entries: u64,
    pub(super) root: String,
}

/// A proof and what it is about.
#[derive(Debug, Serialize)]
pub(super) struct Proof {
    /// In words.
    pub(super) about: String,
    #[serde(flatten)]
    pub(super) file: ProofFile,
}
