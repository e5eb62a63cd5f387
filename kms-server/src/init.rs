//! `kms-server init`: the first files of a production installation, all of them or none. Makes a directory that was not
//! there, keeps no passphrase beside the data, and hands out exactly two secrets: the passphrase and the first
//! operator's enrolment token.

mod pki;
mod text;

use crate::config::{Config, Data};
use crate::identity::authority::Authority;
use crate::installation::{make_data, verifier_key, write};
use crate::seal::Keyring;
use crate::seal::passphrase::Passphrase;
use crate::system::clock::Clock;
use crate::system::failure::{Failure, FailureKind};
use crate::system::{directory, private_file};
use kms_core::cipher::HashKey;
use kms_core::cipher::self_test;
use kms_core::engine::operator::NewOperator;
use kms_core::engine::operator::administration::invited;
use kms_core::engine::service::first_desk;
use kms_core::entropy::Entropy;
use kms_core::key::record::{Expect, Record, RecordKey, Write};
use kms_core::name::{OperatorName, Purpose, ServiceName, TrustDomain};
use kms_core::policy::{Role, Roles};
use kms_core::secret::AuthoritySeed;
use rustls_pki_types::ServerName;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The desk that the first operator logs in from; its files are `operator.toml` and `operator.pem`.
const DESK: &str = "first";

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory of everything; must not be there.
    pub directory: PathBuf,
    /// Where the daemon is to listen.
    pub listen: SocketAddr,
    /// DNS names and addresses by which clients reach it; at least one. The first stands in profiles.
    pub names: Vec<String>,
    /// Trust domain of the certificates that it makes; by default the first name.
    pub trust_domain: Option<String>,
    /// The first operator's name.
    pub operator: String,
    /// Where the passphrase is written instead of being shown; must not be there.
    pub passphrase_file: Option<PathBuf>,
}

/// A new installation, and what must be told once.
pub struct Made {
    /// What was made and what comes next, several lines; holds the passphrase unless it went to a file, and the
    /// enrolment token.
    pub announcement: Zeroizing<String>,
}

/// Makes the installation: aside, then renamed as a whole.
///
/// # Errors
/// [`Failure`] with one line; nothing is then there that was not there before.
pub fn make(
    options: &Options,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
) -> Result<Made, Failure> {
    let plan = Plan::new(options)?;
    // No key is made by a machine that computes wrongly.
    self_test::run()?;
    let aside = plan.aside();
    directory::create_private(&aside)?;
    let done = plan
        .make_in(&aside, clock, entropy)
        .and_then(|secrets| plan.finish(&aside, secrets));
    if done.is_err() {
        // what cannot be removed is named by the next try
        let _ = fs::remove_dir_all(&aside);
    }
    done
}

struct Plan<'a> {
    options: &'a Options,
    place: PathBuf,
    domain: TrustDomain,
    operator: OperatorName,
    desk: ServiceName,
}

struct Secrets {
    passphrase: Passphrase,
    token: Zeroizing<String>,
}

fn refused(message: impl Into<String>) -> Failure {
    Failure::new(FailureKind::Configuration, message)
}

fn other(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(FailureKind::Other, error.to_string())
}

/// What a client can ask for and a certificate can say.
fn is_server_name(name: &str) -> bool {
    ServerName::try_from(name).is_ok()
}

impl<'a> Plan<'a> {
    fn new(options: &'a Options) -> Result<Self, Failure> {
        let directory = &options.directory;
        let place = std::path::absolute(directory).map_err(|it| Failure::io(directory, &it))?;
        if fs::symlink_metadata(&place).is_ok() {
            let message = "is there already: init makes a new installation and never touches one";
            return Err(refused(format!("{} {message}", place.display())));
        }
        if let Some(file) = &options.passphrase_file
            && fs::symlink_metadata(file).is_ok()
        {
            let message = "is there already: give a new file for the passphrase";
            return Err(refused(format!("{} {message}", file.display())));
        }
        let first = options.names.first();
        let first = first.ok_or_else(|| refused("--name is missing: how do clients reach it?"))?;
        if let Some(name) = options.names.iter().find(|name| !is_server_name(name)) {
            return Err(refused(format!(
                "--name {name:?} is no DNS name and no address"
            )));
        }
        let domain = options.trust_domain.as_ref().unwrap_or(first);
        let invalid =
            |what: &str, error: &dyn std::fmt::Display| refused(format!("{what} must be {error}"));
        Ok(Self {
            domain: TrustDomain::parse(domain).map_err(|it| invalid("--trust-domain", &it))?,
            operator: OperatorName::parse(&options.operator)
                .map_err(|it| invalid("--operator", &it))?,
            desk: ServiceName::parse(DESK).map_err(|it| other(&it))?,
            options,
            place,
        })
    }

