//! What a witness vouches for, over real trees.

use super::*;
use crate::edge::Edge;
use crate::hash::leaf_hash;
use crate::proof::{Tiles, prove_consistency};
use crate::tile::Tile;
use std::collections::HashMap;

struct Kept(HashMap<Tile, Vec<Hash>>);

impl Tiles for Kept {
    type Error = ();

    fn tile(&self, tile: Tile) -> Result<Vec<Hash>, ()> {
        self.0.get(&tile).cloned().ok_or(())
    }
}

/// A log of `size` leaves, of which `edited` is another.
fn log(size: u64, edited: Option<u64>) -> (Checkpoint, Kept) {
    let (mut edge, mut kept) = (Edge::new(), HashMap::new());
    for place in 0..size {
        let leaf = format!("{place}{}", if edited == Some(place) { "!" } else { "" });
        edge.push(leaf_hash(leaf.as_bytes()), |(tile, row)| {
            kept.insert(tile, row.to_vec());
        });
    }
    for (tile, row) in edge.partial() {
        kept.insert(tile, row.to_vec());
    }
    let checkpoint = Checkpoint {
        origin: "kms/1".to_owned(),
        size,
        root: edge.root(),
    };
    (checkpoint, Kept(kept))
}

#[test]
fn only_what_extends_the_last_is_vouched_for() {
    for (old, new) in [(0, 0), (0, 5), (5, 5), (1, 700), (256, 257), (300, 600)] {
        let (last, _) = log(old, None);
        let (next, tiles) = log(new, None);
        let proof = prove_consistency(&tiles, new, old).unwrap();
        assert_eq!(extends(&last, &next, &proof), Ok(()), "{old} {new}");
        if new > old {
            let shorter = extends(&next, &last, &proof);
            let (found, last) = (old, new);
            assert_eq!(shorter, Err(NotExtended::Shorter { found, last }));
        }
        for edited in [0, old / 2, old.saturating_sub(1)] {
            if edited < old {
                let (forged, tiles) = log(new, Some(edited));
                let proof = prove_consistency(&tiles, new, old).unwrap();
                let changed = Err(NotExtended::Changed { last: old });
                assert_eq!(extends(&last, &forged, &proof), changed, "{old} {new}");
            }
        }
    }
}

#[test]
fn another_log_is_not_its_continuation() {
    let (last, _) = log(3, None);
    let (mut next, tiles) = log(9, None);
    next.origin = "kms/2".to_owned();
    let proof = prove_consistency(&tiles, 9, 3).unwrap();
    let found = extends(&last, &next, &proof);
    assert!(
        matches!(found, Err(NotExtended::Origin { .. })),
        "{found:?}"
    );
}
