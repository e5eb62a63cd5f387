//! What the log says of a call: facts in, leaf bytes out. Never plaintext, key bytes or wrapped blobs.

pub mod facts;
pub mod leaf;

pub use facts::{ApprovalFacts, Detail, Facts, Outcome, Use};
pub use leaf::{Entry, LeafKeys};
