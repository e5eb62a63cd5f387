//! The passphrase method: a seal's private half and the pre-shared key, encrypted under Argon2id. What a
//! guess costs follows from where the passphrase comes from: a person's is slow, a machine's is quick.

use kms_core::cipher::password::{self, Cost, OutOfMemory, SALT_LEN};
use kms_core::cipher::{MessageKey, derive_key, label, sha256};
use kms_core::codec::{Malformed, Reader, Writer};
use kms_core::entropy::{Entropy, EntropyUnavailable, make_bytes};
use kms_core::secret::{SealPrivateKey, SealPsk};
use std::fmt;
use zeroize::Zeroizing;

use data_encoding::BASE32_NOPAD_NOCASE as BASE32;

/// Fewest characters of a passphrase that a person thought of.
pub const TYPED_MIN: usize = 12;
/// Most bytes of any passphrase.
pub const LENGTH_MAX: usize = 1024;
/// Random bytes of a generated passphrase: 160 bits.
const GENERATED_LEN: usize = 20;
/// Check characters after them.
const CHECK_LEN: usize = 4;
/// Characters between two hyphens.
const GROUP: usize = 6;

/// Where a seal's passphrase comes from, by what a guess at it costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// A machine made it: 160 random bits.
    Generated,
    /// A person thought of it.
    Typed,
}

impl Strength {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::Typed => "typed",
        }
    }
}

/// A passphrase. Wiped on drop; never printed.
pub struct Passphrase {
    /// What Argon2id gets: a generated one in its canonical form, any other as it was given.
    bytes: Zeroizing<Vec<u8>>,
    generated: bool,
}

/// The passphrase is too easy to guess for a new seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a passphrase of your own must have {TYPED_MIN} characters or more")]
pub struct Weak;

impl Passphrase {
    /// As a person or a file gives it; one line end at the end is not part of it. A generated one is
    /// known by its check characters; its hyphens and capitals do not matter.
    #[must_use]
    pub fn new(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        match canonical(&bytes) {
            Some(canonical) => Self {
                bytes: canonical,
                generated: true,
            },
            None => Self {
                bytes,
                generated: false,
            },
        }
    }

    /// A new one of 160 random bits.
    ///
    /// # Errors
    /// [`EntropyUnavailable`].
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, EntropyUnavailable> {
        let random: Zeroizing<[u8; GENERATED_LEN]> = Zeroizing::new(make_bytes(entropy)?);
        Ok(Self {
            bytes: with_check(&random),
            generated: true,
        })
    }

    /// The text to write down or into a file. Generated ones come in groups: `abcdef-ghijkl-...`.
    #[must_use]
    pub fn expose_text(&self) -> Zeroizing<Vec<u8>> {
        if !self.generated {
            return self.bytes.clone();
        }
        let groups = self.bytes.chunks(GROUP).collect::<Vec<_>>();
        Zeroizing::new(groups.join(&b'-'))
    }

    /// What a guess at it shall cost in a new seal.
    fn cost(&self) -> Result<Cost, Weak> {
        if self.generated {
            return Ok(Cost::GENERATED);
        }
        let characters = String::from_utf8_lossy(&self.bytes).chars().count();
        let fits = characters >= TYPED_MIN && self.bytes.len() <= LENGTH_MAX;
        fits.then_some(Cost::TYPED).ok_or(Weak)
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(<redacted>)")
    }
}

/// Base32 in lower case (RFC 4648, section 6): the random bytes, then 20 bits of their SHA-256.
fn with_check(random: &[u8; GENERATED_LEN]) -> Zeroizing<Vec<u8>> {
    let check = BASE32.encode(&sha256(&[random]));
    let mut text = Zeroizing::new(BASE32.encode(random).into_bytes());
    text.extend_from_slice(check.as_bytes().get(..CHECK_LEN).unwrap_or_default());
    text.make_ascii_lowercase();
    text
}

/// The canonical form, when this is a generated passphrase.
fn canonical(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    if bytes.len() > LENGTH_MAX {
        return None;
    }
    let plain = bytes
        .iter()
        .filter(|byte| !matches!(byte, b'-' | b' '))
        .map(u8::to_ascii_lowercase)
        .collect::<Vec<_>>();
    let plain = Zeroizing::new(plain);
    let random = plain.get(..plain.len().checked_sub(CHECK_LEN)?)?;
    let random = Zeroizing::new(BASE32.decode(random).ok()?);
    let expected = with_check(random.as_slice().try_into().ok()?);
    (*expected == *plain).then_some(expected)
}

/// Private half and pre-shared key under a passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protected {
    cost: Cost,
    salt: [u8; SALT_LEN],
    /// Cobblestone message of 64 bytes: private half, pre-shared key.
    message: Vec<u8>,
}

