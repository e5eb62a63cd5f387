//! The keyring's bytes (docs/formats.md). A checksum tells damage from attack; it protects nothing.

use super::passphrase::Protected;
use super::{Keyring, Method, Publics, SEALS_MAX, Seal};
use kms_core::cipher::seal_key::{SEAL_PUBLIC_LEN, SEAL_SUITE};
use kms_core::cipher::sha256;
use kms_core::cipher::signature::PublicKey;
use kms_core::codec::{Malformed, Reader, Writer};
use kms_core::time::Timestamp;

/// First bytes of every keyring.
const MAGIC: &[u8; 8] = b"kms-keys";
/// The format that this version writes.
const FORMAT: u8 = 1;

/// Why bytes are no keyring.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Problem {
    Damaged,
    Format(u8),
}

impl From<Malformed> for Problem {
    fn from(_: Malformed) -> Self {
        Self::Damaged
    }
}

/// The whole file.
pub(super) fn encode(keyring: &Keyring) -> Vec<u8> {
    let mut out = encode_head(keyring);
    keyring.wraps.iter().for_each(|wrap| {
        out.short(wrap);
    });
    let mut bytes = out.finish();
    let checksum = sha256(&[&bytes]);
    bytes.extend_from_slice(&checksum);
    bytes
}

/// Everything before the wraps.
pub(super) fn encode_head(keyring: &Keyring) -> Writer {
    let mut out = Writer::default();
    out.bytes(MAGIC).u8(FORMAT).bytes(&keyring.id);
    out.u64(keyring.generation);
    out.bytes(&keyring.publics.instance.0)
        .bytes(&keyring.publics.intake);
    // At most SEALS_MAX, which fits a byte.
    out.u8(u8::try_from(keyring.seals.len()).unwrap_or(u8::MAX));
    for seal in &keyring.seals {
        encode_seal_head(seal, &mut out);
        match &seal.method {
            Method::Passphrase(protected) => out.short(&protected.encode()),
            Method::Unknown { bytes, .. } => out.short(bytes),
        };
    }
    out
}

/// Everything of a seal before its method's own bytes.
pub(super) fn encode_seal_head(seal: &Seal, out: &mut Writer) {
    out.bytes(&seal.id).u8(seal.method.number()).u8(seal.suite);
    out.short(&seal.public).i64(seal.created_at.as_micros());
}

/// Reads what [`encode`] writes, and nothing else.
pub(super) fn decode(bytes: &[u8]) -> Result<Keyring, Problem> {
    let mut reader = Reader::new(bytes);
    if reader.array()? != *MAGIC {
        return Err(Problem::Damaged);
    }
    let format = reader.u8()?;
    let (content, checksum) = bytes.split_last_chunk::<32>().ok_or(Problem::Damaged)?;
    if sha256(&[content]) != *checksum {
        return Err(Problem::Damaged);
    }
    if format != FORMAT {
        return Err(Problem::Format(format));
    }
    Ok(decode_content(content)?)
}

fn decode_content(content: &[u8]) -> Result<Keyring, Malformed> {
    let mut reader = Reader::new(content);
    reader.bytes(MAGIC.len() + 1)?;
    let id = reader.array()?;
    let generation = reader.u64()?;
    let publics = Publics {
        instance: PublicKey(reader.array()?),
        intake: reader.array()?,
    };
    let count = usize::from(reader.u8()?);
    if !(1..=SEALS_MAX).contains(&count) {
        return Err(Malformed);
    }
    let seals = (0..count)
        .map(|_| decode_seal(&mut reader))
        .collect::<Result<Vec<_>, _>>()?;
    let wraps = (0..count)
        .map(|_| reader.short().map(<[u8]>::to_vec))
        .collect::<Result<Vec<_>, _>>()?;
    reader.finish()?;
    Ok(Keyring {
        id,
        generation,
        publics,
        seals,
        wraps,
    })
}

fn decode_seal(reader: &mut Reader<'_>) -> Result<Seal, Malformed> {
    let id = reader.array()?;
    let number = reader.u8()?;
    let suite = reader.u8()?;
    let public = reader.short()?.to_vec();
    let created_at = Timestamp::from_micros(reader.i64()?);
    let bytes = reader.short()?;
    // A suite that we do not know is a seal that we cannot open, whatever its method.
    let method = match number {
        1 if suite == SEAL_SUITE => {
            if public.len() != SEAL_PUBLIC_LEN {
                return Err(Malformed);
            }
            Method::Passphrase(Protected::decode(bytes)?)
        }
        number => Method::Unknown {
            number,
            bytes: bytes.to_vec(),
        },
    };
    Ok(Seal {
        id,
        created_at,
        method,
        suite,
        public,
    })
}
