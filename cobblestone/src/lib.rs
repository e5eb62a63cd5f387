//! C2SP [chunked-encryption] v1 with HKDF-SHA-512 and AES-256-GCM ("Cobblestone-256").
//!
//! One 32-byte key encrypts any number of messages of 0 bytes to 4 PiB, each under its own key
//! derived from a 24-byte salt and a context; each message commits to its key. A message is a
//! 56-byte header and chunks of 16 KiB, of which the last is always short, so that truncation,
//! extension and reordering fail, streams need no look-ahead, and any chunk opens alone.
//!
//! | | encrypt | decrypt |
//! | --- | --- | --- |
//! | in memory | [`seal`], [`seal_into`] | [`open`] |
//! | a stream | [`SealWriter`] | [`OpenReader`] |
//! | big inputs, on several cores | [`seal_parallel`] | [`open_parallel`] |
//! | parts of a message | | [`OpenAt`] |
//!
//! Every way of encrypting makes the same bytes from the same salt. There is no way to get at
//! unauthenticated plaintext, and one reason for every failure to decrypt:
//! [`Error::Undecryptable`].
//!
//! ```
//! use cobblestone::{Error, Key, Salt, open, seal};
//!
//! let key = Key::new(&[7; 32]); // 32 bytes from a CSPRNG or a KDF
//! let message = seal(&key, b"invoices/4711", &Salt::random()?, b"42.00 EUR")?;
//! assert_eq!(message.len(), 56 + 9 + 16);
//! assert_eq!(open(&key, b"invoices/4711", &message)?.as_slice(), b"42.00 EUR");
//! assert_eq!(open(&key, b"invoices/4712", &message).err(), Some(Error::Undecryptable));
//! # Ok::<(), Error>(())
//! ```
//!
//! [chunked-encryption]: https://c2sp.org/chunked-encryption

mod buffer;
mod chunk;
mod error;
mod key;
mod layout;
mod message;
mod parallel;
mod random_access;
mod reader;
mod transfer;
mod writer;

pub use error::Error;
pub use key::{Key, Salt};
pub use layout::{
    CHUNK_LEN, COMMITMENT_LEN, HEADER_LEN, SALT_LEN, TAG_LEN, plaintext_len, sealed_len,
};
pub use message::{open, seal, seal_into};
pub use parallel::{Parallel, open_parallel, seal_parallel};
pub use random_access::OpenAt;
pub use reader::OpenReader;
pub use writer::SealWriter;
