//! Encrypting a stream. Never lets an unfinished message look whole: only
//! [`SealWriter::finish`] writes the last, short chunk.

use std::fmt;
use std::io::{self, Write};

use crate::buffer::Buffer;
use crate::chunk::ChunkKey;
use crate::error::Error;
use crate::key::{Key, Salt};
use crate::layout::{CHUNK_LEN, HEADER_LEN, SEALED_CHUNK_LEN, TAG_LEN};

/// Chunks gathered before they are handed to the inner writer, 256 KiB.
const BATCH_CHUNKS: usize = 16;

/// Encrypts what is written to it into one message on `W`.
///
/// Holds a buffer of 256 KiB, so `W` needs none. [`Write::flush`] passes on whole chunks; the
/// begun one stays until it is full or [`SealWriter::finish`]. Dropped without `finish`, the
/// message has no last chunk and no reader will accept its end.
///
/// After an error of `W` (or a message over 2^38 chunks) the message is lost: every further call
/// fails.
pub struct SealWriter<W: Write> {
    inner: W,
    chunk_key: Box<ChunkKey>,
    /// header or sealed chunks up to `sealed`, then plaintext up to `filled`
    buffer: Buffer,
    sealed: usize,
    filled: usize,
    index: u64,
    broken: bool,
}

impl<W: Write> SealWriter<W> {
    /// Begins a message on `inner`. Writes nothing yet. For `context` and `salt` see
    /// [`seal`](crate::seal).
    pub fn new(inner: W, key: &Key, context: &[u8], salt: &Salt) -> Self {
        let (header, chunk_key) = key.seal_message(context, salt);
        let mut buffer = Buffer::new(HEADER_LEN + BATCH_CHUNKS * SEALED_CHUNK_LEN);
        for (to, from) in buffer.iter_mut().zip(header) {
            *to = from;
        }
        Self {
            inner,
            chunk_key: Box::new(chunk_key),
            buffer,
            sealed: HEADER_LEN,
            filled: HEADER_LEN,
            index: 0,
            broken: false,
        }
    }

    /// Writes the last chunk, flushes `W` and gives it back. The message is then whole.
    ///
    /// # Errors
    /// Those of `W`; [`Error::TooLong`] as [`io::ErrorKind::FileTooLarge`]; an error if an
    /// earlier call failed.
    pub fn finish(mut self) -> io::Result<W> {
        self.check()?;
        self.seal_chunk()?;
        self.write_sealed()?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn check(&self) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("the message was lost by an earlier error"));
        }
        Ok(())
    }

    /// Seals the begun chunk, however much there is of it.
    fn seal_chunk(&mut self) -> Result<(), Error> {
        self.broken = true;
        let end = self.filled + TAG_LEN;
        let chunk = self.buffer.get_mut(self.sealed..end);
        self.chunk_key
            .seal_with_tag(self.index, chunk.ok_or(Error::TooLong)?)?;
        self.broken = false;
        self.index += 1;
        (self.sealed, self.filled) = (end, end);
        Ok(())
    }

    /// Writes the sealed chunks and makes room; a begun chunk moves to the front.
    fn write_sealed(&mut self) -> io::Result<()> {
        self.broken = true;
        let sealed = self.buffer.get(..self.sealed).unwrap_or_default();
        self.inner.write_all(sealed)?;
        self.broken = false;
        self.buffer.copy_within(self.sealed..self.filled, 0);
        (self.sealed, self.filled) = (0, self.filled - self.sealed);
        Ok(())
    }
}

impl<W: Write> Write for SealWriter<W> {
    /// Takes as much of `buf` as the begun chunk still wants: at most 16 KiB.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.check()?;
        let wanted = self.sealed + CHUNK_LEN - self.filled;
        let taken = buf.get(..wanted).unwrap_or(buf);
        let end = self.filled + taken.len();
        if let Some(room) = self.buffer.get_mut(self.filled..end) {
            room.copy_from_slice(taken);
        }
        self.filled = end;
        if taken.len() == wanted {
            self.seal_chunk()?;
            if self.sealed + SEALED_CHUNK_LEN > self.buffer.len() {
                self.write_sealed()?;
            }
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        self.write_sealed()?;
        self.inner.flush()
    }
}

/// Shows progress, never content.
impl<W: Write> fmt::Debug for SealWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealWriter")
            .field("chunks", &self.index)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}
