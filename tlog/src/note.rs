//! Signed notes (C2SP signed-note): a text and, below it, lines that each say whose signature this is. Reads and
//! checks; signing is for who has the key.

use crate::hash::key_hash;
use data_encoding::{BASE64, HEXLOWER};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::fmt;

/// Bytes of an Ed25519 signature.
pub const SIGNATURE_LEN: usize = 64;
/// Most bytes of a note.
const NOTE_MAX: usize = 64 * 1024;
/// Most signatures of a note.
const SIGNATURES_MAX: usize = 64;
/// What begins a line of a signature.
const DASH: &str = "\u{2014} ";
/// Ed25519, in a verifier key.
const TYPE_ED25519: u8 = 1;
/// A witness's Ed25519 key (C2SP tlog-cosignature).
const TYPE_COSIGNATURE: u8 = 4;

/// The text is no signed note, or no verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {0}")]
pub struct BadNote(pub &'static str);

/// A note and its signatures, none of them checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    key_hash: [u8; 4],
    bytes: Vec<u8>,
}

impl Signature {
    fn line(&self) -> String {
        let blob = [&self.key_hash[..], &self.bytes].concat();
        format!("{DASH}{} {}\n", self.name, BASE64.encode(&blob))
    }
}

impl Note {
    /// Reads one note, to its last byte.
    ///
    /// # Errors
    /// [`BadNote`].
    pub fn parse(note: &str) -> Result<Self, BadNote> {
        let bad = BadNote("signed note");
        if note.len() > NOTE_MAX || note.chars().any(|c| c.is_control() && c != '\n') {
            return Err(bad);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(bad)?;
        let lines = lines.strip_suffix('\n').ok_or(bad)?;
        let signatures: Result<Vec<_>, _> = lines.split('\n').map(signature).collect();
        let signatures = signatures?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(bad);
        }
        Ok(Self {
            text: format!("{text}\n"),
            signatures,
        })
    }

    /// What is signed: lines, the last one ended too.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether one of the signatures is `key`'s over this text. Signatures of unknown keys are passed over; one
    /// that claims to be this key's must be right.
    #[must_use]
    pub fn is_signed_by(&self, key: &VerifierKey) -> bool {
        self.signed_at(key).is_some()
    }

    /// The whole note, but for signatures of `key`.
    #[must_use]
    pub fn without(&self, key: &VerifierKey) -> String {
        let others = self.signatures.iter();
        let others = others.filter(|own| own.name != key.name || own.key_hash != key.id);
        let lines: String = others.map(Signature::line).collect();
        format!("{}\n{lines}", self.text)
    }

    /// The lines of those signatures whose key is named in none of `other`'s: what both know together is this note's
    /// bytes and these.
    #[must_use]
    pub fn added_to(&self, other: &Self) -> String {
        let is_new = |own: &&Signature| {
            let mut known = other.signatures.iter();
            !known.any(|known| known.name == own.name && known.key_hash == own.key_hash)
        };
        self.signatures
            .iter()
            .filter(is_new)
            .map(Signature::line)
            .collect()
    }

    /// As [`Self::is_signed_by`], with the time in a witness's signature: seconds since 1970, 0 in others'.
    #[must_use]
    pub fn signed_at(&self, key: &VerifierKey) -> Option<u64> {
        let mut own = self
            .signatures
            .iter()
            .filter(|signature| signature.name == key.name && signature.key_hash == key.id);
        let first = own.next()?;
        if own.next().is_some() {
            return None;
        }
        key.check(&self.text, &first.bytes)
    }
}

fn signature(line: &str) -> Result<Signature, BadNote> {
    let bad = BadNote("signature line");
    let (name, blob) = line
        .strip_prefix(DASH)
        .and_then(|rest| rest.split_once(' '))
        .ok_or(bad)?;
    let blob = BASE64.decode(blob.as_bytes()).map_err(|_| bad)?;
    let (id, bytes) = blob.split_first_chunk::<4>().ok_or(bad)?;
    if !is_name(name) || bytes.is_empty() {
        return Err(bad);
    }
    Ok(Signature {
        name: name.to_owned(),
        key_hash: *id,
        bytes: bytes.to_vec(),
    })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+')
}

