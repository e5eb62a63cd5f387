//! The peer: a TLS listener that answers every call as its script says, and counts what reached it.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kms_client::{Pin, Profile};
use rcgen::{CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use rustls::server::WebPkiClientVerifier;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::Status;

/// What the peer does with one call.
pub(crate) enum Reply {
    /// An empty message.
    Ok,
    /// A refusal.
    Status(Status),
    /// Never answers.
    Silence,
    /// An empty message, then the connection closes.
    LastOk,
}

pub(crate) struct Peer {
    pub(crate) state: Arc<State>,
    pub(crate) address: String,
    pub(crate) pin: Pin,
    files: TempDir,
}

#[derive(Default)]
pub(crate) struct State {
    script: Mutex<VecDeque<Reply>>,
    pub(crate) calls: AtomicUsize,
    pub(crate) connections: AtomicUsize,
}

/// An authority, with a certificate in PEM.
pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// How the peer presents itself.
pub(crate) struct Looks {
    pub(crate) name: &'static str,
    pub(crate) expired: bool,
    pub(crate) version: &'static rustls::SupportedProtocolVersion,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            name: "kms.test",
            expired: false,
            version: &rustls::version::TLS13,
        }
    }
}

impl Peer {
    /// Answers the calls of the script in turn, and any more with [`Reply::Ok`].
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        Self::looking(Looks::default(), script).await
    }

    pub(crate) async fn looking(looks: Looks, script: impl IntoIterator<Item = Reply>) -> Self {
        let ca = authority();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([looks.name.to_owned()]).unwrap();
        if looks.expired {
            params.not_after = rcgen::date_time_ymd(2020, 1, 1);
        }
        let server = params.signed_by(&key, &ca).unwrap();
        let client_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client = params.signed_by(&client_key, &ca).unwrap();
        let files = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("ca.pem", ca.pem()),
            ("client.pem", client.pem()),
            ("client.key", client_key.serialize_pem()),
        ] {
            std::fs::write(files.path().join(name), text).unwrap();
        }
        let state = Arc::new(State {
            script: Mutex::new(script.into_iter().collect()),
            ..State::default()
        });
        let mut roots = RootCertStore::empty();
        roots.add(ca.der().clone()).unwrap();
        let acceptor = acceptor(roots, server.der().clone(), &key, looks.version);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(accept(listener, acceptor, Arc::clone(&state)));
        Self {
            state,
            address,
            pin: Pin::of_certificate(server.der()).unwrap(),
            files,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// A profile that the peer satisfies.
    pub(crate) fn profile(&self) -> Profile {
        Profile {
            address: self.address.clone(),
            server_name: "kms.test".into(),
            ca: Some(self.path("ca.pem")),
            pins: vec![self.pin],
            certificate: Some(self.path("client.pem")),
            key: Some(self.path("client.key")),
            renew: false,
            token_file: None,
            connections: 1,
            dev_mode: false,
            operator: None,
        }
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }
}

fn acceptor(
    roots: RootCertStore,
    certificate: CertificateDer<'static>,
    key: &KeyPair,
    version: &'static rustls::SupportedProtocolVersion,
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider)).build();
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_client_cert_verifier(clients.unwrap())
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config).into()
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            state.connections.fetch_add(1, Ordering::SeqCst);
            let closing = Arc::new(tokio::sync::Notify::new());
            let (calls, close) = (Arc::clone(&state), Arc::clone(&closing));
            let service = service_fn(move |_| answer(Arc::clone(&calls), Arc::clone(&close)));
            let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(served);
            tokio::select! {
                _ = served.as_mut() => return,
                () = closing.notified() => served.as_mut().graceful_shutdown(),
            }
            let _ = served.await;
        });
    }
}

type Answer = http::Response<BoxBody<Bytes, Infallible>>;

async fn answer(
    state: Arc<State>,
    closing: Arc<tokio::sync::Notify>,
) -> Result<Answer, Infallible> {
    state.calls.fetch_add(1, Ordering::SeqCst);
    let reply = state.script.lock().unwrap().pop_front();
    match reply.unwrap_or(Reply::Ok) {
        Reply::Status(status) => Ok(status.into_http::<Full<Bytes>>().map(|body| body.boxed())),
        Reply::Silence => std::future::pending().await,
        Reply::Ok => Ok(empty_message()),
        Reply::LastOk => {
            closing.notify_one();
            Ok(empty_message())
        }
    }
}

/// A frame that holds a message without fields, and the status OK.
fn empty_message() -> Answer {
    let frame = Full::new(Bytes::from_static(&[0, 0, 0, 0, 0]));
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let body = frame.with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = http::Response::new(body.boxed());
    let kind = "application/grpc".parse().unwrap();
    response.headers_mut().insert("content-type", kind);
    response
}
