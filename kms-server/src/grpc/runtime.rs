//! Threads of the network side: one that accepts, and N with a current-thread runtime each, which
//! keep a connection for its life. Nothing moves between runtimes: a call is answered on the thread
//! that read it.

use super::gauge::{Gauge, Permit};
use super::limits::Limits;
use super::reflection::Reflection;
use super::reply::Reply;
use super::{acceptor, serving};
use crate::call::road::Road;
use crate::identity::Identity;
use crate::system::clock::Clock;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, LocalRuntime};
use tokio::sync::{mpsc, oneshot, watch};

/// What the network side needs besides the road.
pub struct Settings {
    /// Certificate and trust.
    pub identity: Arc<Identity>,
    /// Deadlines, idleness and age run on it.
    pub clock: Arc<dyn Clock>,
    /// All of them.
    pub limits: Limits,
    /// Origins of web pages that may use gRPC-Web, as browsers send them: `https://crm.example`.
    pub web_origins: Vec<String>,
    /// Whether server reflection answers.
    pub reflection: bool,
    /// True while the daemon is sealed: health says so.
    pub sealed: watch::Receiver<bool>,
}

/// What all threads share.
pub(super) struct Shared {
    pub(super) identity: Arc<Identity>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
    pub(super) origins: Vec<String>,
    pub(super) sealed: watch::Receiver<bool>,
    pub(super) ending: watch::Sender<bool>,
    pub(super) in_flight: Gauge,
    pub(super) large: Gauge,
    pub(super) watchers: Gauge,
    pub(super) handshakes: Gauge,
    pub(super) connections: Gauge,
    pub(super) accepted: AtomicU64,
    reflection: bool,
}

/// One runtime and what it keeps for itself.
pub(super) struct Worker<R: Road> {
    pub(super) shared: Arc<Shared>,
    pub(super) road: Arc<R>,
    pub(super) lane: R::Lane,
    pub(super) protocols: serving::Protocols,
    reflection: Option<Reflection>,
}

/// A connection dealt to a runtime, before its handshake.
pub(super) struct Accepted {
    pub(super) stream: std::net::TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) number: u64,
    pub(super) ticket: Ticket,
}

/// What a connection holds until it is closed.
pub(super) struct Ticket {
    pub(super) _connection: Permit,
    pub(super) _address: acceptor::AddressPermit,
    pub(super) load: Arc<AtomicUsize>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where the acceptor hands connections to one runtime.
pub(super) struct Desk {
    pub(super) connections: mpsc::UnboundedSender<Accepted>,
    pub(super) load: Arc<AtomicUsize>,
}

/// The network side at work.
pub struct Running {
    address: SocketAddr,
    shared: Arc<Shared>,
    threads: Vec<(oneshot::Receiver<()>, JoinHandle<()>)>,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Open connections.
    pub connections: usize,
    /// Connections accepted since start.
    pub accepted: u64,
    /// Handshakes.
    pub handshakes: usize,
    /// Calls.
    pub in_flight: usize,
}

/// Starts the threads; connections are accepted when this returns.
///
/// # Errors
/// When the listener's address, a thread or a runtime cannot be had.
pub fn start<R: Road>(
    listener: std::net::TcpListener,
    road: Arc<R>,
    settings: Settings,
) -> io::Result<Running> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtimes = match settings.limits.runtimes {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        given => given,
    };
    let shared = Arc::new(Shared::new(settings));
    let mut running = Running {
        address,
        shared: Arc::clone(&shared),
        threads: Vec::new(),
    };
    let mut desks = Vec::new();
    for number in 0..runtimes {
        let (connections, dealt) = mpsc::unbounded_channel();
        desks.push(Desk {
            connections,
            load: Arc::new(AtomicUsize::new(0)),
        });
        let (shared, road) = (Arc::clone(&shared), Arc::clone(&road));
        running.spawn(format!("kms-calls-{number}"), move |runtime| {
            runtime.block_on(serve_all(shared, road, dealt));
        })?;
    }
    running.spawn("kms-accept".to_owned(), move |runtime| {
        runtime.block_on(acceptor::accept(listener, desks, shared, road));
    })?;
    Ok(running)
}

/// One runtime's life: serves what it is dealt, then lets calls finish.
async fn serve_all<R: Road>(
    shared: Arc<Shared>,
    road: Arc<R>,
    mut dealt: mpsc::UnboundedReceiver<Accepted>,
) {
    let grace = shared.limits.grace;
    let worker = Rc::new(Worker {
        lane: road.lane(),
        road,
        protocols: serving::Protocols::new(&shared.limits),
        reflection: shared.reflection.then(Reflection::new),
        shared: Arc::clone(&shared),
    });
    let mut ending = shared.ending.subscribe();
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = ending.wait_for(|ending| *ending) => break,
            Some(_) = connections.join_next() => {}
            accepted = dealt.recv() => match accepted {
                Some(accepted) => {
                    connections.spawn_local(serving::serve(Rc::clone(&worker), accepted));
                }
                None => break,
            },
        }
    }
    // by the system's clock, not the daemon's: an end must come even when that one stands still
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, finished).await.is_err() {
        tracing::warn!("connections were cut: calls did not finish in time");
    }
}

impl Shared {
    fn new(settings: Settings) -> Self {
        let limits = settings.limits;
        Self {
            identity: settings.identity,
            clock: settings.clock,
            origins: settings.web_origins,
            sealed: settings.sealed,
            ending: watch::Sender::new(false),
            in_flight: Gauge::new(limits.in_flight),
            large: Gauge::new(limits.large_bytes),
            watchers: Gauge::new(limits.watchers),
            handshakes: Gauge::new(limits.handshakes),
            connections: Gauge::new(limits.connections),
            accepted: AtomicU64::new(0),
            reflection: settings.reflection,
            limits,
        }
    }
}

impl<R: Road> Worker<R> {
    /// The answer of the reflection service.
    ///
    /// # Errors
    /// When it is off, or the path is not its own.
    pub(super) fn reflection<B>(
        &self,
        request: Request<B>,
    ) -> Result<impl Future<Output = Response<Reply>>, ()>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        self.reflection.as_ref().ok_or(())?.answer(request)
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is under way now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.shared.connections.count(),
            accepted: self.shared.accepted.load(Ordering::Relaxed),
            handshakes: self.shared.handshakes.count(),
            in_flight: self.shared.in_flight.count(),
        }
    }

    /// Stops accepting, tells every peer to go away, lets calls under way finish for at most
    /// [`Limits::grace`], and ends the threads.
    pub async fn stop(mut self) {
        self.shared.ending.send_replace(true);
        for (ended, thread) in self.threads.drain(..) {
            // an error says the same: the thread is gone
            let _ = ended.await;
            if thread.join().is_err() {
                tracing::error!("a network thread panicked");
            }
        }
    }

    fn spawn(
        &mut self,
        name: String,
        work: impl FnOnce(LocalRuntime) + Send + 'static,
    ) -> io::Result<()> {
        let (started, start) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build_local(tokio::runtime::LocalOptions::default());
            match runtime {
                Ok(runtime) => {
                    let _ = started.send(Ok(()));
                    work(runtime);
                }
                Err(error) => {
                    let _ = started.send(Err(error));
                }
            }
            let _ = end.send(());
        })?;
        self.threads.push((ended, thread));
        start
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("a network thread did not start")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.ending.send_replace(true);
    }
}
