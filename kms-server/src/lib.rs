//! The key management daemon as a library: `main.rs` and the tests start it through [`serve::serve`].
//!
//! Floors, from left to right (ARCHITECTURE.md): a module uses only what stands before it.

pub mod config;
pub mod system;
pub mod telemetry;

pub mod audit_log;
pub mod forward;
pub mod identity;
pub mod policies;
pub mod seal;
pub mod store;

pub mod anchor;

pub mod live;

pub mod call;

pub mod grpc;
pub mod jobs;

pub mod installation;

pub mod dev;
pub mod init;
pub mod serve;
