//! What every new installation consists of, made by `init` and `dev` alike: the data directory with keyring and store,
//! and the files that tell others of its public keys. Never replaces what is there.

use crate::audit_log::intake;
use crate::config::Data;
use crate::live::creation::{create_store, make_system_keys};
use crate::seal::passphrase::Passphrase;
use crate::seal::{Keyring, NewSeal, Publics};
use crate::store::CreateError;
use crate::store::sled::SledStore;
use crate::system::clock::Clock;
use crate::system::failure::{Failure, FailureKind};
use crate::system::{directory, private_file};
use kms_core::cipher::seal_key::public_of;
use kms_core::cipher::signature::{InstanceKey, PublicKey};
use kms_core::cipher::{HashKey, sha256};
use kms_core::codec::hex;
use kms_core::entropy::Entropy;
use kms_core::key::record::Write;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Makes `place/data`: one seal under `passphrase`, a store with the records that `first` makes under the store's index
/// key. Made aside and renamed whole.
///
/// # Errors
/// [`Failure`]; `place/data` is then not there.
pub fn make_data(
    place: &Path,
    passphrase: &Passphrase,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
    first: impl FnOnce(&HashKey) -> Result<Vec<Write>, Failure>,
) -> Result<(), Failure> {
    let aside = place.join("data.making");
    let io = |error: std::io::Error| Failure::io(&aside, &error);
    // What a start left that was cut off: nothing was ever served from it.
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(io)?;
    }
    directory::create_private(&aside)?;
    let data = Data {
        directory: aside.clone(),
    };
    let system = make_system_keys(entropy).map_err(|error| other(&error))?;
    let index = HashKey::new(system.index.expose_bytes());
    let first = first(&index)?;
    let instance = InstanceKey::new(&system.instance).map_err(|error| other(&error))?;
    let publics = Publics {
        instance: instance.public(),
        intake: public_of(system.intake.expose_bytes()),
    };
    let seals = [NewSeal::Passphrase(passphrase)];
    let (keyring, unsealed) = Keyring::create(publics, &seals, clock.now(), entropy)?;
    keyring.save(&data.keyring()).map_err(io)?;
    directory::create_private(&data.store())?;
    let store =
        SledStore::open(&data.store(), Arc::clone(clock)).map_err(|error| error.failure(&aside))?;
    let intake = create_store(
        Arc::new(store),
        &unsealed.master_keys,
        keyring.public_halves(),
        system,
        first,
        clock.now(),
        entropy,
    )
    .map_err(|error| match error {
        CreateError::Store(error) => error.failure(&aside),
        error => other(&error),
    })?;
    private_file::replace(&data.intake(), &intake::encode(&[intake], &instance)).map_err(io)?;
    directory::sync(&aside).map_err(io)?;
    fs::rename(&aside, place.join("data")).map_err(io)?;
    directory::sync(place).map_err(io)
}

/// The instance's public key as a verifier key of signed notes (C2SP signed-note):
/// `name+hash+base64(1, key)`, the hash being the first 4 bytes of SHA-256(name, line end, 1, key).
#[must_use]
pub fn verifier_key(name: &str, key: &PublicKey) -> String {
    const ED25519: u8 = 1;
    let hash = sha256(&[name.as_bytes(), b"\n", &[ED25519], &key.0]);
    let (id, _) = hash.split_at(4);
    let typed = [&[ED25519], key.0.as_slice()].concat();
    let text = data_encoding::BASE64.encode(&typed);
    format!("{name}+{}+{text}\n", hex(id))
}

/// SPKI pin (RFC 7469): `sha256/BASE64` of a SubjectPublicKeyInfo.
#[must_use]
pub fn pin(subject_public_key_info: &[u8]) -> String {
    let hash = sha256(&[subject_public_key_info]);
    format!("sha256/{}", data_encoding::BASE64.encode(&hash))
}

/// Writes a file, mode 0600, unless it says just that already.
///
/// # Errors
/// [`Failure`].
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    private_file::replace(path, text.as_bytes()).map_err(|error| Failure::io(path, &error))
}

fn other(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Other, error.to_string())
}
