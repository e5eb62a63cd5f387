//! Certificates of a new installation, from its own authority: the server's, and the first desk's. The authority's key
//! lies in the encrypted store and nowhere else.

use crate::identity::authority::{Authority, Usage};
use crate::installation::pin;
use crate::system::failure::{Failure, FailureKind};
use crate::system::{directory, private_file};
use kms_core::cipher::authority::SubjectKey;
use kms_core::entropy::Entropy;
use kms_core::key::record::Certified;
use kms_core::name::PrincipalName;
use kms_core::time::Timestamp;
use rcgen::{KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;
use std::path::Path;
use std::time::Duration;
use zeroize::Zeroizing;

const DAY: Duration = Duration::from_hours(24);
/// As long as the authority's own, all but a little: clients pin its key, and nothing renews it by itself.
const SERVER_LIFE: Duration = Duration::from_secs(10 * 365 * DAY.as_secs());
/// Of the first desk's; later ones as the configuration says.
const DESK_LIFE: Duration = Duration::from_secs(365 * DAY.as_secs());

/// A client's key and certificate in one file, so that they are replaced together.
pub(super) struct Client {
    /// Key, certificate, authority.
    pub pem: Zeroizing<String>,
    /// For its record.
    pub certified: Certified,
}

/// Makes `place` with the authority's certificate, the server's and its key, and the key that is kept for the day that
/// the first must go; their pins.
///
/// # Errors
/// [`Failure`].
pub(super) fn make(
    place: &Path,
    authority: &Authority,
    names: &[String],
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<[String; 2], Failure> {
    directory::create_private(place)?;
    let (server, backup) = (new_key()?, new_key()?);
    let usage = Usage::Server(names);
    let issued = authority
        .issue(&usage, &subject(&server)?, SERVER_LIFE, now, entropy)
        .map_err(|error| failed(&error))?;
    let ca = certificate(authority.certificate());
    let chain = format!("{}{ca}", certificate(&issued.der));
    let secret = |pair: &KeyPair| Zeroizing::new(pair.serialize_pem());
    for (name, text) in [
        ("ca.pem", Zeroizing::new(ca)),
        ("server.pem", Zeroizing::new(chain)),
        ("server.key", secret(&server)),
        ("server-backup.key", secret(&backup)),
    ] {
        let path = place.join(name);
        private_file::replace(&path, text.as_bytes())
            .map_err(|error| Failure::io(&path, &error))?;
    }
    directory::sync(place).map_err(|error| Failure::io(place, &error))?;
    Ok([&server, &backup].map(|pair| pin(&pair.subject_public_key_info())))
}

/// A client's certificate under a new key.
///
/// # Errors
/// [`Failure`].
pub(super) fn client(
    authority: &Authority,
    principal: &PrincipalName,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Client, Failure> {
    let pair = new_key()?;
    let usage = Usage::Client(principal);
    let issued = authority
        .issue(&usage, &subject(&pair)?, DESK_LIFE, now, entropy)
        .map_err(|error| failed(&error))?;
    let key = Zeroizing::new(pair.serialize_pem());
    let own = certificate(&issued.der);
    let ca = certificate(authority.certificate());
    Ok(Client {
        pem: Zeroizing::new(format!("{}{own}{ca}", *key)),
        certified: issued.certified,
    })
}

fn new_key() -> Result<KeyPair, Failure> {
    KeyPair::generate().map_err(|error| failed(&error))
}

fn subject(pair: &KeyPair) -> Result<SubjectKey, Failure> {
    SubjectKey::p256(pair.der_bytes()).ok_or_else(|| failed(&"not a key of P-256"))
}

/// PEM (RFC 7468): lines of 64 characters.
fn certificate(der: &CertificateDer<'_>) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    let body = lines.join("\n");
    format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    let message = format!("the certificates cannot be made: {error}");
    Failure::new(FailureKind::Other, message)
}
