//! Client library for CRM services: envelope encryption against the key management service.

pub mod file;
pub mod inspect;
