//! Whatever is done to a message, every way of opening it refuses, and has by then released
//! exactly the chunks before the damage (in memory: nothing).

use std::io::{Cursor, ErrorKind, Read};

use cobblestone::{
    CHUNK_LEN, Error, HEADER_LEN, Key, OpenAt, OpenReader, Salt, TAG_LEN, open, open_parallel, seal,
};
use proptest::prelude::*;

use crate::text;

const SEALED: usize = CHUNK_LEN + TAG_LEN;

struct Original {
    key: Key,
    text: Vec<u8>,
    message: Vec<u8>,
}

fn original(len: usize) -> Original {
    let (key, text) = (Key::new(&[0x4B; 32]), text(len));
    let message = seal(&key, b"context", &Salt::from_bytes([0x53; 24]), &text).unwrap();
    Original { key, text, message }
}

impl Original {
    /// The message with chunks (0 = the first) put together anew.
    fn with_chunks(&self, chunks: &[usize]) -> Vec<u8> {
        let all: Vec<_> = self.message[HEADER_LEN..].chunks(SEALED).collect();
        let chosen = chunks.iter().map(|&index| all[index]);
        [&self.message[..HEADER_LEN]]
            .into_iter()
            .chain(chosen)
            .collect::<Vec<_>>()
            .concat()
    }

    /// Asserts that `message` opens nowhere and only its first `genuine` chunks are released.
    fn refuses(&self, message: &[u8], genuine: usize) {
        assert_ne!(message, self.message, "not a damage at all");
        let undecryptable = Some(Error::Undecryptable);
        let expected = &self.text[..genuine * CHUNK_LEN];
        assert_eq!(open(&self.key, b"context", message).err(), undecryptable);

        let mut released = Vec::new();
        match OpenReader::new(message, &self.key, b"context") {
            Err(error) => assert_eq!(Error::of(&error), undecryptable),
            Ok(mut reader) => {
                for _ in 0..3 {
                    let error = reader.read_to_end(&mut released).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::InvalidData);
                    assert_eq!(Error::of(&error), undecryptable);
                }
            }
        }
        assert!(
            released == expected,
            "stream released {} bytes",
            released.len()
        );

        let mut written = Vec::new();
        let error = open_parallel(&self.key, b"context", message, &mut written, 2).unwrap_err();
        assert_eq!(Error::of(&error), undecryptable);
        assert!(
            written == expected,
            "parallel released {} bytes",
            written.len()
        );

        let at = OpenAt::new(Cursor::new(message), &self.key, b"context");
        let all = at.and_then(|mut at| {
            let mut all = vec![0xFF; usize::try_from(at.plaintext_len()).unwrap()];
            let result = at.read_at(0, &mut all);
            assert!(result.is_ok() || all.iter().all(|byte| *byte == 0));
            result
        });
        assert_eq!(Error::of(&all.unwrap_err()), undecryptable);
    }
}

/// How many chunks lie wholly before byte `at`; none if the header is hit.
fn chunks_before(at: usize) -> usize {
    at.saturating_sub(HEADER_LEN) / SEALED
}

/// Every byte of the header and of the edges of chunks, and some in between.
fn places(len: usize) -> impl Iterator<Item = usize> {
    (0..len).filter(|at| {
        let within = at.saturating_sub(HEADER_LEN) % SEALED;
        *at < HEADER_LEN + 40 || !(20..SEALED - 40).contains(&within) || at % 509 == 0
    })
}

#[test]
fn flipped_bits() {
    for len in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, 2 * CHUNK_LEN + 100] {
        let original = original(len);
        for at in places(original.message.len()) {
            let mut message = original.message.clone();
            message[at] ^= 1 << (at % 8);
            original.refuses(&message, chunks_before(at));
        }
    }
}

#[test]
fn truncation_at_every_kind_of_place() {
    for len in [0, 1, CHUNK_LEN, 2 * CHUNK_LEN + 100] {
        let original = original(len);
        for cut in places(original.message.len()) {
            original.refuses(&original.message[..cut], chunks_before(cut));
        }
    }
}

