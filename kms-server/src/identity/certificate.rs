//! From a client certificate to a principal's name: the one URI SAN in SPIFFE form, else the one
//! DNS SAN; never the common name. Says nothing about trust: the chain is checked elsewhere.

use kms_core::cipher::sha256;
use kms_core::name::PrincipalName;
use kms_core::time::Timestamp;
use rustls_pki_types::CertificateDer;
use std::time::Duration;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A certificate chain as the client presented it, with what was read from the leaf.
#[derive(Debug)]
pub struct Presented {
    chain: Vec<CertificateDer<'static>>,
    sha256: [u8; 32],
    name: Result<PrincipalName, Unnamed>,
    not_before: Timestamp,
    not_after: Timestamp,
}

/// Why a certificate names no principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unnamed {
    /// Not an X.509 certificate, or a name in it that cannot be read.
    #[error("the certificate cannot be read")]
    Unreadable,
    /// The extended key usage must be there and say clientAuth.
    #[error("the certificate's extended key usage does not say clientAuth")]
    NotForClients,
    /// A key usage that does not say digitalSignature: the key is not for handshakes (RFC 8446, 4.4.2.4).
    #[error("the certificate's key usage does not say digitalSignature")]
    NotForSigning,
    /// An authority is no caller.
    #[error("the certificate is an authority's")]
    Authority,
    /// SPIFFE allows exactly one.
    #[error("the certificate has more than one URI name")]
    ManyUris,
    /// Not `spiffe://trust-domain/path` in its strict form.
    #[error("the certificate's URI name is not in SPIFFE form")]
    NotSpiffe,
    /// No URI name, and not exactly one DNS name. A common name is no name.
    #[error("the certificate has no URI name and not exactly one DNS name")]
    NotOneDnsName,
    /// A wildcard, an empty label or a character that does not belong there.
    #[error("the certificate's DNS name names no single host")]
    NotAHost,
}

impl Presented {
    /// Reads the leaf, which comes first. `None` for an empty chain.
    #[must_use]
    pub fn read(chain: Vec<CertificateDer<'static>>) -> Option<Self> {
        let leaf = chain.first()?;
        let sha256 = sha256(&[leaf]);
        let (name, not_before, not_after) = match X509Certificate::from_der(leaf) {
            Ok(([], certificate)) => {
                let validity = certificate.validity();
                (
                    principal_name(&certificate),
                    seconds(validity.not_before.timestamp()),
                    seconds(validity.not_after.timestamp()),
                )
            }
            _ => (
                Err(Unnamed::Unreadable),
                Timestamp::default(),
                Timestamp::default(),
            ),
        };
        Some(Self {
            chain,
            sha256,
            name,
            not_before,
            not_after,
        })
    }

    /// Leaf first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// SHA-256 of the leaf's DER.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// The principal's name.
    ///
    /// # Errors
    /// [`Unnamed`] says what is wrong with the certificate.
    pub const fn name(&self) -> Result<&PrincipalName, Unnamed> {
        match &self.name {
            Ok(name) => Ok(name),
            Err(unnamed) => Err(*unnamed),
        }
    }

    /// Within the leaf's validity, both ends included (RFC 5280, 4.1.2.5).
    #[must_use]
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        // the end is a whole second
        let end = self.not_after.saturating_add(Duration::from_secs(1));
        self.not_before <= now && now < end
    }
}

fn seconds(since_epoch: i64) -> Timestamp {
    Timestamp::from_micros(since_epoch.saturating_mul(1_000_000))
}

fn principal_name(certificate: &X509Certificate<'_>) -> Result<PrincipalName, Unnamed> {
    if certificate.is_ca() {
        return Err(Unnamed::Authority);
    }
    match certificate.extended_key_usage() {
        Ok(Some(usage)) if usage.value.client_auth => {}
        Ok(_) => return Err(Unnamed::NotForClients),
        Err(_) => return Err(Unnamed::Unreadable),
    }
    match certificate.key_usage() {
        Ok(Some(usage)) if !usage.value.digital_signature() => return Err(Unnamed::NotForSigning),
        Ok(_) => {}
        Err(_) => return Err(Unnamed::Unreadable),
    }
    let names = match certificate.subject_alternative_name() {
        Ok(Some(extension)) => &extension.value.general_names,
        Ok(None) => return Err(Unnamed::NotOneDnsName),
        Err(_) => return Err(Unnamed::Unreadable),
    };
    let mut uris = Vec::new();
    let mut hosts = Vec::new();
    for name in names {
        match name {
            GeneralName::URI(uri) => uris.push(*uri),
            GeneralName::DNSName(host) => hosts.push(*host),
            GeneralName::Invalid(..) => return Err(Unnamed::Unreadable),
            _ => {}
        }
    }
    match (uris.as_slice(), hosts.as_slice()) {
        ([uri], _) => PrincipalName::from_spiffe_id(uri).ok_or(Unnamed::NotSpiffe),
        ([], [host]) => PrincipalName::from_host(host).ok_or(Unnamed::NotAHost),
        ([], _) => Err(Unnamed::NotOneDnsName),
        _ => Err(Unnamed::ManyUris),
    }
}
