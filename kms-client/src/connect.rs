//! Connections: TLS 1.3 with our certificate, the server checked by pin and authority, several HTTP/2
//! connections taken in turn, each made again when it breaks.
//!
//! Never talks without TLS, never resumes a session, never sends early data.

mod watched;

use crate::error::{Error, ErrorKind};
use crate::pin::{PinMismatch, ServerVerifier};
use crate::profile::Profile;
use crate::stamp::Stamp;
use hyper_util::rt::TokioIo;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use watched::{Refusal, Watched};

/// For TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A ping after this much silence, and how long its answer may take.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// No call of any stub waits longer for the head of its answer.
const CALL_LIMIT: Duration = Duration::from_secs(60);

/// Several connections, at least one, taken in turn; made anew when the files of our certificate change.
#[derive(Debug)]
pub(crate) struct Connections {
    profile: Profile,
    set: RwLock<Arc<Set>>,
    next: AtomicUsize,
    refusal: Arc<Refusal>,
}

/// Connections that show one certificate.
#[derive(Debug)]
struct Set {
    first: Channel,
    others: Box<[Channel]>,
    // as its files were when they were tried last, good or bad
    stamp: Stamp,
}

impl Connections {
    /// Prepares the connections; with `eager` the first is made now.
    ///
    /// # Errors
    /// [`ErrorKind::Profile`] for files and settings; with `eager` also what is said of [`DialError`].
    pub(crate) async fn open(profile: &Profile, eager: bool) -> Result<Self, Error> {
        let refusal = Arc::default();
        let stamp = stamp(profile);
        let dialer = Dialer::new(profile, &refusal)?;
        let endpoint = endpoint(profile)?;
        let first = if eager {
            endpoint.connect_with_connector(dialer.clone()).await?
        } else {
            endpoint.connect_with_connector_lazy(dialer.clone())
        };
        Ok(Self {
            set: RwLock::new(Arc::new(Set::new(
                profile, &endpoint, &dialer, first, stamp,
            ))),
            profile: profile.clone(),
            next: AtomicUsize::new(0),
            refusal,
        })
    }

    /// The connections of the certificate that the files hold now. Files that cannot be used leave everything as it
    /// is: they are tried again when they change again.
    fn present(&self) -> Arc<Set> {
        let stamp = stamp(&self.profile);
        let set = Arc::clone(&self.set.read().unwrap_or_else(PoisonError::into_inner));
        if set.stamp == stamp {
            return set;
        }
        let mut held = self.set.write().unwrap_or_else(PoisonError::into_inner);
        if held.stamp != stamp {
            let tried = self.anew(stamp.clone());
            *held = Arc::new(tried.unwrap_or_else(|_| Set {
                first: held.first.clone(),
                others: held.others.clone(),
                stamp,
            }));
        }
        Arc::clone(&held)
    }

    fn anew(&self, stamp: Stamp) -> Result<Set, Error> {
        let dialer = Dialer::new(&self.profile, &self.refusal)?;
        let endpoint = endpoint(&self.profile)?;
        let first = endpoint.connect_with_connector_lazy(dialer.clone());
        Ok(Set::new(&self.profile, &endpoint, &dialer, first, stamp))
    }

    /// A call that broke without an answer: perhaps because the server refused our certificate, which
    /// TLS 1.3 tells only after the handshake.
    pub(crate) fn explain(&self, error: Error) -> Error {
        let broke = error.kind() == ErrorKind::Unavailable && error.reason().is_none();
        match self.refusal.alert() {
            Some(alert) if broke => {
                let message = format!("the service refused our certificate ({alert:?})");
                Error::new(ErrorKind::Unauthenticated, message).with_source(error)
            }
            _ => error,
        }
    }

    /// The next one in turn.
    pub(crate) fn next(&self) -> Channel {
        let set = self.present();
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let index = turn % (set.others.len() + 1);
        set.others.get(index).unwrap_or(&set.first).clone()
    }

    /// Of the connections.
    pub(crate) const fn profile(&self) -> &Profile {
        &self.profile
    }
}

impl Set {
    fn new(
        profile: &Profile,
        endpoint: &Endpoint,
        dialer: &Dialer,
        first: Channel,
        stamp: Stamp,
    ) -> Self {
        let lazy = |_| endpoint.connect_with_connector_lazy(dialer.clone());
        Self {
            first,
            others: (1..profile.connections).map(lazy).collect(),
            stamp,
        }
    }
}

fn stamp(profile: &Profile) -> Stamp {
    Stamp::of(profile.certificate.iter().chain(&profile.key))
}

