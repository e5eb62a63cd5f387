//! What a client presents and whom it trusts, as the TLS library wants it.

use crate::certificate::{Authority, Leaf};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Trust and identity of one client.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// TLS 1.3 only, ALPN h2.
    pub config: Arc<ClientConfig>,
    /// The name that the server's certificate must carry.
    pub server_name: ServerName<'static>,
}

/// A profile file, as far as the kit needs it.
#[derive(Debug, Deserialize)]
struct Profile {
    server_name: Option<String>,
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Credentials {
    /// Those of a profile that `kms-server dev` wrote.
    #[must_use]
    pub fn from_profile(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("the profile");
        let profile: Profile = toml::from_str(&text).expect("a profile in TOML");
        let folder = path.parent().expect("the profile lies in a folder");
        let chain = certificates(&folder.join(profile.certificate));
        let key = PrivateKeyDer::from_pem_file(folder.join(profile.key)).expect("the client's key");
        let name = profile.server_name.unwrap_or_else(|| "localhost".into());
        let roots = certificates(&folder.join(profile.ca));
        Self::new(roots, Some((chain, key)), name)
    }

    /// Trusts the same server as the profile, and presents nothing.
    #[must_use]
    pub fn nobody(path: &Path) -> Self {
        Self::instead(path, None)
    }

    /// Trusts the same server as the profile, and presents `leaf`.
    #[must_use]
    pub fn presenting(path: &Path, leaf: &Leaf) -> Self {
        Self::instead(path, Some((leaf.chain(), leaf.private_key())))
    }

    /// Trusts `authority` and presents `leaf`.
    #[must_use]
    pub fn issued(authority: &Authority, leaf: &Leaf, server_name: &str) -> Self {
        let root = CertificateDer::from_pem_slice(authority.certificate.as_bytes());
        let identity = Some((leaf.chain(), leaf.private_key()));
        let roots = vec![root.expect("a certificate")];
        Self::new(roots, identity, server_name.to_owned())
    }

    fn instead(path: &Path, identity: Option<Identity>) -> Self {
        let text = std::fs::read_to_string(path).expect("the profile");
        let profile: Profile = toml::from_str(&text).expect("a profile in TOML");
        let folder = path.parent().expect("the profile lies in a folder");
        let name = profile.server_name.unwrap_or_else(|| "localhost".into());
        Self::new(certificates(&folder.join(profile.ca)), identity, name)
    }

    fn new(
        roots: Vec<CertificateDer<'static>>,
        identity: Option<Identity>,
        server_name: String,
    ) -> Self {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(store);
        let mut config = match identity {
            Some((chain, key)) => builder
                .with_client_auth_cert(chain, key)
                .expect("key and certificate fit"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self {
            config: Arc::new(config),
            server_name: ServerName::try_from(server_name).expect("a server name"),
        }
    }
}

type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// All certificates of a PEM file.
#[must_use]
pub fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
