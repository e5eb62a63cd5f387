//! A program's own identity from the service's built-in authority: one file with key and certificate, got for a one-time
//! token, renewed in time.
//!
//! The key is made here and never leaves the file. Nothing that is asked for names us: the token, or the certificate
//! before, says who we are.

mod invitation;
mod keeping;
mod key;
mod store;
mod validity;

pub use invitation::{InvalidInvitation, Invitation};
pub use validity::Validity;

use crate::client::Client;
use crate::error::{Error, ErrorKind};
use crate::profile::Profile;
use key::NewKey;
use kms_proto::v1;
use kms_proto::v1::identity_service_client::IdentityServiceClient;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use store::Aside;
use tonic::metadata::{Ascii, MetadataValue};

pub(crate) use keeping::Keeper;

/// What an enrolment left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolled {
    /// Who we are: `spiffe://...`.
    pub principal: String,
    /// The profile to connect with.
    pub profile: PathBuf,
    /// When the certificate is valid.
    pub validity: Validity,
}

/// Takes an invitation up: makes a key in `directory` (made if it is not there), gets its first certificate, and writes
/// `NAME.pem` and the profile `NAME.toml`, mode 0600. What was there under these names is replaced.
///
/// # Errors
/// [`ErrorKind::Unauthenticated`]: the token was used, has ended, or never was one. [`ErrorKind::Io`]: the files cannot be
/// written. After an error that is neither, the token may be used up.
pub async fn enrol(invitation: &Invitation, directory: &Path) -> Result<Enrolled, Error> {
    // before the token is spent: nothing is worth more than to find out that the disk is full
    let mut aside = Aside::new(directory)?;
    let key = NewKey::make()?;
    aside.write(&key.pem)?;
    let request = v1::EnrolServiceRequest {
        certificate_request: key.request.clone().into(),
        validate_only: false,
    };
    let client = Client::connect(&nobody(invitation)).await?;
    let token: MetadataValue<Ascii> = invitation
        .token
        .parse()
        .map_err(|_| Error::new(ErrorKind::Unauthenticated, "the token is none"))?;
    let call = client.once(request, |channel, mut request| {
        let mut token = token.clone();
        token.set_sensitive(true);
        let metadata = request.metadata_mut();
        metadata.insert(kms_proto::ENROLMENT_METADATA, token);
        async move {
            IdentityServiceClient::new(channel)
                .enrol_service(request)
                .await
        }
    });
    let answer = call.await?;
    let service = answer.service.unwrap_or_default();
    let name = store::file_name(&service.name)?;
    let validity = aside.add_chain(&answer.certificate_chain)?;
    aside.become_file(&directory.join(format!("{name}.pem")))?;
    let profile = directory.join(format!("{name}.toml"));
    let mut text = Aside::new(directory)?;
    text.write(&invitation.profile(name))?;
    text.become_file(&profile)?;
    Ok(Enrolled {
        principal: service.principal,
        profile,
        validity,
    })
}

/// Gets the next certificate, under a new key, over the one that the profile's file holds, and puts both in the place of
/// that file. The certificate before stays good until it ends or this one is renewed.
///
/// # Errors
/// [`ErrorKind::Profile`]: certificate and key do not lie in one file. The service's.
pub async fn renew(client: &Client, profile: &Profile) -> Result<Validity, Error> {
    let path = own_file(profile)?;
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut aside = Aside::new(directory)?;
    let key = NewKey::make()?;
    aside.write(&key.pem)?;
    let request = v1::RenewServiceRequest {
        certificate_request: key.request.clone().into(),
        validate_only: false,
    };
    // once: a second try would end what the first one made
    let call = client.once(request, |channel, request| async move {
        IdentityServiceClient::new(channel)
            .renew_service(request)
            .await
    });
    let answer = call.await?;
    let validity = aside.add_chain(&answer.certificate_chain)?;
    aside.become_file(path)?;
    Ok(validity)
}

/// When the profile's certificate is valid.
///
/// # Errors
/// [`ErrorKind::Profile`]: there is none, or it cannot be read.
pub fn validity(profile: &Profile) -> Result<Validity, Error> {
    let none = || Error::new(ErrorKind::Profile, "the profile names no certificate");
    let path = profile.certificate.as_ref().ok_or_else(none)?;
    Validity::of_file(path)
}

/// Whether it is time to renew the profile's certificate: at two thirds of its life.
///
/// # Errors
/// As [`validity`].
pub fn is_due(profile: &Profile) -> Result<bool, Error> {
    Ok(validity(profile)?.is_due_at(SystemTime::now()))
}

fn own_file(profile: &Profile) -> Result<&Path, Error> {
    match (&profile.certificate, &profile.key) {
        (Some(certificate), Some(key)) if certificate == key => Ok(certificate),
        _ => {
            let message = "`certificate` and `key` must be one and the same file to be renewed";
            Err(Error::new(ErrorKind::Profile, message))
        }
    }
}

/// How to reach the service before one is anybody.
fn nobody(invitation: &Invitation) -> Profile {
    Profile {
        address: invitation.address.clone(),
        server_name: invitation.server_name.clone(),
        ca: None,
        pins: invitation.pins.clone(),
        certificate: None,
        key: None,
        renew: false,
        token_file: None,
        connections: 1,
        dev_mode: false,
        operator: None,
    }
}