fn endpoint(profile: &Profile) -> Result<Endpoint, Error> {
    let endpoint = Endpoint::from_shared(format!("https://{}", profile.address));
    let endpoint = endpoint.map_err(|error| {
        Error::new(ErrorKind::Profile, "`address` must be host:port").with_source(error)
    })?;
    Ok(endpoint
        .timeout(CALL_LIMIT)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true))
}

/// Makes one connection.
#[derive(Clone)]
struct Dialer {
    address: Arc<str>,
    server_name: ServerName<'static>,
    tls: TlsConnector,
    refusal: Arc<Refusal>,
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error(transparent)]
    PinMismatch(Arc<dyn std::error::Error + Send + Sync>),
    #[error("the server's certificate is not to be trusted: {0}")]
    Untrusted(CertificateError),
    #[error("the TLS handshake with {0} failed: {1}")]
    Handshake(Arc<str>, io::Error),
    #[error("{0} cannot be reached: {1}")]
    Unreachable(Arc<str>, io::Error),
    #[error("{0} did not answer within {CONNECT_TIMEOUT:?}")]
    Timeout(Arc<str>),
}

impl DialError {
    pub(crate) const fn kind(&self) -> ErrorKind {
        match self {
            Self::PinMismatch(_) => ErrorKind::PinMismatch,
            Self::Untrusted(_) => ErrorKind::ServerUntrusted,
            Self::Handshake(..) | Self::Unreachable(..) | Self::Timeout(_) => {
                ErrorKind::Unavailable
            }
        }
    }
}

impl Dialer {
    fn new(profile: &Profile, refusal: &Arc<Refusal>) -> Result<Self, Error> {
        let server_name = ServerName::try_from(profile.server_name.clone());
        let server_name = server_name.map_err(|error| {
            let message = "`server_name` must be a DNS name or an IP address";
            Error::new(ErrorKind::Profile, message).with_source(error)
        })?;
        let tls = TlsConnector::from(Arc::new(tls_config(profile)?));
        let address = Arc::from(profile.address.as_str());
        Ok(Self {
            address,
            server_name,
            tls,
            refusal: Arc::clone(refusal),
        })
    }

    async fn dial(self) -> Result<TokioIo<Watched>, DialError> {
        let address = Arc::clone(&self.address);
        let dialing = tokio::time::timeout(CONNECT_TIMEOUT, self.dial_slowly());
        dialing.await.unwrap_or(Err(DialError::Timeout(address)))
    }

    async fn dial_slowly(self) -> Result<TokioIo<Watched>, DialError> {
        let unreachable = |error| DialError::Unreachable(Arc::clone(&self.address), error);
        let stream = TcpStream::connect(&*self.address)
            .await
            .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        self.refusal.forget();
        match self.tls.connect(self.server_name, stream).await {
            Ok(stream) => Ok(TokioIo::new(Watched::new(stream, self.refusal))),
            Err(error) => Err(handshake_error(self.address, error)),
        }
    }
}

/// Finds out what rustls refused.
fn handshake_error(address: Arc<str>, error: io::Error) -> DialError {
    let cause = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
            if other.0.is::<PinMismatch>() =>
        {
            DialError::PinMismatch(Arc::clone(&other.0))
        }
        Some(rustls::Error::InvalidCertificate(error)) => DialError::Untrusted(error.clone()),
        _ => DialError::Handshake(address, error),
    }
}

impl tower_service::Service<http::Uri> for Dialer {
    type Response = TokioIo<Watched>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        Box::pin(self.clone().dial())
    }
}

fn tls_config(profile: &Profile) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let authority = match &profile.ca {
        None => None,
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .map_err(|error| unusable(path, error))?;
            }
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
            Some(verifier.build().map_err(|error| unusable(path, error))?)
        }
    };
    let verifier = ServerVerifier::new(profile.pins.clone(), authority, Arc::clone(&provider));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))?;
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match (&profile.certificate, &profile.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate)?;
            let read = PrivateKeyDer::from_pem_file(key);
            let key = read.map_err(|error| unusable(key, error))?;
            let config = builder.with_client_auth_cert(chain, key);
            config.map_err(|error| unusable(certificate, error))?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, error))?;
    let found: Result<Vec<_>, _> = found.collect();
    let found = found.map_err(|error| unusable(path, error))?;
    if found.is_empty() {
        return Err(unusable(path, "it holds no certificate"));
    }
    Ok(found)
}

fn unusable(path: &Path, reason: impl std::fmt::Display) -> Error {
    let message = format!("{} cannot be used: {reason}", path.display());
    Error::new(ErrorKind::Profile, message)
}
