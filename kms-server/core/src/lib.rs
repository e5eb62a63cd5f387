//! The pure inside of the key management service.
//!
//! Time, randomness and state come in as arguments; replies, records and audit entries go out as
//! values. Nothing here does I/O, reads a clock, waits or names a transport or a storage engine.
//! Floors, from left to right (ARCHITECTURE.md): a module uses only what stands before it.

pub mod entropy;
pub mod name;
pub mod reason;
pub mod secret;
pub mod time;

pub mod cipher;
pub mod codec;

pub mod format;

pub mod audit;
pub mod key;
pub mod policy;

pub mod engine;
