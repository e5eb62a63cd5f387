//! Segments: files of fixed length, zero-filled before use so that appending changes no metadata.
//!
//! A segment begins with a 4,096-byte header, then frames without gaps, then zeros. It gets its name only
//! when header and zeros are durable. Never overwrites a frame.

use kms_core::codec::{Malformed, Reader, Writer, crc32c};
use kms_core::time::Timestamp;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes before the first frame.
pub(super) const HEADER_LEN: u64 = 4096;
/// Shortest segment.
pub(super) const LEN_MIN: u64 = 64 * 1024;
/// Longest segment: frames name their group by a 32-bit offset.
pub(super) const LEN_MAX: u64 = 1 << 31;
const FORMAT: u8 = 1;
const MAGIC: &[u8; 7] = b"kms-log";
/// Most bytes of an origin.
pub(super) const ORIGIN_MAX: usize = 256;
const PREPARED: &str = "prepared-";

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// 1, 2, 3, ... in the order of writing.
    pub(super) number: u64,
    /// Sequence of its first leaf. What an older segment holds from here on was never acknowledged.
    pub(super) first_sequence: u64,
    /// When it was begun.
    pub(super) created_at: Timestamp,
    /// Name of the log's life.
    pub(super) origin: String,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(512);
        w.u8(FORMAT).bytes(MAGIC);
        w.u64(self.number).u64(self.first_sequence);
        w.i64(self.created_at.as_micros());
        let mut bytes = w.short(self.origin.as_bytes()).finish();
        let checksum = crc32c(&bytes).to_be_bytes();
        bytes.extend_from_slice(&checksum);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        if r.u8()? != FORMAT || r.bytes(MAGIC.len())? != MAGIC {
            return Err(Malformed);
        }
        let header = Self {
            number: r.u64()?,
            first_sequence: r.u64()?,
            created_at: Timestamp::from_micros(r.i64()?),
            origin: r.text()?.to_owned(),
        };
        let covered = bytes.len() - r.rest().len();
        if r.u32()? != crc32c(bytes.get(..covered).ok_or(Malformed)?) {
            return Err(Malformed);
        }
        Ok(header)
    }

    /// Of an open segment; [`io::ErrorKind::InvalidData`] when it is none.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let mut bytes = [0; 512];
        file.read_exact_at(&mut bytes, 0)?;
        Self::decode(&bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
    }

    fn file_name(&self) -> String {
        format!("segment-{:08}-{:020}.log", self.number, self.first_sequence)
    }
}

/// A segment by its file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its number.
    pub(super) number: u64,
    /// Sequence of its first leaf.
    pub(super) first_sequence: u64,
    /// Where it is.
    pub(super) path: PathBuf,
}

/// The segments of a directory, in the order of writing; what was only prepared is removed.
pub(super) fn list(dir: &Path) -> io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for item in std::fs::read_dir(dir)? {
        let item = item?;
        let name = item.file_name();
        let Some(name) = name.to_str() else { continue };
        if name.starts_with(PREPARED) {
            std::fs::remove_file(item.path())?;
        } else if let Some((number, first_sequence)) = parse_name(name) {
            listed.push(Listed {
                number,
                first_sequence,
                path: item.path(),
            });
        }
    }
    listed.sort_by_key(|segment| segment.number);
    Ok(listed)
}

fn parse_name(name: &str) -> Option<(u64, u64)> {
    let numbers = name.strip_prefix("segment-")?.strip_suffix(".log")?;
    let (number, first) = numbers.split_once('-')?;
    Some((number.parse().ok()?, first.parse().ok()?))
}

/// A file full of zeros, durable, not yet a segment. Removed unless it becomes one.
#[derive(Debug)]
pub(super) struct Prepared {
    file: File,
    path: PathBuf,
    len: u64,
    installed: bool,
}

impl Prepared {
    /// Makes one of `len` bytes.
    pub(super) fn make(dir: &Path, number: u64, len: u64) -> io::Result<Self> {
        let path = dir.join(format!("{PREPARED}{number:08}"));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.mode(0o600).open(&path)?;
        let prepared = Self {
            file,
            path,
            len,
            installed: false,
        };
        zero(&prepared.file, 0, len)?;
        prepared.file.sync_all()?;
        Ok(prepared)
    }

    /// Its bytes.
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Makes it the segment of `header`; durable when this returns.
    pub(super) fn install(mut self, dir: &Path, header: &Header) -> io::Result<(File, PathBuf)> {
        self.file.write_all_at(&header.encode(), 0)?;
        self.file.sync_all()?;
        let path = dir.join(header.file_name());
        std::fs::rename(&self.path, &path)?;
        self.installed = true;
        File::open(dir)?.sync_all()?;
        Ok((self.file.try_clone()?, path))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.installed {
            // what cannot be removed now goes at the next start
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Overwrites a range with zeros.
fn zero(file: &File, mut from: u64, to: u64) -> io::Result<()> {
    const ZEROS: &[u8] = &[0; 256 * 1024];
    while from < to {
        let len = usize::try_from(to - from).unwrap_or(usize::MAX);
        let part = ZEROS.get(..len.min(ZEROS.len())).unwrap_or(ZEROS);
        file.write_all_at(part, from)?;
        from += part.len() as u64;
    }
    Ok(())
}

/// Makes everything from `from` to the end of the file zero again, durably: a frame that was never
/// acknowledged must not come back to life behind a new one. Returns how many bytes there were.
pub(super) fn clear_tail(file: &File, from: u64) -> io::Result<u64> {
    let mut block = vec![0; 256 * 1024];
    let end = file.metadata()?.len();
    let (mut at, mut last) = (from, from);
    while at < end {
        let len = usize::try_from(end - at)
            .unwrap_or(usize::MAX)
            .min(block.len());
        let Some(part) = block.get_mut(..len) else {
            break;
        };
        file.read_exact_at(part, at)?;
        if let Some(used) = part.iter().rposition(|byte| *byte != 0) {
            last = at + used as u64 + 1;
            zero(file, at, at + len as u64)?;
        }
        at += len as u64;
    }
    if last > from {
        file.sync_data()?;
    }
    Ok(last - from)
}
