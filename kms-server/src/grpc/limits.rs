//! Every limit of the network side, explicit. What is above a limit is refused, never queued.

use std::time::Duration;

/// A message above this size reserves from [`Limits::large_bytes`] while it is read and answered.
pub(super) const LARGE: usize = 16 * 1024;

/// Limits of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// Open connections of one address (IPv6: of one /64).
    pub connections_per_address: usize,
    /// Handshakes under way.
    pub handshakes: usize,
    /// From accepting to the first request bytes: TLS handshake and HTTP/2 preface.
    pub handshake_timeout: Duration,
    /// Open HTTP/2 streams of one connection.
    pub streams_per_connection: u32,
    /// Calls under way at once from one stream of calls.
    pub calls_per_stream: usize,
    /// Bytes of a request's header list, as HTTP/2 counts them.
    pub header_bytes: u32,
    /// Bytes of one message.
    pub message_bytes: usize,
    /// Bytes of all messages above 16 KiB that are under way.
    pub large_bytes: usize,
    /// Calls under way.
    pub in_flight: usize,
    /// Watchers of the health service.
    pub watchers: usize,
    /// Deadline of a call that names none.
    pub deadline_default: Duration,
    /// Longest deadline; longer ones are cut to it.
    pub deadline_max: Duration,
    /// A connection without a call is closed after this time.
    pub idle: Duration,
    /// A connection is closed after this time, up to an eighth earlier.
    pub age: Duration,
    /// Time for calls under way when a connection or the daemon ends.
    pub grace: Duration,
    /// HTTP/2 pings: the interval, and as long again for the answer.
    pub keep_alive: Duration,
    /// Streams that the peer reset and that we have not yet looked at (rapid reset).
    pub pending_resets: usize,
    /// Streams that we reset because of the peer's errors, over a connection's life.
    pub error_resets: usize,
    /// Runtimes; 0: one per core.
    pub runtimes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connections_per_address: 512,
            handshakes: 256,
            handshake_timeout: Duration::from_secs(10),
            streams_per_connection: 256,
            calls_per_stream: 16,
            header_bytes: 16 * 1024,
            message_bytes: 4 * 1024 * 1024,
            large_bytes: 256 * 1024 * 1024,
            in_flight: 16_384,
            watchers: 256,
            deadline_default: Duration::from_secs(30),
            deadline_max: Duration::from_secs(300),
            idle: Duration::from_secs(15 * 60),
            age: Duration::from_secs(60 * 60),
            grace: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
            pending_resets: 20,
            error_resets: 256,
            runtimes: 0,
        }
    }
}
