//! The arithmetic of a message: how long it is, where each chunk lies. Follows
//! c2sp.org/chunked-encryption, "Message chunking" and "Implementation notes". Never touches key
//! or content, and never rounds: a length that no message has is `None`, not a near one.
//!
//! ```text
//! message       = salt 24 | commitment 32 | chunk 0 | chunk 1 | ... | last chunk
//! chunk         = ciphertext 16384 | tag 16
//! last chunk    = ciphertext 0..=16383 | tag 16
//! ```

/// Bytes of the salt that opens every message.
pub const SALT_LEN: usize = 24;
/// Bytes of the key commitment that follows the salt.
pub const COMMITMENT_LEN: usize = 32;
/// Bytes before the first chunk: salt and commitment.
pub const HEADER_LEN: usize = SALT_LEN + COMMITMENT_LEN;
/// Plaintext bytes of a full chunk. The last chunk is always shorter, and may be empty.
pub const CHUNK_LEN: usize = 16384;
/// Bytes of the tag behind each chunk.
pub const TAG_LEN: usize = 16;

/// Bytes of a full chunk with its tag.
pub(crate) const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;

/// "The message MUST NOT exceed 2^38 chunks (4 PiB)": chunk numbers stay below this.
pub(crate) const MAX_CHUNKS: u64 = 1 << 38;

// the casts below are from constants of five digits
const HEADER: u64 = HEADER_LEN as u64;
const CHUNK: u64 = CHUNK_LEN as u64;
const TAG: u64 = TAG_LEN as u64;
const SEALED_CHUNK: u64 = SEALED_CHUNK_LEN as u64;

/// Bytes of the message that holds `plaintext_len` bytes; `None` if that would take more than
/// 2^38 chunks (the longest plaintext is 2^52 - 1 bytes).
///
/// ```
/// assert_eq!(cobblestone::sealed_len(0), Some(72));
/// assert_eq!(cobblestone::sealed_len(16_384), Some(56 + 16_384 + 16 + 16));
/// assert_eq!(cobblestone::sealed_len(1 << 52), None);
/// ```
pub const fn sealed_len(plaintext_len: u64) -> Option<u64> {
    let full = plaintext_len / CHUNK;
    if full >= MAX_CHUNKS {
        return None;
    }
    // no overflow: below 2^53
    Some(HEADER + full * SEALED_CHUNK + plaintext_len % CHUNK + TAG)
}

/// Bytes of plaintext in a message of `sealed_len` bytes; `None` if no message has this length.
/// The inverse of [`sealed_len`]. Says nothing about whether the message is genuine.
///
/// ```
/// assert_eq!(cobblestone::plaintext_len(72), Some(0));
/// assert_eq!(cobblestone::plaintext_len(56 + 16_400), None); // the last chunk is missing
/// ```
pub const fn plaintext_len(sealed_len: u64) -> Option<u64> {
    let Some(body) = sealed_len.checked_sub(HEADER) else {
        return None;
    };
    let (full, last) = (body / SEALED_CHUNK, body % SEALED_CHUNK);
    if last < TAG || full >= MAX_CHUNKS {
        return None;
    }
    Some(full * CHUNK + (last - TAG))
}

/// Where chunk `index` begins, in bytes from the start of the message. `index` is below
/// [`MAX_CHUNKS`].
pub(crate) const fn chunk_offset(index: u64) -> u64 {
    HEADER + index * SEALED_CHUNK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_inverse_and_only_those_exist() {
        let mut expected = 0;
        for sealed in 0..(3 * SEALED_CHUNK + 100) {
            match plaintext_len(sealed) {
                Some(plain) => {
                    assert_eq!(
                        plain, expected,
                        "every plaintext length exists exactly once"
                    );
                    assert_eq!(sealed_len(plain), Some(sealed));
                    expected += 1;
                }
                None => assert!(
                    sealed < HEADER || (sealed - HEADER) % SEALED_CHUNK < TAG,
                    "{sealed} refused"
                ),
            }
        }
        assert!(expected > 3 * CHUNK);
    }

    #[test]
    fn limit_is_two_to_the_38_chunks() {
        let longest = (1_u64 << 52) - 1;
        let sealed = sealed_len(longest).unwrap();
        assert_eq!(sealed, chunk_offset(MAX_CHUNKS - 1) + CHUNK - 1 + TAG);
        assert_eq!(plaintext_len(sealed), Some(longest));
        assert_eq!(sealed_len(longest + 1), None);
        assert_eq!(plaintext_len(sealed + 1), None);
        assert_eq!(plaintext_len(sealed + 1 + TAG), None);
        assert_eq!(sealed_len(u64::MAX), None);
        assert_eq!(plaintext_len(u64::MAX), None);
    }
}
