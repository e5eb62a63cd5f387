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
const VECTORS: &[(usize, usize, &str, &str, &str)] = &[
    (
        0,
        0,
        "2566c041d8762cd15c5f47f17198f3a3c365c7207686ad97c59cff0e9a3f24d0",
        "68676469589b964718f69e78c45d9c95",
        "4ee2cfc9d0528ef48f58f0c4d6c8fb32d65d6b039e51314ccb88c1c51f094141",
    ),
    (
        1,
        1,
        "550e1ef669ae23ee5243e093dc9173c7dedcf7395e0ff5fa43cad95fd544a791",
        "648e6a0fefebdf6caeab61c5495160cb",
        "d6cf5c705b3af317e7dbc478adc47a75780c0c69dbf8c70139504b599e868b89",
    ),
    (
        64,
        32,
        "20eb3c2b5bde8c44aabd33ce671541fb2e95bfcb5961d529d88560bf451c843c",
        "0228c079e743ff08ccf514237b3d57d3",
        "e0778684a9aa8a47de55574e7da1021cb69b38ab11210b937e37f9f1e94d2fc3",
    ),
    (
        128,
        16383,
        "8a39b741b39714bebde97975c363cdbd4d7305bc92f2304ddce554eef71e2f51",
        "bb66788595b77e06519bb63810758415",
        "d96f2d435f4d3be8ab69fe4b6d7f05a15160114fb7eafb82a00df08e408350fa",
    ),
    (
        129,
        16384,
        "586b47a4ac6bb19a023f54b46cb257282283e6c603401b89718587788a3de419",
        "da47f65332fb870daffd48eed1587fb3",
        "eb436b75a2bb04fbf7637cf618df0bb80118b4d30bd3ad8b131337128b4a02f4",
    ),
    (
        300,
        16385,
        "4b8b85b2cc5089b542f93001397102abf1403fd32e7f3d2e89641c147e93842f",
        "9a8f622756fcdddb512b5db2146db549",
        "332a4ab0608e5f0ca8f2f8b87526c09cf0584aafb7041b55967a23d8cd039fc6",
    ),
    (
        1000,
        32768,
        "75db641e32533489acf4108332cbf755af3ab77b9104c997ad6c43e14e57e447",
        "65a13239e5c6ef6b8cdaacf2269b43cb",
        "a4b9b2fda7175d2f2d135027a9dfa6da59a7bcf2e3c98ce620c5a27f1560dec0",
    ),
    (
        8192,
        49151,
        "7a279ae82b00a72f14792d6c3582a8552ea77e8f1d82466a844bf1d97e0bcd87",
        "87f69d9ce3cfba4ec71f362575883b01",
        "8175422a03ef4fe35263e25271ff5b14f442300d357e741fa24452af43f06a72",
    ),
    (
        65536,
        100000,
        "5944b94ec0d5ce0bacfcee68b5381bda5014506d5874a02fd4911f6e73424c90",
        "b5cf83857ec03844de4b447ec78ab936",
        "dec7d5694d1f74cf01c65d7abee08bd6c6cf15254561a7e3b8ad0d084fad4f25",
    ),
    (
        1000000,
        3,
        "642fb1ad48f4256d2f522e416424144309eb9e9d2048404d6e01b44bca0c50ee",
        "c14e9ce27fabbbb166bdb6f07148ec29",
        "35ca1ce3fc15f047bd77e290bedaa5e4c977449953c106e0a3a47625121feff3",
    ),
];

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
const PARTS: &[(u64, usize, &str)] = &[
    (
        0,
        1,
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    ),
    (
        16383,
        2,
        "c8701359c651b1827bf38e229bc05e6515f73efe7a429a71fa028be0a1999b13",
    ),
    (
        16384,
        16384,
        "a7abdc66dcfba95ba19e33f2213a16824aeb9b2fc163027303128592d78b118a",
    ),
    (
        100000,
        100000,
        "eeba728c6e9c8953afd3a07b7afe94a03d6ee359434ac5170dd57a5d8ee5fc28",
    ),
    (
        4915199,
        13,
        "ac01a1f7fa5c55c20e71ef3fc4f59fa1e83fff540321d51894384a8f7e5fa4be",
    ),
    (
        4177927,
        70000,
        "a8a1ed4c4cd0a6ce7d4e85e1b92d1e6a17ca0464bd3e0f04940eebbb227aeb1d",
    ),
];

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
