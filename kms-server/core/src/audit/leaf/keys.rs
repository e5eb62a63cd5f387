//! Keys of the log, prepared once: a month's, the directory's. Destroying a month's key anonymises the month.

use crate::cipher::seal_key::public_of;
use crate::cipher::{Derivation, HashKey, MessageKey, Undecryptable, derive_key, label};
use crate::codec::{Reader, Writer, hex};
use crate::entropy::{Entropy, EntropyUnavailable};
use crate::name::{PrincipalName, SecretId};
use crate::secret::{AuditMonthKey, DerivedKey, IndexKey, IntakeKey};
use crate::time::Timestamp;
use std::fmt;
use zeroize::Zeroizing;

/// A calendar month in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(u16);

impl Month {
    /// The one that `time` lies in; times before 1970 count as January 1970, far ones as the last month.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        let (year, month) = time.month();
        let months = (year - 1970) * 12 + i64::from(month);
        Self(u16::try_from(months.max(1)).unwrap_or(u16::MAX))
    }

    /// From `YYYY-MM`, as [`fmt::Display`] writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let (year, month): (u32, u32) = (year.parse().ok()?, month.parse().ok()?);
        let months = year
            .checked_sub(1970)?
            .checked_mul(12)?
            .checked_add(month)?;
        let month = Self(u16::try_from(months).ok().filter(|months| *months > 0)?);
        (month.to_string() == text).then_some(month)
    }

    /// Months since December 1969; `None` for 0.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        if number == 0 {
            None
        } else {
            Some(Self(number))
        }
    }

    /// Months since December 1969.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Month {
    /// `YYYY-MM`, as the month's key is filed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let months = self.0.saturating_sub(1);
        write!(f, "{:04}-{:02}", 1970 + months / 12, months % 12 + 1)
    }
}

/// A month's key, its HMAC and HKDF states computed once.
#[derive(Debug)]
pub struct MonthKeys {
    month: Month,
    secrets: HashKey,
    personal: Derivation,
}

impl MonthKeys {
    /// Prepares the key of `month`.
    #[must_use]
    pub fn new(month: Month, key: &AuditMonthKey) -> Self {
        Self {
            month,
            secrets: HashKey::new(key.expose_bytes()),
            personal: Derivation::new(b"", key.expose_bytes()),
        }
    }

    /// Which month.
    #[must_use]
    pub const fn month(&self) -> Month {
        self.month
    }

    /// What stands for a shred secret in the leaves of this month.
    #[must_use]
    pub fn secret_hash(&self, id: SecretId) -> [u8; 16] {
        first_half(self.secrets.hash(&[label::AUDIT_SECRET, &id.0]))
    }

    /// The private key of groups that are written in this month while sealed: derived, so that it dies with the month's.
    #[must_use]
    pub fn derive_intake(&self) -> IntakeKey {
        let derived = self.personal.derive(&[label::AUDIT_INTAKE_KEY]);
        IntakeKey::take_bytes(&mut Zeroizing::new(*derived.expose_bytes()))
    }

    /// The public half of [`Self::derive_intake`] (X25519).
    #[must_use]
    pub fn intake(&self) -> MonthIntake {
        MonthIntake {
            month: self.month,
            public: public_of(self.derive_intake().expose_bytes()),
        }
    }

    /// The key of one personal group. Handing it out proves that one entry and opens no other.
    #[must_use]
    pub fn derive_entry_key(&self, nonce: &[u8; 16]) -> DerivedKey {
        self.personal.derive(&[label::AUDIT_PERSONAL_KEY, nonce])
    }
}

/// To whom personal groups of a month are encrypted while sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MonthIntake {
    /// The month whose key opens them, and takes them along.
    pub month: Month,
    /// X25519.
    pub public: [u8; 32],
}

/// What stands for a principal in leaves; zero while the daemon is sealed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PrincipalId(pub [u8; 16]);

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrincipalId({self})")
    }
}

/// The directory's key, prepared once: makes principals' ids, encrypts operators' names.
#[derive(Debug)]
pub struct DirectoryKeys {
    epoch: u32,
    ids: HashKey,
    names: MessageKey,
}

impl DirectoryKeys {
    /// Prepares the key; `epoch` numbers the directory keys of an installation from 1.
    #[must_use]
    pub fn new(epoch: u32, key: &IndexKey) -> Self {
        let names = derive_key(b"", key.expose_bytes(), &[label::AUDIT_DIRECTORY_KEY]);
        Self {
            epoch,
            ids: HashKey::new(key.expose_bytes()),
            names: MessageKey::new(&names),
        }
    }

    /// The id that stands for `name`; costs an HMAC, so keep it with the connection.
    #[must_use]
    pub fn principal_id(&self, name: &PrincipalName) -> PrincipalId {
        let hash = self
            .ids
            .hash(&[label::AUDIT_PRINCIPAL, name.as_str().as_bytes()]);
        PrincipalId(first_half(hash))
    }

    /// Which key of the installation's.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(super) fn encrypt_name(
        &self,
        id: PrincipalId,
        name: &PrincipalName,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, EntropyUnavailable> {
        let mut message = Vec::new();
        let plaintext = Writer::with_capacity(64)
            .short(name.as_str().as_bytes())
            .finish();
        self.names
            .seal_into(&name_context(id), &plaintext, entropy, &mut message)?;
        Ok(message)
    }

    /// Opens an operator's name from an introduction.
    ///
    /// # Errors
    /// [`Undecryptable`], also when the name belongs to another id.
    pub fn decrypt_name(
        &self,
        id: PrincipalId,
        message: &[u8],
    ) -> Result<PrincipalName, Undecryptable> {
        let plaintext = self.names.open(&name_context(id), message)?;
        let text = Reader::new(&plaintext).text().map_err(|_| Undecryptable)?;
        let name = PrincipalName::parse(text).map_err(|_| Undecryptable)?;
        if self.principal_id(&name) == id {
            Ok(name)
        } else {
            Err(Undecryptable)
        }
    }
}

fn name_context(id: PrincipalId) -> Vec<u8> {
    [label::AUDIT_DIRECTORY, &id.0].concat()
}

fn first_half(hash: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    half
}

/// What is at hand to hash and encrypt with.
#[derive(Debug, Clone, Copy)]
pub enum LeafKeys<'a> {
    /// Unsealed: the month's key.
    Unsealed(&'a MonthKeys),
    /// Sealed: personal groups go to a month's public key; there are no shred secrets to hash.
    Sealed(&'a MonthIntake),
    /// Nothing: personal groups are left out, and the leaf says so.
    Missing,
}
