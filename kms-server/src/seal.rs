//! Seals: what protects the master key while the daemon is down. Each seal is a key pair whose private
//! half only its method can open (a passphrase; later an HSM, or shares); any one of them unseals.
//!
//! All master key versions are wrapped to each seal's public half by HPKE in PSK mode, over everything
//! else that the keyring says: nobody who can only write the file can plant a master key, another
//! instance key or another seal. Never writes a private half, the pre-shared key or a master key
//! unencrypted (docs/formats.md, "Keyring and seals").

pub mod attempts;
mod error;
mod file;
pub mod passphrase;
mod wrap;

pub use error::{KeyringError, NotMade, UnsealError};

use crate::system::private_file;
use kms_core::cipher::seal_key;
use kms_core::cipher::signature::{Fingerprint, PublicKey};
use kms_core::cipher::{label, sha256};
use kms_core::codec::Writer;
use kms_core::entropy::{Entropy, make_bytes};
use kms_core::format::stored::MasterKeys;
use kms_core::secret::{MasterKey, SealPrivateKey, SealPsk};
use kms_core::time::Timestamp;
use passphrase::{Passphrase, Protected};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use wrap::encode_master_keys;

/// Most seals of a keyring.
pub const SEALS_MAX: usize = 16;
/// Most live master key versions.
pub const MASTER_KEYS_MAX: usize = 256;

/// Identity of a seal.
pub type SealId = [u8; 16];

/// The sealed master keys, as they lie on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    id: [u8; 16],
    generation: u64,
    publics: Publics,
    seals: Vec<Seal>,
    /// For each seal the master keys, wrapped to it.
    wraps: Vec<Vec<u8>>,
}

/// The installation's public keys, needed before anything is unsealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publics {
    /// Of the instance key.
    pub instance: PublicKey,
    /// Of the audit intake (X25519): personal groups are encrypted to it while sealed.
    pub intake: [u8; 32],
}

/// One seal, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Names it.
    pub id: SealId,
    /// When it was made.
    pub created_at: Timestamp,
    /// What opens its private half.
    pub method: Method,
    /// HPKE suite of the public half.
    suite: u8,
    public: Vec<u8>,
}

/// What opens a seal's private half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// A passphrase, through Argon2id.
    Passphrase(Protected),
    /// A method that this version does not know; kept as it is, opened by none here.
    Unknown {
        /// Its number.
        number: u8,
        /// Its bytes.
        bytes: Vec<u8>,
    },
}

/// How a new seal is to be opened.
#[derive(Debug, Clone, Copy)]
pub enum NewSeal<'a> {
    /// By this passphrase.
    Passphrase(&'a Passphrase),
}

/// What unsealing gives.
#[derive(Debug)]
pub struct Unsealed {
    /// All live master key versions.
    pub master_keys: MasterKeys,
    /// The seal that opened.
    pub seal: SealId,
    /// Wraps new master key versions to all seals without their secrets.
    pub psk: SealPsk,
}

impl Keyring {
    /// A new keyring with one new master key version, number 1. Every seal is proven: it opens what it
    /// sealed before this returns.
    ///
    /// # Errors
    /// [`NotMade`]; nothing was written.
    pub fn create(
        publics: Publics,
        seals: &[NewSeal<'_>],
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<(Self, Unsealed), NotMade> {
        if seals.is_empty() || seals.len() > SEALS_MAX {
            return Err(NotMade::Seals);
        }
        let psk = SealPsk::make_random(entropy)?;
        let keys = BTreeMap::from([(1, MasterKey::make_random(entropy)?)]);
        let master_keys = MasterKeys::new(1, keys).ok_or(NotMade::Seals)?;
        let id = make_bytes(entropy)?;
        let mut keyring = Self {
            id,
            generation: 1,
            publics,
            seals: Vec::with_capacity(seals.len()),
            wraps: Vec::new(),
        };
        for new in seals {
            let seal = keyring.make_seal(*new, &psk, now, entropy)?;
            keyring.seals.push(seal);
        }
        keyring.wrap(&master_keys, &psk, entropy)?;
        keyring.prove(seals, &master_keys)?;
        let seal = keyring.seals.first().ok_or(NotMade::Seals)?.id;
        let unsealed = Unsealed {
            master_keys,
            seal,
            psk,
        };
        Ok((keyring, unsealed))
    }

    /// Reads the keyring. Nothing in it is trusted yet: [`Keyring::unseal`] authenticates all of it.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn open(path: &Path) -> Result<Self, KeyringError> {
        if !path.exists() {
            return Err(KeyringError::Missing(path.to_owned()));
        }
        let bytes = private_file::read_secret(path)?;
        file::decode(&bytes).map_err(|problem| match problem {
            file::Problem::Damaged => KeyringError::Damaged(path.to_owned()),
            file::Problem::Format(number) => KeyringError::Format(path.to_owned(), number),
        })
    }

    /// Writes the keyring: wholly old or wholly new after a crash.
    ///
    /// # Errors
    /// As the operating system says; the file is then as before.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        private_file::replace(path, &file::encode(self))
    }

