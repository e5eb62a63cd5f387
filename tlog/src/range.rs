//! Proof that a run of entries, all of them and in their order, stands at its place in a tree: what is before it as
//! roots of complete subtrees, what is behind it as a proof of consistency. Checked in one pass and bounded memory.

use crate::hash::{Hash, node_hash};
use crate::proof::{NotProven, Tiles, check_consistency, prove_consistency, subtrees};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RangeProof {
    /// Roots of the subtrees before the first entry, from the left.
    pub before: Vec<Hash>,
    /// That the tree up to the last entry is the beginning of the whole.
    pub behind: Vec<Hash>,
}

/// Proof that the leaves `first` up to and without `end` are in the tree of `size` leaves; `first <= end <= size`.
///
/// # Errors
/// When a tile cannot be had.
pub fn prove_range<T: Tiles>(
    tiles: &T,
    size: u64,
    first: u64,
    end: u64,
) -> Result<RangeProof, T::Error> {
    Ok(RangeProof {
        before: subtrees(tiles, size, first)?,
        behind: prove_consistency(tiles, size, end)?,
    })
}

/// Takes the entries' hashes one after the other, then says whether they are those of the tree.
#[derive(Debug, Clone)]
pub struct RangeCheck {
    size: u64,
    subtrees: Vec<Hash>,
}

impl RangeCheck {
    /// Begins behind the first `first` leaves.
    ///
    /// # Errors
    /// [`NotProven`] when `before` has not as many roots as `first` has subtrees.
    pub fn new(first: u64, before: &[Hash]) -> Result<Self, NotProven> {
        let is_whole = u32::try_from(before.len()).is_ok_and(|len| len == first.count_ones());
        is_whole.then_some(()).ok_or(NotProven)?;
        Ok(Self {
            size: first,
            subtrees: before.to_vec(),
        })
    }

    /// The next entry's hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // of two equal subtrees one is made
        for _ in 0..self.size.trailing_ones() {
            let Some(left) = self.subtrees.pop() else {
                break;
            };
            hash = node_hash(&left, &hash);
        }
        self.subtrees.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// Leaves up to here.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Checks that they are the beginning of the tree of `size` leaves and that root.
    ///
    /// # Errors
    /// [`NotProven`].
    pub fn finish(&self, behind: &[Hash], size: u64, root: &Hash) -> Result<(), NotProven> {
        let folded = self.subtrees.iter().rev().copied();
        let here = folded.reduce(|right, left| node_hash(&left, &right));
        let here = here.unwrap_or_else(Hash::empty);
        check_consistency(behind, (self.size, &here), (size, root))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Edge;
    use crate::hash::leaf_hash;
    use crate::tile::Tile;
    use std::collections::HashMap;
    use std::convert::Infallible;

    struct Kept(HashMap<(u8, u64), Vec<Hash>>);

    impl Tiles for Kept {
        type Error = Infallible;

        fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Infallible> {
            let row = self.0.get(&(tile.level, tile.index)).unwrap();
            Ok(row[..usize::from(tile.width)].to_vec())
        }
    }

    fn grown(size: u64) -> (Kept, Hash, Vec<Hash>) {
        let (mut edge, mut kept) = (Edge::new(), HashMap::new());
        let leaves: Vec<_> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
        for leaf in &leaves {
            edge.push(*leaf, |(tile, row)| {
                kept.insert((tile.level, tile.index), row.to_vec());
            });
        }
        for (tile, row) in edge.partial() {
            kept.insert((tile.level, tile.index), row.to_vec());
        }
        (Kept(kept), edge.root(), leaves)
    }

    fn holds(proof: &RangeProof, first: u64, leaves: &[Hash], size: u64, root: &Hash) -> bool {
        let Ok(mut check) = RangeCheck::new(first, &proof.before) else {
            return false;
        };
        leaves.iter().for_each(|leaf| check.push(*leaf));
        check.finish(&proof.behind, size, root).is_ok()
    }

    #[test]
    fn a_run_of_entries_is_proven_and_nothing_else_is() {
        let size = 1_000;
        let (tiles, root, leaves) = grown(size);
        for (first, end) in [
            (0, 1_000),
            (0, 1),
            (999, 1_000),
            (256, 512),
            (300, 777),
            (7, 8),
            (511, 769),
        ] {
            let proof = prove_range(&tiles, size, first, end).unwrap();
            let (from, to) = (
                usize::try_from(first).unwrap(),
                usize::try_from(end).unwrap(),
            );
            let run = leaves[from..to].to_vec();
            assert!(holds(&proof, first, &run, size, &root), "{first} {end}");
            let mut changed = run.clone();
            changed[0] = leaf_hash(b"other");
            assert!(
                !holds(&proof, first, &changed, size, &root),
                "{first} {end}"
            );
            assert!(
                !holds(&proof, first, &run[..run.len() - 1], size, &root),
                "{first} {end}"
            );
            assert!(
                !holds(&proof, first, &run[1..], size, &root),
                "{first} {end}"
            );
            let mut forged = proof.clone();
            if let Some(hash) = forged.before.first_mut() {
                hash.0[0] ^= 1;
                assert!(!holds(&forged, first, &run, size, &root), "{first} {end}");
            }
        }
    }

    #[test]
    fn an_empty_run_at_an_end_is_proven_too() {
        let (tiles, root, _) = grown(300);
        for at in [0, 300] {
            let proof = prove_range(&tiles, 300, at, at).unwrap();
            assert!(holds(&proof, at, &[], 300, &root));
        }
    }
}
