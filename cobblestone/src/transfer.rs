//! Reading and writing whole runs of bytes through readers and writers that give or take a few
//! at a time. Never takes `Interrupted` for a failure, nor a short read for the end.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};

use crate::error::Error;
use crate::layout::HEADER_LEN;

/// Reads once, again after `Interrupted`. 0 means the end (or an empty `buf`).
pub(crate) fn read_once(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buf) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // a reader that claims more than it had room for is broken, not our bounds
            result => return result.map(|len| len.min(buf.len())),
        }
    }
}

/// Reads until `buf` is full or the end is reached; the number of bytes read.
pub(crate) fn read_full(reader: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = buf.get_mut(filled..).filter(|room| !room.is_empty()) {
        match read_once(reader, room)? {
            0 => break,
            len => filled += len,
        }
    }
    Ok(filled)
}

/// Reads a message's header; a stream too short for one is no message.
pub(crate) fn read_header(reader: &mut impl Read) -> io::Result<[u8; HEADER_LEN]> {
    let mut header = [0; HEADER_LEN];
    if read_full(reader, &mut header)? < HEADER_LEN {
        return Err(Error::Undecryptable.into());
    }
    Ok(header)
}

/// As [`read_full`], into several buffers in turn: one call where the reader can do that.
pub(crate) fn read_full_vectored(
    reader: &mut impl Read,
    mut bufs: &mut [IoSliceMut<'_>],
) -> io::Result<usize> {
    let mut filled = 0;
    while bufs.iter().any(|buf| !buf.is_empty()) {
        match reader.read_vectored(bufs) {
            Ok(0) => break,
            Ok(len) => {
                filled += len;
                IoSliceMut::advance_slices(&mut bufs, len);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Writes all of several buffers in turn: one call where the writer can do that.
pub(crate) fn write_all_vectored(
    writer: &mut impl Write,
    mut bufs: &mut [IoSlice<'_>],
) -> io::Result<()> {
    while bufs.iter().any(|buf| !buf.is_empty()) {
        match writer.write_vectored(bufs) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(len) => IoSlice::advance_slices(&mut bufs, len),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
