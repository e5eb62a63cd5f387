//! Which segments there are and how far the log is durable: what readers may see. Only the committer writes
//! it, after a sync.

use super::lock;
use super::segment::{HEADER_LEN, Listed};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A mark stands at least so many bytes behind the one before it.
const MARK_EVERY: u64 = 64 * 1024;
/// Most segments whose marks are kept; others are scanned again when they are read.
const CACHED_MAX: usize = 64;

/// A frame's place: reading may begin there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

/// Sparse index of one segment; empty only when it holds no frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks(pub(super) Vec<Mark>);

impl Marks {
    /// Notes a frame, if it is far enough from the last one noted.
    pub(super) fn note(&mut self, sequence: u64, offset: u64) {
        if self
            .0
            .last()
            .is_none_or(|last| offset >= last.offset + MARK_EVERY)
        {
            self.0.push(Mark { sequence, offset });
        }
    }
}

/// The newest segment as far as it is durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Newest {
    pub(super) end: u64,
    pub(super) marks: Marks,
}

#[derive(Debug)]
struct State {
    listed: Vec<Arc<Listed>>,
    newest: Newest,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Segments {
    len: AtomicU64,
    state: Mutex<State>,
    cached: Mutex<BTreeMap<u64, Arc<Marks>>>,
}

/// One segment for reading.
#[derive(Debug, Clone)]
pub(super) struct Readable {
    pub(super) listed: Arc<Listed>,
    /// Leaves from this sequence on are not in it.
    pub(super) end_sequence: u64,
    /// `Some` for the newest: its end and marks.
    pub(super) newest: Option<Newest>,
}

impl Segments {
    pub(super) fn new(listed: Vec<Listed>, newest: Newest, len: u64) -> Self {
        Self {
            len: AtomicU64::new(len),
            state: Mutex::new(State {
                listed: listed.into_iter().map(Arc::new).collect(),
                newest,
            }),
            cached: Mutex::default(),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// A new segment takes over; it is durable and empty.
    pub(super) fn begin(&self, number: u64, first_sequence: u64, path: PathBuf) {
        let mut state = lock(&self.state);
        state.listed.push(Arc::new(Listed {
            number,
            first_sequence,
            path,
        }));
        state.newest = Newest {
            end: HEADER_LEN,
            marks: Marks::default(),
        };
    }

    /// Frames up to `end` and leaves up to `len` are durable.
    pub(super) fn advance(&self, noted: &[Mark], end: u64, len: u64) {
        let mut state = lock(&self.state);
        for mark in noted {
            state.newest.marks.note(mark.sequence, mark.offset);
        }
        state.newest.end = end;
        self.len.store(len, Ordering::Release);
    }

    /// The segment that holds `sequence` (by its first one), and its index.
    pub(super) fn holding(&self, sequence: u64) -> Option<(usize, Readable)> {
        let state = lock(&self.state);
        let after = state
            .listed
            .partition_point(|segment| segment.first_sequence <= sequence);
        // of several that begin at one sequence only the last holds anything
        let index = after.checked_sub(1)?;
        Some((index, self.readable(&state, index)?))
    }

    /// The segment of that index.
    pub(super) fn at(&self, index: usize) -> Option<Readable> {
        self.readable(&lock(&self.state), index)
    }

    fn readable(&self, state: &State, index: usize) -> Option<Readable> {
        let listed = Arc::clone(state.listed.get(index)?);
        let next = state.listed.get(index + 1);
        Some(Readable {
            listed,
            end_sequence: next.map_or_else(|| self.len(), |next| next.first_sequence),
            newest: next.is_none().then(|| state.newest.clone()),
        })
    }

    /// Marks of an older segment, from the cache or by `scan`.
    pub(super) fn marks<E>(
        &self,
        number: u64,
        scan: impl FnOnce() -> Result<Marks, E>,
    ) -> Result<Arc<Marks>, E> {
        if let Some(marks) = lock(&self.cached).get(&number) {
            return Ok(Arc::clone(marks));
        }
        let marks = Arc::new(scan()?);
        let mut cached = lock(&self.cached);
        if cached.len() >= CACHED_MAX {
            cached.pop_first();
        }
        cached.insert(number, Arc::clone(&marks));
        Ok(marks)
    }
}
