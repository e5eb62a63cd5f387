//! Encrypting and decrypting big inputs on several cores. Never holds more than 64 MiB whatever
//! the input, and never writes a byte out of order or not authenticated.

mod pipeline;

use std::fmt;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};

use crate::chunk::ChunkKey;
use crate::error::Error;
use crate::key::{Key, Salt};
use crate::layout::{CHUNK_LEN, SEALED_CHUNK_LEN, TAG_LEN};
use crate::transfer::{read_full, read_full_vectored, read_header, write_all_vectored};
use pipeline::{BATCH_CHUNKS, Batch, Direction};

/// How [`seal_parallel`] and [`open_parallel`] go about it. A bare number of threads does as well.
#[derive(Clone, Copy, Default)]
pub struct Parallel<'a> {
    /// Worker threads; 0 means one for each core. At most 30 are used: reading and writing are
    /// one at a time anyway. The calling thread writes.
    pub threads: usize,
    /// Called on the calling thread after each write, with the plaintext bytes done so far.
    pub progress: Option<&'a dyn Fn(u64)>,
}

impl From<usize> for Parallel<'_> {
    fn from(threads: usize) -> Self {
        Self {
            threads,
            progress: None,
        }
    }
}

impl fmt::Debug for Parallel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parallel")
            .field("threads", &self.threads)
            .field("progress", &self.progress.is_some())
            .finish()
    }
}

/// Encrypts all of `reader` into one message on `writer`, the same bytes as [`seal`](crate::seal)
/// would make, and flushes it; returns the plaintext bytes.
///
/// Reads and writes 1 MiB at a time, so neither side needs a buffer. Memory: 1 MiB for each of
/// `2 * threads + 2` batches, at most 62. Returns (also with an error) only when no worker is
/// left; a reader that blocks delays that.
///
/// # Errors
/// Those of `reader` and `writer`; [`Error::TooLong`] as [`io::ErrorKind::FileTooLarge`]. What
/// has been written is then no message: its last chunk is missing.
pub fn seal_parallel<'a, R: Read + Send, W: Write>(
    key: &Key,
    context: &[u8],
    salt: &Salt,
    reader: R,
    mut writer: W,
    options: impl Into<Parallel<'a>>,
) -> io::Result<u64> {
    let (header, chunk_key) = key.seal_message(context, salt);
    writer.write_all(&header)?;
    let sealing = Sealing(Box::new(chunk_key));
    pipeline::run(&sealing, reader, writer, options.into())
}

/// Decrypts the one message that `reader` holds up to its end onto `writer`, flushes it and
/// returns the plaintext bytes. Memory and threads as for [`seal_parallel`].
///
/// # Errors
/// Those of `reader` and `writer`; [`Error::Undecryptable`] as [`io::ErrorKind::InvalidData`].
/// `writer` has then been given exactly the chunks before the damage: genuine, but not the whole
/// message, so the caller must not take them for it.
pub fn open_parallel<'a, R: Read + Send, W: Write>(
    key: &Key,
    context: &[u8],
    mut reader: R,
    writer: W,
    options: impl Into<Parallel<'a>>,
) -> io::Result<u64> {
    let header = read_header(&mut reader)?;
    let opening = Opening(Box::new(key.open_message(context, &header)?));
    pipeline::run(&opening, reader, writer, options.into())
}

/// Reads plaintext into the places it has in the message, each chunk followed by room for a tag.
struct Sealing(Box<ChunkKey>);

impl Direction for Sealing {
    fn read(&self, reader: &mut impl Read, batch: &mut Batch) -> io::Result<()> {
        let chunks = batch.buffer.chunks_exact_mut(SEALED_CHUNK_LEN);
        let texts = chunks.filter_map(|chunk| chunk.get_mut(..CHUNK_LEN));
        let mut texts: Vec<_> = texts.map(IoSliceMut::new).collect();
        batch.text_len = read_full_vectored(reader, &mut texts)?;
        batch.last = batch.text_len < BATCH_CHUNKS * CHUNK_LEN;
        Ok(())
    }

    fn process(&self, first: u64, batch: &mut Batch) -> Result<(), Error> {
        // a batch that is not the last is whole chunks; in the last, a short one follows
        let chunks = batch.text_len / CHUNK_LEN + usize::from(batch.last);
        let sealed_len = batch.text_len + chunks * TAG_LEN;
        let sealed = batch.buffer.get_mut(..sealed_len).unwrap_or_default();
        for (index, chunk) in (first..).zip(sealed.chunks_mut(SEALED_CHUNK_LEN)) {
            self.0.seal_with_tag(index, chunk)?;
        }
        batch.sealed_len = sealed_len;
        Ok(())
    }

    fn write(&self, writer: &mut impl Write, batch: &Batch) -> io::Result<()> {
        writer.write_all(batch.buffer.get(..batch.sealed_len).unwrap_or_default())
    }
}

/// Reads chunks as they lie in the message, and opens them where they are.
struct Opening(Box<ChunkKey>);

impl Direction for Opening {
    fn read(&self, reader: &mut impl Read, batch: &mut Batch) -> io::Result<()> {
        batch.sealed_len = read_full(reader, &mut batch.buffer)?;
        batch.last = batch.sealed_len < batch.buffer.len();
        Ok(())
    }

    fn process(&self, first: u64, batch: &mut Batch) -> Result<(), Error> {
        let sealed = batch.buffer.get_mut(..batch.sealed_len).unwrap_or_default();
        let mut ended = false;
        for (index, chunk) in (first..).zip(sealed.chunks_mut(SEALED_CHUNK_LEN)) {
            ended = chunk.len() < SEALED_CHUNK_LEN;
            batch.text_len += self.0.open_with_tag(index, chunk)?.len();
        }
        // the end of the bytes must be the end of the message: a short chunk
        if ended == batch.last {
            Ok(())
        } else {
            Err(Error::Undecryptable)
        }
    }

    fn write(&self, writer: &mut impl Write, batch: &Batch) -> io::Result<()> {
        let mut left = batch.text_len;
        let texts = batch.buffer.chunks(SEALED_CHUNK_LEN).map_while(|chunk| {
            let len = left.min(CHUNK_LEN);
            left -= len;
            chunk.get(..len).filter(|text| !text.is_empty())
        });
        let mut texts: Vec<_> = texts.map(IoSlice::new).collect();
        write_all_vectored(writer, &mut texts)
    }
}
