//! Which blocks of 256 entries may hold what a filter asks for: one record of fixed size for each full block, in the
//! file `index` beside the segments. Only ever saves reading: what it lets pass is looked at again, nothing is proven
//! by it, and a record that is damaged lets everything pass. It holds no name and no value, only bits that keyed
//! hashes, ids and numbers of the entries set. A thread of the lowest priority writes it; a file that is gone, torn or
//! another log's is written anew.

mod builder;
mod record;

use super::reading::Filter;
use record::{Asked, RECORD_LEN, Record};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

#[cfg(test)]
pub(super) use builder::advance;
pub(super) use builder::start;

/// Entries of a block: as many as a bundle of the tree holds.
pub(super) const BLOCK: u64 = tlog::TILE_WIDTH;
/// Name of the file.
const NAME: &str = "index";
/// Bytes before the first record.
const HEADER_LEN: u64 = 16;
/// Records that are read at once.
const CHUNK: u64 = 128;

#[derive(Debug, Default)]
struct State {
    wanted: bool,
    closed: bool,
    file: Option<Arc<File>>,
}

/// What readers see of it, and how its thread is called.
#[derive(Debug, Default)]
pub(super) struct Index {
    state: Mutex<State>,
    changed: Condvar,
    /// Blocks that have a record.
    blocks: AtomicU64,
    /// Held while records are written.
    writing: Mutex<()>,
}

impl Index {
    /// So many entries are durable: the thread is woken when a block is full.
    pub(super) fn note(&self, len: u64) {
        if len / BLOCK > self.blocks.load(Ordering::Relaxed) {
            self.ask(|_| {});
        }
    }

    /// The thread ends; what it did not write the next start does.
    pub(super) fn close(&self) {
        self.ask(|state| state.closed = true);
    }

    fn ask(&self, wish: impl FnOnce(&mut State)) {
        let mut state = super::lock(&self.state);
        wish(&mut state);
        let woken = !std::mem::replace(&mut state.wanted, true);
        drop(state);
        if woken {
            self.changed.notify_one();
        }
    }

    /// Entries that it covers.
    pub(super) fn covered(&self) -> u64 {
        self.blocks.load(Ordering::Acquire) * BLOCK
    }

    /// Blocks that it covers; `None` when it is of no use for this filter.
    pub(super) fn blocks_for(&self, filter: &Filter) -> Option<u64> {
        let blocks = self.blocks.load(Ordering::Acquire);
        let is_there = blocks > 0 && Asked::of(filter).is_some();
        is_there.then_some(blocks)
    }

    /// Of the first `blocks` blocks those that may hold what `filter` asks for, from `block` on; downward with `down`.
    /// `None` when the filter asks for nothing that is indexed, or there is no index yet.
    pub(super) fn candidates(
        &self,
        filter: &Filter,
        blocks: u64,
        block: u64,
        down: bool,
    ) -> Option<Candidates> {
        let asked = Asked::of(filter)?;
        let file = super::lock(&self.state).file.clone()?;
        let next = if down {
            block.min(blocks.checked_sub(1)?)
        } else {
            block
        };
        Some(Candidates {
            file,
            asked,
            blocks,
            next: Some(next),
            down,
            chunk: Chunk::default(),
        })
    }
}

/// Records read together.
#[derive(Debug, Default)]
struct Chunk {
    first: u64,
    bytes: Vec<u8>,
}

/// See [`Index::candidates`].
pub(super) struct Candidates {
    file: Arc<File>,
    asked: Asked,
    blocks: u64,
    next: Option<u64>,
    down: bool,
    chunk: Chunk,
}

impl Iterator for Candidates {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        loop {
            let block = self.next.filter(|block| *block < self.blocks)?;
            self.next = if self.down {
                block.checked_sub(1)
            } else {
                Some(block + 1)
            };
            // what cannot be read lets everything pass
            let record = self.record(block);
            if record.is_none_or(|record| record.may_hold(&self.asked)) {
                return Some(block);
            }
        }
    }
}

impl Candidates {
    fn record(&mut self, block: u64) -> Option<Record> {
        let first = block - block % CHUNK;
        if self.chunk.bytes.is_empty() || self.chunk.first != first {
            let count = (self.blocks - first).min(CHUNK);
            let bytes = read_records(&self.file, first, count).ok()?;
            self.chunk = Chunk { first, bytes };
        }
        let at = usize::try_from(block - first).ok()? * RECORD_LEN;
        let bytes = self.chunk.bytes.get(at..at + RECORD_LEN)?;
        Record::read(block, bytes)
    }
}

fn offset(block: u64) -> u64 {
    HEADER_LEN + block * RECORD_LEN as u64
}

fn read_records(file: &File, first: u64, count: u64) -> io::Result<Vec<u8>> {
    let len = usize::try_from(count).unwrap_or(0) * RECORD_LEN;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, offset(first))?;
    Ok(bytes)
}