    fn aside(&self) -> PathBuf {
        let mut name = self.place.clone().into_os_string();
        name.push(".making");
        name.into()
    }

    fn make_in(
        &self,
        aside: &Path,
        clock: &Arc<dyn Clock>,
        entropy: &dyn Entropy,
    ) -> Result<Secrets, Failure> {
        let now = clock.now();
        let passphrase = Passphrase::generate(entropy).map_err(|it| other(&it))?;
        let seed = AuthoritySeed::make_random(entropy).map_err(|it| other(&it))?;
        let (authority, record) =
            Authority::make(seed, now, entropy).map_err(|error| other(&error))?;
        let names = &self.options.names;
        let pins = pki::make(&aside.join("pki"), &authority, names, now, entropy)?;
        let principal = self.domain.principal(Purpose::Desk, &self.desk);
        let desk = pki::client(&authority, &principal, now, entropy)?;
        let new = NewOperator {
            name: self.operator.clone(),
            roles: Roles::of(&[Role::SecurityAdmin, Role::KeyAdmin]),
        };
        let mut token = None;
        let first = |index: &HashKey| {
            let (operator, printed) =
                invited(index, now, entropy, &new).map_err(|error| other(&error))?;
            token = Some(printed);
            let authority = Write {
                key: RecordKey::authority(),
                expect: Expect::Absent,
                record: Some(Record::Authority(record)),
            };
            let desk = first_desk(index, self.desk.clone(), desk.certified);
            Ok(vec![operator, authority, desk])
        };
        make_data(aside, &passphrase, clock, entropy, first)?;
        let data = Data {
            directory: aside.join("data"),
        };
        let keyring = Keyring::open(&data.keyring())?;
        let publics = keyring.publics();
        let listen = self.options.listen;
        let configuration =
            text::configuration(listen, &self.domain, publics.instance.fingerprint());
        write(&aside.join("kms.toml"), &configuration)?;
        write(&aside.join("operator.pem"), &desk.pem)?;
        let profile = text::profile(names, listen, &pins, &self.operator);
        write(&aside.join("operator.toml"), &profile)?;
        let config = Config::load(&aside.join("kms.toml"))?;
        let key = verifier_key(&config.audit.name, &publics.instance);
        write(&aside.join("audit.pub"), &key)?;
        Ok(Secrets {
            passphrase,
            token: token.unwrap_or_default(),
        })
    }

    fn finish(&self, aside: &Path, secrets: Secrets) -> Result<Made, Failure> {
        let shown = match &self.options.passphrase_file {
            None => Some(secrets.passphrase.expose_text()),
            Some(file) => {
                let mut text = secrets.passphrase.expose_text();
                text.push(b'\n');
                private_file::replace(file, &text).map_err(|error| Failure::io(file, &error))?;
                None
            }
        };
        let moved = fs::rename(aside, &self.place).and_then(|()| {
            let parent = self.place.parent();
            parent.map_or(Ok(()), directory::sync)
        });
        if let Err(error) = moved {
            if let Some(file) = &self.options.passphrase_file {
                // it opens nothing
                let _ = fs::remove_file(file);
            }
            return Err(Failure::io(&self.place, &error));
        }
        let announcement = text::announcement(
            &self.place,
            &self.operator,
            &secrets.token,
            shown.as_ref().map(|text| text.as_slice()),
        );
        Ok(Made { announcement })
    }
}

#[cfg(test)]
mod tests;