    /// The installation's public keys. Authentic once the keyring has unsealed.
    #[must_use]
    pub const fn publics(&self) -> &Publics {
        &self.publics
    }

    /// Its seals.
    #[must_use]
    pub fn seals(&self) -> &[Seal] {
        &self.seals
    }

    /// SHA-256 over the seals' ids, methods, suites and public halves: the root record repeats it.
    #[must_use]
    pub fn public_halves(&self) -> [u8; 32] {
        let mut bytes = Writer::default();
        self.seals.iter().for_each(|seal| {
            bytes
                .bytes(&seal.id)
                .u8(seal.method.number())
                .u8(seal.suite);
            bytes.short(&seal.public);
        });
        sha256(&[&bytes.finish()])
    }

    /// The instance key must be the expected one, where one is expected.
    ///
    /// # Errors
    /// The fingerprint that was found.
    pub fn check_instance(&self, expected: Option<Fingerprint>) -> Result<(), Fingerprint> {
        let found = self.publics.instance.fingerprint();
        if expected.is_some_and(|expected| expected != found) {
            return Err(found);
        }
        Ok(())
    }

    /// Opens the first seal that the passphrase opens. Costs an Argon2id for each passphrase seal:
    /// never on a thread that serves calls; the daemon goes through [`attempts::Attempts`].
    ///
    /// # Errors
    /// [`UnsealError`].
    pub fn unseal(&self, passphrase: &Passphrase) -> Result<Unsealed, UnsealError> {
        let mut tried = false;
        for (seal, wrap) in self.seals.iter().zip(&self.wraps) {
            let Method::Passphrase(protected) = &seal.method else {
                continue;
            };
            tried = true;
            let context = self.private_context(seal);
            if let Some((private, psk)) = protected.open(passphrase, &context)? {
                return self.unwrap(seal, wrap, &private, psk);
            }
        }
        Err(if tried {
            UnsealError::WrongPassphrase
        } else {
            UnsealError::NoSuchSeal
        })
    }

    fn make_seal(
        &self,
        new: NewSeal<'_>,
        psk: &SealPsk,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<Seal, NotMade> {
        let private = SealPrivateKey::make_random(entropy)?;
        let NewSeal::Passphrase(passphrase) = new;
        let mut seal = Seal {
            id: make_bytes(entropy)?,
            created_at: now,
            method: Method::Passphrase(Protected::empty(passphrase, entropy)?),
            suite: seal_key::SEAL_SUITE,
            public: seal_key::seal_public_of(private.expose_bytes()).to_vec(),
        };
        let context = self.private_context(&seal);
        if let Method::Passphrase(protected) = &mut seal.method {
            protected.fill(passphrase, &context, &private, psk, entropy)?;
        }
        Ok(seal)
    }

    /// Every seal opens with its own secret and gives the keys that were sealed.
    fn prove(&self, seals: &[NewSeal<'_>], master_keys: &MasterKeys) -> Result<(), NotMade> {
        let sealed = encode_master_keys(master_keys);
        for (seal, new) in self.seals.iter().zip(seals) {
            let NewSeal::Passphrase(passphrase) = new;
            let Method::Passphrase(protected) = &seal.method else {
                return Err(NotMade::Seals);
            };
            let opened = protected.open(passphrase, &self.private_context(seal))?;
            let (private, psk) = opened.ok_or(NotMade::Seals)?;
            let wrap = self.wrap_of(seal).ok_or(NotMade::Seals)?;
            let unsealed = self.unwrap(seal, wrap, &private, psk);
            let again = encode_master_keys(&unsealed.map_err(|_| NotMade::Seals)?.master_keys);
            if *again != *sealed {
                return Err(NotMade::Seals);
            }
        }
        Ok(())
    }

    fn wrap_of(&self, seal: &Seal) -> Option<&[u8]> {
        let mut pairs = self.seals.iter().zip(&self.wraps);
        pairs
            .find(|(other, _)| other.id == seal.id)
            .map(|(_, wrap)| wrap.as_slice())
    }

    /// What a seal's private half is bound to: this keyring and everything public of the seal.
    fn private_context(&self, seal: &Seal) -> Vec<u8> {
        let mut bytes = Writer::default();
        bytes.bytes(label::SEAL_PRIVATE).bytes(&self.id);
        file::encode_seal_head(seal, &mut bytes);
        if let Method::Passphrase(protected) = &seal.method {
            protected.encode_head(&mut bytes);
        }
        bytes.finish()
    }
}

impl Method {
    /// Its number in the file.
    #[must_use]
    pub const fn number(&self) -> u8 {
        match self {
            Self::Passphrase(_) => 1,
            Self::Unknown { number, .. } => *number,
        }
    }

    /// Its name for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Passphrase(_) => "passphrase",
            Self::Unknown { .. } => "unknown to this version",
        }
    }
}

#[cfg(test)]
mod tests;
