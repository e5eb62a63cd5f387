//! What the log says of a call: facts in, leaf bytes out. Never plaintext, key bytes or wrapped blobs.

pub mod facts;

pub use facts::{Detail, Facts, Outcome};
