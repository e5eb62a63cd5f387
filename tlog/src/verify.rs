//! Verification of a log from its files and the instance's public key alone, in one pass and bounded memory: every
//! entry, every tile, every checkpoint. Stops at the first damage and names it; trusts no file it has not checked.

mod damage;
mod pass;

pub use damage::{Damage, Found};

use crate::certificate::Keychain;
use crate::checkpoint::Checkpoint;
use crate::directory::{CHECKPOINT, Directory};
use crate::hash::Hash;
use crate::note::VerifierKey;
use pass::Pass;
use std::path::Path;

/// Looks at one entry: its place and its bytes.
pub type CheckEntry<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), Damage>;

/// What else is asked of a log.
pub struct Options<'a> {
    /// Notes of checkpoints that were kept elsewhere: the log must extend each.
    pub external: &'a [String],
    /// A checkpoint by whose word the entries before it are taken: reading begins at its end.
    pub since: Option<&'a str>,
    /// What the entries themselves must hold: their place, for one.
    pub check: CheckEntry<'a>,
    /// Told now and then how many entries are done, and of how many.
    pub progress: &'a mut dyn FnMut(u64, u64),
}

/// A log in which everything holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its newest checkpoint.
    pub checkpoint: Checkpoint,
    /// Signed checkpoints that it was compared with.
    pub checkpoints: u64,
    /// Log keys that have signed it.
    pub log_keys: usize,
}

/// Verifies the log in `dir`.
///
/// # Errors
/// [`Found`]: the first damage.
pub fn verify(dir: &Path, instance: &VerifierKey, options: Options<'_>) -> Result<Verified, Found> {
    verify_directory(&Directory::new(dir), instance, options)
}

/// Verifies a log wherever its files lie.
///
/// # Errors
/// [`Found`]: the first damage.
pub fn verify_directory(
    directory: &Directory,
    instance: &VerifierKey,
    options: Options<'_>,
) -> Result<Verified, Found> {
    let unreadable = |path: &str, error: &std::io::Error| {
        Found::nowhere(Damage::Unreadable(path.to_owned(), error.to_string()))
    };
    let notes = directory
        .certificates()
        .map_err(|error| unreadable("log-keys", &error))?;
    let untrusted = |error| Found::nowhere(Damage::Untrusted(error));
    let keys = Keychain::follow(instance, &notes).map_err(untrusted)?;
    let newest = directory
        .read_text(CHECKPOINT)
        .map_err(|error| unreadable(CHECKPOINT, &error))?
        .ok_or(Found::nowhere(Damage::NoCheckpoint))?;
    let checkpoint = keys.checkpoint(&newest).map_err(untrusted)?;
    let mut pass = Pass::new(directory, &keys, checkpoint.clone());
    if let Some(note) = options.since {
        pass.begin_at(keys.checkpoint(note).map_err(untrusted)?)?;
    }
    for note in options.external {
        pass.claim(keys.checkpoint(note).map_err(untrusted)?, true)?;
    }
    let checkpoints = pass.run(options.check, options.progress)?;
    Ok(Verified {
        checkpoint,
        checkpoints,
        log_keys: keys.certificates().len(),
    })
}

/// A signed word on the root at one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    size: u64,
    root: Hash,
    /// Kept elsewhere; what the log itself holds may have been signed anew.
    is_external: bool,
}
