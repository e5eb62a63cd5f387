//! A log that proves itself: what its writer, its readers and its auditors must agree on, and nothing else.
//!
//! The tree is RFC 6962's over SHA-256, its files are laid out as C2SP [tlog-tiles], its signed heads are C2SP
//! [tlog-checkpoint]s in [signed-note]s, its witnesses speak [tlog-witness]. Entries are bytes here: this crate knows
//! nothing of what they say, holds no private key but a witness's, and writes no file.
//!
//! | | |
//! | --- | --- |
//! | [`Edge`] | grows a tree in bounded memory, tile by tile |
//! | [`proof`] | makes and checks proofs of inclusion and consistency |
//! | [`Note`], [`Checkpoint`], [`Keychain`] | reads signed heads, and knows whose signature counts |
//! | [`Submission`], [`Cosigner`], [`extends`] | what a log and its witnesses say to one another |
//! | [`verify()`] | checks a whole directory with nothing but a public key |
//!
//! [tlog-tiles]: https://c2sp.org/tlog-tiles
//! [tlog-checkpoint]: https://c2sp.org/tlog-checkpoint
//! [signed-note]: https://c2sp.org/signed-note
//! [tlog-witness]: https://c2sp.org/tlog-witness

mod bundle;
mod certificate;
mod checkpoint;
mod cosigner;
mod directory;
mod edge;
mod export;
mod hash;
mod note;
pub mod proof;
mod range;
mod submission;
mod tile;
mod verify;
mod witness;

pub use bundle::{BadBundle, bundle_entries, push_entry};
pub use certificate::{Certificate, Keychain, Untrusted};
pub use checkpoint::Checkpoint;
pub use cosigner::Cosigner;
pub use directory::{CERTIFICATES, CHECKPOINT, COSIGNED, Directory, Served, certificate_name};
pub use edge::{Edge, Full};
pub use export::ExportStatement;
pub use hash::{Digest, HASH_LEN, Hash, leaf_hash, node_hash};
pub use note::{BadNote, Note, SIGNATURE_LEN, VerifierKey, read_notes, signature_line};
pub use range::{RangeCheck, RangeProof, prove_range};
pub use submission::{SUBMISSION_MAX, Submission};
pub use tile::{TILE_WIDTH, Tile, entries_path, history_path};
pub use verify::{CheckEntry, Damage, Found, Options, Verified, verify, verify_directory};
pub use witness::{NotExtended, extends};

#[cfg(test)]
mod tests;
