//! Any part reads as the same part of the text, whatever lies broken elsewhere.

use std::io::{Cursor, ErrorKind, Read, Seek, SeekFrom};

use cobblestone::{CHUNK_LEN, Error, HEADER_LEN, Key, OpenAt, Salt, TAG_LEN, seal};
use proptest::prelude::*;

use crate::text;

fn message(text: &[u8]) -> (Key, Vec<u8>) {
    let key = Key::new(&[0x4B; 32]);
    let message = seal(&key, b"", &Salt::from_bytes([0x53; 24]), text).unwrap();
    (key, message)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_part_is_that_part_of_the_text(
        len in 0..100_000_usize,
        parts in prop::collection::vec((0..110_000_usize, 0..40_000_usize, any::<bool>()), 1..20),
    ) {
        let text = text(len);
        let (key, message) = message(&text);
        let mut at = OpenAt::new(Cursor::new(&message), &key, b"").unwrap();
        prop_assert_eq!(at.plaintext_len(), len as u64);
        for (offset, count, seek) in parts {
            let expected = &text[offset.min(len)..(offset + count).min(len)];
            let mut part = vec![0; count];
            let read = if seek {
                at.seek(SeekFrom::Start(offset as u64)).unwrap();
                part.clear();
                at.by_ref().take(count as u64).read_to_end(&mut part).unwrap()
            } else {
                at.read_at(offset as u64, &mut part).unwrap()
            };
            prop_assert_eq!(&part[..read], expected);
        }
    }
}

#[test]
fn seeks_like_a_file() {
    let text = text(CHUNK_LEN + 50);
    let (key, message) = message(&text);
    let mut at = OpenAt::new(Cursor::new(&message), &key, b"").unwrap();
    let mut part = [0; 10];
    assert_eq!(at.seek(SeekFrom::End(-10)).unwrap(), text.len() as u64 - 10);
    at.read_exact(&mut part).unwrap();
    assert_eq!(part, text[text.len() - 10..]);
    assert_eq!(at.read(&mut part).unwrap(), 0);
    at.seek(SeekFrom::Current(-60)).unwrap();
    at.read_exact(&mut part).unwrap();
    assert_eq!(part, text[CHUNK_LEN - 10..CHUNK_LEN]);
    assert_eq!(at.seek(SeekFrom::End(5)).unwrap(), text.len() as u64 + 5);
    assert_eq!(at.read(&mut part).unwrap(), 0);
    let before = at.seek(SeekFrom::End(i64::MIN)).unwrap_err();
    assert_eq!(before.kind(), ErrorKind::InvalidInput);
    assert_eq!(at.read_at(u64::MAX, &mut part).unwrap(), 0);
    assert_eq!(at.read_at(0, &mut []).unwrap(), 0);
}

#[test]
fn the_message_begins_where_the_file_stands() {
    let text = text(2 * CHUNK_LEN);
    let (key, message) = message(&text);
    let mut file = Cursor::new([b"a header before it", &*message].concat());
    file.set_position(18);
    let mut at = OpenAt::new(SeekRough(file), &key, b"").unwrap();
    let mut all = vec![0; text.len()];
    assert_eq!(at.read_at(0, &mut all).unwrap(), text.len());
    assert_eq!(all, text);
}

/// Seeks well, reads roughly.
struct SeekRough(Cursor<Vec<u8>>);

impl Read for SeekRough {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let len = buf.len().min(777);
        self.0.read(&mut buf[..len])
    }
}

impl Seek for SeekRough {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_damaged_chunk_harms_only_itself() {
    let text = text(4 * CHUNK_LEN + 7);
    let (key, mut message) = message(&text);
    message[HEADER_LEN + 2 * (CHUNK_LEN + TAG_LEN) + 99] ^= 1;
    let mut at = OpenAt::new(Cursor::new(&message), &key, b"").unwrap();
    let mut chunk = vec![0; CHUNK_LEN];
    for index in [3, 2, 0, 2, 1, 4] {
        let start = index * CHUNK_LEN;
        chunk.fill(0xFF);
        let read = at.read_at(start as u64, &mut chunk);
        if index == 2 {
            assert_eq!(Error::of(&read.unwrap_err()), Some(Error::Undecryptable));
            assert!(chunk.iter().all(|byte| *byte == 0));
        } else {
            let end = text.len().min(start + CHUNK_LEN);
            assert_eq!(chunk[..read.unwrap()], text[start..end]);
        }
    }
    // good bytes before a bad chunk are not kept either
    let across = 2 * CHUNK_LEN as u64 - 10;
    chunk.fill(0xFF);
    at.read_at(across, &mut chunk).unwrap_err();
    assert!(chunk.iter().all(|byte| *byte == 0));
}

#[test]
fn a_chunk_costs_one_read_and_none_twice() {
    struct Counting<'a>(Cursor<&'a [u8]>, &'a std::cell::Cell<u64>);
    impl Read for Counting<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let len = self.0.read(buf)?;
            self.1.set(self.1.get() + len as u64);
            Ok(len)
        }
    }
    impl Seek for Counting<'_> {
        fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
            self.0.seek(to)
        }
    }
    let (key, message) = message(&text(100 * CHUNK_LEN + 7));
    let read = std::cell::Cell::new(0);
    let mut at = OpenAt::new(Counting(Cursor::new(&message), &read), &key, b"").unwrap();
    let opening = (HEADER_LEN + 7 + TAG_LEN) as u64;
    assert_eq!(read.get(), opening, "header and last chunk");
    for offset in 0..100 {
        at.read_at(50 * CHUNK_LEN as u64 + offset, &mut [0; 30])
            .unwrap();
    }
    assert_eq!(read.get(), opening + (CHUNK_LEN + TAG_LEN) as u64);
}
