//! Every way of encrypting makes the same bytes, every way of decrypting gives the text back.

use std::io::{self, Cursor, ErrorKind, Read, Write};

use cobblestone::{
    CHUNK_LEN, Error, HEADER_LEN, Key, OpenAt, OpenReader, Salt, SealWriter, open, open_parallel,
    plaintext_len, seal, seal_into, seal_parallel, sealed_len,
};
use proptest::prelude::*;

use crate::rough::{FailsOnce, Rough};
use crate::text;

fn key() -> Key {
    Key::new(&[0x4B; 32])
}

const SALT: Salt = Salt::from_bytes([0x53; 24]);

fn write_stream<W: Write>(text: &[u8], context: &[u8], pieces: &[usize], to: W) -> W {
    let mut writer = SealWriter::new(to, &key(), context, &SALT);
    let mut rest = text;
    for piece in pieces.iter().cycle() {
        let (now, later) = rest.split_at(rest.len().min(*piece));
        writer.write_all(now).unwrap();
        rest = later;
        if rest.is_empty() {
            break;
        }
        if piece % 2 == 0 {
            writer.flush().unwrap();
        }
    }
    writer.finish().unwrap()
}

fn all_agree(text: &[u8], context: &[u8], piece: usize) {
    let (key, len) = (key(), text.len() as u64);
    let message = seal(&key, context, &SALT, text).unwrap();
    assert_eq!(Some(message.len() as u64), sealed_len(len));
    assert_eq!(plaintext_len(message.len() as u64), Some(len));
    assert_eq!(&message[..24], SALT.as_bytes());

    let mut appended = b"before".to_vec();
    seal_into(&key, context, &SALT, text, &mut appended).unwrap();
    assert_eq!(appended, [b"before", &*message].concat());
    assert_eq!(write_stream(text, context, &[piece], Vec::new()), message);
    let mut sealed = Vec::new();
    let done = seal_parallel(&key, context, &SALT, text, &mut sealed, 2).unwrap();
    assert_eq!((done, &sealed), (len, &message));

    assert_eq!(*open(&key, context, &message).unwrap(), text);
    let mut streamed = Vec::new();
    let mut reader = OpenReader::new(&*message, &key, context).unwrap();
    let mut buf = vec![0; piece];
    while let n @ 1.. = reader.read(&mut buf).unwrap() {
        streamed.extend_from_slice(&buf[..n]);
    }
    assert_eq!(streamed, text);
    assert_eq!(reader.read(&mut buf).unwrap(), 0, "the end stays the end");
    let mut opened = Vec::new();
    let done = open_parallel(&key, context, &*message, &mut opened, 2).unwrap();
    assert_eq!((done, &*opened), (len, text));
    let mut at = OpenAt::new(Cursor::new(&message), &key, context).unwrap();
    let mut all = Vec::new();
    at.read_to_end(&mut all).unwrap();
    assert_eq!(all, text);
}

