//! Reading parts of a message where they lie. Never seeks relative to an end it has not
//! authenticated, and never yields a byte whose chunk has not been.

use std::fmt;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use crate::buffer::Buffer;
use crate::chunk::ChunkKey;
use crate::error::Error;
use crate::key::Key;
use crate::layout::{CHUNK_LEN, SEALED_CHUNK_LEN, TAG_LEN, chunk_offset, plaintext_len};
use crate::transfer::{read_full, read_header};

/// The plaintext of one message in a seekable `R`, readable at any offset.
///
/// The message begins where `R` stood when it was given and ends where `R` ends. Each chunk
/// opens alone: damage elsewhere does not show, except in the header and the last chunk, which
/// are checked at the start and fix the length. Holds one opened chunk. Errors are not sticky.
pub struct OpenAt<R: Read + Seek> {
    inner: R,
    chunk_key: Box<ChunkKey>,
    /// where the message begins in `inner`
    start: u64,
    /// where `inner` stands, if known: spares the seek when reading on
    inner_position: Option<u64>,
    plaintext_len: u64,
    /// for [`Read`] and [`Seek`]
    position: u64,
    buffer: Buffer,
    /// which chunk lies opened in `buffer`, and its plaintext length
    opened: Option<(u64, usize)>,
}

impl<R: Read + Seek> OpenAt<R> {
    /// Checks header, commitment and last chunk of the message that begins at `inner`'s current
    /// position, so that [`OpenAt::plaintext_len`] is authentic.
    ///
    /// # Errors
    /// Those of `inner`; [`Error::Undecryptable`] as [`io::ErrorKind::InvalidData`].
    pub fn new(mut inner: R, key: &Key, context: &[u8]) -> io::Result<Self> {
        let start = inner.stream_position()?;
        let header = read_header(&mut inner)?;
        let chunk_key = Box::new(key.open_message(context, &header)?);
        let sealed_len = inner.seek(SeekFrom::End(0))?.saturating_sub(start);
        let plaintext_len = plaintext_len(sealed_len).ok_or(Error::Undecryptable)?;
        let mut opened = Self {
            inner,
            chunk_key,
            start,
            inner_position: None,
            plaintext_len,
            position: 0,
            buffer: Buffer::new(SEALED_CHUNK_LEN),
            opened: None,
        };
        opened.open_chunk(plaintext_len / CHUNK_LEN as u64)?;
        Ok(opened)
    }

    /// Bytes of plaintext; authenticated.
    pub fn plaintext_len(&self) -> u64 {
        self.plaintext_len
    }

    /// Fills `buf` with the plaintext from `offset` on; less only at the end of the message, 0 at
    /// or beyond it. Does not move the position of [`Read`].
    ///
    /// # Errors
    /// Those of `R`; [`Error::Undecryptable`] as [`io::ErrorKind::InvalidData`] if one of the
    /// chunks concerned does not open. `buf` is then zeroed.
    pub fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(room) = buf.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.read_some(offset.saturating_add(filled as u64), room) {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(error) => {
                    buf.fill(0);
                    return Err(error);
                }
            }
        }
        Ok(filled)
    }

    /// Reads from the one chunk that `offset` lies in.
    fn read_some(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        if offset >= self.plaintext_len || buf.is_empty() {
            return Ok(0);
        }
        let text = self.open_chunk(offset / CHUNK_LEN as u64)?;
        let within = usize::try_from(offset % CHUNK_LEN as u64).unwrap_or(CHUNK_LEN);
        text.get(within..).unwrap_or_default().read(buf)
    }

    /// The plaintext of chunk `index`, which lies within the message.
    fn open_chunk(&mut self, index: u64) -> io::Result<&[u8]> {
        let len = match self.opened {
            Some((opened, len)) if opened == index => len,
            _ => self.load_chunk(index)?,
        };
        Ok(self.buffer.get(..len).unwrap_or_default())
    }

    fn load_chunk(&mut self, index: u64) -> io::Result<usize> {
        self.opened = None;
        let text_len = (self.plaintext_len - index * CHUNK_LEN as u64).min(CHUNK_LEN as u64);
        let text_len = usize::try_from(text_len).unwrap_or(CHUNK_LEN);
        let at = self.start.saturating_add(chunk_offset(index));
        if self.inner_position.take() != Some(at) {
            self.inner.seek(SeekFrom::Start(at))?;
        }
        let chunk = self.buffer.get_mut(..text_len + TAG_LEN);
        let chunk = chunk.unwrap_or_default();
        let read = read_full(&mut self.inner, chunk)?;
        self.inner_position = at.checked_add(read as u64);
        if read < chunk.len() {
            return Err(Error::Undecryptable.into()); // shortened under our hands
        }
        self.chunk_key.open_with_tag(index, chunk)?;
        self.opened = Some((index, text_len));
        Ok(text_len)
    }
}

impl<R: Read + Seek> Read for OpenAt<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.read_some(self.position, buf)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl<R: Read + Seek> Seek for OpenAt<R> {
    /// Positions beyond the end are allowed and read as the end.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(delta) => self.plaintext_len.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
        };
        self.position = position.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Shows the place, never content.
impl<R: Read + Seek> fmt::Debug for OpenAt<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAt")
            .field("plaintext_len", &self.plaintext_len)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
