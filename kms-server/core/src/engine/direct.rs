//! Encrypts and decrypts up to 64 KiB directly under a dataset key. Never opens a wrapped data key.

use super::creation::{Creations, choose};
use super::generate::{change, wrap_detail};
use super::limits::{CIPHERTEXT_MAX, PLAINTEXT_MAX};
use super::material::Material;
use super::unwrap::opened_detail;
use super::view::{Decision, Moment, View};
use super::wrapping::{Wrapper, open, wrapping_version};
use super::{Refusal, SecretUse, Snapshot};
use crate::audit::{Detail, Facts, Outcome};
use crate::format::wrapped::{BlobKind, Header};
use crate::name::{KeyContext, KeyId, VersionNumber};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use std::fmt;
use zeroize::Zeroizing;

/// What is to be encrypted; its dataset stands in the proof.
pub struct EncryptItem<'a> {
    /// At most 64 KiB.
    pub plaintext: &'a [u8],
    /// Bound into the ciphertext.
    pub context: KeyContext,
    /// At most 4, with distinct scopes.
    pub secrets: Vec<SecretUse>,
}

/// A ciphertext.
#[derive(Debug)]
pub struct Encrypted {
    /// The plaintext's length and at most 256 bytes more.
    pub ciphertext: Vec<u8>,
    /// Version that encrypted it.
    pub version: VersionNumber,
}

/// A ciphertext, split by [`super::parse_blob`].
#[derive(Debug)]
pub struct DecryptItem<'a> {
    /// Its header.
    pub header: Header,
    /// The rest of it.
    pub message: &'a [u8],
    /// Exactly the context of the encryption.
    pub context: KeyContext,
}

/// What a ciphertext held, and what its version is now.
pub struct Decrypted {
    /// At most 64 KiB.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// Key of the dataset.
    pub key_id: KeyId,
    /// Version that encrypted it.
    pub version: VersionNumber,
    /// It is the ACTIVE one.
    pub active: bool,
    /// It is marked compromised.
    pub compromised: bool,
}

impl fmt::Debug for Decrypted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decrypted")
            .field("plaintext", &"<redacted>")
            .field("key_id", &self.key_id)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EncryptItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptItem")
            .field("plaintext", &"<redacted>")
            .finish_non_exhaustive()
    }
}

/// Encrypts.
///
/// # Errors
/// As [`super::generate_data_key`]; INVALID_ARGUMENT for more than 64 KiB.
pub fn encrypt(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::Encrypt>,
    item: &EncryptItem<'_>,
) -> Result<Decision<Encrypted>, Refusal> {
    if item.plaintext.len() > PLAINTEXT_MAX {
        return Err(Refusal::field("plaintext", "at most 64 KiB"));
    }
    let (dataset, version) = wrapping_version(view, authorised.dataset())?;
    let mut creations = Creations::default();
    let parts = choose(view, &dataset.record.policy, &item.secrets, &mut creations)?;
    let mut material =
        Material::draw(moment.keys, creations.material_len()).map_err(Reason::from)?;
    creations.fill(&mut material)?;
    let secrets = parts
        .iter()
        .map(|part| creations.resolve(*part))
        .collect::<Result<Vec<_>, _>>()?;
    let mut detail = encrypt_detail(view.snapshot, authorised.dataset(), item, Outcome::Ok);
    detail.secrets = secrets.iter().map(|(name, _)| name.id).collect();
    detail.version = Some(version.record.number);
    let ciphertext = Wrapper::default().wrap(
        BlobKind::Ciphertext,
        version,
        secrets,
        &item.context,
        item.plaintext,
        moment.salts,
    )?;
    Ok(Decision {
        reply: Encrypted {
            ciphertext,
            version: version.record.number,
        },
        facts: Facts::single(Action::Encrypt, detail),
        change: change(creations, view, moment),
    })
}

/// Decrypts.
///
/// # Errors
/// As [`super::unwrap_data_key`]; INVALID_ARGUMENT for more than 64 KiB + 256 bytes.
pub fn decrypt(
    view: &View<'_>,
    authorised: &Authorised<act::Decrypt>,
    item: &DecryptItem<'_>,
) -> Result<Decision<Decrypted>, Refusal> {
    if item.message.len() > CIPHERTEXT_MAX {
        return Err(Refusal::field("ciphertext", "at most 64 KiB + 256 bytes"));
    }
    if item.header.kind != BlobKind::Ciphertext {
        return Err(Reason::Undecryptable.into());
    }
    let opened = open(
        view,
        authorised.dataset(),
        &item.header,
        item.message,
        &item.context,
    )?;
    let detail = decrypt_detail(view.snapshot, authorised.dataset(), item, Outcome::Ok);
    Ok(Decision {
        reply: Decrypted {
            key_id: item.header.key_id,
            version: item.header.version,
            active: opened.is_active(),
            compromised: opened.is_compromised(),
            plaintext: opened.plaintext,
        },
        facts: Facts::single(Action::Decrypt, detail),
        change: None,
    })
}

/// What the log says of an encryption, but for version and secrets.
#[must_use]
pub fn encrypt_detail(
    snapshot: &Snapshot,
    dataset: Option<KeyId>,
    item: &EncryptItem<'_>,
    outcome: Outcome,
) -> Detail {
    wrap_detail(snapshot, dataset, &item.context, outcome)
}

/// What the log says of a decryption.
#[must_use]
pub fn decrypt_detail(
    snapshot: &Snapshot,
    dataset: Option<KeyId>,
    item: &DecryptItem<'_>,
    outcome: Outcome,
) -> Detail {
    opened_detail(snapshot, dataset, &item.header, &item.context, outcome)
}
