//! Reading the durable part of the log, both ways, in bounded memory. What cannot be decoded is still
//! shown, by its bytes; nothing read here is trusted for proofs. A filter has the index say which blocks are worth
//! reading; what lies behind the index is walked through.

use super::Shared;
use super::frame::{FrameReader, Step};
use super::index::BLOCK;
use super::recovery::scan;
use super::segment::HEADER_LEN;
use super::segments::{Marks, Readable, Segments};
use kms_core::audit::Outcome;
use kms_core::audit::leaf::{Entry, Month, Prefix, PrincipalId, decode};
use kms_core::name::{KeyId, VersionNumber};
use kms_core::policy::Action;
use kms_core::time::Timestamp;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use tlog::{Directory, bundle_entries, entries_path};

/// Most leaves looked at for one page: a filter that nothing passes costs no more than this.
pub(super) const LOOKED_AT_MAX: usize = 200_000;
/// Most bytes of the leaves of one page.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Which entries; `None` passes everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this principal; details count as their head's.
    pub principal: Option<PrincipalId>,
    /// About this dataset.
    pub dataset: Option<KeyId>,
    /// This action.
    pub action: Option<Action>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// Of this version; together with a dataset.
    pub version: Option<VersionNumber>,
    /// In which one shred secret took part: what stands for it, month by month.
    pub secrets: Option<BTreeMap<Month, Vec<[u8; 16]>>>,
    /// Not before.
    pub from_time: Option<Timestamp>,
    /// Before.
    pub to_time: Option<Timestamp>,
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// First sequence to look at. Backward, a number behind the end means the newest.
    pub from_sequence: u64,
    /// From there down instead of up.
    pub newest_first: bool,
    /// Which entries.
    pub filter: Filter,
    /// Most entries of the page.
    pub limit: usize,
}

/// One leaf as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Its place.
    pub sequence: u64,
    /// Its exact bytes.
    pub leaf: Vec<u8>,
    /// What they say; `None` when this version cannot read them.
    pub entry: Option<Entry>,
}

/// Entries in the order asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// What passed the filter.
    pub entries: Vec<Logged>,
    /// Where to go on; `None` at the end. A page may be short, even empty, and not the last.
    pub next: Option<u64>,
}

impl Filter {
    pub(super) fn passes(&self, entry: Option<&Entry>) -> bool {
        let Some(entry) = entry else {
            return *self == Self::default();
        };
        let time = entry.prefix.at.time;
        self.principal
            .is_none_or(|id| entry.principal() == Some(id))
            && self.dataset.is_none_or(|id| entry.dataset() == Some(id))
            && self.action.is_none_or(|one| entry.action() == Some(one))
            && self.outcome.is_none_or(|one| entry.outcome() == Some(one))
            && self
                .version
                .is_none_or(|one| version_of(entry) == Some(one))
            && self
                .secrets
                .as_ref()
                .is_none_or(|secrets| names(entry, secrets))
            && self.from_time.is_none_or(|from| time >= from)
            && self.to_time.is_none_or(|to| time < to)
    }
}

fn version_of(entry: &Entry) -> Option<VersionNumber> {
    entry.item()?.version
}

/// Whether the secret is among the entry's, under its month's key.
fn names(entry: &Entry, secrets: &BTreeMap<Month, Vec<[u8; 16]>>) -> bool {
    let hashes = entry.prefix.month.and_then(|month| secrets.get(&month));
    let named = entry.item().zip(hashes);
    named.is_some_and(|(item, hashes)| hashes.iter().any(|hash| item.secrets.contains(hash)))
}

/// One page.
pub(super) fn read(shared: &Shared, query: &Query) -> io::Result<Page> {
    let mut page = Page::default();
    let (mut looked_at, mut bytes) = (0, 0);
    let visit = |sequence: u64, leaf: &[u8]| {
        if page.entries.len() >= query.limit || looked_at >= LOOKED_AT_MAX || bytes > PAGE_BYTES_MAX
        {
            page.next = Some(sequence);
            return ControlFlow::Break(());
        }
        looked_at += 1;
        let entry = decode(leaf).ok();
        if query.filter.passes(entry.as_ref()) {
            bytes += leaf.len();
            page.entries.push(Logged {
                sequence,
                leaf: leaf.to_vec(),
                entry,
            });
        }
        ControlFlow::Continue(())
    };
    walk(shared, query, visit)?;
    Ok(page)
}

