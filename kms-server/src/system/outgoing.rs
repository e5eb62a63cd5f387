//! One request, or one run of bytes, to an address that the configuration names: plain, or TLS 1.3 with the server's
//! certificate checked against the configured authority. No redirect is followed, nothing read beyond a bound, nothing waited for beyond
//! a time. Never asks an address that a caller names.

use super::clock::Clock;
use super::tls_time::clock_time;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For everything together, on the daemon's clock.
pub const TIME_MAX: Duration = Duration::from_secs(10);
/// Most that the connection holds of an answer at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// An address, and how it is reached.
pub struct Outgoing {
    host: String,
    port: u16,
    path: String,
    authority: String,
    tls: Option<TlsConnector>,
    answer_max: usize,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Vec<u8>,
}

/// What is sent.
#[derive(Debug)]
pub struct Question<'a> {
    /// GET or POST.
    pub method: Method,
    /// Goes behind the address's own path.
    pub path: &'a str,
    /// Types of answers that are understood.
    pub accept: HeaderValue,
    /// Empty with GET.
    pub body: Vec<u8>,
    /// Of the body, and who asks; none with GET.
    pub headers: HeaderMap,
}

impl Outgoing {
    /// An `https` address, with the file of whom is trusted to certify it.
    ///
    /// # Errors
    /// What is wrong with the address or the authority's file.
    pub fn secure(
        url: &str,
        ca: &Path,
        clock: &Arc<dyn Clock>,
        answer_max: usize,
    ) -> Result<Self, String> {
        let tls = TlsConnector::from(Arc::new(client_config(ca, clock_time(clock))?));
        Self::new(url, Some(tls), answer_max)
    }

    /// `host` or `host:port` behind TLS, for [`Outgoing::pour`].
    ///
    /// # Errors
    /// What is wrong with the address or the authority's file.
    pub fn stream(
        address: &str,
        port: u16,
        ca: &Path,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let mut stream = Self::secure(&format!("https://{address}/"), ca, clock, 0)?;
        if stream.authority != address || stream.host.is_empty() {
            return Err("it is no host with a port".to_owned());
        }
        if !address.ends_with(&format!(":{}", stream.port)) {
            stream.port = port;
        }
        Ok(stream)
    }

    /// An `http` address: for what is signed anyway.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn plain(url: &str, answer_max: usize) -> Result<Self, String> {
        Self::new(url, None, answer_max)
    }

    fn new(url: &str, tls: Option<TlsConnector>, answer_max: usize) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|_| "it is no URL".to_owned())?;
        let host = uri.host().unwrap_or_default();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let usual = if tls.is_some() { 443 } else { 80 };
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(usual),
            path: path.to_owned(),
            authority: uri.authority().map_or("", |it| it.as_str()).to_owned(),
            tls,
            answer_max,
        })
    }

    /// Asks once.
    ///
    /// # Errors
    /// Why there is no answer, in words for the daemon's own messages.
    pub async fn ask(&self, question: Question<'_>, clock: &dyn Clock) -> Result<Answer, String> {
        let until = clock.monotonic().saturating_add(TIME_MAX);
        tokio::select! {
            answer = self.ask_slowly(question) => answer,
            () = clock.wait_until(until) => Err(format!("no answer within {TIME_MAX:?}")),
        }
    }

    async fn ask_slowly(&self, question: Question<'_>) -> Result<Answer, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let stream = TcpStream::connect((&*self.host, self.port)).await;
        let stream = stream.map_err(|error| text(&error))?;
        let Some(tls) = &self.tls else {
            return self.converse(stream, question).await;
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|error| text(&error))?;
        let stream = tls.connect(name, stream).await;
        self.converse(stream.map_err(|error| text(&error))?, question)
            .await
    }

    /// Hands over `bytes` and closes; done when the other end has closed too, which it does behind the last of them.
    ///
    /// # Errors
    /// Why that is not known, in words for the daemon's own messages.
    pub async fn pour(&self, bytes: &[u8], clock: &dyn Clock) -> Result<(), String> {
        let until = clock.monotonic().saturating_add(TIME_MAX);
        tokio::select! {
            done = self.pour_slowly(bytes) => done,
            () = clock.wait_until(until) => Err(format!("not taken within {TIME_MAX:?}")),
        }
    }

    async fn pour_slowly(&self, bytes: &[u8]) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let tls = self.tls.as_ref().ok_or("it has no TLS")?;
        let stream = TcpStream::connect((&*self.host, self.port)).await;
        let stream = stream.map_err(|error| text(&error))?;
        let name = ServerName::try_from(self.host.clone()).map_err(|error| text(&error))?;
        let stream = tls.connect(name, stream).await;
        let stream = stream.map_err(|error| text(&error))?;
        let (mut from, mut to) = tokio::io::split(stream);
        let given = async {
            to.write_all(bytes).await?;
            to.shutdown().await
        };
        tokio::select! {
            biased;
            given = given => given.map_err(|error| text(&error))?,
            closed = until_closed(&mut from) => {
                closed?;
                return Err("it closed before it had everything".to_owned());
            }
        }
        until_closed(&mut from).await
    }

    async fn converse<S>(&self, stream: S, question: Question<'_>) -> Result<Answer, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let connection = http1::Builder::new()
            .max_buf_size(BUFFER_BYTES)
            .handshake(TokioIo::new(stream))
            .await;
        let (mut sender, connection) = connection.map_err(|error| error.to_string())?;
        let before = if question.path.is_empty() {
            &*self.path
        } else {
            self.path.trim_end_matches('/')
        };
        let mut request = Request::builder()
            .method(question.method)
            .uri(format!("{before}{}", question.path))
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, question.accept)
            .body(Full::new(Bytes::from(question.body)))
            .map_err(|error| error.to_string())?;
        request.headers_mut().extend(question.headers);
        let answer = async {
            let answer = sender.send_request(request).await;
            let answer = answer.map_err(|error| error.to_string())?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), self.answer_max).collect();
            let body = body.await.map_err(|error| error.to_string())?;
            Ok(Answer {
                status,
                body: body.to_bytes().to_vec(),
            })
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

/// Reads to the end. One that closes without TLS's alert has read everything too: the kernel resets a connection that is
/// closed with bytes unread.
async fn until_closed(from: &mut (impl AsyncRead + Unpin)) -> Result<(), String> {
    let mut passed_over = [0; 1024];
    loop {
        match from.read(&mut passed_over).await {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
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
