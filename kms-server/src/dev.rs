//! `kms-server dev`: a whole working service from one command, for trying it out and for tests. Makes
//! what is missing, never replaces what is there, and never listens beyond this machine: the passphrase
//! that unseals everything lies beside the data.
//!
//! Each part is made under another name and renamed when it is whole, `kms.toml` last: a first start
//! that was cut off anywhere is completed by the next one.

mod people;
mod pki;
mod samples;
mod text;

use crate::config::{Config, Data};
use crate::installation::{make_data, verifier_key, write};
use crate::seal::Keyring;
use crate::seal::passphrase::Passphrase;
use crate::system::clock::Clock;
use crate::system::failure::{Failure, FailureKind};
use crate::system::lock::DirectoryLock;
use crate::system::{directory, listen, private_file};
use kms_core::cipher::self_test;
use kms_core::engine::NewDataset;
use kms_core::entropy::Entropy;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where it listens when nothing says otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7400);

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of everything.
    pub directory: PathBuf,
    /// Where to listen; without it, what `kms.toml` says, or 127.0.0.1:7400 at the first start.
    pub listen: Option<SocketAddr>,
    /// Whether the audit log has its tree; without it only the bench runs, to show what the tree costs.
    pub tree: bool,
}

/// A development installation, whole and ready to be served.
#[derive(Debug)]
pub struct Prepared {
    /// Its configuration, as in `kms.toml`, with the address that is really listened on.
    pub config: Config,
    /// Bound to that address.
    pub listener: TcpListener,
    /// What to tell whoever started it: a warning and next steps, several lines.
    pub announcement: String,
    /// The sample datasets, to be made where they do not exist.
    pub datasets: Vec<NewDataset>,
    /// Keeps other `dev` processes out as long as it lives.
    pub lock: DirectoryLock,
}

/// Makes or completes the installation in `options.directory` and binds its address.
///
/// # Errors
/// [`Failure`] with one line; what was made until then is completed by the next start.
pub fn prepare(
    options: &Options,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> Result<Prepared, Failure> {
    let place = absolute(&options.directory)?;
    if let Some(listen) = options.listen {
        loopback_only(listen)?;
    }
    if let Some(parent) = place.parent() {
        fs::create_dir_all(parent).map_err(|error| Failure::io(parent, &error))?;
    }
    directory::create_private(&place)?;
    let lock = DirectoryLock::take(&place)?;
    let file = place.join("kms.toml");
    let written = file.exists();
    let listen = match options.listen {
        Some(listen) => listen,
        None if written => Config::load(&file)?.server.listen,
        None => LISTEN,
    };
    loopback_only(listen)?;
    let (listener, listen) = listen::bind(listen)?;
    if !written {
        make(&place, listen, clock, entropy)?;
    }
    let mut config = Config::load(&file)?;
    config.server.listen = listen;
    config.audit.tree = options.tree;
    let keyring = Keyring::open(&config.data.keyring())?;
    write_public_files(&place, &config, &keyring, listen)?;
    let announcement = text::announcement(&place, &config, &keyring, !written);
    Ok(Prepared {
        config,
        listener,
        announcement,
        datasets: samples::datasets()
            .map_err(|problem| Failure::new(FailureKind::Other, problem))?,
        lock,
    })
}

fn make(
    place: &Path,
    listen: SocketAddr,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> Result<(), Failure> {
    // No key is made by a machine that computes wrongly.
    self_test::run()?;
    let passphrase = passphrase(place, entropy)?;
    if !place.join("pki").exists() {
        pki::make(place, clock.now())?;
    }
    let data = Data {
        directory: place.join("data"),
    };
    if !data.directory.exists() {
        let people = |index: &_| people::make(place, index, clock.now(), entropy);
        make_data(place, &passphrase, clock, entropy, people)?;
    }
    let keyring = Keyring::open(&data.keyring())?;
    let fingerprint = keyring.publics().instance.fingerprint();
    write(
        &place.join("kms.toml"),
        &text::configuration(listen, fingerprint),
    )
}

/// The passphrase in the file, or a new one when there is nothing yet that an old one would open.
fn passphrase(place: &Path, entropy: &dyn Entropy) -> Result<Passphrase, Failure> {
    let path = place.join("seal.passphrase");
    if path.exists() {
        return Ok(Passphrase::new(private_file::read_secret(&path)?));
    }
    if place.join("data").exists() {
        let message = format!(
            "{} is missing, and nothing else unseals {}: put it back, or start in another directory",
            path.display(),
            place.join("data").display()
        );
        return Err(Failure::new(FailureKind::WrongPassphrase, message));
    }
    let new = Passphrase::generate(entropy)
        .map_err(|error| Failure::new(FailureKind::Other, error.to_string()))?;
    let mut text = new.expose_text();
    text.push(b'\n');
    private_file::replace(&path, &text).map_err(|error| Failure::io(&path, &error))?;
    Ok(new)
}

/// Profiles carry the address of this start; the rest says the same every time.
fn write_public_files(
    place: &Path,
    config: &Config,
    keyring: &Keyring,
    listen: SocketAddr,
) -> Result<(), Failure> {
    let pins = pki::pins(place)?;
    write(
        &place.join("service.toml"),
        &text::profile("service", None, listen, &pins),
    )?;
    for (who, name, _) in people::PEOPLE {
        let path = place.join(format!("{who}.toml"));
        write(&path, &text::profile(who, Some(name), listen, &pins))?;
    }
    let key = verifier_key(&config.audit.name, &keyring.publics().instance);
    write(&place.join("audit.pub"), &key)
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::io(path, &error))
}

fn loopback_only(listen: SocketAddr) -> Result<(), Failure> {
    if listen.ip().is_loopback() {
        return Ok(());
    }
    let message = format!(
        "dev does not listen on {listen}: its passphrase lies beside its data; use a loopback address, \
         or `kms-server run` with a configuration of your own"
    );
    Err(Failure::new(FailureKind::Configuration, message))
}

#[cfg(test)]
mod tests;
