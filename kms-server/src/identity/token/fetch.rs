//! Fetches a key set over HTTPS: TLS 1.3, the server's certificate checked against the configured authority, one
//! request, no redirect followed, nothing read beyond the bound. Never fetches an address that a caller names.

use super::key_set::SET_MAX;
use crate::system::clock::Clock;
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For everything together, on the daemon's clock.
pub(super) const TIME_MAX: Duration = Duration::from_secs(10);

/// How one issuer's keys are fetched.
pub(super) struct Fetcher {
    host: String,
    port: u16,
    request: Uri,
    authority: String,
    tls: TlsConnector,
}

impl Fetcher {
    /// The error says what is wrong with the address or the authority's file.
    pub(super) fn new(url: &str, ca: &Path, time: Arc<dyn TimeProvider>) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| "it is no URL".to_owned())?;
        let host = uri.host().unwrap_or_default().to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = path.parse().map_err(|_| "its path is none".to_owned())?;
        let authority = uri.authority().map_or("", |it| it.as_str()).to_owned();
        Ok(Self {
            port: uri.port_u16().unwrap_or(443),
            request,
            authority,
            tls: TlsConnector::from(Arc::new(client_config(ca, time)?)),
            host,
        })
    }

    /// The document. The error says why there is none, in words for the daemon's own messages.
    pub(super) async fn fetch(&self, clock: &dyn Clock) -> Result<Vec<u8>, String> {
        let until = clock.monotonic().saturating_add(TIME_MAX);
        tokio::select! {
            fetched = self.fetch_slowly() => fetched,
            () = clock.wait_until(until) => Err(format!("no answer within {TIME_MAX:?}")),
        }
    }

    async fn fetch_slowly(&self) -> Result<Vec<u8>, String> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let stream = TcpStream::connect((host, self.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let stream = self.tls.connect(name, stream).await;
        let stream = TokioIo::new(stream.map_err(|error| error.to_string())?);
        let connection = http1::Builder::new()
            .max_buf_size(SET_MAX)
            .handshake(stream)
            .await;
        let (mut sender, connection) = connection.map_err(|error| error.to_string())?;
        let request = Request::get(self.request.clone())
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/jwk-set+json, application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let answer = async {
            let answer = sender.send_request(request).await;
            let answer = answer.map_err(|error| error.to_string())?;
            if answer.status() != StatusCode::OK {
                return Err(format!("the answer is {}, not 200", answer.status()));
            }
            let body = Limited::new(answer.into_body(), SET_MAX).collect().await;
            let body = body.map_err(|error| error.to_string())?;
            Ok(body.to_bytes().to_vec())
        };
        tokio::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            ended = connection => match ended {
                Ok(()) => answer.await,
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

fn client_config(ca: &Path, time: Arc<dyn TimeProvider>) -> Result<ClientConfig, String> {
    let unusable = |error: String| format!("{} cannot be used: {error}", ca.display());
    let mut roots = RootCertStore::empty();
    let found = CertificateDer::pem_file_iter(ca).map_err(|error| unusable(error.to_string()))?;
    for certificate in found {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
