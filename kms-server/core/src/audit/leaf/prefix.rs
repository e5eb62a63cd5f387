//! The first 64 bytes, alike in every leaf: enough to follow the log without understanding the rest.

use super::keys::Month;
use crate::codec::{Malformed, Reader, Writer};
use crate::name::CallId;
use crate::time::Timestamp;
use std::time::Duration;

/// Number of the leaf format.
pub(super) const FORMAT: u8 = 1;
const SEQUENCE_AT: usize = 2;
const CHANGE_AT: usize = 10;

/// What a leaf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A call; exactly one each.
    Head = 1,
    /// Items of a batch; follow their head.
    Detail = 2,
    /// Who or what an id is.
    Introduction = 3,
    /// Calls that were shed or not authenticated, counted.
    Counted = 4,
    /// Something about the daemon or the log itself.
    System = 5,
}

impl Kind {
    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Head),
            2 => Some(Self::Detail),
            3 => Some(Self::Introduction),
            4 => Some(Self::Counted),
            5 => Some(Self::System),
            _ => None,
        }
    }

    /// The word of it: `call`, `detail`, `introduction`, `counted`, `system`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "call",
            Self::Detail => "detail",
            Self::Introduction => "introduction",
            Self::Counted => "counted",
            Self::System => "system",
        }
    }
}

/// 8 random bytes for each start of the daemon; connection numbers are unique within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BootId(pub [u8; 8]);

/// When and where something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coordinates {
    /// Wall time.
    pub time: Timestamp,
    /// Since the daemon started; whole microseconds.
    pub monotonic: Duration,
    /// Number of the node.
    pub node: u32,
    /// Which start of the daemon.
    pub boot: BootId,
}

/// The common part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefix {
    /// What the leaf is.
    pub kind: Kind,
    /// Its place in the log, from 0; 0 until it is appended.
    pub sequence: u64,
    /// Dense number of the change that the call made; 0 for none. The store revision follows from it.
    pub change: u64,
    /// The call: its head and details alike. Other kinds: the call that gave rise to it, or random.
    pub id: CallId,
    /// When and where.
    pub at: Coordinates,
    /// Whose month's key hashed the secrets and encrypted the personal group.
    pub month: Option<Month>,
}

impl Prefix {
    /// Bytes.
    pub const LEN: usize = 64;

    /// From the first bytes of a leaf; looks at nothing behind them.
    ///
    /// # Errors
    /// [`Malformed`] when it is too short or of another format or kind.
    pub fn read(leaf: &[u8]) -> Result<Self, Malformed> {
        Self::take(&mut Reader::new(leaf))
    }

    pub(super) fn take(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        if r.u8()? != FORMAT {
            return Err(Malformed);
        }
        Ok(Self {
            kind: Kind::from_number(r.u8()?).ok_or(Malformed)?,
            sequence: r.u64()?,
            change: r.u64()?,
            id: CallId(r.array()?),
            at: Coordinates {
                time: Timestamp::from_micros(r.i64()?),
                monotonic: Duration::from_micros(r.u64()?),
                node: r.u32()?,
                boot: BootId(r.array()?),
            },
            month: Month::from_number(r.u16()?),
        })
    }

    pub(super) fn write(&self, w: &mut Writer) {
        w.u8(FORMAT).u8(self.kind as u8);
        w.u64(self.sequence).u64(self.change).bytes(&self.id.0);
        w.i64(self.at.time.as_micros());
        w.u64(u64::try_from(self.at.monotonic.as_micros()).unwrap_or(u64::MAX));
        w.u32(self.at.node).bytes(&self.at.boot.0);
        w.u16(self.month.map_or(0, Month::number));
    }
}

/// Writes the place in the log into a leaf; what is shorter than a prefix stays as it is.
pub fn stamp_sequence(leaf: &mut [u8], sequence: u64) {
    stamp(leaf, SEQUENCE_AT, sequence);
}

/// Writes the number of the change into a leaf; what is shorter than a prefix stays as it is.
pub fn stamp_change(leaf: &mut [u8], change: u64) {
    stamp(leaf, CHANGE_AT, change);
}

fn stamp(leaf: &mut [u8], at: usize, number: u64) {
    if let Some(field) = leaf.get_mut(at..at + 8) {
        field.copy_from_slice(&number.to_be_bytes());
    }
}