/// Notes that stand one behind the other, as in a history; each with its own bytes.
///
/// # Errors
/// [`BadNote`] for what is none.
pub fn read_notes(texts: &str) -> Result<Vec<(&str, Note)>, BadNote> {
    let mut notes = Vec::new();
    let (mut start, mut at, mut signed) = (0, 0, false);
    for line in texts.split_inclusive('\n') {
        let is_signature = line.starts_with(DASH);
        if signed && !is_signature {
            notes.push(texts.get(start..at).ok_or(BadNote("history"))?);
            start = at;
        }
        signed = is_signature;
        at += line.len();
    }
    if start < texts.len() {
        notes.push(texts.get(start..).ok_or(BadNote("history"))?);
    }
    notes
        .into_iter()
        .map(|text| Note::parse(text).map(|note| (text, note)))
        .collect()
}

/// The line of a signature of `key`, line end and all: what stands below the text and an empty line.
#[must_use]
pub fn signature_line(key: &VerifierKey, signature: &[u8]) -> String {
    let signature = Signature {
        name: key.name.clone(),
        key_hash: key.id,
        bytes: signature.to_vec(),
    };
    signature.line()
}

/// A public key and its name. Written `name+id+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    id: [u8; 4],
    kind: u8,
    public: [u8; 32],
}

impl VerifierKey {
    /// What marks a witness's key.
    pub(crate) const WITNESS: u8 = TYPE_COSIGNATURE;

    /// An Ed25519 key under a name.
    ///
    /// # Errors
    /// [`BadNote`] for a name that is empty or has spaces or `+`.
    pub fn new(name: &str, public: [u8; 32]) -> Result<Self, BadNote> {
        Self::of_kind(name, TYPE_ED25519, public)
    }

    /// The Ed25519 key of a witness, whose signatures say when they were made.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn new_witness(name: &str, public: [u8; 32]) -> Result<Self, BadNote> {
        Self::of_kind(name, TYPE_COSIGNATURE, public)
    }

    fn of_kind(name: &str, kind: u8, public: [u8; 32]) -> Result<Self, BadNote> {
        if !is_name(name) || name.chars().any(char::is_control) {
            return Err(BadNote("key name"));
        }
        Ok(Self {
            name: name.to_owned(),
            id: key_hash(name, &[&[kind], public.as_slice()].concat()),
            kind,
            public,
        })
    }

    /// Reads the text form; blanks around it do not matter.
    ///
    /// # Errors
    /// [`BadNote`].
    pub fn parse(text: &str) -> Result<Self, BadNote> {
        let bad = BadNote("verifier key");
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad);
        };
        let key = BASE64.decode(key.as_bytes()).map_err(|_| bad)?;
        let (kind, public) = key.split_first().ok_or(bad)?;
        if ![TYPE_ED25519, TYPE_COSIGNATURE].contains(kind) {
            return Err(bad);
        }
        let public = <[u8; 32]>::try_from(public).map_err(|_| bad)?;
        let read = Self::of_kind(name, *kind, public)?;
        (HEXLOWER.encode(&read.id) == id).then_some(read).ok_or(bad)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn id(&self) -> [u8; 4] {
        self.id
    }

    fn check(&self, text: &str, signature: &[u8]) -> Option<u64> {
        let verify = |message: &[u8], signature: &[u8]| {
            UnparsedPublicKey::new(&ED25519, &self.public)
                .verify(message, signature)
                .ok()
        };
        if self.kind == TYPE_ED25519 {
            return verify(text.as_bytes(), signature).map(|()| 0);
        }
        let (time, signature) = signature.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        verify(cosigned_text(text, time).as_bytes(), signature).map(|()| time)
    }
}

/// What a witness signs of a checkpoint's text (C2SP tlog-cosignature).
pub(crate) fn cosigned_text(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind], self.public.as_slice()].concat();
        let id = HEXLOWER.encode(&self.id);
        write!(f, "{}+{id}+{}", self.name, BASE64.encode(&key))
    }
}

#[cfg(test)]
mod tests;
