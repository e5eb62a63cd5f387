//! gRPC over mTLS, typed or as raw bytes, so that malformed messages can be sent too.

use crate::credentials::Credentials;
use crate::operator::Person;
use bytes::{Buf, BufMut, Bytes};
use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};
use tower_service::Service;

/// The certificate that the server shows a new connection.
///
/// # Errors
/// The handshake failed or the server hung up.
pub async fn shown_by(
    address: SocketAddr,
    credentials: &Credentials,
) -> std::io::Result<CertificateDer<'static>> {
    let tcp = TcpStream::connect(address).await?;
    let connector = TlsConnector::from(credentials.config.clone());
    let tls = connector
        .connect(credentials.server_name.clone(), tcp)
        .await?;
    let chain = tls.get_ref().1.peer_certificates().unwrap_or_default();
    let leaf = chain.first().ok_or(std::io::ErrorKind::NotFound)?;
    Ok(leaf.clone().into_owned())
}

/// One connection.
#[derive(Debug, Clone)]
pub struct Wire {
    line: Line,
}

/// A connection with, perhaps, a person on it: calls then carry session and codes.
#[derive(Debug, Clone)]
pub struct Line {
    channel: Channel,
    person: Option<Person>,
}

impl Service<http::Request<Body>> for Line {
    type Response = http::Response<Body>;
    type Error = tonic::transport::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.channel.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let mut ready = self.channel.clone();
        // the clone that was asked whether it is ready goes along, its copy stays
        std::mem::swap(&mut ready, &mut self.channel);
        let (person, other) = (self.person.clone(), self.channel.clone());
        Box::pin(async move {
            if let Some(person) = person {
                let path = request.uri().path().to_owned();
                person.sign(&other, &path, request.headers_mut()).await;
                let answer = ready.call(request).await?;
                let status = answer.headers().get("grpc-status");
                // sealed meanwhile, or a session that is over: the next call opens one
                if status.is_some_and(|status| status == "14" || status == "16") {
                    person.forget_session().await;
                }
                return Ok(answer);
            }
            ready.call(request).await
        })
    }
}

impl Wire {
    /// Connects now.
    ///
    /// # Errors
    /// The handshake failed or the server hung up.
    pub async fn connect(
        address: SocketAddr,
        credentials: &Credentials,
    ) -> Result<Self, tonic::transport::Error> {
        let connector = Connector {
            address,
            config: credentials.config.clone(),
            server_name: credentials.server_name.clone(),
        };
        Endpoint::from_static("http://kms")
            .initial_connection_window_size(8 << 20)
            .initial_stream_window_size(4 << 20)
            .connect_with_connector(connector)
            .await
            .map(|channel| {
                let person = None;
                let line = Line { channel, person };
                Self { line }
            })
    }

    /// The same connection with a person on it.
    #[must_use]
    pub fn with_person(mut self, person: Option<Person>) -> Self {
        self.line.person = person;
        self
    }

    /// The connection alone, without anybody on it.
    #[must_use]
    pub fn bare(&self) -> Channel {
        self.line.channel.clone()
    }

    /// Who is on it.
    #[must_use]
    pub const fn person(&self) -> Option<&Person> {
        self.line.person.as_ref()
    }

    /// For the generated stubs.
    #[must_use]
    pub fn channel(&self) -> Line {
        self.line.clone()
    }

    /// Sends exactly `body` as the one message of a unary call.
    ///
    /// # Errors
    /// Whatever the server answers.
    pub async fn raw(&self, path: &'static str, body: Bytes) -> Result<Response<Bytes>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel()).max_decoding_message_size(8 << 20);
        ready(&mut grpc).await?;
        let path = http::uri::PathAndQuery::from_static(path);
        grpc.unary(Request::new(body), path, Raw).await
    }

    /// Sends `bodies` as the messages of a stream.
    ///
    /// # Errors
    /// Whatever the server answers before the first message.
    pub async fn raw_stream(
        &self,
        path: &'static str,
        bodies: Vec<Bytes>,
    ) -> Result<Response<Streaming<Bytes>>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.channel());
        ready(&mut grpc).await?;
        let path = http::uri::PathAndQuery::from_static(path);
        let request = Request::new(tokio_stream::iter(bodies));
        grpc.streaming(request, path, Raw).await
    }

    /// Sends `body` and waits for the first answer, unary or streaming; metadata is the answer's.
    ///
    /// # Errors
    /// Whatever the server answers.
    pub async fn any(&self, rpc: &crate::rpc::Rpc, body: Bytes) -> Result<Response<Bytes>, Status> {
        // A test process names each path once; the descriptor's paths live as long as it does.
        let path: &'static str = String::leak(rpc.path.clone());
        if rpc.streaming {
            let answer = self.raw_stream(path, vec![body]).await?;
            let (metadata, mut stream, extensions) = answer.into_parts();
            let first = stream.message().await?.unwrap_or_default();
            Ok(Response::from_parts(metadata, first, extensions))
        } else {
            self.raw(path, body).await
        }
    }

    /// Sends a message and decodes the answer.
    ///
    /// # Errors
    /// Whatever the server answers.
    pub async fn unary<A: Message + Default>(
        &self,
        path: &'static str,
        request: &impl Message,
    ) -> Result<A, Status> {
        let answer = self.raw(path, request.encode_to_vec().into()).await?;
        A::decode(answer.into_inner()).map_err(|error| Status::internal(error.to_string()))
    }
}

async fn ready(grpc: &mut tonic::client::Grpc<Line>) -> Result<(), Status> {
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))
}

/// Passes bytes as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Opens the TCP and TLS connection.
struct Connector {
    address: SocketAddr,
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
}

impl Service<http::Uri> for Connector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        let (address, name) = (self.address, self.server_name.clone());
        let connector = TlsConnector::from(self.config.clone());
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            connector.connect(name, stream).await.map(TokioIo::new)
        })
    }
}
