//! The network side: acceptor, runtimes, HTTP/2, frames, statuses. Never decodes a message and
//! never decides about a call: what arrives whole goes to the road.

pub mod method;
pub mod status;

pub use crate::call::road;
