//! TLS 1.3 and nothing older, with client certificates checked against an authority and its
//! revocation lists. No tickets, no early data: every connection proves itself.

use crate::system::clock::Clock;
use crate::system::tls_time::{clock_time, unix_time};
use kms_core::cipher::sha256;
use kms_core::time::Timestamp;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};
use zeroize::Zeroizing;

/// Protocols offered, best first: gRPC needs HTTP/2; HTTP/1.1 serves gRPC-Web.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Where the PEM files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// The server's certificate, leaf first, then intermediates.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities whose clients are trusted.
    pub client_ca: PathBuf,
    /// Revocation lists. When there are any, each authority of a client's chain needs one: a
    /// certificate whose standing is unknown is refused.
    pub crl: Option<PathBuf>,
}

/// Whether a listener demands a client certificate in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// No certificate, no connection.
    Required,
    /// Callers without one have no principal: health answers them, nothing else does.
    Optional,
}

/// A file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{what} {}: {why}", path.display())]
pub struct BadFile {
    /// Which of them, in words.
    pub what: &'static str,
    /// Where it lies.
    pub path: PathBuf,
    /// What is wrong.
    pub why: String,
}

/// The bytes of all files, read in one go.
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Vec<u8>,
    crl: Vec<u8>,
}

impl Contents {
    pub(super) fn read(files: &Files) -> Result<Self, BadFile> {
        let read = |what: &'static str, path: &PathBuf| {
            std::fs::read(path).map_err(|error| bad(what, path, error))
        };
        Ok(Self {
            certificate: read("server certificate", &files.certificate)?,
            key: Zeroizing::new(read("server key", &files.key)?),
            client_ca: read("client authority", &files.client_ca)?,
            crl: match &files.crl {
                Some(path) => read("revocation list", path)?,
                None => Vec::new(),
            },
        })
    }

    /// Authorities of client certificates, PEM.
    pub(super) fn client_ca(&self) -> Result<&str, std::str::Utf8Error> {
        str::from_utf8(&self.client_ca)
    }

    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let parts: [&[u8]; 4] = [&self.certificate, &self.key, &self.client_ca, &self.crl];
        let hashes = parts.map(|part| sha256(&[part]));
        sha256(&[hashes.as_flattened()])
    }
}

/// One generation of certificate, authorities and revocation lists.
pub(super) struct Trust {
    pub(super) generation: u64,
    pub(super) server: Arc<ServerConfig>,
    /// Of the authorities in force.
    clients: Arc<dyn ClientCertVerifier>,
    /// Of the configured ones, where others are in force; and until when the last of those is valid.
    instead: Option<(Arc<dyn ClientCertVerifier>, Timestamp)>,
}

