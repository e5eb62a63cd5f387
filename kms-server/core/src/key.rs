//! The life cycle of datasets, their key versions and shred secrets: records, states, events, rotation.

pub mod record;
pub mod rotation;
pub mod state;
