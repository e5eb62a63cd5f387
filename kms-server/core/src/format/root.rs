//! The root record: one for each transaction, it says what the whole store must hold. A record that was
//! removed, or put back from an older copy, does not add up with it.
//!
//! Never says *which* record of a shard is wrong, only that the shard is.

use super::place::{RecordKey, Revision, Tree};
use crate::cipher::{HashKey, label};
use crate::codec::{Malformed, Reader, Writer};
use crate::secret::SetHashKey;

/// The only format so far.
pub const FORMAT: u8 = 1;
/// Shards of the set hash.
pub const SHARDS: usize = 256;
/// Bytes of an encoded root: format 1, four numbers of 8, seals 32, sums.
pub const ROOT_LEN: usize = 1 + 4 * 8 + 32 + SHARDS * 32;

/// What the whole store must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Revision of the last transaction.
    pub revision: Revision,
    /// Number of the last change that has leaves; they are dense.
    pub last_change: u64,
    /// Changes up to this one are known to be in the log.
    pub logged_change: u64,
    /// Audit sequence number from which the log is scanned for the others.
    pub logged_sequence: u64,
    /// SHA-256 of the public halves of all seals, as the keyring encodes them.
    pub seals: [u8; 32],
    sums: Box<[Sum; SHARDS]>,
}

impl Root {
    /// Of a store that holds nothing.
    #[must_use]
    pub fn new(seals: [u8; 32]) -> Self {
        Self {
            revision: Revision(0),
            last_change: 0,
            logged_change: 0,
            logged_sequence: 0,
            seals,
            sums: Box::new([Sum::default(); SHARDS]),
        }
    }

    /// The sum over a shard's records.
    #[must_use]
    pub fn sum(&self, shard: Shard) -> Sum {
        self.sums
            .get(usize::from(shard.0))
            .copied()
            .unwrap_or_default()
    }

    /// Takes a record into the set.
    pub fn add(&mut self, key: &RecordKey, element: &Element) {
        if let Some(sum) = self.sums.get_mut(usize::from(Shard::of(key).0)) {
            sum.add(element);
        }
    }

    /// Takes a record out of the set.
    pub fn remove(&mut self, key: &RecordKey, element: &Element) {
        if let Some(sum) = self.sums.get_mut(usize::from(Shard::of(key).0)) {
            sum.remove(element);
        }
    }

    /// The plaintext bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(ROOT_LEN);
        w.u8(FORMAT).u64(self.revision.0).u64(self.last_change);
        w.u64(self.logged_change).u64(self.logged_sequence);
        w.bytes(&self.seals);
        self.sums.iter().for_each(|sum| {
            w.bytes(&sum.0);
        });
        w.finish()
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        if r.u8()? != FORMAT {
            return Err(Malformed);
        }
        let mut root = Self::new([0; 32]);
        root.revision = Revision(r.u64()?);
        root.last_change = r.u64()?;
        root.logged_change = r.u64()?;
        root.logged_sequence = r.u64()?;
        root.seals = r.array()?;
        for sum in root.sums.iter_mut() {
            *sum = Sum(r.array()?);
        }
        r.finish()?;
        Ok(root)
    }
}

/// One of the 256 shards. Each belongs to one tree, or to datasets and their versions together, and is a
/// contiguous range of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard(u8);

impl Shard {
    /// The shard that a record lies in, by its tree and the first byte of its key.
    #[must_use]
    pub fn of(key: &RecordKey) -> Self {
        let first = key.key.first().copied().unwrap_or(0);
        let (base, bits) = Self::layout(key.tree);
        Self(base + first.checked_shr(8 - bits).unwrap_or(0))
    }

    /// All shards of a tree, in the order of their keys.
    pub fn of_tree(tree: Tree) -> impl Iterator<Item = Self> {
        let (base, bits) = Self::layout(tree);
        let last = base + (u8::MAX.checked_shr(8 - bits).unwrap_or(0));
        (base..=last).map(Self)
    }

    /// First shard of a tree and how many bits of the first key byte choose among its shards.
    const fn layout(tree: Tree) -> (u8, u32) {
        match tree {
            Tree::Dataset | Tree::Version => (0, 7),
            Tree::Shred => (128, 6),
            Tree::ShredName => (192, 5),
            Tree::Request => (224, 4),
            Tree::DatasetName => (240, 2),
            Tree::Usage => (244, 2),
            Tree::System => (248, 0),
            Tree::AuditKey => (249, 0),
            Tree::Outbox => (250, 0),
            Tree::LogKey => (255, 0),
            // operators and what they decide together stand and fall together
            Tree::Operator | Tree::Approval | Tree::Approver | Tree::Roster | Tree::Trust => {
                (251, 0)
            }
            Tree::Policies => (253, 0),
            Tree::Service => (252, 0),
            Tree::Forward => (254, 0),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// Sum of elements mod 2^256, big-endian. The empty sum is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum([u8; 32]);

impl Sum {
    /// Adds an element.
    pub fn add(&mut self, element: &Element) {
        let mut carry = 0;
        for (a, b) in self.0.iter_mut().zip(&element.0).rev() {
            let digit = u16::from(*a) + u16::from(*b) + carry;
            [_, *a] = digit.to_be_bytes();
            carry = digit >> 8;
        }
    }

    /// Takes an element out.
    pub fn remove(&mut self, element: &Element) {
        let mut borrow = false;
        for (a, b) in self.0.iter_mut().zip(&element.0).rev() {
            let (digit, under) = a.overflowing_sub(*b);
            let (digit, under_again) = digit.overflowing_sub(u8::from(borrow));
            *a = digit;
            borrow = under || under_again;
        }
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What one record adds to its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element([u8; 32]);

/// Makes elements under the set-hash key.
#[derive(Debug)]
pub struct SetHash(HashKey);

impl SetHash {
    /// Prepares the key.
    #[must_use]
    pub fn new(key: &SetHashKey) -> Self {
        Self(HashKey::new(key.expose_bytes()))
    }

    /// `HMAC-SHA-256(label || tree 1 || revision 8 || SHA-256 of the plaintext 32 || key)`.
    #[must_use]
    pub fn element(
        &self,
        key: &RecordKey,
        revision: Revision,
        plaintext_hash: &[u8; 32],
    ) -> Element {
        Element(self.0.hash(&[
            label::STORE_SET,
            &[key.tree as u8],
            &revision.0.to_be_bytes(),
            plaintext_hash,
            &key.key,
        ]))
    }
}

#[cfg(test)]
mod tests;
