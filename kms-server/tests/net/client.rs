//! A client that can be told to do everything wrong.

use crate::echo::Server;
use crate::pki::Credential;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kms_core::reason::Reason;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub(crate) const ENCRYPT: &str = "/kms.v1.KeyService/Encrypt";
pub(crate) const REWRAP: &str = "/kms.v1.KeyService/Rewrap";

pub(crate) type Tls = TlsStream<TcpStream>;

/// The TLS side of a connection.
pub(crate) async fn tls(
    server: &Server,
    credential: Option<&Credential>,
    alpn: &[u8],
) -> std::io::Result<Tls> {
    let identity = credential.map(|it| (it.chain.clone(), it.private_key()));
    tls_showing(server, identity, alpn).await
}

/// As somebody whose certificate need not fit the key.
async fn tls_showing(
    server: &Server,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    alpn: &[u8],
) -> std::io::Result<Tls> {
    let mut roots = RootCertStore::empty();
    roots.add(server.authority.der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match identity {
        Some((chain, key)) => {
            let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
            let shown = Arc::new(CertifiedKey::new(chain, key));
            builder.with_client_cert_resolver(Arc::new(Shown(shown)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![alpn.to_vec()];
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// Shows what it is told to, whoever asks.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// An HTTP/2 connection.
#[derive(Clone)]
pub(crate) struct Client(pub(crate) SendRequest<Full<Bytes>>);

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) http: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) trailers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) async fn connect(server: &Server) -> Self {
        Self::with(server, Some(&server.client)).await.unwrap()
    }

    /// As somebody.
    pub(crate) async fn with(
        server: &Server,
        credential: Option<&Credential>,
    ) -> std::io::Result<Self> {
        Self::over(tls(server, credential, b"h2").await?).await
    }

    /// As somebody with this chain and key.
    pub(crate) async fn showing(
        server: &Server,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> std::io::Result<Self> {
        Self::over(tls_showing(server, Some((chain, key)), b"h2").await?).await
    }

    async fn over(stream: Tls) -> std::io::Result<Self> {
        let stream = TokioIo::new(stream);
        let (send, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
                .await
                .map_err(std::io::Error::other)?;
        tokio::spawn(connection);
        Ok(Self(send))
    }

    /// A call with one well-formed message.
    pub(crate) async fn call(&mut self, path: &str, message: &[u8]) -> Result<Reply, hyper::Error> {
        self.send(request(path), frame(message)).await
    }

    /// Anything.
    pub(crate) async fn send(
        &mut self,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Result<Reply, hyper::Error> {
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let collected = body.collect().await?;
        Ok(Reply {
            http: parts.status,
            headers: parts.headers,
            trailers: collected.trailers().cloned().unwrap_or_default(),
            body: collected.to_bytes(),
        })
    }
}

impl Reply {
    pub(crate) fn status(&self) -> Status {
        Status::from_header_map(&self.headers)
            .or_else(|| Status::from_header_map(&self.trailers))
            .expect("a gRPC status")
    }

    /// The message of an answer that went well.
    pub(crate) fn message(&self) -> &[u8] {
        assert_eq!(self.status().code(), Code::Ok, "{self:?}");
        assert_eq!(self.body[0], 0);
        &self.body[5..]
    }

    pub(crate) fn request_id(&self) -> &str {
        self.headers["kms-request-id"].to_str().unwrap()
    }

    /// A refusal in our words: fixed message, reason, request id.
    pub(crate) fn assert_refused(&self, code: Code, reason: Reason) {
        let status = self.status();
        assert_eq!(status.code(), code, "{self:?}");
        assert_eq!(status.message(), reason.to_string());
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(info.reason, reason.as_str());
        assert_eq!(info.domain, "kms.v1");
        let id = self
            .headers
            .get("kms-request-id")
            .or_else(|| self.trailers.get("kms-request-id"));
        assert_eq!(info.metadata["request_id"], id.unwrap().to_str().unwrap());
    }
}

/// A POST of gRPC to `path`.
pub(crate) fn request(path: &str) -> http::request::Builder {
    Request::post(format!("https://127.0.0.1{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
}

pub(crate) fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}
