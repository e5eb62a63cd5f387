//! The kinds of damage that verification tells apart, in words for an auditor.

use crate::certificate::Untrusted;
use std::fmt;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// Checkpoint file gone.
    #[error("the newest checkpoint is missing")]
    NoCheckpoint,
    /// The newest checkpoint is not among those of the past.
    #[error("the history of checkpoints lacks the newest one")]
    History,
    /// A checkpoint of the past is gone.
    #[error(
        "the checkpoint of {0} entries, which the next one names, is missing from the history or stands out of order"
    )]
    CheckpointMissing(u64),
    /// A signature that does not count.
    #[error("{0}")]
    Untrusted(#[from] Untrusted),
    /// The log is shorter than it was.
    #[error(
        "the log ends at {found} entries, but was signed with {given}: its tail was cut, or an older copy put back"
    )]
    Cut {
        /// Size of the checkpoint given.
        given: u64,
        /// Size of the log's newest.
        found: u64,
    },
    /// An entry is not there.
    #[error("it is missing")]
    Missing,
    /// An entry's bytes are not those that the tree holds.
    #[error("its bytes were changed")]
    Changed,
    /// An entry stands where another belongs.
    #[error("entry {says} stands in its place: entries were removed, inserted or moved")]
    Misplaced {
        /// The place that the entry found there says.
        says: u64,
    },
    /// An entry that says nothing readable.
    #[error("it is not readable: {0}")]
    Malformed(String),
    /// More bytes in a bundle than its entries.
    #[error("{0} holds more than its entries")]
    Surplus(String),
    /// A tile is not there or of another length.
    #[error("{0} is missing or cut")]
    TileMissing(String),
    /// A tile's hashes are not those of what is below it.
    #[error(
        "{0} does not hold the hashes of these entries: entries and lower tiles were changed together, or the tile was"
    )]
    TileChanged(String),
    /// A signed root is not that of the entries.
    #[error(
        "entries and tiles were changed together: their root is not the one that was signed at {0} entries"
    )]
    Root(u64),
    /// The log's own key signed two histories.
    #[error(
        "these are not the entries of the checkpoint given, of {0} entries: the log was forked and signed again"
    )]
    Forked(u64),
    /// The disk says no.
    #[error("{0} cannot be read: {1}")]
    Unreadable(String, String),
}

/// The first damage, and which entries it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// First and last entry that may be bad, as closely as can be told.
    pub entries: Option<(u64, u64)>,
    /// What is wrong with it.
    pub damage: Damage,
}

impl Found {
    pub(super) const fn nowhere(damage: Damage) -> Self {
        Self {
            entries: None,
            damage,
        }
    }

    pub(super) const fn at(entry: u64, damage: Damage) -> Self {
        Self {
            entries: Some((entry, entry)),
            damage,
        }
    }

    /// `first` up to and without `end`.
    pub(super) const fn between(first: u64, end: u64, damage: Damage) -> Self {
        Self {
            entries: Some((first, end.saturating_sub(1))),
            damage,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entries {
            None => write!(f, "{}", self.damage),
            Some((first, last)) if first >= last => write!(f, "entry {first}: {}", self.damage),
            Some((first, last)) => write!(f, "entries {first} to {last}: {}", self.damage),
        }
    }
}

impl std::error::Error for Found {}
