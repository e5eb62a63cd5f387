//! The two header slots. Each says everything on its own; nothing in them is secret or trusted.

use super::Error;
use crate::random;
use crate::wrapped::{WRAPPED_LEN_MAX, WrappedDataKey};
use std::fmt;
use std::io::{self, Read};

/// Bytes of one slot: a disk sector of its own, so that one that rots or tears spares the other.
pub const SLOT_LEN: usize = 512;
/// Bytes before the Cobblestone message.
pub const HEADER_LEN: usize = 2 * SLOT_LEN;

/// Not text, and spoilt by whatever changes line ends or drops the eighth bit.
pub(crate) const MAGIC: [u8; 7] = *b"\x8bKMS\r\n\x1a";
const FORMAT: u8 = 1;
const CRC_AT: usize = SLOT_LEN - 4;
/// Room before the wrapped data key: magic, format, file id, generation, length.
const WRAPPED_AT: usize = 34;
const _: () = assert!(WRAPPED_AT + WRAPPED_LEN_MAX <= CRC_AT);

/// Names one encrypted file: 16 random bytes, bound into its contents.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId(pub [u8; 16]);

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileId({self})")
    }
}

/// How the slot that a reader does not need is doing. The next rewrap mends whatever is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// Both slots say the same.
    Sound,
    /// A rewrap was interrupted between the slots; the newer one counts.
    Unfinished,
    /// Slot 0 or 1 is damaged; the other one counts.
    Damaged(usize),
}

/// What a file's header says, from its newest valid slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    slot: Slot,
    newest: usize,
    condition: Condition,
}

impl Header {
    /// The header of a new file, with a random id.
    ///
    /// # Errors
    /// [`Error::RandomUnavailable`].
    pub fn make(wrapped: &WrappedDataKey) -> Result<Self, Error> {
        let id = random::make_bytes().map_err(|_| Error::RandomUnavailable)?;
        Ok(Self {
            slot: Slot {
                file_id: FileId(id),
                generation: 1,
                wrapped: wrapped.clone(),
            },
            newest: 0,
            condition: Condition::Sound,
        })
    }

    /// Reads the header and leaves `source` where the message begins.
    ///
    /// # Errors
    /// [`Error::NotAnEnvelope`] (also for a source too short), [`Error::Format`],
    /// [`Error::HeaderLost`]; those of `source`.
    pub fn read(source: &mut impl Read) -> Result<Self, Error> {
        let mut bytes = [0; HEADER_LEN];
        match source.read_exact(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Error::NotAnEnvelope),
            Err(error) => Err(error.into()),
            Ok(()) => Self::parse(&bytes),
        }
    }

    /// As [`Header::read`], from bytes.
    ///
    /// # Errors
    /// As [`Header::read`].
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, Error> {
        let (first, second) = bytes.split_at(SLOT_LEN);
        let (slot, newest, condition) = match (Slot::parse(first), Slot::parse(second)) {
            (Ok(a), Ok(b)) if a.file_id != b.file_id => return Err(Error::HeaderLost),
            (Ok(a), Ok(b)) if a == b => (a, 0, Condition::Sound),
            (Ok(a), Ok(b)) if a.generation < b.generation => (b, 1, Condition::Unfinished),
            (Ok(a), Ok(_)) => (a, 0, Condition::Unfinished),
            (Ok(a), Err(_)) => (a, 0, Condition::Damaged(1)),
            (Err(_), Ok(b)) => (b, 1, Condition::Damaged(0)),
            (Err(a), Err(b)) => return Err(a.max(b).into()),
        };
        Ok(Self {
            slot,
            newest,
            condition,
        })
    }

    /// The header's bytes, both slots alike.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let slot = self.slot.encode();
        for place in bytes.chunks_exact_mut(SLOT_LEN) {
            place.copy_from_slice(&slot);
        }
        bytes
    }

    /// The file's id.
    #[must_use]
    pub const fn file_id(&self) -> FileId {
        self.slot.file_id
    }

    /// How often the wrapped data key was replaced, from 1.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.slot.generation
    }

    /// The wrapped data key, as the service made it.
    #[must_use]
    pub const fn wrapped(&self) -> &WrappedDataKey {
        &self.slot.wrapped
    }

    /// Whether both slots are well.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        self.condition
    }

    /// The slot that counts, 0 or 1.
    pub(super) const fn newest(&self) -> usize {
        self.newest
    }

    /// The same file with another wrapped data key, one generation on.
    pub(super) fn successor(&self, wrapped: &WrappedDataKey) -> Self {
        Self {
            slot: Slot {
                file_id: self.slot.file_id,
                generation: self.slot.generation.saturating_add(1),
                wrapped: wrapped.clone(),
            },
            newest: self.newest,
            condition: Condition::Sound,
        }
    }

    /// The bytes of either slot.
    pub(super) fn slot_bytes(&self) -> [u8; SLOT_LEN] {
        self.slot.encode()
    }
}

/// `magic 7 | format 1 | file id 16 | generation 8 | length 2 | wrapped key | zeros | CRC32C 4`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    file_id: FileId,
    generation: u64,
    wrapped: WrappedDataKey,
}

/// Why a slot does not count; of two, the greater tells more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum BadSlot {
    Foreign,
    Damaged,
    Format(u8),
}

impl From<BadSlot> for Error {
    fn from(bad: BadSlot) -> Self {
        match bad {
            BadSlot::Foreign => Self::NotAnEnvelope,
            BadSlot::Damaged => Self::HeaderLost,
            BadSlot::Format(format) => Self::Format(format),
        }
    }
}

