//! Client library of the key management service, for the services of a CRM.

mod client;
mod connect;
pub mod error;
pub mod file;
pub mod inspect;
pub mod pin;
pub mod profile;
mod retry;

pub use client::{Client, DEADLINE_DEFAULT};
pub use error::{Error, ErrorKind};
pub use kms_proto as proto;
pub use pin::Pin;
pub use profile::Profile;
