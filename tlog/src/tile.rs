//! Tiles: 256 neighbouring hashes of one height, each over 256 of the height below (C2SP tlog-tiles). Says where
//! they lie, never what is in them.

use crate::hash::{Hash, node_hash};

/// Hashes of a full tile, and entries of a full bundle.
pub const TILE_WIDTH: u64 = 256;

/// Which tile: a hash in tile `level` covers 256^level leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    /// Height, in tiles; 0 holds the hashes of leaves.
    pub level: u8,
    /// From the left, from 0.
    pub index: u64,
    /// Hashes in it: 1 to 256.
    pub width: u16,
}

impl Tile {
    /// Whether it will never change again.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.width as u64 == TILE_WIDTH
    }

    /// Its path below the log's directory: `tile/1/x001/067`, and `.p/WIDTH` behind it while it is partial.
    #[must_use]
    pub fn path(self) -> String {
        with_width(format!("tile/{}/{}", self.level, number(self.index)), self)
    }

    /// First leaf below it, and the first behind it.
    #[must_use]
    pub fn leaves(self) -> (u64, u64) {
        let each = TILE_WIDTH.saturating_pow(u32::from(self.level));
        let first = self.index.saturating_mul(TILE_WIDTH).saturating_mul(each);
        (
            first,
            first.saturating_add(each.saturating_mul(u64::from(self.width))),
        )
    }

    /// The tiles of a tree of `size` leaves that are not full, lowest first.
    pub fn partial_of(size: u64) -> impl Iterator<Item = Self> {
        levels(size).filter_map(move |(level, hashes)| {
            Some(Self {
                level,
                index: hashes / TILE_WIDTH,
                width: u16::try_from(hashes % TILE_WIDTH)
                    .ok()
                    .filter(|width| *width > 0)?,
            })
        })
    }
}

/// Each height of tiles in a tree of `size` leaves, and how many hashes it has.
pub(crate) fn levels(size: u64) -> impl Iterator<Item = (u8, u64)> {
    (0..8).map_while(move |level| {
        let hashes = size >> (8 * u32::from(level));
        (hashes > 0).then_some((level, hashes))
    })
}

/// Path of the bundle that holds entries `256 * index` onward, `width` of them.
#[must_use]
pub fn entries_path(index: u64, width: u16) -> String {
    let place = Tile {
        level: 0,
        index,
        width,
    };
    with_width(format!("tile/entries/{}", number(index)), place)
}

/// Path of the notes of all checkpoints whose sizes begin as `size` does: 65,536 sizes to a file.
#[must_use]
pub fn history_path(size: u64) -> String {
    format!("checkpoints/{}", number(size >> 16))
}

fn with_width(path: String, tile: Tile) -> String {
    if tile.is_full() {
        path
    } else {
        format!("{path}.p/{}", tile.width)
    }
}

/// Three digits to a folder, all but the last marked: 1234067 is `x001/x234/067`.
fn number(index: u64) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// Root of the complete subtree over `hashes`, whose number is a power of two; `None` otherwise.
pub(crate) fn subtree_root(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row
            .chunks_exact(2)
            .filter_map(|pair| match pair {
                [left, right] => Some(node_hash(left, right)),
                _ => None,
            })
            .collect();
    }
    row.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let tile = |level, index, width| Tile {
            level,
            index,
            width,
        };
        assert_eq!(tile(0, 5, 256).path(), "tile/0/005");
        assert_eq!(tile(3, 1_234_067, 256).path(), "tile/3/x001/x234/067");
        assert_eq!(tile(1, 1_000, 44).path(), "tile/1/x001/000.p/44");
        assert_eq!(entries_path(1_234_067, 256), "tile/entries/x001/x234/067");
        assert_eq!(entries_path(0, 1), "tile/entries/000.p/1");
    }

    /// The example of the specification: 70,000 entries.
    #[test]
    fn partial_tiles_are_those_of_the_specification() {
        let paths: Vec<_> = Tile::partial_of(70_000).map(Tile::path).collect();
        assert_eq!(
            paths,
            ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
        );
        assert_eq!(Tile::partial_of(0).count(), 0);
        assert_eq!(
            Tile::partial_of(256).map(Tile::path).collect::<Vec<_>>(),
            ["tile/1/000.p/1"]
        );
    }
}
