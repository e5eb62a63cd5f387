//! A witness: remembers the newest checkpoint of each log that it watches, and vouches for the next one only when that
//! extends it. What it vouches for is on the disk before anybody hears of it; it never takes a checkpoint back.

mod memory;
mod service;
mod trust;

pub(crate) use memory::Memory;
pub(crate) use service::serve;
pub(crate) use trust::Trust;

use std::io;
use std::path::Path;
use tlog::{
    BadNote, Checkpoint, Cosigner, Hash, NotExtended, Note, Submission, Untrusted, extends,
    read_notes,
};

/// File of the private key in a witness's folder.
pub(crate) const KEY: &str = "key";

/// Keeps a new private key where only its owner may read it; never over another.
///
/// # Errors
/// As the file system says.
pub(crate) fn keep_key(folder: &Path, text: &str) -> io::Result<()> {
    memory::write_secret(folder, KEY, text)
}

/// See the module.
pub(crate) struct Witness {
    /// What it has seen.
    pub memory: Memory,
    /// Whose logs it watches.
    pub trust: Trust,
    /// Its key; without one it remembers, and cosigns nothing.
    pub cosigner: Option<Cosigner>,
}

/// A checkpoint that it vouches for from now on.
#[derive(Debug)]
pub(crate) struct Added {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Size of the one before; 0 for none.
    pub before: u64,
    /// The witness's signature line; empty without a key.
    pub cosignature: String,
}

/// Why it does not vouch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// Not readable.
    #[error("{0}")]
    Malformed(#[from] BadNote),
    /// The size to start from lies behind the checkpoint's own.
    #[error("the old size is larger than the checkpoint's")]
    Backward,
    /// A log that it does not watch.
    #[error("the origin {0:?} is not one that this witness watches")]
    UnknownOrigin(String),
    /// Signed by nobody who counts.
    #[error("{0}")]
    Untrusted(#[from] Untrusted),
    /// The log does not know what this witness has seen, or says another root for the same size.
    #[error("the last checkpoint seen has {0} entries")]
    Conflict(u64),
    /// It does not extend the last one.
    #[error("{0}")]
    NotExtended(#[from] NotExtended),
    /// The disk says no.
    #[error("the witness's memory: {0}")]
    Memory(#[from] io::Error),
}

impl Witness {
    /// Takes a checkpoint in, as of `seconds` since 1970: `prove` gives the proof from the size that it is told.
    /// `expected` is the size that the log believes the witness to be at.
    ///
    /// # Errors
    /// [`Refusal`]; a checkpoint that is signed and does not extend the last one is kept as evidence.
    pub(crate) fn add(
        &self,
        note: &str,
        expected: Option<u64>,
        seconds: u64,
        prove: impl FnOnce(u64) -> io::Result<Vec<Hash>>,
    ) -> Result<Added, Refusal> {
        let parsed = Note::parse(note)?;
        let checkpoint = self.trust.checkpoint(&self.memory, &parsed)?;
        let last = self.memory.last(&checkpoint.origin)?;
        let before = last.as_ref().map_or(0, |last| last.size);
        if expected.is_some_and(|old| old > checkpoint.size) {
            return Err(Refusal::Backward);
        }
        if expected.is_some_and(|old| old != before) {
            return Err(Refusal::Conflict(before));
        }
        if let Some(last) = &last {
            let known = before.min(checkpoint.size);
            if let Err(found) = extends(last, &checkpoint, &prove(known)?) {
                self.memory.keep_evidence(&checkpoint.origin, note)?;
                let is_forked = expected.is_some() && before == checkpoint.size;
                return Err(if is_forked {
                    Refusal::Conflict(before)
                } else {
                    found.into()
                });
            }
        } else if !prove(0)?.is_empty() {
            return Err(BadNote("proof from the empty tree").into());
        }
        let cosigner = self.cosigner.as_ref();
        let cosignature = cosigner.map(|key| key.cosign(parsed.text(), seconds));
        let cosignature = cosignature.unwrap_or_default();
        // its own earlier signature would stand beside the new one
        let bare = cosigner.map_or_else(|| note.to_owned(), |key| parsed.without(key.key()));
        // first on the disk, then told
        self.memory
            .remember(&checkpoint.origin, &format!("{bare}{cosignature}"))?;
        Ok(Added {
            checkpoint,
            before,
            cosignature,
        })
    }

    /// As a log asks it over the network.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn submit(&self, body: &str, seconds: u64) -> Result<Added, Refusal> {
        let Submission {
            old_size,
            proof,
            note,
        } = Submission::parse(body)?;
        self.add(&note, Some(old_size), seconds, |_| Ok(proof))
    }

    /// Takes in the certificates of a log's keys, one behind the other from the first on.
    ///
    /// # Errors
    /// [`Refusal`] when they do not continue what is known.
    pub(crate) fn add_log_keys(&self, notes: &str) -> Result<(), Refusal> {
        let notes: Vec<_> = read_notes(notes)?
            .into_iter()
            .map(|(text, _)| text.to_owned())
            .collect();
        self.trust.learn(&self.memory, &notes)
    }
}

#[cfg(test)]
mod tests;
