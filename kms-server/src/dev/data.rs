//! The data directory of a development installation: keyring and store, made aside and renamed whole.

use super::people;
use crate::config::Data;
use crate::live::creation::{create_store, make_system_keys};
use crate::seal::passphrase::Passphrase;
use crate::seal::{Keyring, NewSeal, Publics};
use crate::store::CreateError;
use crate::store::sled::SledStore;
use crate::system::clock::Clock;
use crate::system::directory;
use crate::system::failure::{Failure, FailureKind};
use kms_core::cipher::HashKey;
use kms_core::cipher::seal_key::public_of;
use kms_core::cipher::signature::InstanceKey;
use kms_core::entropy::Entropy;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Makes `place/data`: one seal under `passphrase`, an empty store.
///
/// # Errors
/// [`Failure`]; `place/data` is then not there.
pub(super) fn make(
    place: &Path,
    passphrase: &Passphrase,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> Result<(), Failure> {
    let other = |error: &dyn std::fmt::Display| Failure::new(FailureKind::Other, error.to_string());
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
    let operators = people::make(place, &index, clock.now(), entropy)?;
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
    create_store(
        Arc::new(store),
        &unsealed.master_keys,
        keyring.public_halves(),
        system,
        operators,
        clock.now(),
        entropy,
    )
    .map_err(|error| match error {
        CreateError::Store(error) => error.failure(&aside),
        error => other(&error),
    })?;
    directory::sync(&aside).map_err(io)?;
    fs::rename(&aside, place.join("data")).map_err(io)?;
    directory::sync(place).map_err(io)
}
