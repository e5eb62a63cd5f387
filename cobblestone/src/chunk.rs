//! One chunk at a time: AES-256-GCM under the message's key, with the base nonce XOR the chunk's
//! number and no associated data (c2sp.org/chunked-encryption, "AEAD usage"). Never uses a chunk
//! number of 2^38 or more, and never leaves plaintext in a buffer whose tag was wrong.

use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce, Tag};
use ring::error::Unspecified;
use zeroize::{Zeroize, Zeroizing};

use crate::error::Error;
use crate::layout::{MAX_CHUNKS, TAG_LEN};

/// Key and base nonce of one message.
///
/// The nonce is wiped on drop; the AES round keys are ring's, which does not wipe them. Long-lived
/// owners box it, so that a zeroising allocator does.
pub(crate) struct ChunkKey {
    aead: LessSafeKey,
    base_nonce: Zeroizing<[u8; NONCE_LEN]>,
}

impl ChunkKey {
    pub(crate) fn new(aead: LessSafeKey, base_nonce: &[u8; NONCE_LEN]) -> Self {
        Self {
            aead,
            base_nonce: Zeroizing::new(*base_nonce),
        }
    }

    /// Encrypts `text` in place as chunk `index`; the tag is the caller's to place behind it.
    /// Each index once per message: that is the caller's promise.
    ///
    /// Fails with [`Error::TooLong`] beyond the last possible chunk; `text` is then untouched.
    pub(crate) fn seal(&self, index: u64, text: &mut [u8]) -> Result<[u8; TAG_LEN], Error> {
        let nonce = self.nonce(index).ok_or(Error::TooLong)?;
        let tag = self
            .aead
            .seal_in_place_separate_tag(nonce, Aad::empty(), text)
            .map_err(|Unspecified| Error::TooLong)?;
        tag.as_ref().try_into().map_err(|_| Error::TooLong)
    }

    /// Decrypts `text` in place as chunk `index` if `tag` is right; else `text` is zeroed.
    pub(crate) fn open(
        &self,
        index: u64,
        text: &mut [u8],
        tag: [u8; TAG_LEN],
    ) -> Result<(), Error> {
        let opened = self.nonce(index).and_then(|nonce| {
            self.aead
                .open_in_place_separate_tag(nonce, Aad::empty(), Tag::from(tag), text, 0..)
                .map(drop)
                .ok()
        });
        if opened.is_none() {
            text.zeroize();
        }
        opened.ok_or(Error::Undecryptable)
    }

    /// As [`ChunkKey::seal`], for a buffer whose last 16 bytes wait for the tag.
    pub(crate) fn seal_with_tag(&self, index: u64, sealed: &mut [u8]) -> Result<(), Error> {
        let (text, tag) = sealed
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Error::TooLong)?;
        *tag = self.seal(index, text)?;
        Ok(())
    }

    /// As [`ChunkKey::open`], for a buffer that ends with its tag; gives back the plaintext. A
    /// buffer too short for a tag is refused.
    pub(crate) fn open_with_tag<'a>(
        &self,
        index: u64,
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], Error> {
        let (text, tag) = sealed
            .split_last_chunk_mut::<TAG_LEN>()
            .ok_or(Error::Undecryptable)?;
        self.open(index, text, *tag)?;
        Ok(text)
    }

    /// The base nonce XOR the big-endian chunk number; `None` from 2^38 on.
    fn nonce(&self, index: u64) -> Option<Nonce> {
        if index >= MAX_CHUNKS {
            return None;
        }
        let mut nonce = *self.base_nonce;
        for (byte, count) in nonce.iter_mut().rev().zip(index.to_le_bytes()) {
            *byte ^= count;
        }
        Some(Nonce::assume_unique_for_key(nonce))
    }
}

#[cfg(test)]
mod tests {
    use ring::aead::{AES_256_GCM, UnboundKey};

    use super::*;

    fn chunk_key() -> ChunkKey {
        let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
        ChunkKey::new(aead, &[0xA5; NONCE_LEN])
    }

    #[test]
    fn nonce_is_the_base_xor_the_number() {
        let nonce = chunk_key().nonce(0x12_3456_789A).unwrap();
        let mut expected = [0xA5_u8; NONCE_LEN];
        for (byte, count) in expected[7..].iter_mut().zip([0x12, 0x34, 0x56, 0x78, 0x9A]) {
            *byte ^= count;
        }
        assert_eq!(nonce.as_ref(), &expected);
    }

    #[test]
    fn numbers_end_below_two_to_the_38() {
        let key = chunk_key();
        let mut text = *b"text";
        let tag = key.seal(MAX_CHUNKS - 1, &mut text).unwrap();
        assert_eq!(key.seal(MAX_CHUNKS, &mut [0; 4]), Err(Error::TooLong));
        assert_eq!(
            key.open(MAX_CHUNKS, &mut text.clone(), tag),
            Err(Error::Undecryptable)
        );
        key.open(MAX_CHUNKS - 1, &mut text, tag).unwrap();
        assert_eq!(&text, b"text");
    }

    #[test]
    fn a_wrong_tag_leaves_zeros() {
        let key = chunk_key();
        let mut text = *b"text";
        let mut tag = key.seal(3, &mut text).unwrap();
        tag[0] ^= 1;
        assert_eq!(key.open(3, &mut text, tag), Err(Error::Undecryptable));
        assert_eq!(text, [0; 4]);
    }
}
