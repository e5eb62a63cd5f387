//! The network side: acceptor, runtimes, HTTP/2, frames, statuses. Never decodes a message and
//! never decides about a call: what arrives whole goes to the road.

mod acceptor;
mod deadline;
mod frame;
mod gauge;
mod head;
mod health;
mod limits;
mod line;
pub mod method;
mod reflection;
mod reply;
mod runtime;
mod serving;
pub mod status;
mod stream;
mod watched;
mod web;

pub use limits::Limits;
pub use runtime::{Counts, Running, Settings, start};
