//! The ceiling: a tonic server that does nothing, under the same TLS. `plain` is tonic as one would write it;
//! `per-core` has the daemon's runtime shape, one current-thread runtime a core and connections dealt in turn.

use bytes::Bytes;
use clap::ValueEnum;
use http::{Request, Response};
use kms_tests::credentials::certificates;
use kms_tests::wire::Raw;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::server::{Grpc, UnaryService};
use tonic::transport::Server;
use tower_service::Service;

/// Runtimes of the empty server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// One work-stealing runtime.
    Plain,
    /// A current-thread runtime for each core.
    PerCore,
}

impl Shape {
    /// As clap spells it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::PerCore => "per-core",
        }
    }
}

/// Bytes of the empty server's answer.
const ANSWER: [u8; 48] = [0; 48];

/// A connection before its handshake.
type Fresh = (std::net::TcpStream, TlsAcceptor);
/// A connection after its handshake.
type Incoming = Result<TlsStream<TcpStream>, std::io::Error>;

/// Serves until killed.
pub(crate) fn run(shape: Shape, chain: &Path, key: &Path, client_ca: &Path) -> anyhow::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(server_config(chain, key, client_ca)?));
    let threads = match shape {
        Shape::Plain => 0,
        Shape::PerCore => std::thread::available_parallelism()?.get(),
    };
    let mut lanes = Vec::new();
    for _ in 0..threads {
        let (lane, connections) = mpsc::channel(64);
        lanes.push(lane);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::spawn(move || runtime.block_on(serve(connections)));
    }
    let mut builder = match shape {
        Shape::Plain => tokio::runtime::Builder::new_multi_thread(),
        Shape::PerCore => tokio::runtime::Builder::new_current_thread(),
    };
    builder.enable_all().build()?.block_on(async {
        if lanes.is_empty() {
            let (lane, connections) = mpsc::channel(64);
            lanes.push(lane);
            tokio::spawn(serve(connections));
        }
        accept(acceptor, lanes).await
    })
}

fn server_config(chain: &Path, key: &Path, client_ca: &Path) -> anyhow::Result<ServerConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates(client_ca));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates(chain), PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Takes connections and deals them to the lanes in turn.
async fn accept(acceptor: TlsAcceptor, lanes: Vec<mpsc::Sender<Fresh>>) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("ready {}", listener.local_addr()?);
    for lane in lanes.iter().cycle() {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        lane.send((stream.into_std()?, acceptor.clone())).await?;
    }
    Ok(())
}

/// Registers sockets with this thread's runtime, shakes hands, serves.
async fn serve(mut fresh: mpsc::Receiver<Fresh>) {
    let (hand_on, connections) = mpsc::channel::<Incoming>(64);
    tokio::spawn(async move {
        while let Some((stream, acceptor)) = fresh.recv().await {
            let stream = TcpStream::from_std(stream).expect("a socket");
            if hand_on.send(acceptor.accept(stream).await).await.is_err() {
                return;
            }
        }
    });
    let served = Server::builder()
        .initial_connection_window_size(8 << 20)
        .initial_stream_window_size(4 << 20)
        .serve_with_incoming(Empty, ReceiverStream::new(connections))
        .await;
    served.expect("the empty server serves");
}

/// What tonic's generated code does for a service of one method.
#[derive(Debug, Clone)]
struct Empty;

impl tonic::server::NamedService for Empty {
    const NAME: &'static str = "empty.Empty";
}

impl Service<Request<Body>> for Empty {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(Grpc::new(Raw).unary(Nothing, request).await) })
    }
}

/// The handler.
struct Nothing;

impl UnaryService<Bytes> for Nothing {
    type Response = Bytes;
    type Future = Ready<Result<tonic::Response<Bytes>, tonic::Status>>;

    fn call(&mut self, _: tonic::Request<Bytes>) -> Self::Future {
        ready(Ok(tonic::Response::new(Bytes::from_static(&ANSWER))))
    }
}
