//! Decides: snapshot, request, caller, time and entropy in; reply, writes and audit facts out.
//!
//! Pure: never does I/O, never waits, never predicts a revision. Each operation asks for the
//! [`crate::policy::Authorised`] of its own action and is called again, with a new view, after a conflict.

pub mod access;
pub mod anonymise;
pub mod approval;
pub mod batch;
pub mod cached_use;
pub mod dataset;
pub mod direct;
pub mod generate;
pub mod idempotency;
pub mod index;
pub mod limits;
pub mod operator;
pub mod policies;
pub mod rewrap;
pub mod rotate;
pub mod scope;
pub mod service;
pub mod shred;
pub mod snapshot;
pub mod trust;
pub mod unwrap;
pub mod upkeep;
pub mod version;
pub mod view;

mod creation;
mod material;
mod wrapping;

pub use batch::{Item, RefusedItem};
pub use dataset::{DatasetUpdate, NewDataset, create_dataset, label_dataset, update_dataset};
pub use direct::{
    DecryptItem, Decrypted, EncryptItem, Encrypted, decrypt, decrypt_detail, encrypt,
    encrypt_detail,
};
pub use generate::{
    GenerateItem, GeneratedKey, Generating, generate_data_key, generate_data_keys, generate_detail,
};
pub use policies::{NewPolicies, apply_policies, refused_policies, reload_policies};
pub use rewrap::{RewrapItem, Rewrapped, rewrap, rewrap_detail};
pub use rotate::{emergency_rotate, rotate, scheduled_rotation};
pub use scope::{ScopeRequest, SecretUse, resolve_scope};
pub use shred::{
    CreatedSecret, NewSecret, Selector, ShredFace, block_shred, create_shred_secrets,
    destroy_shred, unblock_shred,
};
pub use snapshot::Snapshot;
pub use unwrap::{
    UnwrapItem, UnwrappedKey, Unwrapping, parse_blob, unwrap_data_key, unwrap_data_keys,
    unwrap_detail,
};
pub use version::{
    disable_version, due_destruction, enable_version, restore_version, schedule_destruction,
};
pub use view::{
    Change, Changed, Decision, Idempotency, Moment, Named, Refusal, ShredEntry, View, Violation,
};
