//! One connection's life: handshake, protocol, calls, and the reasons to end it (silence after the
//! handshake, idleness, age, the daemon's end). Every limit of HTTP/2 is set here, none left to a default.

use super::deadline::{Ended, within};
use super::limits::Limits;
use super::line::{Activity, Line};
use super::runtime::{Accepted, Shared, Ticket, Worker};
use super::watched::{Received, Watched};
use crate::call::road::{Road, Shed};
use crate::identity::Connection;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kms_core::reason::Reason;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Shorter than this no HTTP/2 connection begins (RFC 9113, 3.4).
const PREFACE: u64 = 24;

/// Window of one stream, and of a connection: what a peer may send unread.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
const FRAME: u32 = 16 * 1024;
/// Answers buffered for one stream whose peer does not read.
const SEND_BUFFER: usize = 256 * 1024;
/// Headers of HTTP/1.1, by number.
const HEADERS: usize = 64;

/// Runs HTTP/2 streams on the thread of their connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct SameThread;

impl<F> hyper::rt::Executor<F> for SameThread
where
    F: Future + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// Both protocols, with their limits.
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<SameThread>,
}

impl Protocols {
    pub(super) fn new(limits: &Limits) -> Self {
        // beyond four times our own limit nobody is answered in our words
        let headers = limits.header_bytes.saturating_mul(4);
        let mut http2 = http2::Builder::new(SameThread);
        http2
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .max_concurrent_streams(limits.streams_per_connection)
            .max_header_list_size(headers)
            .max_pending_accept_reset_streams(limits.pending_resets)
            .max_local_error_reset_streams(limits.error_resets)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .adaptive_window(false)
            .max_frame_size(FRAME)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(limits.keep_alive)
            .keep_alive_timeout(limits.keep_alive);
        let mut http1 = http1::Builder::new();
        http1
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .half_close(false)
            .keep_alive(true)
            .max_headers(HEADERS)
            .max_buf_size(usize::try_from(headers).unwrap_or(usize::MAX).max(8_192))
            .header_read_timeout(limits.handshake_timeout);
        Self { http1, http2 }
    }
}

/// From the handshake to the end.
pub(super) async fn serve<R: Road>(worker: Rc<Worker<R>>, accepted: Accepted) {
    let Accepted {
        stream,
        peer,
        number,
        ticket,
    } = accepted;
    let _ticket: Ticket = ticket;
    let session = worker.shared.identity.session();
    let handshake = handshake(&worker.shared, stream, Arc::clone(&session.config));
    let stream = match handshake.await {
        Ok(stream) => stream,
        Err(reason) => {
            let source = peer.ip().to_canonical();
            return worker.road.shed(Shed { source, reason });
        }
    };
    let (_, tls) = stream.get_ref();
    let chain = tls.peer_certificates();
    let connection = worker
        .shared
        .identity
        .connection(&session, number, peer, chain);
    let http2 = tls.alpn_protocol() == Some(b"h2");
    converse(worker, stream, connection, http2).await;
}

async fn handshake(
    shared: &Shared,
    stream: std::net::TcpStream,
    config: Arc<rustls::ServerConfig>,
) -> Result<TlsStream<tokio::net::TcpStream>, Reason> {
    let _permit = shared.handshakes.take(1).ok_or(Reason::ResourceExhausted)?;
    let at = shared
        .clock
        .monotonic()
        .saturating_add(shared.limits.handshake_timeout);
    let stream = tokio::net::TcpStream::from_std(stream).map_err(|_| Reason::ResourceExhausted)?;
    match within(&*shared.clock, at, TlsAcceptor::from(config).accept(stream)).await {
        Ended::Done(Ok(stream)) => Ok(stream),
        Ended::Done(Err(_)) => Err(Reason::Unauthenticated),
        Ended::Late => Err(Reason::DeadlineExceeded),
        Ended::Panicked => Err(Reason::Internal),
    }
}

async fn converse<R: Road>(
    worker: Rc<Worker<R>>,
    stream: TlsStream<tokio::net::TcpStream>,
    connection: Connection,
    http2: bool,
) {
    let start = worker.shared.clock.monotonic();
    let activity = Rc::new(Activity::new(start));
    let received = Received::default();
    let stream = TokioIo::new(Watched::new(stream, received.clone()));
    let life = Life {
        shared: Arc::clone(&worker.shared),
        activity: Rc::clone(&activity),
        received,
        start,
        age: age(&worker.shared.limits, connection.number()),
    };
    let line = Rc::new(Line {
        worker: Rc::clone(&worker),
        connection: Arc::new(connection),
        activity,
    });
    let service = service_fn(move |request: Request<Incoming>| {
        let line = Rc::clone(&line);
        async move { Ok::<_, Infallible>(line.answer(request).await) }
    });
    if http2 {
        let connection = worker.protocols.http2.serve_connection(stream, service);
        life.live(connection, |c| c.graceful_shutdown()).await;
    } else {
        let connection = worker.protocols.http1.serve_connection(stream, service);
        life.live(connection, |c| c.graceful_shutdown()).await;
    }
}

/// Up to an eighth shorter than the limit, so that connections of one moment do not end in one.
fn age(limits: &Limits, number: u64) -> Duration {
    let eighth = limits.age / 8;
    let part = u32::try_from(number % 8).unwrap_or(0);
    limits.age.saturating_sub(eighth / 8 * part)
}

/// When a connection ends.
struct Life {
    shared: Arc<Shared>,
    activity: Rc<Activity>,
    received: Received,
    start: Duration,
    age: Duration,
}

/// What to do with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Look again then.
    Wait(Duration),
    /// Let calls finish.
    Goodbye,
    /// Drop it.
    Cut,
}

impl Life {
    /// Polls `connection` until it ends by itself, is told goodbye and ends, or is cut.
    async fn live<C: Future>(self, connection: C, goodbye: impl Fn(Pin<&mut C>)) {
        let clock = &*self.shared.clock;
        let mut connection = pin!(connection);
        let mut ending = self.shared.ending.subscribe();
        let mut ended = pin!(ending.wait_for(|ending| *ending));
        while let Verdict::Wait(at) = self.verdict() {
            tokio::select! {
                biased;
                _ = &mut connection => return,
                _ = &mut ended => break,
                () = clock.wait_until(at) => {}
            }
        }
        if self.verdict() == Verdict::Cut {
            return;
        }
        goodbye(connection.as_mut());
        let at = clock.monotonic().saturating_add(self.shared.limits.grace);
        within(clock, at, connection).await;
    }

    fn verdict(&self) -> Verdict {
        let limits = &self.shared.limits;
        let now = self.shared.clock.monotonic();
        let old = self.start.saturating_add(self.age);
        if self.received.count() < PREFACE {
            let spoken = self.start.saturating_add(limits.handshake_timeout);
            return if now >= spoken {
                Verdict::Cut
            } else {
                Verdict::Wait(spoken.min(old))
            };
        }
        let idle = match self.activity.idle_since() {
            Some(since) => since.saturating_add(limits.idle),
            // it may fall idle in the next moment
            None => now.saturating_add(limits.idle),
        };
        if now >= idle.min(old) {
            Verdict::Goodbye
        } else {
            Verdict::Wait(idle.min(old))
        }
    }
}
