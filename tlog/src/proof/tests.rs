//! Against two independent implementations, over random trees.

use super::*;
use crate::edge::Edge;
use crate::hash::leaf_hash;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::cell::RefCell;
use std::collections::HashMap;

/// Tiles as they were when they became full, or as they are.
#[derive(Default)]
struct Kept(RefCell<HashMap<Tile, Vec<Hash>>>);

impl Tiles for Kept {
    type Error = String;

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, String> {
        let kept = self.0.borrow();
        kept.get(&tile).cloned().ok_or_else(|| tile.path())
    }
}

fn leaves(count: u64, random: &mut StdRng) -> Vec<Vec<u8>> {
    let mut leaf = |_| {
        let len = random.random_range(0..90);
        (0..len).map(|_| random.random()).collect()
    };
    (0..count).map(&mut leaf).collect()
}

fn grow(leaves: &[Vec<u8>]) -> (Edge, Kept) {
    let (mut edge, kept) = (Edge::new(), Kept::default());
    for leaf in leaves {
        edge.push(leaf_hash(leaf), |(tile, row)| {
            kept.0.borrow_mut().insert(tile, row.to_vec());
        });
    }
    for (tile, row) in edge.partial() {
        kept.0.borrow_mut().insert(tile, row.to_vec());
    }
    (edge, kept)
}

fn bytes(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| hash.0).collect()
}

#[test]
fn roots_and_proofs_are_those_of_ct_merkle() {
    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    let mut random = StdRng::seed_from_u64(11);
    let sizes = (1..40).chain([255, 256, 257, 511, 512, 700]);
    for size in sizes {
        let leaves = leaves(size, &mut random);
        let (edge, kept) = grow(&leaves);
        let mut oracle = MemoryBackedTree::<sha2::Sha256, Vec<u8>>::new();
        leaves.iter().for_each(|leaf| oracle.push(leaf.clone()));
        assert_eq!(edge.root().0, *oracle.root().as_bytes(), "{size}");
        assert_eq!(root_at(&kept, size, size), Ok(edge.root()));
        for index in [0, size / 3, size / 2, size - 1] {
            let ours = prove_inclusion(&kept, size, index).unwrap();
            let theirs = oracle.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(bytes(&ours), theirs.as_bytes(), "{index} of {size}");
            let leaf = leaf_hash(&leaves[usize::try_from(index).unwrap()]);
            check_inclusion(&ours, size, index, &leaf, &edge.root()).unwrap();
        }
        for old in [1, size / 3, size / 2, size - 1]
            .into_iter()
            .filter(|old| (1..size).contains(old))
        {
            let ours = prove_consistency(&kept, size, old).unwrap();
            let added = usize::try_from(size - old).unwrap();
            let theirs = oracle.prove_consistency(added);
            assert_eq!(bytes(&ours), theirs.as_bytes(), "{old} of {size}");
            let old_root = root_at(&kept, size, old).unwrap();
            check_consistency(&ours, (old, &old_root), (size, &edge.root())).unwrap();
        }
    }
}

#[test]
fn trees_over_several_heights_of_tiles_agree_with_tlog_tiles() {
    let mut random = StdRng::seed_from_u64(12);
    let size = 66_000;
    let leaves = leaves(size, &mut random);
    let (edge, kept) = grow(&leaves);
    let mut stored: Vec<tlog_tiles::Hash> = Vec::new();
    for (n, leaf) in (0..).zip(&leaves) {
        let reader = Stored(&stored);
        let hashes = tlog_tiles::stored_hashes(n, leaf, &reader).unwrap();
        stored.extend(hashes);
    }
    let reader = Stored(&stored);
    let root = tlog_tiles::tree_hash(size, &reader).unwrap();
    assert_eq!(edge.root().0, root.0);
    for _ in 0..50 {
        let index = random.random_range(0..size);
        let ours = prove_inclusion(&kept, size, index).unwrap();
        let theirs = tlog_tiles::prove_record(size, index, &reader).unwrap();
        assert!(ours.iter().map(|h| h.0).eq(theirs.iter().map(|h| h.0)));
        let old = random.random_range(1..size);
        let ours = prove_consistency(&kept, size, old).unwrap();
        let theirs = tlog_tiles::prove_tree(size, old, &reader).unwrap();
        assert!(ours.iter().map(|h| h.0).eq(theirs.iter().map(|h| h.0)));
        let old_root = root_at(&kept, size, old).unwrap();
        let oracle = tlog_tiles::tree_hash(old, &reader).unwrap();
        assert_eq!(old_root.0, oracle.0);
    }
}

struct Stored<'a>(&'a [tlog_tiles::Hash]);

impl tlog_tiles::HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        let read = |index: &u64| self.0[usize::try_from(*index).unwrap()];
        Ok(indexes.iter().map(read).collect())
    }
}

#[test]
fn any_other_proof_size_place_or_root_is_refused() {
    let mut random = StdRng::seed_from_u64(13);
    for _ in 0..200 {
        let size = random.random_range(2..600);
        let index = random.random_range(0..size);
        let leaves = leaves(size, &mut random);
        let (edge, kept) = grow(&leaves);
        let root = edge.root();
        let leaf = leaf_hash(&leaves[usize::try_from(index).unwrap()]);
        let proof = prove_inclusion(&kept, size, index).unwrap();
        let check = |proof: &[Hash], index, leaf: &Hash, root: &Hash| {
            check_inclusion(proof, size, index, leaf, root).is_ok()
        };
        assert!(check(&proof, index, &leaf, &root));
        assert!(!check(&proof[1..], index, &leaf, &root));
        assert!(!check(&[&proof[..], &[root]].concat(), index, &leaf, &root));
        assert!(!check(&proof, (index + 1) % size, &leaf, &root));
        assert!(!check(&proof, index + size, &leaf, &root));
        assert!(!check(&proof, index, &root, &root));
        assert!(!check(&proof, index, &leaf, &leaf));
        let old = random.random_range(1..size);
        let old_root = root_at(&kept, size, old).unwrap();
        let proof = prove_consistency(&kept, size, old).unwrap();
        let check = |proof: &[Hash], old, old_root: &Hash, root: &Hash| {
            check_consistency(proof, (old, old_root), (size, root)).is_ok()
        };
        assert!(check(&proof, old, &old_root, &root));
        assert!(!check(&proof[1..], old, &old_root, &root));
        assert!(!check(
            &[&proof[..], &[root]].concat(),
            old,
            &old_root,
            &root
        ));
        assert!(!check(&proof, old, &root, &root));
        assert!(!check(&proof, old, &old_root, &old_root));
        assert!(!check(&proof, size + 1, &old_root, &root));
        let mut changed = proof.clone();
        let at = random.random_range(0..changed.len());
        changed[at].0[random.random_range(0..32)] ^= 1;
        assert!(!check(&changed, old, &old_root, &root));
    }
}

#[test]
fn an_edge_resumes_from_its_partial_tiles() {
    let mut random = StdRng::seed_from_u64(14);
    for size in [0, 1, 255, 256, 257, 1_000] {
        let leaves = leaves(size, &mut random);
        let (edge, kept) = grow(&leaves);
        let mut resumed = Edge::resume(size, |tile| kept.tile(tile)).unwrap();
        assert_eq!(resumed.root(), edge.root(), "{size}");
        let mut grown = edge.clone();
        for leaf in leaves.iter().take(300) {
            grown.push(leaf_hash(leaf), |_| {});
            resumed.push(leaf_hash(leaf), |_| {});
        }
        assert_eq!(resumed.root(), grown.root());
        assert_eq!(resumed.size(), grown.size());
    }
}
