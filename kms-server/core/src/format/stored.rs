//! Store records: each encrypted under a key of its tree, bound to its tree, key and revision. A record
//! that is moved, swapped, relabelled or changed in one bit does not open.
//!
//! `format 1 | master key version 4 | revision 8 | cobblestone message`. Never holds a name in the clear.

use super::place::{RecordKey, Revision, Tree};
use crate::cipher::{MessageKey, Undecryptable, derive_key, label};
use crate::codec::{Malformed, Reader};
use crate::entropy::{Entropy, EntropyUnavailable};
use crate::secret::MasterKey;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The only format so far.
pub const FORMAT: u8 = 1;
/// Bytes before the message.
pub const HEADER_LEN: usize = 13;
/// Most bytes of an encrypted record: embedded engines want small values.
pub const STORED_MAX: usize = 60 * 1024;
/// Number in the root record's place of a tree; no tree has it.
const ROOT_TREE: u8 = 0;
/// The root record's key.
pub const ROOT_KEY: &[u8] = b"root";

/// All versions of the master key that records may still lie under. In memory only while unsealed.
#[derive(Debug)]
pub struct MasterKeys {
    current: u32,
    keys: BTreeMap<u32, MasterKey>,
}

impl MasterKeys {
    /// `None` when the current version is not among the keys.
    #[must_use]
    pub fn new(current: u32, keys: BTreeMap<u32, MasterKey>) -> Option<Self> {
        keys.contains_key(&current)
            .then_some(Self { current, keys })
    }

    /// Number of the version that new records are written under.
    #[must_use]
    pub const fn current(&self) -> u32 {
        self.current
    }

    /// All versions by number.
    #[must_use]
    pub const fn keys(&self) -> &BTreeMap<u32, MasterKey> {
        &self.keys
    }
}

/// A record's bytes, opened.
#[derive(Debug)]
pub struct Opened {
    /// The master key version that it lay under.
    pub master_version: u32,
    /// The revision that it was written at.
    pub revision: Revision,
    /// What was encrypted.
    pub plaintext: Zeroizing<Vec<u8>>,
}

/// Encrypts and opens records. Input keys of all trees and master key versions are derived once.
#[derive(Debug)]
pub struct RecordCipher {
    current: u32,
    /// By master key version and tree number.
    keys: BTreeMap<(u32, u8), MessageKey>,
}

impl RecordCipher {
    /// Derives `HKDF-SHA-512(salt = empty, ikm = master key, info = label || tree number)` for all trees.
    #[must_use]
    pub fn new(master: &MasterKeys) -> Self {
        let trees = || Tree::ALL.iter().map(|tree| *tree as u8);
        let keys = master.keys.iter().flat_map(|(version, key)| {
            std::iter::once(ROOT_TREE).chain(trees()).map(|tree| {
                let derived = derive_key(&[], key.expose_bytes(), &[label::STORE_KEY, &[tree]]);
                ((*version, tree), MessageKey::new(&derived))
            })
        });
        Self {
            current: master.current,
            keys: keys.collect(),
        }
    }

