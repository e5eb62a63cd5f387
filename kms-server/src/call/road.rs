//! What the transport gives to the road of a call and what it takes back. No gRPC words here: a
//! road neither knows status codes nor frames, and the transport knows no message.

use crate::identity::{Authorization, Connection};
use bytes::Bytes;
use kms_core::engine::view::Refusal;
use kms_core::name::{ApprovalId, CallId};
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

/// What a caller says of itself beside its certificate.
#[derive(Debug, Default)]
pub struct Credentials {
    /// SHA-256 of the token of an operator's session.
    pub session: Option<[u8; 32]>,
    /// A code of the operator's authenticator, as typed.
    pub code: Option<zeroize::Zeroizing<String>>,
    /// The approval that the call uses.
    pub approval: Option<ApprovalId>,
    /// A one-time enrolment token, as typed.
    pub enrolment: Option<zeroize::Zeroizing<String>>,
}

/// One call (one message of a stream) that arrived whole and within the limits.
#[derive(Debug)]
pub struct Incoming {
    /// Its identity, drawn from [`Road::next_id`]: stands in the answer and in the audit entry.
    pub id: CallId,
    /// What is asked.
    pub method: &'static Method,
    /// Over which connection; the road identifies the caller from it and from `authorization` on every call.
    pub connection: Arc<Connection>,
    /// An access token, when the call brings one.
    pub authorization: Authorization,
    /// When the caller gives up, on the daemon's monotonic clock. The transport answers
    /// `DEADLINE_EXCEEDED` then and drops the road's future.
    pub deadline: Duration,
    /// From `traceparent` (W3C Trace Context), when it is well formed.
    pub trace_id: Option<[u8; 16]>,
    /// Of the head, if it has any. A code stands in the first message of a stream only: it is good once.
    pub credentials: Option<Box<Credentials>>,
    /// The encoded request message, not decoded yet.
    pub body: Bytes,
}

/// A call that the transport refuses before the road. It gets an entry: one of its own for an
/// identified caller, counted by source and reason for everybody else and for whatever is refused
/// as `RESOURCE_EXHAUSTED`.
#[derive(Debug)]
pub struct Early {
    /// As in [`Incoming`].
    pub id: CallId,
    /// What was asked; `None` when there is no such method.
    pub method: Option<&'static Method>,
    /// Over which connection.
    pub connection: Arc<Connection>,
    /// As in [`Incoming`].
    pub authorization: Authorization,
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
    /// `RESOURCE_EXHAUSTED`: a cap; `UNAUTHENTICATED`: the handshake failed;
    /// `DEADLINE_EXCEEDED`: it took too long.
    pub reason: Reason,
}

/// What happens to calls once they have arrived.
pub trait Road: Send + Sync + 'static {
    /// What one runtime keeps for itself; made on its thread and never leaves it.
    type Lane: 'static;

    /// Makes the lane of the runtime that asks. Called once on each, inside the runtime.
    fn lane(&self) -> Self::Lane;

    /// The identity of the next call: unique over restarts.
    fn next_id(&self, lane: &Self::Lane) -> CallId;

    /// The whole of a call: the encoded reply, or why not.
    ///
    /// The future is dropped when the deadline passes or the caller is gone, at any point where it
    /// waits. The road sees to it that even then the call has exactly one entry, and that a change
    /// once begun goes on in a task of its own.
    fn travel(
        &self,
        lane: &Self::Lane,
        call: Incoming,
    ) -> impl Future<Output = Result<Bytes, Refusal>>;

    /// Records a call that never got so far; it is answered when this ends.
    fn refused(&self, lane: &Self::Lane, early: Early) -> impl Future<Output = ()>;

    /// Counts a peer that never got a connection.
    fn shed(&self, shed: Shed);
}
