//! Whose checkpoints count: those of a log key that an instance key certifies, or of a key that is given as a log's
//! own. Nothing else makes a log known.

use super::Refusal;
use super::memory::Memory;
use tlog::{Checkpoint, Keychain, Note, Untrusted, VerifierKey};

/// See the module.
#[derive(Debug)]
pub(crate) struct Trust(Vec<VerifierKey>);

impl Trust {
    /// These keys: each an instance's, or a log's own.
    pub(crate) const fn new(keys: Vec<VerifierKey>) -> Self {
        Self(keys)
    }

    /// The key that speaks for an origin: the log's own, or that of the instance whose life it is.
    fn key_of(&self, origin: &str) -> Option<(&VerifierKey, bool)> {
        let own = self.0.iter().find(|key| key.name() == origin);
        let (name, _) = origin.rsplit_once('/').unwrap_or_default();
        let instance = || self.0.iter().find(|key| key.name() == name);
        own.map(|key| (key, true))
            .or_else(|| instance().map(|key| (key, false)))
    }

    /// Reads a checkpoint that somebody signed who counts.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) fn checkpoint(&self, memory: &Memory, note: &Note) -> Result<Checkpoint, Refusal> {
        let checkpoint = Checkpoint::parse(note.text())?;
        let origin = &checkpoint.origin;
        let known = self.key_of(origin);
        let (key, is_own) = known.ok_or_else(|| Refusal::UnknownOrigin(origin.clone()))?;
        if is_own {
            if !note.is_signed_by(key) {
                return Err(Untrusted::Checkpoint(checkpoint.size).into());
            }
            return Ok(checkpoint);
        }
        let keys = Keychain::follow(key, &memory.log_keys(origin)?)?;
        Ok(keys.signed(note)?)
    }

    /// Takes in the certificates of one log's keys; they must begin with those that are known.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) fn learn(&self, memory: &Memory, notes: &[String]) -> Result<(), Refusal> {
        let first = notes.first().ok_or(Untrusted::None)?;
        let parsed = Note::parse(first)?;
        let origin = tlog::Certificate::parse(parsed.text())?.origin;
        let unknown = || Refusal::UnknownOrigin(origin.clone());
        let (key, is_own) = self.key_of(&origin).ok_or_else(unknown)?;
        if is_own {
            return Err(unknown());
        }
        Keychain::follow(key, notes)?;
        let known = memory.log_keys(&origin)?;
        if notes.get(..known.len()) != Some(&known[..]) {
            let number = notes.iter().zip(&known).take_while(|(a, b)| a == b).count();
            return Err(Untrusted::Broken(number as u64 + 1).into());
        }
        if notes.len() > known.len() {
            memory.remember_log_keys(&origin, notes)?;
        }
        Ok(())
    }
}