impl Trust {
    pub(super) fn new(
        generation: u64,
        files: &Files,
        contents: &Contents,
        (demand, approved): (ClientCertificate, Option<&str>),
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, BadFile> {
        let verifier = |authorities: &[u8]| {
            client_verifier((files, contents), authorities, demand, clock.now())
        };
        let configured = verifier(&contents.client_ca)?;
        let Some(approved) = approved else {
            let server = server_config(files, contents, Arc::clone(&configured), clock)?;
            return Ok(Self {
                generation,
                server: Arc::new(server),
                clients: configured,
                instead: None,
            });
        };
        // a handshake lets in whom either knows; each call asks who of them counts
        let both = [approved.as_bytes(), b"\n", &contents.client_ca].concat();
        let server = server_config(files, contents, verifier(&both)?, clock)?;
        let until = last_valid(approved.as_bytes());
        Ok(Self {
            generation,
            server: Arc::new(server),
            clients: verifier(approved.as_bytes())?,
            instead: Some((configured, until)),
        })
    }

    /// Whether a handshake under it says who somebody is.
    pub(super) const fn is_plain(&self) -> bool {
        self.instead.is_none()
    }

    /// As [`Self::verify`] by the configured authorities.
    pub(super) fn verify_configured(
        &self,
        chain: &[CertificateDer<'static>],
        now: Timestamp,
    ) -> Result<(), rustls::Error> {
        let clients = self
            .instead
            .as_ref()
            .map_or(&self.clients, |(clients, _)| clients);
        verify(clients, chain, now)
    }

    /// As [`Self::verify_configured`], once every authority in force has expired: the way out.
    pub(super) fn verify_instead(
        &self,
        chain: &[CertificateDer<'static>],
        now: Timestamp,
    ) -> Result<(), rustls::Error> {
        match &self.instead {
            Some((clients, until)) if now > *until => verify(clients, chain, now),
            _ => Err(rustls::Error::NoCertificatesPresented),
        }
    }

    /// Chain, validity, usage and revocation once more, exactly as in the handshake.
    pub(super) fn verify(
        &self,
        chain: &[CertificateDer<'static>],
        now: Timestamp,
    ) -> Result<(), rustls::Error> {
        verify(&self.clients, chain, now)
    }
}

fn verify(
    clients: &Arc<dyn ClientCertVerifier>,
    chain: &[CertificateDer<'static>],
    now: Timestamp,
) -> Result<(), rustls::Error> {
    let (leaf, intermediates) = chain
        .split_first()
        .ok_or(rustls::Error::NoCertificatesPresented)?;
    clients
        .verify_client_cert(leaf, intermediates, unix_time(now))
        .map(|_| ())
}

/// Until when the last of these authorities is valid.
fn last_valid(authorities: &[u8]) -> Timestamp {
    let ends = CertificateDer::pem_slice_iter(authorities).filter_map(|certificate| {
        let certificate = certificate.ok()?;
        let (_, parsed) = X509Certificate::from_der(&certificate).ok()?;
        let end = parsed.validity().not_after.timestamp();
        Some(Timestamp::from_micros(end.saturating_mul(1_000_000)))
    });
    ends.max().unwrap_or_default()
}

pub(super) fn bad(what: &'static str, path: &Path, why: impl ToString) -> BadFile {
    BadFile {
        what,
        path: path.to_path_buf(),
        why: why.to_string(),
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn client_verifier(
    (files, contents): (&Files, &Contents),
    authorities: &[u8],
    demand: ClientCertificate,
    now: Timestamp,
) -> Result<Arc<dyn ClientCertVerifier>, BadFile> {
    const WHAT: &str = "client authority";
    let bad_ca = |why: String| bad(WHAT, &files.client_ca, why);
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authorities) {
        let certificate = certificate.map_err(|error| bad_ca(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| bad_ca(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad_ca("holds no certificate".to_owned()));
    }
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    if let Some(path) = &files.crl {
        builder = builder.with_crls(revocation_lists(path, contents, now)?);
    }
    if demand == ClientCertificate::Optional {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| match &files.crl {
        Some(path) => bad("revocation list", path, error),
        None => bad(WHAT, &files.client_ca, error),
    })
}

fn revocation_lists(
    path: &Path,
    contents: &Contents,
    now: Timestamp,
) -> Result<Vec<CertificateRevocationListDer<'static>>, BadFile> {
    const WHAT: &str = "revocation list";
    let lists = CertificateRevocationListDer::pem_slice_iter(&contents.crl)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(WHAT, path, error))?;
    if lists.is_empty() {
        return Err(bad(WHAT, path, "holds no revocation list"));
    }
    for list in &lists {
        let (_, parsed) =
            CertificateRevocationList::from_der(list).map_err(|error| bad(WHAT, path, error))?;
        let due = parsed.next_update().map(|time| time.timestamp());
        if due.is_some_and(|due| due < unix_seconds(now)) {
            // still obeyed: refusing everybody would make a late list worse than none
            tracing::warn!(path = %path.display(), "a revocation list is past its next update");
        }
    }
    Ok(lists)
}

fn server_config(
    files: &Files,
    contents: &Contents,
    clients: Arc<dyn ClientCertVerifier>,
    clock: &Arc<dyn Clock>,
) -> Result<ServerConfig, BadFile> {
    const WHAT: &str = "server certificate";
    let chain = CertificateDer::pem_slice_iter(&contents.certificate)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(WHAT, &files.certificate, error))?;
    if chain.is_empty() {
        return Err(bad(WHAT, &files.certificate, "holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&contents.key)
        .map_err(|error| bad("server key", &files.key, error))?;
    let mut config = ServerConfig::builder_with_details(provider(), clock_time(clock))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| bad(WHAT, &files.certificate, error))?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(|error| bad(WHAT, &files.certificate, error))?;
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn unix_seconds(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(1_000_000)
}