/// Visits what may pass the query's filter, in its order.
pub(super) fn walk(
    shared: &Shared,
    query: &Query,
    mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> io::Result<()> {
    let from = query.from_sequence;
    let segments = &shared.segments;
    let Some(blocks) = shared.index.blocks_for(&query.filter) else {
        return if query.newest_first {
            walk_backward(segments, from, visit)
        } else {
            walk_forward(segments, from, visit)
        };
    };
    let covered = blocks * BLOCK;
    if !query.newest_first {
        if walk_blocks(shared, query, blocks, &mut visit)?.is_break() {
            return Ok(());
        }
        return walk_forward(segments, from.max(covered), visit);
    }
    let mut flow = ControlFlow::Continue(());
    if from >= covered {
        walk_backward(segments, from, |sequence, leaf| {
            if sequence < covered {
                return ControlFlow::Break(());
            }
            flow = visit(sequence, leaf);
            flow
        })?;
    }
    if flow.is_continue() {
        let _ = walk_blocks(shared, query, blocks, &mut visit)?;
    }
    Ok(())
}

/// The part that the index covers.
fn walk_blocks(
    shared: &Shared,
    query: &Query,
    blocks: u64,
    visit: &mut impl FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> io::Result<ControlFlow<()>> {
    let (from, down) = (query.from_sequence, query.newest_first);
    let candidates = shared
        .index
        .candidates(&query.filter, blocks, from / BLOCK, down);
    for block in candidates.into_iter().flatten() {
        let leaves = block_leaves(shared, block)?;
        let wanted = |(sequence, _): &&(u64, Vec<u8>)| {
            if down {
                *sequence <= from
            } else {
                *sequence >= from
            }
        };
        let mut leaves: Vec<_> = leaves.iter().filter(wanted).collect();
        if down {
            leaves.reverse();
        }
        for (sequence, leaf) in leaves {
            if visit(*sequence, leaf).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The entries of a block: from the tree's bundle where that holds them, else from the segments.
pub(super) fn block_leaves(shared: &Shared, block: u64) -> io::Result<Vec<(u64, Vec<u8>)>> {
    let first = block * BLOCK;
    let bundle = Directory::new(&shared.dir).read(&entries_path(block, 256));
    let bundle = bundle.ok().flatten().unwrap_or_default();
    let entries = bundle_entries(&bundle).map_while(Result::ok);
    let leaves: Vec<(u64, Vec<u8>)> = (first..).zip(entries.map(<[u8]>::to_vec)).collect();
    let in_place = |(sequence, leaf): &(u64, Vec<u8>)| {
        Prefix::read(leaf).is_ok_and(|prefix| prefix.sequence == *sequence)
    };
    if leaves.len() as u64 == BLOCK && leaves.iter().all(in_place) {
        return Ok(leaves);
    }
    let mut leaves = Vec::new();
    walk_forward(&shared.segments, first, |sequence, leaf| {
        if sequence >= first + BLOCK {
            return ControlFlow::Break(());
        }
        leaves.push((sequence, leaf.to_vec()));
        ControlFlow::Continue(())
    })?;
    Ok(leaves)
}

/// Visits leaves from `from` upward, to what is the durable end when it begins: of a segment that fills up
/// and is followed by another meanwhile it knows no more than that.
pub(super) fn walk_forward(
    segments: &Segments,
    from: u64,
    mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> io::Result<()> {
    let end = segments.len();
    let Some((mut index, mut readable)) = segments.holding(from) else {
        return Ok(());
    };
    loop {
        let open = Open::new(segments, readable)?;
        for block in open.block_of(from)..open.blocks() {
            let mut flow = ControlFlow::Continue(());
            open.each(block, |sequence, leaf| {
                if (from..end).contains(&sequence) && flow.is_continue() {
                    flow = visit(sequence, leaf);
                }
            })?;
            if flow.is_break() {
                return Ok(());
            }
        }
        index += 1;
        match segments.at(index) {
            Some(next) => readable = next,
            None => return Ok(()),
        }
    }
}

/// Visits leaves from `from` downward, to the first.
fn walk_backward(
    segments: &Segments,
    from: u64,
    mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> io::Result<()> {
    let Some((mut index, mut readable)) = segments.holding(from) else {
        return Ok(());
    };
    loop {
        let open = Open::new(segments, readable)?;
        for block in (0..open.blocks().min(open.block_of(from) + 1)).rev() {
            let mut leaves = Vec::new();
            open.each(block, |sequence, leaf| {
                if sequence <= from {
                    leaves.push((sequence, leaf.to_vec()));
                }
            })?;
            for (sequence, leaf) in leaves.iter().rev() {
                if visit(*sequence, leaf).is_break() {
                    return Ok(());
                }
            }
        }
        let Some(before) = index.checked_sub(1) else {
            return Ok(());
        };
        index = before;
        match segments.at(index) {
            Some(previous) => readable = previous,
            None => return Ok(()),
        }
    }
}

/// A segment open for reading, cut into blocks at its marks.
struct Open {
    file: File,
    marks: Arc<Marks>,
    end: u64,
    end_sequence: u64,
}

impl Open {
    fn new(segments: &Segments, readable: Readable) -> io::Result<Self> {
        let listed = readable.listed;
        let file = File::open(&listed.path)?;
        let (marks, end) = match readable.newest {
            Some(newest) => (Arc::new(newest.marks), newest.end),
            None => {
                let len = file.metadata()?.len();
                let marks = segments.marks(listed.number, || {
                    scan(&file, len, listed.first_sequence).map(|scanned| scanned.marks)
                })?;
                (marks, len)
            }
        };
        Ok(Self {
            file,
            marks,
            end,
            end_sequence: readable.end_sequence,
        })
    }

    fn blocks(&self) -> usize {
        self.marks.0.len()
    }

    /// The block that holds `sequence`, or the nearest.
    fn block_of(&self, sequence: u64) -> usize {
        let after = self
            .marks
            .0
            .partition_point(|mark| mark.sequence <= sequence);
        after.saturating_sub(1)
    }

    fn each(&self, block: usize, mut visit: impl FnMut(u64, &[u8])) -> io::Result<()> {
        let offset_of = |block: usize| self.marks.0.get(block).map(|mark| mark.offset);
        let from = offset_of(block).unwrap_or(HEADER_LEN);
        let limit = offset_of(block + 1).unwrap_or(self.end);
        let mut reader = FrameReader::new(&self.file, from, limit);
        loop {
            match reader.step()? {
                Step::Frame(frame) => {
                    for leaf in frame.leaves().unwrap_or_default() {
                        // what stands behind the last number was never acknowledged
                        if let Ok(prefix) = Prefix::read(leaf)
                            && prefix.sequence < self.end_sequence
                        {
                            visit(prefix.sequence, leaf);
                        }
                    }
                }
                // damaged bytes are passed over; opening the log has named them
                Step::Nothing => match reader.find(reader.offset(), |_| true)? {
                    Some(next) => reader.seek(next),
                    None => return Ok(()),
                },
            }
        }
    }
}
