//! The bytes of the audit log: final. A leaf never changes once it is written, and no field here may ever
//! move or change its meaning; what comes later goes into sections (docs/formats.md, "Audit leaf").
//!
//! Never holds plaintext, key bytes, wrapped blobs, or personal data outside a personal group.

mod decode;
mod encode;
mod entry;
mod keys;
mod personal;
mod prefix;
mod section;

pub use decode::decode;
pub use encode::{
    CallFacts, CallerFacts, CallerIntroduction, Count, EncodeError, details_hash, encode_call,
    encode_caller_introduction, encode_counted, encode_dataset_introduction, encode_system,
};
pub use entry::{
    Body, Counted, DetailBody, Entry, Head, Introduction, Item, Naming, Section, SystemEvent,
    SystemRecord,
};
pub use keys::{DirectoryKeys, LeafKeys, Month, MonthIntake, MonthKeys, PrincipalId};
pub use personal::{Personal, PersonalKey};
pub use prefix::{BootId, Coordinates, Kind, Prefix, stamp_change, stamp_sequence};
pub use section::{approval_of, subject_of};

/// Most bytes of a leaf.
pub const LEAF_MAX: usize = 32 * 1024;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
