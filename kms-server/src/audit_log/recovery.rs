//! Opening: finds the end of the last segment, cuts what was never acknowledged, names damage. Never
//! touches a frame that may have been acknowledged.

use super::Options;
use super::frame::{FrameReader, Step};
use super::segment::{
    self, HEADER_LEN, Header, LEN_MAX, LEN_MIN, Listed, ORIGIN_MAX, Prepared, clear_tail,
};
use super::segments::{Marks, Newest, Segments};
use crate::system::clock::Clock;
use kms_core::audit::leaf::Prefix;
use kms_core::time::Timestamp;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Sequence numbers stay below: counting on from there cannot overflow.
const SEQUENCE_MAX: u64 = 1 << 62;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk said no.
    #[error("audit log {path}: {source}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The log in the directory is another's.
    #[error("audit log {path} is of origin {found:?}, not {expected:?}")]
    Origin {
        /// The segment.
        path: PathBuf,
        /// What it says.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The last segment does not say what its name says.
    #[error("audit log segment {path} has a damaged header: restore it from a copy")]
    Header {
        /// The segment.
        path: PathBuf,
    },
    /// A setting is out of range.
    #[error("{0}")]
    Options(&'static str),
}

impl OpenError {
    pub(super) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Bytes of a segment that were durable once and can no longer be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub path: PathBuf,
    /// First byte.
    pub from: u64,
    /// First byte behind.
    pub to: u64,
}

/// What was found when the log was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Sequence that the next leaf gets.
    pub next_sequence: u64,
    /// Segments there are.
    pub segments: usize,
    /// Bytes of a torn tail, never acknowledged, that were cut.
    pub cut_bytes: u64,
    /// Damage in the last segment. Entries behind it are kept and readable.
    pub damaged: Vec<Damage>,
    /// Wall time of the last leaf.
    pub last_time: Option<Timestamp>,
}

/// The segment that is written to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) file: File,
    pub(super) number: u64,
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// What [`super::AuditLog::open`] goes on with.
pub(super) struct Recovered {
    pub(super) segments: Segments,
    pub(super) active: Active,
    pub(super) opened: Opened,
}

/// What a scan of one segment finds.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    pub(super) marks: Marks,
    /// Behind the last frame.
    pub(super) end: u64,
    /// Sequence behind the last leaf.
    pub(super) next_sequence: u64,
    pub(super) damaged: Vec<(u64, u64)>,
    last_time: Option<Timestamp>,
}

/// Follows the frames of a segment from its first one to its last.
pub(super) fn scan(file: &File, len: u64, first_sequence: u64) -> io::Result<Scanned> {
    let mut scanned = Scanned {
        end: HEADER_LEN,
        next_sequence: first_sequence,
        ..Scanned::default()
    };
    let mut reader = FrameReader::new(file, HEADER_LEN, len);
    loop {
        match reader.step()? {
            Step::Frame(frame) => {
                let leaves = frame.leaves().unwrap_or_default();
                let prefix = |leaf: Option<&&[u8]>| leaf.and_then(|leaf| Prefix::read(leaf).ok());
                if let (Some(first), Some(last)) = (prefix(leaves.first()), prefix(leaves.last())) {
                    scanned.marks.note(first.sequence, frame.offset);
                    scanned.next_sequence = behind(last.sequence)?;
                    scanned.last_time = Some(last.at.time);
                }
                scanned.end = frame.end;
            }
            Step::Nothing => {
                let from = reader.offset();
                // a write that began behind this place shows that the place had been synced: damage.
                // Without one it is the end, or a tail that was torn before anybody was told.
                let durable = reader.find(from, |frame| frame.group > from)?;
                let next = match durable {
                    Some(_) => reader.find(from, |_| true)?,
                    None => None,
                };
                let Some(next) = next else {
                    return Ok(scanned);
                };
                scanned.damaged.push((from, next));
                reader.seek(next);
            }
        }
    }
}

