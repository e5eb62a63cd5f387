//! The right edge of a growing tree: for each height of tiles the hashes of the tile that is not full yet. All that
//! appending and the root need, in at most 8 times 8 KiB.

use crate::hash::{Hash, node_hash};
use crate::tile::{TILE_WIDTH, Tile, levels, subtree_root};

/// A tile that has become full.
pub type Full<'a> = (Tile, &'a [Hash]);

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// Of the tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a tree of `size` leaves, from its partial tiles as `read` gives them.
    ///
    /// # Errors
    /// What `read` says; it must give as many hashes as the tile is wide.
    pub fn resume<E>(
        size: u64,
        mut read: impl FnMut(Tile) -> Result<Vec<Hash>, E>,
    ) -> Result<Self, E> {
        let mut edge = Self {
            size,
            levels: levels(size).map(|_| Vec::new()).collect(),
        };
        for tile in Tile::partial_of(size) {
            let hashes = read(tile)?;
            if let Some(level) = edge.levels.get_mut(usize::from(tile.level)) {
                *level = hashes;
            }
        }
        Ok(edge)
    }

    /// Leaves so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; tells of each tile that becomes full, lowest first.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Full<'_>)) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0_u8..8 {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::with_capacity(256));
            }
            let Some(row) = self.levels.get_mut(usize::from(level)) else {
                return;
            };
            row.push(hash);
            if row.len() < 256 {
                return;
            }
            let hashes = self.size >> (8 * u32::from(level));
            let tile = Tile {
                level,
                index: (hashes / TILE_WIDTH).saturating_sub(1),
                width: 256,
            };
            full((tile, row));
            let Some(root) = subtree_root(row) else {
                return;
            };
            row.clear();
            hash = root;
        }
    }

    /// The tiles that are not full, lowest first.
    pub fn partial(&self) -> impl Iterator<Item = Full<'_>> {
        Tile::partial_of(self.size).filter_map(|tile| {
            let row = self.levels.get(usize::from(tile.level))?;
            Some((tile, row.as_slice()))
        })
    }

    /// Root of the tree (RFC 6962, section 2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        // complete subtrees from the left: of equal ones two make one
        let mut peaks: Vec<Hash> = Vec::new();
        for row in self.levels.iter().rev() {
            for (before, hash) in row.iter().enumerate() {
                let mut hash = *hash;
                let mut carry = before;
                while carry & 1 == 1 {
                    let Some(left) = peaks.pop() else { break };
                    hash = node_hash(&left, &hash);
                    carry >>= 1;
                }
                peaks.push(hash);
            }
        }
        let folded = peaks
            .into_iter()
            .rev()
            .reduce(|right, left| node_hash(&left, &right));
        folded.unwrap_or_else(Hash::empty)
    }
}
