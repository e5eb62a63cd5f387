//! Frames: one submission's leaves with length and checksum, so that a torn tail is told from damage.
//!
//! `magic 4 | body length 4 | group 4 | CRC32C 4 | body`; body: `count 2 | count x (length 2 | leaf)`.
//! `group` is the offset in the segment at which the write began that this frame was part of: everything
//! before it was durable. Never says what is in a leaf.

use kms_core::codec::{Malformed, Reader, crc32c};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// First bytes of a frame.
pub(super) const MAGIC: [u8; 4] = [0xF1, b'k', b'l', b'f'];
/// Bytes before the body.
pub(super) const OVERHEAD: usize = 16;
/// Most bytes of a body: the leaves of the largest batch.
pub(super) const BODY_MAX: usize = 40 * 1024 * 1024;
/// Most leaves of a submission.
pub(super) const LEAVES_MAX: usize = 4 * 1024;
/// Bytes read at once.
const READ: usize = 256 * 1024;

/// Bytes that a frame of these leaves takes; `None` when it cannot be one frame.
pub(super) fn framed_len(leaves: &[Vec<u8>]) -> Option<usize> {
    let fits = (1..=LEAVES_MAX).contains(&leaves.len())
        && leaves
            .iter()
            .all(|leaf| leaf.len() <= kms_core::audit::leaf::LEAF_MAX);
    let body: usize = 2 + leaves.iter().map(|leaf| 2 + leaf.len()).sum::<usize>();
    (fits && body <= BODY_MAX).then_some(OVERHEAD + body)
}

/// Appends a frame. The leaves are within [`framed_len`]'s limits.
pub(super) fn write(leaves: &[Vec<u8>], group: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let short = |len: usize| u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes();
    out.extend_from_slice(&[0; OVERHEAD]);
    out.extend_from_slice(&short(leaves.len()));
    for leaf in leaves {
        out.extend_from_slice(&short(leaf.len()));
        out.extend_from_slice(leaf);
    }
    let Some((head, body)) = out
        .get_mut(start..)
        .and_then(|frame| frame.split_first_chunk_mut::<OVERHEAD>())
    else {
        return;
    };
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    let checksum = checksum(&len, &group.to_be_bytes(), body);
    let fields = [MAGIC, len, group.to_be_bytes(), checksum.to_be_bytes()];
    head.copy_from_slice(fields.as_flattened());
}

fn checksum(len: &[u8], group: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(crc32c(len), group), body)
}

/// A frame as read back.
#[derive(Debug)]
pub(super) struct Frame<'a> {
    /// Where it starts.
    pub(super) offset: u64,
    /// Where the next one starts.
    pub(super) end: u64,
    /// Where its write began.
    pub(super) group: u64,
    body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Its leaves. What the checksum covers is well-formed, unless this daemon did not write it.
    pub(super) fn leaves(&self) -> Result<Vec<&'a [u8]>, Malformed> {
        let mut r = Reader::new(self.body);
        let count = r.u16()?;
        let leaves = (0..count).map(|_| r.short()).collect::<Result<_, _>>()?;
        r.finish()?;
        Ok(leaves)
    }
}

/// What lies at the reader's place.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// A frame; the reader now stands behind it.
    Frame(Frame<'a>),
    /// No frame begins here: the end, a torn tail, or damage.
    Nothing,
}

/// Reads frames of one file in order, up to a limit.
#[derive(Debug)]
pub(super) struct FrameReader<'f> {
    file: &'f File,
    offset: u64,
    limit: u64,
    buffer: Vec<u8>,
    /// Offset of the buffer's first byte.
    buffered: u64,
}

impl<'f> FrameReader<'f> {
    /// Stands at `offset`; sees nothing from `limit` on.
    pub(super) fn new(file: &'f File, offset: u64, limit: u64) -> Self {
        Self {
            file,
            offset,
            limit,
            buffer: Vec::new(),
            buffered: offset,
        }
    }