    /// Encrypts a record's plaintext for its place and revision.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] when no salt can be drawn.
    pub fn encrypt(
        &self,
        key: &RecordKey,
        revision: Revision,
        plaintext: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, EntropyUnavailable> {
        let place = (key.tree as u8, &*key.key);
        self.encrypt_at(place, revision, plaintext, entropy)
    }

    /// Opens a record that was read from `key`.
    ///
    /// # Errors
    /// [`Undecryptable`]: damaged, of another place or revision, or under an unknown master key version.
    pub fn open(&self, key: &RecordKey, bytes: &[u8]) -> Result<Opened, Undecryptable> {
        self.open_at((key.tree as u8, &key.key), bytes)
    }

    /// Encrypts the root record's plaintext.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] when no salt can be drawn.
    pub fn encrypt_root(
        &self,
        revision: Revision,
        plaintext: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, EntropyUnavailable> {
        self.encrypt_at((ROOT_TREE, ROOT_KEY), revision, plaintext, entropy)
    }

    /// Opens the root record.
    ///
    /// # Errors
    /// [`Undecryptable`]: damaged, or under an unknown master key version.
    pub fn open_root(&self, bytes: &[u8]) -> Result<Opened, Undecryptable> {
        self.open_at((ROOT_TREE, ROOT_KEY), bytes)
    }

    fn encrypt_at(
        &self,
        place: (u8, &[u8]),
        revision: Revision,
        plaintext: &[u8],
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, EntropyUnavailable> {
        // `MasterKeys::new` has seen to it that the current version has keys
        let key = self.keys.get(&(self.current, place.0));
        let key = key.ok_or(EntropyUnavailable)?;
        let message_len = cobblestone::HEADER_LEN + cobblestone::TAG_LEN + plaintext.len();
        let mut out = Vec::with_capacity(HEADER_LEN + message_len);
        out.push(FORMAT);
        out.extend_from_slice(&self.current.to_be_bytes());
        out.extend_from_slice(&revision.0.to_be_bytes());
        key.seal_into(&context(place, revision), plaintext, entropy, &mut out)?;
        Ok(out)
    }

    fn open_at(&self, place: (u8, &[u8]), bytes: &[u8]) -> Result<Opened, Undecryptable> {
        let (master_version, revision, message) =
            parse_header(bytes).map_err(|Malformed| Undecryptable)?;
        let key = self.keys.get(&(master_version, place.0));
        let plaintext = key
            .ok_or(Undecryptable)?
            .open(&context(place, revision), message)?;
        Ok(Opened {
            master_version,
            revision,
            plaintext,
        })
    }
}

/// `label || tree 1 || revision 8 || key`: what varies in length stands last.
fn context((tree, key): (u8, &[u8]), revision: Revision) -> Vec<u8> {
    [
        label::STORE_CONTEXT,
        &[tree],
        &revision.0.to_be_bytes(),
        key,
    ]
    .concat()
}

fn parse_header(bytes: &[u8]) -> Result<(u32, Revision, &[u8]), Malformed> {
    let mut r = Reader::new(bytes);
    if r.u8()? != FORMAT {
        return Err(Malformed);
    }
    Ok((r.u32()?, Revision(r.u64()?), r.rest()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{KeyId, SecretId, VersionNumber};

    struct Counting;
    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
            bytes.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8);
            Ok(())
        }
    }

    fn cipher(current: u32, versions: &[u32]) -> RecordCipher {
        let keys = versions
            .iter()
            .map(|v| (*v, MasterKey::take_bytes(&mut [*v as u8; 32])))
            .collect();
        RecordCipher::new(&MasterKeys::new(current, keys).unwrap())
    }

    fn key() -> RecordKey {
        RecordKey::shred(SecretId([3; 16]))
    }

    #[test]
    fn bytes_are_as_documented() {
        let cipher = cipher(1, &[1]);
        let bytes = cipher
            .encrypt(&key(), Revision(7), b"plain", &Counting)
            .unwrap();
        let head = [&[1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7][..], &{
            let mut salt = [0; 24];
            Counting.fill(&mut salt).unwrap();
            salt
        }];
        assert!(bytes.starts_with(&head.concat()));
        assert_eq!(bytes.len(), HEADER_LEN + 56 + 5 + 16);
        // the same message from the primitive alone: the documented key and context
        let input = derive_key(&[], &[1; 32], &[b"kms/v1/store/key;", &[3]]);
        let context = [
            b"kms/v1/store/context;".as_slice(),
            &[3, 0, 0, 0, 0, 0, 0, 0, 7],
            &[3; 16],
        ];
        let opened = cobblestone::open(
            &cobblestone::Key::new(input.expose_bytes()),
            &context.concat(),
            &bytes[HEADER_LEN..],
        );
        assert_eq!(opened.unwrap().as_slice(), b"plain");
    }

    #[test]
    fn every_bit_counts() {
        let cipher = cipher(1, &[1, 2]);
        let bytes = cipher
            .encrypt(&key(), Revision(7), &[9; 40], &Counting)
            .unwrap();
        let opened = cipher.open(&key(), &bytes).unwrap();
        assert_eq!(opened.plaintext.as_slice(), [9; 40]);
        assert_eq!((opened.revision, opened.master_version), (Revision(7), 1));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(cipher.open(&key(), &bad).is_err(), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(cipher.open(&key(), &bytes[..len]).is_err(), "length {len}");
        }
        assert!(
            cipher
                .open(&key(), &[bytes.as_slice(), &[0]].concat())
                .is_err()
        );
    }

    #[test]
    fn a_record_opens_in_its_own_place_only() {
        let cipher = cipher(1, &[1]);
        let version = VersionNumber::FIRST;
        let bytes = cipher
            .encrypt(
                &RecordKey::version(KeyId([3; 16]), version),
                Revision(7),
                b"x",
                &Counting,
            )
            .unwrap();
        let places = [
            RecordKey::version(KeyId([4; 16]), version),
            RecordKey::version(KeyId([3; 16]), version.next().unwrap()),
            // same key bytes, another tree
            RecordKey::usage(KeyId([3; 16]), version),
        ];
        for place in places {
            assert!(cipher.open(&place, &bytes).is_err(), "{place:?}");
        }
        assert!(cipher.open_root(&bytes).is_err());
        let root = cipher
            .encrypt_root(Revision(7), b"root", &Counting)
            .unwrap();
        assert!(cipher.open_root(&root).is_ok());
        assert!(cipher.open(&key(), &root).is_err());
    }

    #[test]
    fn older_master_key_versions_open_and_unknown_ones_do_not() {
        let old = cipher(1, &[1])
            .encrypt(&key(), Revision(1), b"x", &Counting)
            .unwrap();
        let both = cipher(2, &[1, 2]);
        assert_eq!(both.open(&key(), &old).unwrap().master_version, 1);
        let new = both.encrypt(&key(), Revision(1), b"x", &Counting).unwrap();
        assert_eq!(both.open(&key(), &new).unwrap().master_version, 2);
        assert!(cipher(2, &[2]).open(&key(), &old).is_err());
        assert!(MasterKeys::new(3, BTreeMap::new()).is_none());
    }
}