/// The sequence behind a leaf's. None that a log comes to is as high as those refused: somebody wrote this one.
fn behind(sequence: u64) -> io::Result<u64> {
    let next = sequence.checked_add(1).filter(|next| *next < SEQUENCE_MAX);
    next.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "a sequence number is out of range",
        )
    })
}

/// See the module.
pub(super) fn recover(
    dir: &Path,
    origin: &str,
    options: Options,
    clock: &dyn Clock,
) -> Result<Recovered, OpenError> {
    if !(LEN_MIN..=LEN_MAX).contains(&options.segment_bytes) {
        return Err(OpenError::Options(
            "audit.segment_bytes must be 64 KiB to 2 GiB",
        ));
    }
    if origin.is_empty() || origin.len() > ORIGIN_MAX || origin.chars().any(char::is_control) {
        return Err(OpenError::Options(
            "audit.name must be 1 to 256 bytes without control characters",
        ));
    }
    let in_dir = |source| OpenError::io(dir, source);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(in_dir)?;
    let listed = segment::list(dir).map_err(in_dir)?;
    match listed.last() {
        None => begin(dir, origin, options, clock).map_err(in_dir),
        Some(last) => resume(&last.clone(), listed, origin),
    }
}

fn begin(dir: &Path, origin: &str, options: Options, clock: &dyn Clock) -> io::Result<Recovered> {
    let header = Header {
        number: 1,
        first_sequence: 0,
        created_at: clock.now(),
        origin: origin.to_owned(),
    };
    let prepared = Prepared::make(dir, header.number, options.segment_bytes)?;
    let len = prepared.len();
    let (file, path) = prepared.install(dir, &header)?;
    let listed = Listed {
        number: header.number,
        first_sequence: 0,
        path,
    };
    let newest = Newest {
        end: HEADER_LEN,
        marks: Marks::default(),
    };
    Ok(Recovered {
        segments: Segments::new(vec![listed], newest, 0),
        active: Active {
            file,
            number: header.number,
            offset: HEADER_LEN,
            len,
        },
        opened: Opened {
            next_sequence: 0,
            segments: 1,
            cut_bytes: 0,
            damaged: Vec::new(),
            last_time: None,
        },
    })
}

fn resume(last: &Listed, listed: Vec<Listed>, origin: &str) -> Result<Recovered, OpenError> {
    let at_last = |source| OpenError::io(&last.path, source);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&last.path)
        .map_err(at_last)?;
    check_header(&file, last, origin)?;
    let len = file.metadata().map_err(at_last)?.len();
    let scanned = scan(&file, len, last.first_sequence).map_err(at_last)?;
    let cut_bytes = clear_tail(&file, scanned.end).map_err(at_last)?;
    let damaged = scanned.damaged.iter().map(|(from, to)| Damage {
        path: last.path.clone(),
        from: *from,
        to: *to,
    });
    let opened = Opened {
        next_sequence: scanned.next_sequence,
        segments: listed.len(),
        cut_bytes,
        damaged: damaged.collect(),
        last_time: scanned.last_time,
    };
    let active = Active {
        file,
        number: last.number,
        offset: scanned.end,
        len,
    };
    let newest = Newest {
        end: scanned.end,
        marks: scanned.marks,
    };
    Ok(Recovered {
        segments: Segments::new(listed, newest, scanned.next_sequence),
        active,
        opened,
    })
}

fn check_header(file: &File, last: &Listed, origin: &str) -> Result<(), OpenError> {
    let header = Header::read(file).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => OpenError::Header {
            path: last.path.clone(),
        },
        _ => OpenError::io(&last.path, source),
    })?;
    if header.number != last.number
        || header.first_sequence != last.first_sequence
        || header.first_sequence >= SEQUENCE_MAX
    {
        return Err(OpenError::Header {
            path: last.path.clone(),
        });
    }
    if header.origin != origin {
        return Err(OpenError::Origin {
            path: last.path.clone(),
            found: header.origin,
            expected: origin.to_owned(),
        });
    }
    Ok(())
}
