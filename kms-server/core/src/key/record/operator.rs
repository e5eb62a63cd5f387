//! What the store keeps of the people who administer the service, and of attempts to be one of them.

use crate::cipher::password::{Cost, SALT_LEN};
use crate::name::OperatorName;
use crate::secret::{PasswordHash, TotpSecret};
use crate::time::Timestamp;

/// Most recovery codes.
pub const RECOVERY_CODES: usize = 10;

/// Whether an operator may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperatorState {
    /// May log in once enrolled.
    Enabled,
    /// May not, until enabled again.
    Disabled {
        /// Since when.
        at: Timestamp,
    },
    /// Never again; the name stays taken. Final.
    Removed {
        /// Since when.
        at: Timestamp,
    },
}

/// A password, as Argon2id has it.
#[derive(Debug)]
pub struct StoredPassword {
    /// Random.
    pub salt: [u8; SALT_LEN],
    /// What a guess costs.
    pub cost: Cost,
    /// The hash.
    pub hash: PasswordHash,
}

/// A permission to enrol, once.
#[derive(Debug)]
pub struct Enrolment {
    /// Keyed hash of the token.
    pub token: [u8; 32],
    /// Not taken from here on.
    pub expires_at: Timestamp,
    /// Handed to the person who began; becomes the operator's when a code of it is shown.
    pub pending: Option<Pending>,
}

/// What becomes valid when an enrolment is confirmed.
#[derive(Debug)]
pub struct Pending {
    /// The new authenticator's.
    pub totp: TotpSecret,
    /// The password that was chosen.
    pub password: StoredPassword,
}

/// An operator.
#[derive(Debug)]
pub struct OperatorRecord {
    /// The one spelling.
    pub name: OperatorName,
    /// Roles as bits, by their numbers in the policy.
    pub roles: u16,
    /// Whether it may act.
    pub state: OperatorState,
    /// `None` until enrolled.
    pub password: Option<StoredPassword>,
    /// `None` until enrolled.
    pub totp: Option<TotpSecret>,
    /// The last step of which a code was taken; only later ones are.
    pub last_step: u64,
    /// Keyed hashes of the recovery codes that are left.
    pub recovery: Vec<[u8; 32]>,
    /// An enrolment that may happen.
    pub enrolment: Option<Enrolment>,
    /// Sessions of an earlier generation are over.
    pub generation: u32,
    /// Failed attempts that were counted before the last unlocking do not count.
    pub unlocks: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the recovery passphrase let it in last.
    pub recovered_at: Option<Timestamp>,
}

/// Failed attempts in a row on one account from one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptsRecord {
    /// How many.
    pub failures: u32,
    /// The last one.
    pub last_at: Timestamp,
    /// The operator's unlockings when it was counted.
    pub unlocks: u32,
}

impl StoredPassword {
    fn duplicate(&self) -> Self {
        Self {
            salt: self.salt,
            cost: self.cost,
            hash: PasswordHash::take_bytes(&mut self.hash.expose_bytes().clone()),
        }
    }
}

impl OperatorRecord {
    /// A second copy, to be changed and written in this one's place.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let secret = |secret: &TotpSecret| TotpSecret::from_slice(secret.expose_bytes());
        let pending = |pending: &Pending| {
            Some(Pending {
                totp: secret(&pending.totp)?,
                password: pending.password.duplicate(),
            })
        };
        Self {
            name: self.name.clone(),
            roles: self.roles,
            state: self.state,
            password: self.password.as_ref().map(StoredPassword::duplicate),
            totp: self.totp.as_ref().and_then(secret),
            last_step: self.last_step,
            recovery: self.recovery.clone(),
            enrolment: self.enrolment.as_ref().map(|enrolment| Enrolment {
                token: enrolment.token,
                expires_at: enrolment.expires_at,
                pending: enrolment.pending.as_ref().and_then(pending),
            }),
            generation: self.generation,
            unlocks: self.unlocks,
            created_at: self.created_at,
            recovered_at: self.recovered_at,
        }
    }

    /// Has enrolled once, whatever was taken away since.
    #[must_use]
    pub const fn was_enrolled(&self) -> bool {
        self.password.is_some() || self.last_step > 0
    }

    /// Has a password and an authenticator, and may act.
    #[must_use]
    pub const fn can_act(&self) -> bool {
        matches!(self.state, OperatorState::Enabled)
            && self.password.is_some()
            && self.totp.is_some()
    }
}
