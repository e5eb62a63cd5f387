//! A witness's signing key (C2SP tlog-cosignature v1): says of a checkpoint when it was seen to extend the one before.
//! The only private key in this crate; it signs nothing but cosignatures, and is never shown.

use crate::note::{BadNote, VerifierKey, cosigned_text, signature_line};
use data_encoding::{BASE64, HEXLOWER};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::fmt;
use zeroize::Zeroizing;

/// What begins the text form of a private key (C2SP signed-note).
const PREFIX: &str = "PRIVATE+KEY+";
/// Bytes of a seed.
const SEED_LEN: usize = 32;

/// See the module.
pub struct Cosigner {
    pair: Ed25519KeyPair,
    key: VerifierKey,
}

impl Cosigner {
    /// A new key under a name: its text form, to be kept secret.
    ///
    /// # Errors
    /// [`BadNote`] for a name that is none, or when the system has no random bytes.
    pub fn make_random(name: &str) -> Result<Zeroizing<String>, BadNote> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        let filled = SystemRandom::new().fill(&mut *seed);
        filled.map_err(|_| BadNote("random bytes"))?;
        Ok(Self::new(name, &seed)?.text(&seed))
    }

    fn new(name: &str, seed: &[u8; SEED_LEN]) -> Result<Self, BadNote> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed);
        let pair = pair.map_err(|_| BadNote("seed"))?;
        let public = pair.public_key().as_ref().try_into();
        let public = public.map_err(|_| BadNote("public key"))?;
        let key = VerifierKey::new_witness(name, public)?;
        Ok(Self { pair, key })
    }

    fn text(&self, seed: &[u8; SEED_LEN]) -> Zeroizing<String> {
        let typed = Zeroizing::new([&[VerifierKey::WITNESS][..], seed].concat());
        let key = Zeroizing::new(BASE64.encode(&typed));
        let id = HEXLOWER.encode(&self.key.id());
        Zeroizing::new(format!("{PREFIX}{}+{id}+{}", self.key.name(), *key))
    }

    /// Reads the text form; blanks around it do not matter.
    ///
    /// # Errors
    /// [`BadNote`].
    pub fn parse(text: &str) -> Result<Self, BadNote> {
        let bad = BadNote("private key of a witness");
        let rest = text.trim().strip_prefix(PREFIX).ok_or(bad)?;
        let mut parts = rest.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad);
        };
        let typed = Zeroizing::new(BASE64.decode(key.as_bytes()).map_err(|_| bad)?);
        let (kind, seed) = typed.split_first().ok_or(bad)?;
        let seed = Zeroizing::new(<[u8; SEED_LEN]>::try_from(seed).map_err(|_| bad)?);
        let read = Self::new(name, &seed)?;
        let is_right = *kind == VerifierKey::WITNESS && HEXLOWER.encode(&read.key.id()) == id;
        is_right.then_some(read).ok_or(bad)
    }

    /// The public half, for who checks.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The signature line over a checkpoint's text, as of `seconds` since 1970.
    #[must_use]
    pub fn cosign(&self, text: &str, seconds: u64) -> String {
        let signature = self.pair.sign(cosigned_text(text, seconds).as_bytes());
        let stamped = [&seconds.to_be_bytes()[..], signature.as_ref()].concat();
        signature_line(&self.key, &stamped)
    }
}

impl fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cosigner(<redacted>, {})", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::hash::Hash;
    use crate::note::Note;

    #[test]
    fn keys_read_as_written_and_are_never_shown() {
        let text = Cosigner::make_random("witness.example/w1").unwrap();
        let cosigner = Cosigner::parse(&format!(" {}\n", *text)).unwrap();
        let shown = format!("{cosigner:?}");
        let secret = text.rsplit('+').next().unwrap();
        assert!(shown.contains(&cosigner.key().to_string()) && !shown.contains(secret));
        let public = VerifierKey::parse(&cosigner.key().to_string()).unwrap();
        assert_eq!(&public, cosigner.key());
        assert!(Cosigner::make_random("two words").is_err());
        for bad in [
            text.replace("PRIVATE", "PUBLIC"),
            text.replace("w1", "w2"),
            text[..text.len() - 4].to_owned(),
            public.to_string(),
            String::new(),
        ] {
            assert!(Cosigner::parse(&bad).is_err());
        }
    }

    #[test]
    fn a_cosignature_binds_text_and_time() {
        let cosigner = Cosigner::parse(&Cosigner::make_random("w").unwrap()).unwrap();
        let checkpoint = |size| {
            let (origin, root) = ("kms/1".to_owned(), Hash([7; 32]));
            Checkpoint { origin, size, root }.text()
        };
        let text = checkpoint(7);
        let line = cosigner.cosign(&text, 1_800_000_000);
        let note = |text: &str, line: &str| Note::parse(&format!("{text}\n{line}")).unwrap();
        let signed = note(&text, &line).signed_at(cosigner.key());
        assert_eq!(signed, Some(1_800_000_000));
        assert_eq!(note(&checkpoint(8), &line).signed_at(cosigner.key()), None);
        // the time stands in the signature's first bytes
        let other = cosigner.cosign(&text, 1_800_000_001);
        let (early, late) = (
            line.rsplit(' ').next().unwrap(),
            other.rsplit(' ').next().unwrap(),
        );
        let mut mixed = BASE64.decode(late.trim().as_bytes()).unwrap();
        mixed[..12].copy_from_slice(&BASE64.decode(early.trim().as_bytes()).unwrap()[..12]);
        let mixed = format!("\u{2014} w {}\n", BASE64.encode(&mixed));
        assert_eq!(note(&text, &mixed).signed_at(cosigner.key()), None);
    }
}
