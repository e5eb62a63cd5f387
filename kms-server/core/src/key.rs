//! The life cycle of datasets, their key versions and shred secrets: records, states, events, rotation, and
//! whether the clock may be trusted with what cannot be undone.

pub mod clock_watch;
pub mod record;
pub mod rotation;
pub mod state;
