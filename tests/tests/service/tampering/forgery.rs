//! Lays out a log's directory as the daemon does, from entries and keys; also one that never was.

use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::path::Path;
use tlog::{
    Certificate, Checkpoint, Edge, Hash, TILE_WIDTH, VerifierKey, bundle_entries, entries_path,
    history_path, leaf_hash, push_entry, signature_line,
};

/// Entries by their place.
pub(super) type Entries = Vec<Vec<u8>>;

/// Entries between two checkpoints.
pub(super) const SPAN: usize = 100;

/// A key pair under a name.
pub(super) struct Key {
    pair: Ed25519KeyPair,
    pub(super) verifier: VerifierKey,
}

impl Key {
    fn new(name: &str, seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        let verifier = VerifierKey::new(name, public).unwrap();
        Self { pair, verifier }
    }

    fn signed(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        format!(
            "{text}\n{}",
            signature_line(&self.verifier, signature.as_ref())
        )
    }
}

/// Who signs a log.
pub(super) struct Keys {
    pub(super) instance: Key,
    log: Key,
}

impl Keys {
    pub(super) fn new(seed: u8) -> Self {
        Self {
            instance: Key::new("kms", seed),
            log: Key::new("kms/1", seed + 1),
        }
    }

    fn certificate(&self) -> String {
        let certificate = Certificate {
            origin: "kms/1".to_owned(),
            number: 1,
            key: self.log.verifier.clone(),
            from_size: 0,
            from_root: Hash::empty(),
        };
        self.instance.signed(&certificate.text())
    }

    /// The checkpoint over the first `size` entries, a [`SPAN`] or less behind the one before.
    pub(super) fn checkpoint(&self, entries: &[Vec<u8>], size: usize) -> String {
        let before = size.saturating_sub(1) / SPAN * SPAN;
        let mut edge = Edge::new();
        entries[..size]
            .iter()
            .for_each(|entry| edge.push(leaf_hash(entry), |_| {}));
        let (size, root) = (edge.size(), edge.root());
        let origin = "kms/1".to_owned();
        let checkpoint = Checkpoint { origin, size, root };
        self.log.signed(&checkpoint.text_after(before as u64))
    }

    /// The checkpoints that a log of so many entries has: each [`SPAN`], and at its end.
    pub(super) fn checkpoints(&self, entries: &[Vec<u8>]) -> Vec<String> {
        let inner = (SPAN..entries.len()).step_by(SPAN);
        let sizes = inner.chain([entries.len()]);
        sizes.map(|size| self.checkpoint(entries, size)).collect()
    }

    /// A whole log.
    pub(super) fn lay(&self, dir: &Path, entries: &[Vec<u8>]) {
        let _ = std::fs::remove_dir_all(dir);
        lay_tiles(dir, entries);
        lay_bundles(dir, entries, entries.len());
        put(dir, "log-keys/00000001", self.certificate().as_bytes());
        let checkpoints = self.checkpoints(entries);
        put(
            dir,
            "checkpoint",
            checkpoints[checkpoints.len() - 1].as_bytes(),
        );
        put(dir, &history_path(0), checkpoints.concat().as_bytes());
    }
}

pub(super) fn put(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Tiles over these entries.
pub(super) fn lay_tiles(dir: &Path, entries: &[Vec<u8>]) {
    let mut edge = Edge::new();
    let write = |path: String, row: &[Hash]| {
        put(
            dir,
            &path,
            &row.iter().flat_map(|hash| hash.0).collect::<Vec<_>>(),
        );
    };
    for entry in entries {
        edge.push(leaf_hash(entry), |(tile, row)| write(tile.path(), row));
    }
    edge.partial()
        .for_each(|(tile, row)| write(tile.path(), row));
}

/// Bundles of these entries under the names that a log of `size` has: too many are left out, of too few the last
/// bundle is short.
pub(super) fn lay_bundles(dir: &Path, entries: &[Vec<u8>], size: usize) {
    let _ = std::fs::remove_dir_all(dir.join("tile/entries"));
    let width = usize::try_from(TILE_WIDTH).unwrap();
    for first in (0..size).step_by(width) {
        let last = (first + width).min(size);
        let path = entries_path((first / width) as u64, u16::try_from(last - first).unwrap());
        let mut bundle = Vec::new();
        let held = entries.iter().skip(first).take(last - first);
        held.for_each(|entry| assert!(push_entry(&mut bundle, entry)));
        put(dir, &path, &bundle);
    }
}

/// The entries of a log's directory.
pub(super) fn entries_of(dir: &Path, size: u64) -> Entries {
    let mut entries = Vec::new();
    for index in 0..size.div_ceil(TILE_WIDTH) {
        let width = (size - index * TILE_WIDTH).min(TILE_WIDTH);
        let path = entries_path(index, u16::try_from(width).unwrap());
        let bundle = std::fs::read(dir.join(path)).unwrap();
        entries.extend(bundle_entries(&bundle).map(|entry| entry.unwrap().to_vec()));
    }
    entries
}

/// Where an entry says its place (docs/formats.md, "Audit leaf").
const PLACE_AT: std::ops::Range<usize> = 2..10;
/// Where it says its time.
const TIME_AT: std::ops::Range<usize> = 34..42;

/// Each entry says the place that it has.
pub(super) fn renumber(entries: &mut [Vec<u8>]) {
    for (place, entry) in (0_u64..).zip(entries) {
        entry[PLACE_AT].copy_from_slice(&place.to_be_bytes());
    }
}

/// An hour earlier.
pub(super) fn rewrite_time(entry: &mut [u8]) {
    let time = i64::from_be_bytes(entry[TIME_AT].try_into().unwrap());
    entry[TIME_AT].copy_from_slice(&(time - 3_600_000_000).to_be_bytes());
}
