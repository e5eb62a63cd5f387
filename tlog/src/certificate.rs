//! Whose checkpoints count: the instance key certifies log keys, one after the other, and each hands over to the
//! next by signing its certificate. Whoever holds only the instance's public key can follow the chain.

use crate::checkpoint::{Checkpoint, parse_number};
use crate::hash::Hash;
use crate::note::{BadNote, Note, VerifierKey};

/// First line of a certificate, behind the origin.
const SUFFIX: &str = "/log-key";

/// What the instance key says of one log key. Signed as a note, by the instance key and the log key before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Name of the log's life; the log key bears it as its name.
    pub origin: String,
    /// 1, 2, 3, ...
    pub number: u64,
    /// The log key.
    pub key: VerifierKey,
    /// Size of the tree from which on it signs; the key before signs up to here.
    pub from_size: u64,
    /// Root of that tree.
    pub from_root: Hash,
}

/// Why nobody's signature counts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// Not readable.
    #[error("{0}")]
    Malformed(#[from] BadNote),
    /// A certificate lacks a signature.
    #[error("the certificate of log key {0} is not signed by {1}")]
    Unsigned(u64, String),
    /// Certificates do not follow one another.
    #[error("the certificate of log key {0} is missing or does not follow the one before it")]
    Broken(u64),
    /// There is none.
    #[error("there is no certificate of a log key")]
    None,
    /// A checkpoint is of another log.
    #[error("the checkpoint is of origin {found:?}, not {expected:?}")]
    Origin {
        /// What it says.
        found: String,
        /// What the certificates say.
        expected: String,
    },
    /// A checkpoint is signed by no log key that may.
    #[error("the checkpoint of size {0} is not signed by the log key of that time")]
    Checkpoint(u64),
}

impl Certificate {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{}{SUFFIX}\n{}\n{}\n{}\n{}\n",
            self.origin, self.number, self.key, self.from_size, self.from_root
        )
    }

    /// Reads a note's text.
    ///
    /// # Errors
    /// [`BadNote`].
    pub fn parse(text: &str) -> Result<Self, BadNote> {
        let bad = BadNote("certificate of a log key");
        let lines: Vec<_> = text.strip_suffix('\n').ok_or(bad)?.split('\n').collect();
        let [first, number, key, from_size, from_root] = lines[..] else {
            return Err(bad);
        };
        let origin = first.strip_suffix(SUFFIX).ok_or(bad)?;
        let key = VerifierKey::parse(key)?;
        if key.name() != origin {
            return Err(bad);
        }
        Ok(Self {
            origin: origin.to_owned(),
            number: parse_number(number).ok_or(bad)?,
            key,
            from_size: parse_number(from_size).ok_or(bad)?,
            from_root: Hash::parse(from_root).ok_or(bad)?,
        })
    }
}

/// The log keys of one origin, followed from the instance key.
#[derive(Debug, Clone)]
pub struct Keychain {
    certificates: Vec<Certificate>,
}

impl Keychain {
    /// Follows the certificates, given in the order of their numbers, from the instance key on.
    ///
    /// # Errors
    /// [`Untrusted`] says which link is missing.
    pub fn follow(instance: &VerifierKey, notes: &[String]) -> Result<Self, Untrusted> {
        let mut certificates: Vec<Certificate> = Vec::with_capacity(notes.len());
        for (number, note) in (1..).zip(notes) {
            let note = Note::parse(note)?;
            let certificate = Certificate::parse(note.text())?;
            let unsigned = |by: &VerifierKey| Untrusted::Unsigned(number, by.name().to_owned());
            if !note.is_signed_by(instance) {
                return Err(unsigned(instance));
            }
            let epoch = certificate
                .origin
                .strip_prefix(instance.name())
                .and_then(|rest| rest.strip_prefix('/'));
            let mut follows = certificate.number == number && epoch.is_some();
            if let Some(before) = certificates.last() {
                if !note.is_signed_by(&before.key) {
                    return Err(unsigned(&before.key));
                }
                follows &= certificate.origin == before.origin
                    && certificate.from_size >= before.from_size;
            }
            if !follows {
                return Err(Untrusted::Broken(number));
            }
            certificates.push(certificate);
        }
        if certificates.is_empty() {
            return Err(Untrusted::None);
        }
        Ok(Self { certificates })
    }

    /// Name of the log's life.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.certificates
            .first()
            .map_or("", |certificate| certificate.origin.as_str())
    }

    /// The certificates, in order.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Reads a checkpoint that must be signed by the log key of its size.
    ///
    /// # Errors
    /// [`Untrusted`].
    pub fn checkpoint(&self, note: &str) -> Result<Checkpoint, Untrusted> {
        self.signed(&Note::parse(note)?)
    }

    /// As [`Self::checkpoint`], of a note that was read already.
    ///
    /// # Errors
    /// [`Untrusted`].
    pub fn signed(&self, note: &Note) -> Result<Checkpoint, Untrusted> {
        let checkpoint = Checkpoint::parse(note.text())?;
        if checkpoint.origin != self.origin() {
            return Err(Untrusted::Origin {
                found: checkpoint.origin,
                expected: self.origin().to_owned(),
            });
        }
        let ends = self.certificates.iter().skip(1).map(|next| next.from_size);
        let mut terms = self.certificates.iter().zip(ends.chain([u64::MAX]));
        let size = checkpoint.size;
        let signed = terms.any(|(certificate, end)| {
            (certificate.from_size..=end).contains(&size) && note.is_signed_by(&certificate.key)
        });
        signed
            .then_some(checkpoint)
            .ok_or(Untrusted::Checkpoint(size))
    }
}

#[cfg(test)]
mod tests;
