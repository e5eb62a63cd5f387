//! What the transport gives to the road of a call and what it takes back. No gRPC words here: a
//! road neither knows status codes nor frames, and the transport knows no message.

use crate::identity::Connection;
use bytes::Bytes;
use kms_core::engine::view::Refusal;
use kms_core::name::CallId;
use kms_core::reason::Reason;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// One RPC, as the descriptor has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Method {
    /// `/kms.v1.KeyService/Encrypt`.
    pub path: &'static str,
    /// `kms.v1.KeyService`.
    pub service: &'static str,
    /// `Encrypt`.
    pub name: &'static str,
    /// Messages go both ways, each a call of its own.
    pub streaming: bool,
}

/// One call (one message of a stream) that arrived whole and within the limits.
#[derive(Debug)]
pub struct Incoming {
    /// What is asked.
    pub method: &'static Method,
    /// Over which connection; the road identifies the caller from it on every call.
    pub connection: Arc<Connection>,
    /// When the caller gives up, on the daemon's monotonic clock. The transport answers
    /// `DEADLINE_EXCEEDED` then and drops the road's future.
    pub deadline: Duration,
    /// From `traceparent` (W3C Trace Context), when it is well formed.
    pub trace_id: Option<[u8; 16]>,
    /// The encoded request message, not decoded yet.
    pub body: Bytes,
}

/// How one call ended.
#[derive(Debug)]
pub struct Answer {
    /// The same as in the call's audit entry.
    pub request_id: CallId,
    /// The encoded reply message.
    pub result: Result<Bytes, Refusal>,
}

/// A call that the transport refuses before the road: it gets an entry (of its own for an
/// identified caller, counted by source and reason for everybody else).
#[derive(Debug)]
pub struct Early {
    /// What was asked; `None` when there is no such method.
    pub method: Option<&'static Method>,
    /// Over which connection.
    pub connection: Arc<Connection>,
    /// As in [`Incoming`].
    pub trace_id: Option<[u8; 16]>,
    /// Why.
    pub reason: Reason,
    /// What was wrong, in fixed words of ours.
    pub note: &'static str,
}

/// A peer that never became a connection: always counted, never an entry of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shed {
    /// Whence.
    pub source: IpAddr,
    /// Why: `RESOURCE_EXHAUSTED` (a cap), `UNAUTHENTICATED` (the handshake failed),
    /// `DEADLINE_EXCEEDED` (the handshake took too long).
    pub reason: Reason,
}

/// What happens to calls once they have arrived.
pub trait Road: Send + Sync + 'static {
    /// What one runtime keeps for itself; made on its thread and never leaves it.
    type Lane: 'static;

    /// Makes the lane of the runtime that asks. Called once on each, inside the runtime.
    fn lane(&self) -> Self::Lane;

    /// The whole of a call. Its future may be dropped at any point (deadline, caller gone), so a
    /// change must go on in a task of its own.
    fn travel(&self, lane: &Self::Lane, call: Incoming) -> impl Future<Output = Answer>;

    /// Records a call that never got so far; the id is answered to the caller.
    fn refused(&self, lane: &Self::Lane, early: Early) -> impl Future<Output = CallId>;

    /// Counts a peer that never got a connection.
    fn shed(&self, shed: Shed);
}
