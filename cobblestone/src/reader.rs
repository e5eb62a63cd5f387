//! Decrypting a stream. Never yields a byte whose chunk has not been authenticated, and never
//! takes the end of the bytes for the end of the message.

use std::fmt;
use std::io::{self, BufRead, Read};
use std::ops::Range;

use crate::buffer::Buffer;
use crate::chunk::ChunkKey;
use crate::error::Error;
use crate::key::Key;
use crate::layout::SEALED_CHUNK_LEN;
use crate::transfer::{read_header, read_once};

/// Chunks asked of the inner reader at once, 256 KiB. A slow reader is not waited for: the first
/// whole chunk is opened when it is there.
const BATCH_CHUNKS: usize = 16;

/// Reads the plaintext of the one message that `R` holds up to its end.
///
/// What it has yielded is genuine, but only the end (`Ok(0)`) says that it was the whole message:
/// truncation and trailing bytes are errors of the last read. Such an error is of kind
/// [`InvalidData`](io::ErrorKind::InvalidData), carries [`Error::Undecryptable`], comes after all
/// chunks before the damage, and every later read repeats it. Errors of `R` are passed on; the
/// read may be tried again if `R` allows that.
pub struct OpenReader<R: Read> {
    inner: R,
    chunk_key: Box<ChunkKey>,
    buffer: Buffer,
    /// plaintext of the last opened chunk, not yet yielded
    opened: Range<usize>,
    /// what `inner` gave and is still sealed
    sealed: Range<usize>,
    index: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Failed,
}

impl<R: Read> OpenReader<R> {
    /// Reads the header from `inner` and checks the commitment, hence key and context.
    ///
    /// # Errors
    /// Those of `inner`; [`Error::Undecryptable`] as [`io::ErrorKind::InvalidData`].
    pub fn new(mut inner: R, key: &Key, context: &[u8]) -> io::Result<Self> {
        let header = read_header(&mut inner)?;
        let chunk_key = Box::new(key.open_message(context, &header)?);
        Ok(Self {
            inner,
            chunk_key,
            buffer: Buffer::new(BATCH_CHUNKS * SEALED_CHUNK_LEN),
            opened: 0..0,
            sealed: 0..0,
            index: 0,
            state: State::Open,
        })
    }

    /// Opens the next chunk, reading as needed. Only called when `opened` is used up.
    fn next_chunk(&mut self) -> io::Result<()> {
        let at_end = self.gather()?;
        // short means last, and it is only short if the bytes end here
        let len = self.sealed.len().min(SEALED_CHUNK_LEN);
        let (start, end) = (self.sealed.start, self.sealed.start + len);
        self.state = State::Failed; // unless it opens
        let chunk = self.buffer.get_mut(start..end).unwrap_or_default();
        let text = self.chunk_key.open_with_tag(self.index, chunk)?;
        self.opened = start..start + text.len();
        self.sealed.start = end;
        self.index += 1;
        self.state = if at_end { State::Ended } else { State::Open };
        Ok(())
    }

    /// Reads until a full chunk is there, or all there is; true in the second case.
    fn gather(&mut self) -> io::Result<bool> {
        while self.sealed.len() < SEALED_CHUNK_LEN {
            if self.buffer.len() - self.sealed.start < SEALED_CHUNK_LEN || self.sealed.is_empty() {
                self.buffer.copy_within(self.sealed.clone(), 0);
                self.sealed = 0..self.sealed.len();
            }
            let room = self.buffer.get_mut(self.sealed.end..).unwrap_or_default();
            match read_once(&mut self.inner, room)? {
                0 => return Ok(true),
                len => self.sealed.end += len,
            }
        }
        Ok(false)
    }
}

impl<R: Read> BufRead for OpenReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        // an opened chunk is only ever empty if it is the last
        while self.opened.is_empty() && self.state != State::Ended {
            if self.state == State::Failed {
                return Err(Error::Undecryptable.into());
            }
            self.next_chunk()?;
        }
        Ok(self.buffer.get(self.opened.clone()).unwrap_or_default())
    }

    fn consume(&mut self, len: usize) {
        let end = self.opened.end.min(self.opened.start.saturating_add(len));
        self.opened.start = end;
    }
}

impl<R: Read> Read for OpenReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let len = self.fill_buf()?.read(buf)?;
        self.consume(len);
        Ok(len)
    }
}

/// Shows progress, never content.
impl<R: Read> fmt::Debug for OpenReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenReader")
            .field("chunks", &self.index)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