    /// Where it stands.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The frame here.
    pub(super) fn step(&mut self) -> io::Result<Step<'_>> {
        let offset = self.offset;
        let Some(len) = self.frame_len()? else {
            return Ok(Step::Nothing);
        };
        if !self.fill(OVERHEAD + len)? {
            return Ok(Step::Nothing);
        }
        let at = usize::try_from(offset - self.buffered).unwrap_or(usize::MAX);
        let Some(frame) = self
            .buffer
            .get(at..)
            .and_then(|rest| parse(rest, offset, len))
        else {
            return Ok(Step::Nothing);
        };
        self.offset = frame.end;
        Ok(Step::Frame(frame))
    }

    /// Stands at `offset` from now on.
    pub(super) const fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// Offset of the next valid frame at or behind `from` that `accept` takes; the reader stays.
    pub(super) fn find(
        &mut self,
        mut from: u64,
        accept: impl Fn(&Frame<'_>) -> bool,
    ) -> io::Result<Option<u64>> {
        let place = self.offset;
        let mut found = None;
        while let Some(at) = self.find_magic(from)? {
            self.offset = at;
            if matches!(self.step()?, Step::Frame(frame) if accept(&frame)) {
                found = Some(at);
                break;
            }
            from = at + 1;
        }
        self.offset = place;
        Ok(found)
    }

    fn find_magic(&self, mut from: u64) -> io::Result<Option<u64>> {
        let mut block = vec![0; READ];
        while from + OVERHEAD as u64 <= self.limit {
            let left = usize::try_from(self.limit - from).unwrap_or(READ).min(READ);
            let Some(block) = block.get_mut(..left) else {
                return Ok(None);
            };
            self.file.read_exact_at(block, from)?;
            if let Some(at) = position(block, &MAGIC) {
                return Ok(Some(from + at as u64));
            }
            if left < READ {
                return Ok(None);
            }
            // the last three bytes may begin a magic
            from += (left - (MAGIC.len() - 1)) as u64;
        }
        Ok(None)
    }

    /// Length of the body, if something like a frame begins here.
    fn frame_len(&mut self) -> io::Result<Option<usize>> {
        if !self.fill(OVERHEAD)? {
            return Ok(None);
        }
        let at = usize::try_from(self.offset - self.buffered).unwrap_or(usize::MAX);
        let head = self.buffer.get(at..).and_then(|rest| {
            let mut r = Reader::new(rest);
            (r.array().ok()? == MAGIC).then_some(())?;
            usize::try_from(r.u32().ok()?).ok()
        });
        Ok(head.filter(|len| *len <= BODY_MAX))
    }

    /// Has `len` bytes from the offset in the buffer; `false` when the limit is nearer.
    fn fill(&mut self, len: usize) -> io::Result<bool> {
        let end = self.offset + len as u64;
        if end > self.limit {
            return Ok(false);
        }
        if self.offset >= self.buffered && end <= self.buffered + self.buffer.len() as u64 {
            return Ok(true);
        }
        let left = usize::try_from(self.limit - self.offset).unwrap_or(usize::MAX);
        self.buffer.resize(len.max(READ).min(left), 0);
        self.buffered = self.offset;
        self.file.read_exact_at(&mut self.buffer, self.offset)?;
        Ok(true)
    }
}

fn parse(bytes: &[u8], offset: u64, len: usize) -> Option<Frame<'_>> {
    let (head, rest) = bytes.split_first_chunk::<OVERHEAD>()?;
    let body = rest.get(..len)?;
    let mut r = Reader::new(head);
    let (_magic, length, group) = (r.bytes(4).ok()?, r.bytes(4).ok()?, r.bytes(4).ok()?);
    if r.u32().ok()? != checksum(length, group, body) {
        return None;
    }
    let group = u64::from(Reader::new(group).u32().ok()?);
    Some(Frame {
        offset,
        end: offset + (OVERHEAD + len) as u64,
        group,
        body,
    })
}

fn position(haystack: &[u8], needle: &[u8; 4]) -> Option<usize> {
    // whole zero-filled blocks are the rule here
    if haystack.iter().all(|byte| *byte == 0) {
        return None;
    }
    haystack.windows(4).position(|window| window == needle)
}