impl Slot {
    fn encode(&self) -> [u8; SLOT_LEN] {
        let mut bytes = Vec::with_capacity(SLOT_LEN);
        bytes.extend_from_slice(&MAGIC);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.file_id.0);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        let wrapped = self.wrapped.as_bytes();
        let len = u16::try_from(wrapped.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes.extend_from_slice(wrapped);
        bytes.resize(CRC_AT, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        let mut slot = [0; SLOT_LEN];
        for (to, from) in slot.iter_mut().zip(bytes) {
            *to = from;
        }
        slot
    }

    fn parse(bytes: &[u8]) -> Result<Self, BadSlot> {
        let rest = bytes.strip_prefix(&MAGIC).ok_or(BadSlot::Foreign)?;
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(BadSlot::Damaged)?;
        if crc32c::crc32c(body).to_be_bytes() != *crc {
            return Err(BadSlot::Damaged);
        }
        let (&format, rest) = rest.split_first().ok_or(BadSlot::Damaged)?;
        if format != FORMAT {
            return Err(BadSlot::Format(format));
        }
        Self::parse_body(rest).ok_or(BadSlot::Damaged)
    }

    /// What follows the format's number.
    fn parse_body(bytes: &[u8]) -> Option<Self> {
        let (file_id, rest) = bytes.split_first_chunk::<16>()?;
        let (generation, rest) = rest.split_first_chunk::<8>()?;
        let (len, rest) = rest.split_first_chunk::<2>()?;
        let (wrapped, padding) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        let (padding, _) = padding.split_last_chunk::<4>()?;
        if padding.iter().any(|byte| *byte != 0) {
            return None;
        }
        Some(Self {
            file_id: FileId(*file_id),
            generation: u64::from_be_bytes(*generation),
            wrapped: WrappedDataKey::parse(wrapped).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::tests::wrapped;

    fn header() -> Header {
        Header {
            slot: Slot {
                file_id: FileId([0xab; 16]),
                generation: 3,
                wrapped: wrapped(5),
            },
            newest: 0,
            condition: Condition::Sound,
        }
    }

    #[test]
    fn the_bytes_are_as_documented() {
        let bytes = header().encode();
        let (first, second) = bytes.split_at(SLOT_LEN);
        assert_eq!(first, second);
        assert_eq!(first[..8], *b"\x8bKMS\r\n\x1a\x01");
        assert_eq!(first[8..24], [0xab; 16]);
        assert_eq!(first[24..32], [0, 0, 0, 0, 0, 0, 0, 3]);
        assert_eq!(first[32..34], [0, 144]);
        assert_eq!(first[34..178], *wrapped(5).as_bytes());
        assert_eq!(first[178..508], [0; 330]);
        assert_eq!(first[508..], crc32c::crc32c(&first[..508]).to_be_bytes());
        assert_eq!(Header::parse(&bytes).unwrap(), header());
    }

    #[test]
    fn every_flipped_bit_of_one_slot_is_seen_and_survived() {
        let sound = header().encode();
        for bit in 0..HEADER_LEN * 8 {
            let mut bytes = sound;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = Header::parse(&bytes).unwrap();
            assert_eq!(read.slot, header().slot, "bit {bit}");
            assert_eq!(read.condition, Condition::Damaged(bit / 8 / SLOT_LEN));
        }
    }

    #[test]
    fn the_newer_slot_counts_wherever_it_is() {
        let newer = header().successor(&wrapped(6));
        for (bytes, newest) in [
            ([newer.slot_bytes(), header().slot_bytes()], 0),
            ([header().slot_bytes(), newer.slot_bytes()], 1),
        ] {
            let read = Header::parse(bytes.concat().as_slice().try_into().unwrap()).unwrap();
            assert_eq!(*read.wrapped(), wrapped(6));
            assert_eq!(
                (read.newest, read.condition),
                (newest, Condition::Unfinished)
            );
        }
    }

    #[test]
    fn what_is_no_header_is_refused_by_its_own_reason() {
        let parse = |bytes: &[u8]| Header::read(&mut &bytes[..]).unwrap_err();
        let sound = header().encode();
        assert!(matches!(parse(b"hello"), Error::NotAnEnvelope));
        assert!(matches!(parse(&[0; 4096]), Error::NotAnEnvelope));
        assert!(matches!(parse(&sound[..1023]), Error::NotAnEnvelope));

        let mut torn = sound;
        torn[100] ^= 1;
        torn[SLOT_LEN] ^= 1;
        assert!(matches!(parse(&torn), Error::HeaderLost));

        let mut newer = sound;
        for slot in newer.chunks_exact_mut(SLOT_LEN) {
            slot[7] = 2;
            let crc = crc32c::crc32c(&slot[..CRC_AT]).to_be_bytes();
            slot[CRC_AT..].copy_from_slice(&crc);
        }
        assert!(matches!(parse(&newer), Error::Format(2)));

        let mut other = header();
        other.slot.file_id = FileId([1; 16]);
        let mixed = [header().slot_bytes(), other.slot_bytes()].concat();
        assert!(matches!(parse(&mixed), Error::HeaderLost));
    }

    #[test]
    fn files_have_ids_of_their_own() {
        let [one, other] = [1, 1].map(|byte| Header::make(&wrapped(byte)).unwrap());
        assert_ne!(one.file_id(), other.file_id());
        assert_eq!(Header::parse(&one.encode()).unwrap(), one);
    }
}
