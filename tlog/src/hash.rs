//! The tree's hashes (RFC 6962, section 2.1): SHA-256, leaves and nodes kept apart by their first byte.

use data_encoding::BASE64;
use ring::digest::{Context, SHA256, digest};
use std::fmt;

/// Bytes of a hash.
pub const HASH_LEN: usize = 32;

/// Hash of a leaf, a node or a whole tree. Shown in base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; HASH_LEN]);

impl Hash {
    /// Root of the tree without leaves.
    #[must_use]
    pub fn empty() -> Self {
        Self::taken(digest(&SHA256, b"").as_ref())
    }

    /// From base64 of 32 bytes; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    fn taken(bytes: &[u8]) -> Self {
        let mut hash = [0; HASH_LEN];
        hash.copy_from_slice(bytes);
        Self(hash)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// SHA-256 over bytes that come piece by piece: of a file, not of the tree.
#[derive(Clone)]
pub struct Digest(Context);

impl Digest {
    /// Of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Takes more in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all that was taken in.
    #[must_use]
    pub fn finish(self) -> Hash {
        Hash::taken(self.0.finish().as_ref())
    }
}

impl Default for Digest {
    fn default() -> Self {
        Self::new()
    }
}

/// Hash of a leaf's bytes.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    prefixed(0, leaf, &[])
}

/// Hash of two subtrees.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    prefixed(1, &left.0, &right.0)
}

/// The first bytes of SHA-256, by which a signature names its key (C2SP signed-note).
pub(crate) fn key_hash(name: &str, typed_key: &[u8]) -> [u8; 4] {
    let mut context = Context::new(&SHA256);
    context.update(name.as_bytes());
    context.update(b"\n");
    context.update(typed_key);
    let mut id = [0; 4];
    id.iter_mut()
        .zip(context.finish().as_ref())
        .for_each(|(to, from)| *to = *from);
    id
}

fn prefixed(prefix: u8, left: &[u8], right: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[prefix]);
    context.update(left);
    context.update(right);
    Hash::taken(context.finish().as_ref())
}
