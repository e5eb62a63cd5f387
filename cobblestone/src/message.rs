//! Whole messages in memory: the interface for keys, fields and records. Never returns a byte of
//! plaintext before every chunk has been authenticated.

use zeroize::{Zeroize, Zeroizing};

use crate::error::Error;
use crate::key::{Key, Salt};
use crate::layout::{CHUNK_LEN, HEADER_LEN, SEALED_CHUNK_LEN, TAG_LEN, plaintext_len, sealed_len};

/// Encrypts `plaintext` into a message of [`sealed_len`] bytes.
///
/// `context` is authenticated and bound into the keys, of any length, and not part of the
/// message: who opens it must know it. `salt` must be new under this key.
///
/// # Errors
/// [`Error::TooLong`].
pub fn seal(key: &Key, context: &[u8], salt: &Salt, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    seal_into(key, context, salt, plaintext, &mut out)?;
    Ok(out)
}

/// As [`seal`], appending the message to `out`.
///
/// # Errors
/// [`Error::TooLong`]; `out` is then as it was before.
pub fn seal_into(
    key: &Key,
    context: &[u8],
    salt: &Salt,
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let sealed = u64::try_from(plaintext.len()).ok().and_then(sealed_len);
    let sealed = sealed.and_then(|len| usize::try_from(len).ok());
    // the whole room at once: a later reallocation would leave plaintext behind
    out.try_reserve_exact(sealed.ok_or(Error::TooLong)?)
        .map_err(|_| Error::TooLong)?;
    let before = out.len();
    let result = append(key, context, salt, plaintext, out);
    if result.is_err() {
        if let Some(written) = out.get_mut(before..) {
            written.zeroize();
        }
        out.truncate(before);
    }
    result
}

fn append(
    key: &Key,
    context: &[u8],
    salt: &Salt,
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let (header, chunk_key) = key.seal_message(context, salt);
    out.extend_from_slice(&header);
    let (full, last) = plaintext.as_chunks::<CHUNK_LEN>();
    let chunks = full.iter().map(<[u8; CHUNK_LEN]>::as_slice);
    for (index, chunk) in (0..).zip(chunks.chain([last])) {
        let start = out.len();
        out.extend_from_slice(chunk);
        let text = out.get_mut(start..).ok_or(Error::TooLong)?;
        let tag = chunk_key.seal(index, text)?;
        out.extend_from_slice(&tag);
    }
    Ok(())
}

/// Decrypts a message made under the same key and context. Everything is authenticated before
/// anything is returned; the plaintext is wiped when dropped.
///
/// # Errors
/// [`Error::Undecryptable`], whatever is wrong: key, context, a changed, missing, swapped or
/// added byte or chunk.
pub fn open(key: &Key, context: &[u8], message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let sealed = u64::try_from(message.len()).map_err(|_| Error::Undecryptable)?;
    let len = plaintext_len(sealed).ok_or(Error::Undecryptable)?;
    let len = usize::try_from(len).map_err(|_| Error::Undecryptable)?;
    let (header, body) = message
        .split_first_chunk::<HEADER_LEN>()
        .ok_or(Error::Undecryptable)?;
    let chunk_key = key.open_message(context, header)?;
    let mut out = Zeroizing::new(Vec::with_capacity(len));
    for (index, chunk) in (0..).zip(body.chunks(SEALED_CHUNK_LEN)) {
        let (text, tag) = chunk
            .split_last_chunk::<TAG_LEN>()
            .ok_or(Error::Undecryptable)?;
        let start = out.len();
        out.extend_from_slice(text);
        let text = out.get_mut(start..).ok_or(Error::Undecryptable)?;
        chunk_key.open(index, text, *tag)?;
    }
    Ok(out)
}
