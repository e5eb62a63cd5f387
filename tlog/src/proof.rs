//! Proofs: that a leaf is in a tree, and that a tree is the beginning of another (RFC 6962, section 2.1; checked as
//! RFC 9162, section 2.1 says). Makers read hashes of complete subtrees; checkers need nothing but the proof.

use crate::hash::{Hash, node_hash};
use crate::tile::{TILE_WIDTH, Tile, subtree_root};

/// Gives the hashes of a tile.
pub trait Tiles {
    /// Why a tile cannot be had.
    type Error;

    /// Hashes of the tile, exactly as many as it is wide.
    ///
    /// # Errors
    /// When there is no such tile, or it is of another length.
    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, Self::Error>;
}

/// A proof does not prove what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not hold")]
pub struct NotProven;

/// The leaves `first` to `first + count` of a tree of `size` leaves; `first` is a multiple of the largest power
/// of two up to `count`.
#[derive(Clone, Copy)]
struct Range {
    first: u64,
    count: u64,
}

impl Range {
    /// Cut as the tree is: the left part is the largest power of two below the count.
    fn halves(self) -> (Self, Self) {
        let left = 1 << (u64::BITS - 1 - (self.count - 1).leading_zeros());
        let (first, count) = (self.first, self.count);
        (
            Self { first, count: left },
            Self {
                first: first + left,
                count: count - left,
            },
        )
    }
}

/// Root of the first `size` leaves.
///
/// # Errors
/// When a tile cannot be had.
pub fn root_at<T: Tiles>(tiles: &T, of: u64, size: u64) -> Result<Hash, T::Error> {
    if size == 0 {
        return Ok(Hash::empty());
    }
    let whole = Range {
        first: 0,
        count: size,
    };
    range_hash(tiles, of, whole)
}

/// Proof that leaf `index` is in the tree of `size` leaves; `index` is below `size`.
///
/// # Errors
/// When a tile cannot be had.
pub fn prove_inclusion<T: Tiles>(tiles: &T, size: u64, index: u64) -> Result<Vec<Hash>, T::Error> {
    let mut path = Vec::new();
    let mut range = Range {
        first: 0,
        count: size,
    };
    while range.count > 1 {
        let (left, right) = range.halves();
        let (inner, beside) = if index < right.first {
            (left, right)
        } else {
            (right, left)
        };
        path.push(range_hash(tiles, size, beside)?);
        range = inner;
    }
    path.reverse();
    Ok(path)
}

/// Proof that the tree of `old` leaves is the beginning of that of `size` leaves; `old` is at most `size`. Empty for
/// equal trees and for the empty one.
///
/// # Errors
/// When a tile cannot be had.
pub fn prove_consistency<T: Tiles>(tiles: &T, size: u64, old: u64) -> Result<Vec<Hash>, T::Error> {
    let mut path = Vec::new();
    if old == 0 {
        return Ok(path);
    }
    let mut range = Range {
        first: 0,
        count: size,
    };
    // whether the old tree is a subtree that the checker knows already
    let mut known = true;
    while range.first + range.count > old {
        let (left, right) = range.halves();
        if old <= right.first {
            path.push(range_hash(tiles, size, right)?);
            range = left;
        } else {
            path.push(range_hash(tiles, size, left)?);
            range = right;
            known = false;
        }
    }
    if !known {
        path.push(range_hash(tiles, size, range)?);
    }
    path.reverse();
    Ok(path)
}

/// Roots of the complete subtrees that the first `first` leaves fall into, from the left; `first` is at most `size`.
pub(crate) fn subtrees<T: Tiles>(tiles: &T, size: u64, first: u64) -> Result<Vec<Hash>, T::Error> {
    let mut roots = Vec::new();
    let mut at = 0;
    for bit in (0..u64::BITS).rev().filter(|bit| first >> bit & 1 == 1) {
        let range = Range {
            first: at,
            count: 1 << bit,
        };
        roots.push(range_hash(tiles, size, range)?);
        at += range.count;
    }
    Ok(roots)
}

fn range_hash<T: Tiles>(tiles: &T, size: u64, range: Range) -> Result<Hash, T::Error> {
    if !range.count.is_power_of_two() {
        let (left, right) = range.halves();
        let left = range_hash(tiles, size, left)?;
        return Ok(node_hash(&left, &range_hash(tiles, size, right)?));
    }
    let height = range.count.trailing_zeros();
    // of a tile's own root the tile above has the hash, unless the tree ends before
    let level = height / 8;
    let count = 1_u64 << (height % 8);
    let first = range.first >> (8 * level);
    let index = first / TILE_WIDTH;
    let hashes = size >> (8 * level);
    let width = hashes.saturating_sub(index * TILE_WIDTH).min(TILE_WIDTH);
    let tile = Tile {
        level: u8::try_from(level).unwrap_or(u8::MAX),
        index,
        width: u16::try_from(width).unwrap_or(u16::MAX),
    };
    let row = tiles.tile(tile)?;
    let from = usize::try_from(first % TILE_WIDTH).unwrap_or(0);
    let to = from + usize::try_from(count).unwrap_or(0);
    let root = row.get(from..to).and_then(subtree_root);
    // a tile of its promised width has these hashes; of one that has not no proof will hold
    Ok(root.unwrap_or_else(Hash::empty))
}

/// Checks that the leaf of hash `leaf` has place `index` in the tree of `size` leaves and that root.
///
/// # Errors
/// [`NotProven`].
pub fn check_inclusion(
    proof: &[Hash],
    size: u64,
    index: u64,
    leaf: &Hash,
    root: &Hash,
) -> Result<(), NotProven> {
    if index >= size {
        return Err(NotProven);
    }
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for beside in proof {
        if last == 0 {
            return Err(NotProven);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(beside, &hash);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, beside);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0 && hash == *root).then_some(()).ok_or(NotProven)
}

/// Checks that the tree of `old` leaves and root `old_root` is the beginning of that of `size` leaves and root `root`.
///
/// # Errors
/// [`NotProven`].
pub fn check_consistency(
    proof: &[Hash],
    (old, old_root): (u64, &Hash),
    (size, root): (u64, &Hash),
) -> Result<(), NotProven> {
    if old > size {
        return Err(NotProven);
    }
    if old == 0 || old == size {
        let same = if old == 0 {
            *old_root == Hash::empty() && (size > 0 || *root == Hash::empty())
        } else {
            old_root == root
        };
        return (proof.is_empty() && same).then_some(()).ok_or(NotProven);
    }
    let mut rest = proof.iter();
    let (mut at, mut last) = (old - 1, size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    // a whole subtree on the left: its hash is the old root itself
    let start = if at == 0 {
        *old_root
    } else {
        *rest.next().ok_or(NotProven)?
    };
    let (mut before, mut after) = (start, start);
    for beside in rest {
        if last == 0 {
            return Err(NotProven);
        }
        if at & 1 == 1 || at == last {
            before = node_hash(beside, &before);
            after = node_hash(beside, &after);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            after = node_hash(&after, beside);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0 && before == *old_root && after == *root)
        .then_some(())
        .ok_or(NotProven)
}

#[cfg(test)]
mod tests;