impl Protected {
    /// Where its passphrase comes from.
    #[must_use]
    pub fn strength(&self) -> Strength {
        if self.cost == Cost::GENERATED {
            Strength::Generated
        } else {
            Strength::Typed
        }
    }

    /// With a new salt and the passphrase's cost; nothing in it yet.
    pub(super) fn empty(
        passphrase: &Passphrase,
        entropy: &dyn Entropy,
    ) -> Result<Self, super::NotMade> {
        Ok(Self {
            cost: passphrase.cost()?,
            salt: make_bytes(entropy)?,
            message: Vec::new(),
        })
    }

    /// Encrypts both into it, bound to `context`.
    pub(super) fn fill(
        &mut self,
        passphrase: &Passphrase,
        context: &[u8],
        private: &SealPrivateKey,
        psk: &SealPsk,
        entropy: &dyn Entropy,
    ) -> Result<(), super::NotMade> {
        let mut plaintext = Zeroizing::new(Vec::with_capacity(64));
        plaintext.extend_from_slice(private.expose_bytes());
        plaintext.extend_from_slice(psk.expose_bytes());
        let key = self.key(passphrase)?;
        let mut message = Vec::new();
        key.seal_into(context, &plaintext, entropy, &mut message)?;
        self.message = message;
        Ok(())
    }

    /// Both, or `None` when the passphrase is another one (or the bytes are damaged: nothing tells the
    /// two apart).
    pub(super) fn open(
        &self,
        passphrase: &Passphrase,
        context: &[u8],
    ) -> Result<Option<(SealPrivateKey, SealPsk)>, OutOfMemory> {
        let opened = self.key(passphrase)?.open(context, &self.message);
        Ok(opened.ok().and_then(|plaintext| {
            let (private, psk) = plaintext.split_at_checked(32)?;
            Some((
                SealPrivateKey::from_slice(private)?,
                SealPsk::from_slice(psk)?,
            ))
        }))
    }

    fn key(&self, passphrase: &Passphrase) -> Result<MessageKey, OutOfMemory> {
        let stretched = password::derive_key(&passphrase.bytes, &self.salt, self.cost)?;
        let key = derive_key(&[], stretched.expose_bytes(), &[label::SEAL_PRIVATE]);
        Ok(MessageKey::new(&key))
    }

    /// Cost and salt.
    pub(super) fn encode_head(&self, out: &mut Writer) {
        self.cost.encode(out);
        out.bytes(&self.salt);
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.encode_head(&mut out);
        out.bytes(&self.message);
        out.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        Ok(Self {
            cost: Cost::decode(&mut reader)?,
            salt: reader.array()?,
            message: reader.rest().to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kms_core::cipher::system_entropy::SystemEntropy;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn generated_ones_are_known_again_however_they_are_typed() {
        let made = Passphrase::generate(&SystemEntropy::new()).unwrap();
        let text = String::from_utf8(made.expose_text().to_vec()).unwrap();
        assert_eq!(text.len(), 36 + 5);
        for typed in [
            text.clone(),
            text.to_uppercase(),
            text.replace('-', ""),
            text.replace('-', " "),
            format!("{text}\n"),
            format!("{text}\r\n"),
        ] {
            let again = passphrase(&typed);
            assert!(again.generated, "{typed:?}");
            assert_eq!(*again.bytes, *made.bytes);
            assert_eq!(again.cost(), Ok(Cost::GENERATED));
        }
    }

    #[test]
    fn a_mistyped_generated_one_is_not_taken_for_a_quick_one() {
        let made = Passphrase::generate(&SystemEntropy::new()).unwrap();
        let text = String::from_utf8(made.expose_text().to_vec()).unwrap();
        let other = if text.starts_with('a') { "b" } else { "a" };
        let mistyped = passphrase(&format!("{other}{}", &text[1..]));
        assert!(!mistyped.generated);
        assert_eq!(mistyped.cost(), Ok(Cost::TYPED));
    }

    #[test]
    fn own_ones_are_taken_byte_for_byte_and_must_be_long() {
        assert_eq!(passphrase("elevenchars").cost(), Err(Weak));
        assert_eq!(passphrase("elevenchars\n").cost(), Err(Weak));
        assert_eq!(passphrase("twelve chars").cost(), Ok(Cost::TYPED));
        assert_eq!(passphrase("zwölf Zeichen").cost(), Ok(Cost::TYPED));
        assert_eq!(
            passphrase(" Two  words \n").bytes.as_slice(),
            b" Two  words "
        );
        assert_eq!(passphrase(&"x".repeat(LENGTH_MAX + 1)).cost(), Err(Weak));
    }

    #[test]
    fn debug_shows_nothing() {
        let told = format!("{:?}", passphrase("correct horse battery"));
        assert_eq!(told, "Passphrase(<redacted>)");
    }
}
