//! The keyring at the daemon's start: opened, compared with the configuration, unsealed when a file says
//! the passphrase.

use super::passphrase::Passphrase;
use super::{Keyring, Unsealed};
use crate::config::Config;
use crate::system::failure::{Failure, FailureKind};
use crate::system::private_file;

/// The keyring of the data directory, and what unsealing gave when `seal.passphrase_file` is configured;
/// without it the daemon starts sealed. Blocking: an Argon2id.
///
/// # Errors
/// [`Failure`] that names the file to look at.
pub fn start(config: &Config) -> Result<(Keyring, Option<Unsealed>), Failure> {
    let path = config.data.keyring();
    if !path.exists() {
        let message = format!(
            "{} is missing: this directory was never set up, or its keyring is lost",
            path.display()
        );
        return Err(Failure::new(FailureKind::Corrupted, message));
    }
    let keyring = Keyring::open(&path)?;
    if let Err(found) = keyring.check_instance(config.seal.instance_fingerprint) {
        let message = format!(
            "{} is of another installation: its instance key is {found}, not the configured \
             seal.instance_fingerprint",
            path.display()
        );
        return Err(Failure::new(FailureKind::Corrupted, message));
    }
    let Some(file) = &config.seal.passphrase_file else {
        return Ok((keyring, None));
    };
    let passphrase = Passphrase::new(private_file::read_secret(file)?);
    let unsealed = keyring.unseal(&passphrase).map_err(|error| {
        let failure = Failure::from(error);
        let file = file.display();
        Failure::new(
            failure.kind,
            format!("{failure} ({file}, {})", path.display()),
        )
    })?;
    Ok((keyring, Some(unsealed)))
}
