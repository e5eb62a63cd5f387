//! Client library of the key management service, for the services of a CRM.
//!
//! It connects with mutual TLS 1.3 and pinned keys, asks for data keys, and encrypts on this side: the
//! service never sees the data. What it never does: fall back to a key of its own, answer a ciphertext as
//! a plaintext, or repeat a call that could make something twice.
//!
//! | to encrypt | use |
//! | --- | --- |
//! | columns of a table, rows of persons who may be erased | [`row`] |
//! | one value that has no column for its key | [`field`] |
//! | an export or pipe | [`stream`] |
//! | a file, with random access and rewrap in place | [`mod@file`] |
//! | up to 64 KiB by the service itself | [`Client::encrypt`] |
//!
//! Reading pages of the same data again and again, put a [`cache::Cached`] before the client.
//!
//! ```no_run
//! use kms_client::{
//!     Client, DatasetName, ErrorKind, KeyContext, NewRow, Profile, RowEnvelope, RowId, ShredUse, StoredRow,
//! };
//!
//! # async fn example() -> Result<(), kms_client::Error> {
//! let client = Client::connect(&Profile::load("kms-dev/service.toml")?).await?;
//! let customers = DatasetName::parse("customers")?;
//! let contacts = RowEnvelope::new("contacts", customers, &["email", "phone"])?;
//!
//! // a contact is a subject: destroying that shred secret erases this row, wherever copies of it lie
//! let jane = ShredUse::subject("contact-4711")?.of_account("acme")?;
//! let key_context = KeyContext::new([("tenant", "acme"), ("purpose", "crm")])?;
//! let row = NewRow {
//!     id: RowId::new("4711")?,
//!     key_context: key_context.clone(),
//!     subject: Some(jane.create_if_absent()),
//!     others: vec![ShredUse::account("acme")?.create_if_absent()],
//!     fields: vec![("email", b"jane@example.com"), ("phone", b"+44 20 7946 0000")],
//! };
//! let sealed = contacts.seal(&client, row).await?; // INSERT sealed.wrapped and sealed.fields
//!
//! let page = [StoredRow {
//!     id: RowId::new("4711")?,
//!     key_context,
//!     wrapped: sealed.wrapped.as_bytes(),
//!     fields: vec![("email", sealed.fields.get("email").map(Vec::as_slice))],
//! }];
//! for row in contacts.open_rows(&client, &page).await {
//!     match row {
//!         Ok(row) => drop(row.fields), // plaintext by column
//!         Err(error) if error.kind() == ErrorKind::Erased => {} // the person asked to be forgotten
//!         Err(error) => return Err(error),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Plaintext data keys are boxed and wiped on drop. What the TLS and HTTP layers below hold for a moment
//! is not in this library's hand: a program that cares makes a zeroising allocator its global one.

pub mod cache;
mod calls;
mod client;
mod connect;
pub mod data_key;
pub mod error;
pub mod field;
pub mod file;
pub mod identity;
pub mod inspect;
mod label;
pub mod name;
pub mod operator;
pub mod pin;
pub mod profile;
mod random;
mod retry;
pub mod row;
pub mod source;
mod stamp;
pub mod stream;
mod token;
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
pub use source::{CachedUse, KeySource};
pub use wrapped::WrappedDataKey;
