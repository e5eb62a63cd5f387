//! Bytes that must never change, for what the Wycheproof vectors leave out: long contexts and
//! chunks opened alone. Made once with this crate and checked by a derivation of its own, with
//! the crates `hkdf` and `sha2`.

use std::io::Cursor;

use cobblestone::{
    CHUNK_LEN, COMMITMENT_LEN, HEADER_LEN, Key, OpenAt, SALT_LEN, Salt, TAG_LEN, seal,
};
use hkdf::Hkdf;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest, Sha256, Sha512};

use crate::text;

fn input_key() -> [u8; 32] {
    std::array::from_fn(|i| 0x80 | i as u8)
}

fn salt() -> [u8; SALT_LEN] {
    std::array::from_fn(|i| 0xE0 ^ i as u8)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Context length, text length, commitment, last tag, SHA-256 of the message.
const VECTORS: &[(usize, usize, &str, &str, &str)] = &[];

#[test]
fn messages_are_what_they_were() {
    for &(context, len, commitment, tag, sha256) in VECTORS {
        let message = seal(
            &Key::new(&input_key()),
            &text(context),
            &Salt::from_bytes(salt()),
            &text(len),
        );
        let message = message.unwrap();
        assert_eq!(
            (
                &*hex(&message[SALT_LEN..HEADER_LEN]),
                &*hex(&message[message.len() - TAG_LEN..]),
                &*hex(&Sha256::digest(&message)),
            ),
            (commitment, tag, sha256),
            "context {context}, text {len}"
        );
        opens_by_other_means(&message, &text(context), &text(len));
    }
    assert_eq!(VECTORS.len(), 10);
}

/// Opens by the letter of the specification, sharing only AES-GCM with the crate.
fn opens_by_other_means(message: &[u8], context: &[u8], text: &[u8]) {
    let (header, body) = message.split_at(HEADER_LEN);
    // HMAC fills its key up with zeros to a block, so these 64 bytes are the same key, and long
    // enough for the crate `hkdf` to take
    let prk = [input_key(), [0; 32]].concat();
    let salt = &header[..SALT_LEN];
    let info = [
        b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0",
        salt,
        context,
    ]
    .concat();
    let mut derived = [0; 32 + 12 + COMMITMENT_LEN];
    let expander = Hkdf::<Sha512>::from_prk(&prk).unwrap();
    expander.expand(&info, &mut derived).unwrap();
    assert_eq!(derived[44..], header[SALT_LEN..]);

    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &derived[..32]).unwrap());
    let base = derived[32..44]
        .iter()
        .fold(0, |n, byte| n << 8 | u128::from(*byte));
    let mut chunks = 0;
    for (index, chunk) in body.chunks(CHUNK_LEN + TAG_LEN).enumerate() {
        let nonce = (base ^ index as u128).to_be_bytes()[4..]
            .try_into()
            .unwrap();
        let mut chunk = chunk.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = key.open_in_place(nonce, Aad::empty(), &mut chunk).unwrap();
        let start = index * CHUNK_LEN;
        assert_eq!(*opened, text[start..text.len().min(start + CHUNK_LEN)]);
        chunks += 1;
    }
    assert_eq!(chunks, text.len() / CHUNK_LEN + 1);
}

/// Offset, length, SHA-256 of the text there: of the message with context 300 and 300 chunks.
const PARTS: &[(u64, usize, &str)] = &[];

#[test]
fn parts_are_what_they_were() {
    let (context, len) = (text(300), 300 * CHUNK_LEN + 12);
    let key = Key::new(&input_key());
    let message = seal(&key, &context, &Salt::from_bytes(salt()), &text(len)).unwrap();
    let mut at = OpenAt::new(Cursor::new(message), &key, &context).unwrap();
    for &(offset, len, sha256) in PARTS {
        let mut part = vec![0; len];
        assert_eq!(at.read_at(offset, &mut part).unwrap(), len);
        assert_eq!(
            hex(&Sha256::digest(&part)),
            sha256,
            "{len} bytes at {offset}"
        );
    }
    assert_eq!(PARTS.len(), 6);
}
