//! Decides: snapshot, request, caller, time and entropy in; reply, writes and audit facts out.
//!
//! Pure: never does I/O, never waits, never predicts a revision.

pub mod snapshot;
pub mod view;

pub use snapshot::Snapshot;
pub use view::{Change, Decision, Moment, Refusal, ShredEntry, View};