#[test]
fn bytes_dropped_doubled_and_appended() {
    let original = original(2 * CHUNK_LEN + 100);
    for at in places(original.message.len()) {
        let mut dropped = original.message.clone();
        dropped.remove(at);
        // of equal neighbours it is the last that is missing
        let same = original.message[at..]
            .iter()
            .take_while(|b| **b == original.message[at]);
        original.refuses(&dropped, chunks_before(at + same.count() - 1));

        let mut doubled = original.message.clone();
        doubled.insert(at, original.message[at] ^ 0x80);
        original.refuses(&doubled, chunks_before(at));
    }
    for more in [
        1,
        TAG_LEN - 1,
        TAG_LEN,
        TAG_LEN + 1,
        SEALED - 116,
        SEALED,
        3 * SEALED,
    ] {
        let mut appended = original.message.clone();
        appended.resize(appended.len() + more, 0);
        original.refuses(&appended, 2);
    }
}

#[test]
fn chunks_dropped_swapped_and_doubled() {
    // 0, 1, 2 full, 3 short
    let original = original(3 * CHUNK_LEN + 100);
    assert_eq!(original.with_chunks(&[0, 1, 2, 3]), original.message);
    for (chunks, genuine) in [
        (&[][..], 0),
        (&[3], 0),
        (&[1, 2, 3], 0),
        (&[0, 2, 3], 1),
        (&[0, 1, 3], 2),
        (&[0, 1, 2], 3),
        (&[1, 0, 2, 3], 0),
        (&[0, 2, 1, 3], 1),
        (&[2, 1, 0, 3], 0),
        (&[0, 1, 3, 2], 2),
        (&[0, 0, 1, 2, 3], 1),
        (&[0, 1, 1, 2, 3], 2),
        (&[0, 1, 2, 2, 3], 3),
        (&[0, 1, 2, 3, 3], 3),
        (&[0, 1, 2, 3, 0], 3),
        (&[0, 0, 2, 3], 1),
    ] {
        original.refuses(&original.with_chunks(chunks), genuine);
    }
}

#[test]
fn empty_last_chunk_missing_or_doubled() {
    let original = original(2 * CHUNK_LEN);
    original.refuses(&original.with_chunks(&[0, 1]), 2);
    original.refuses(&original.with_chunks(&[0, 1, 2, 2]), 2);
    original.refuses(&original.with_chunks(&[0, 2]), 1);
    original.refuses(&original.with_chunks(&[2]), 0);
}

#[test]
fn chunks_and_headers_of_another_message() {
    let original = original(2 * CHUNK_LEN + 100);
    let salt = Salt::from_bytes([0x54; 24]);
    let other = seal(&original.key, b"context", &salt, &original.text).unwrap();
    for chunk in 0..3 {
        let mut mixed = original.message.clone();
        let start = HEADER_LEN + chunk * SEALED;
        let end = mixed.len().min(start + SEALED);
        mixed[start..end].copy_from_slice(&other[start..end]);
        original.refuses(&mixed, chunk);
    }
    let header = [&other[..HEADER_LEN], &original.message[HEADER_LEN..]].concat();
    original.refuses(&header, 0);
}

#[test]
fn across_the_batches_of_the_parallel_reader() {
    let original = original(131 * CHUNK_LEN + 5);
    for chunk in [0, 62, 63, 64, 65, 127, 128, 130, 131] {
        let mut message = original.message.clone();
        message[HEADER_LEN + chunk * SEALED + 3] ^= 4;
        original.refuses(&message, chunk);
    }
    for chunks in [63, 64, 65, 128, 131] {
        let cut = HEADER_LEN + chunks * SEALED;
        original.refuses(&original.message[..cut], chunks);
        original.refuses(&original.message[..cut + 16], chunks);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_one_byte_changed(len in 0..50_000_usize, at in any::<prop::sample::Index>(), by in 1..=255_u8) {
        let original = original(len);
        let at = at.index(original.message.len());
        let mut message = original.message.clone();
        message[at] ^= by;
        original.refuses(&message, chunks_before(at));
    }

    #[test]
    fn any_bytes_at_all(message in prop::collection::vec(any::<u8>(), 0..20_000)) {
        original(10).refuses(&message, 0);
    }
}
