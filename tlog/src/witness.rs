//! What a witness asks: does this checkpoint extend the last one that I vouched for?

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;
use crate::proof::check_consistency;

/// Why a witness does not vouch for a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotExtended {
    /// It is of another log's life.
    #[error("the log is {found:?}, the last checkpoint was of {last:?}")]
    Origin {
        /// The new one.
        found: String,
        /// The last one.
        last: String,
    },
    /// It is older.
    #[error(
        "the log has {found} entries, it had {last}: it was cut, or an older copy was put back"
    )]
    Shorter {
        /// The new one's.
        found: u64,
        /// The last one's.
        last: u64,
    },
    /// What was there before is not what is there now.
    #[error(
        "the log's first {last} entries are not those of the last checkpoint: at least one was changed"
    )]
    Changed {
        /// The last one's size.
        last: u64,
    },
}

/// Checks, by the proof, that `new` extends `last`.
///
/// # Errors
/// [`NotExtended`].
pub fn extends(last: &Checkpoint, new: &Checkpoint, proof: &[Hash]) -> Result<(), NotExtended> {
    if last.origin != new.origin {
        return Err(NotExtended::Origin {
            found: new.origin.clone(),
            last: last.origin.clone(),
        });
    }
    if new.size < last.size {
        return Err(NotExtended::Shorter {
            found: new.size,
            last: last.size,
        });
    }
    check_consistency(proof, (last.size, &last.root), (new.size, &new.root))
        .map_err(|_| NotExtended::Changed { last: last.size })
}

#[cfg(test)]
mod tests;