#[test]
fn at_every_length_around_the_chunk_edges() {
    for chunks in [0, 1, 2, 3, 15, 16, 17, 63, 64, 65, 128] {
        for delta in [-2_isize, -1, 0, 1, 2, 100] {
            if let Some(len) = (chunks * CHUNK_LEN).checked_add_signed(delta) {
                all_agree(&text(len), b"edges", 100_000);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn at_any_length_context_and_piece(
        len in 0..60_000_usize, context in prop::collection::vec(any::<u8>(), 0..400), piece in 1..40_000_usize,
    ) {
        all_agree(&text(len), &context, piece);
    }

    #[test]
    fn however_it_is_cut_into_writes(
        len in 0..400_000_usize, pieces in prop::collection::vec(1..50_000_usize, 1..20),
    ) {
        let text = text(len);
        let expected = seal(&key(), b"", &SALT, &text).unwrap();
        prop_assert_eq!(write_stream(&text, b"", &pieces, Vec::new()), expected);
    }
}

#[test]
fn through_readers_and_writers_that_dribble() {
    let (key, text) = (key(), text(3 * CHUNK_LEN + 1000));
    let message = seal(&key, b"", &SALT, &text).unwrap();

    let written = write_stream(&text, b"", &[7000, 1], Rough::new(Vec::new()));
    assert!(written.interrupted > 0);
    assert_eq!(written.inner, message);

    let mut streamed = Vec::new();
    let mut reader = OpenReader::new(Rough::new(&*message), &key, b"").unwrap();
    reader.read_to_end(&mut streamed).unwrap();
    assert_eq!(streamed, text);

    let (mut sealed, mut opened) = (Rough::new(Vec::new()), Rough::new(Vec::new()));
    seal_parallel(&key, b"", &SALT, Rough::new(&*text), &mut sealed, 2).unwrap();
    assert_eq!(sealed.inner, message);
    open_parallel(&key, b"", Rough::new(&*message), &mut opened, 2).unwrap();
    assert_eq!(opened.inner, text);
    assert!(sealed.interrupted > 0 && opened.interrupted > 0);
}

#[test]
fn a_reader_that_recovers_loses_nothing() {
    let (key, text) = (key(), text(2 * CHUNK_LEN + 9));
    let message = seal(&key, b"", &SALT, &text).unwrap();
    for left in [
        HEADER_LEN,
        HEADER_LEN + 1,
        20_000,
        message.len() - 1,
        message.len(),
    ] {
        let inner = FailsOnce {
            inner: &*message,
            left: Some(left),
        };
        let mut reader = OpenReader::new(inner, &key, b"").unwrap();
        let mut streamed = Vec::new();
        let error = reader.read_to_end(&mut streamed).unwrap_err();
        assert_eq!(
            (error.kind(), Error::of(&error)),
            (ErrorKind::TimedOut, None)
        );
        reader.read_to_end(&mut streamed).unwrap();
        assert_eq!(streamed, text, "failed after {left}");
    }
}

#[test]
fn an_unfinished_message_opens_nowhere() {
    let (key, text) = (key(), text(3 * CHUNK_LEN));
    let mut sealed = Vec::new();
    let mut writer = SealWriter::new(&mut sealed, &key, b"", &SALT);
    writer.write_all(&text).unwrap();
    writer.flush().unwrap();
    drop(writer);
    assert_eq!(sealed.len(), HEADER_LEN + 3 * (CHUNK_LEN + 16));
    assert_eq!(open(&key, b"", &sealed).err(), Some(Error::Undecryptable));
}

#[test]
fn a_writer_that_failed_never_makes_a_whole_message() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut writer = SealWriter::new(Full, &key(), b"", &SALT);
    writer.write_all(b"some").unwrap();
    assert_eq!(writer.flush().unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(writer.write(b"more").unwrap_err().kind(), ErrorKind::Other);
    assert!(writer.flush().is_err());
    assert!(writer.finish().is_err());
}

#[test]
fn wrong_key_or_context_is_refused() {
    let message = seal(&key(), b"context", &SALT, b"text").unwrap();
    let other = Key::new(&[0x4C; 32]);
    for (key, context) in [
        (&other, &b"context"[..]),
        (&key(), b""),
        (&key(), b"contex"),
        (&key(), b"context\0"),
        (&key(), b"Context"),
    ] {
        assert_eq!(
            open(key, context, &message).err(),
            Some(Error::Undecryptable)
        );
        let errors = [
            OpenReader::new(&*message, key, context).unwrap_err(),
            OpenAt::new(Cursor::new(&message), key, context).unwrap_err(),
            open_parallel(key, context, &*message, io::sink(), 1).unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert_eq!(Error::of(&error), Some(Error::Undecryptable));
        }
    }
}

#[test]
fn nothing_shows_content_in_debug() {
    let writer = SealWriter::new(Vec::new(), &key(), b"", &SALT);
    assert_eq!(
        format!("{writer:?}"),
        "SealWriter { chunks: 0, broken: false, .. }"
    );
    let message = seal(&key(), b"", &SALT, b"text").unwrap();
    let reader = OpenReader::new(&*message, &key(), b"").unwrap();
    assert_eq!(
        format!("{reader:?}"),
        "OpenReader { chunks: 0, state: Open, .. }"
    );
    let at = OpenAt::new(Cursor::new(&message), &key(), b"").unwrap();
    assert_eq!(
        format!("{at:?}"),
        "OpenAt { plaintext_len: 4, position: 0, .. }"
    );
}
