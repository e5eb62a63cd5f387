//! Client library of the key management service, for the services of a CRM.

pub mod cache;
mod calls;
mod client;
mod connect;
pub mod data_key;
pub mod error;
pub mod field;
pub mod file;
pub mod inspect;
mod label;
pub mod name;
pub mod pin;
pub mod profile;
mod random;
mod retry;
pub mod row;
pub mod source;
pub mod stream;
pub mod wrapped;

pub use calls::{Decrypted, ENCRYPT_MAX, RewrapRequest, Rewrapped};
pub use client::{Client, DEADLINE_DEFAULT};
pub use data_key::{DataKey, DataKeyRequest, GeneratedDataKey, UnwrapRequest, UnwrappedDataKey};
pub use error::{Error, ErrorKind};
pub use field::Field;
pub use kms_proto as proto;
pub use name::{DatasetName, ItemContext, KeyContext, ShredUse};
pub use pin::Pin;
pub use profile::Profile;
pub use random::{REQUEST_ID_LEN, make_request_id};
pub use row::{NewRow, OpenedRow, RowChange, RowEnvelope, RowId, RowUpdate, SealedRow, StoredRow};
pub use source::KeySource;
pub use wrapped::WrappedDataKey;
