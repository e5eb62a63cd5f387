//! Where the name behind a principal's id stands: the entry that introduces it, found by the index or in the tail that
//! the index does not cover yet. Looks no further than a bound.

use super::Shared;
use super::index::BLOCK;
use super::reading::{Filter, block_leaves, walk_forward};
use kms_core::audit::leaf::{Body, Entry, Introduction, PrincipalId, decode};
use std::io;
use std::ops::ControlFlow;

/// Most blocks that are read for one name, of the index's and of the tail each.
const BLOCKS_MAX: u64 = 8;

pub(super) fn introduction_of(
    shared: &Shared,
    principal: PrincipalId,
) -> io::Result<Option<Entry>> {
    let filter = Filter {
        principal: Some(principal),
        ..Filter::default()
    };
    let blocks = shared.index.blocks_for(&filter).unwrap_or(0);
    let candidates = shared.index.candidates(&filter, blocks, 0, false);
    for (block, _) in candidates.into_iter().flatten().zip(0..BLOCKS_MAX) {
        let leaves = block_leaves(shared, block)?;
        let found = leaves
            .iter()
            .find_map(|(_, leaf)| introduces(leaf, principal));
        if found.is_some() {
            return Ok(found);
        }
    }
    let (mut found, mut left) = (None, BLOCKS_MAX * BLOCK);
    walk_forward(&shared.segments, blocks * BLOCK, |_, leaf| {
        found = introduces(leaf, principal);
        left = left.saturating_sub(1);
        if found.is_some() || left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    Ok(found)
}

fn introduces(leaf: &[u8], principal: PrincipalId) -> Option<Entry> {
    let entry = decode(leaf).ok()?;
    let is_it = entry.principal() == Some(principal)
        && matches!(entry.body, Body::Introduction(Introduction::Caller { .. }));
    is_it.then_some(entry)
}
