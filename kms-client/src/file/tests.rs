//! What goes in comes out, nothing damaged ever does, and a spare header slot is worth a warning and
//! no more.

use super::{Condition, Contents, Error, HEADER_LEN, Header, SLOT_LEN};
use crate::data_key::DataKey;
use crate::name::ItemContext;
use crate::wrapped::WrappedDataKey;
use cobblestone::CHUNK_LEN;
use proptest::prelude::*;
use std::io::{Cursor, Read as _, Seek as _, SeekFrom, Write as _};

/// A wrapped data key of 144 bytes that differs by `byte`.
pub(super) fn wrapped(byte: u8) -> WrappedDataKey {
    let mut bytes = vec![1, 1];
    bytes.extend_from_slice(&[byte; 16]);
    bytes.extend_from_slice(&[0, 0, 0, 3, 1, 2]);
    bytes.resize(144, byte);
    WrappedDataKey::parse(&bytes).unwrap()
}

fn data_key(byte: u8) -> DataKey {
    DataKey::from_slice(&[byte; 32]).unwrap()
}

fn item(name: &str) -> ItemContext {
    ItemContext::new([("name", name)]).unwrap()
}

fn plaintext(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

fn encrypted(plain: &[u8]) -> Vec<u8> {
    let header = Header::make(&wrapped(7)).unwrap();
    let mut file = header.encode().to_vec();
    let len = contents(&header).encrypt(plain, &mut file, 2).unwrap();
    assert_eq!(len, plain.len() as u64);
    file
}

fn contents(header: &Header) -> Contents {
    Contents::new(header.file_id(), &data_key(9), &item("report"))
}

/// What a reader makes of `file`, with the header's condition.
fn decrypted(file: &[u8]) -> Result<(Vec<u8>, Condition), Error> {
    let mut source = file;
    let header = Header::read(&mut source)?;
    let mut plain = Vec::new();
    contents(&header).decrypt(source, &mut plain, 2)?;
    Ok((plain, header.condition()))
}

#[test]
fn every_length_around_chunk_edges_comes_back() {
    let edges = [
        0,
        1,
        CHUNK_LEN,
        2 * CHUNK_LEN,
        64 * CHUNK_LEN,
        128 * CHUNK_LEN,
    ];
    for len in edges
        .iter()
        .flat_map(|edge| edge.saturating_sub(1)..=edge + 1)
    {
        let plain = plaintext(len);
        let file = encrypted(&plain);
        assert_eq!(
            file.len() as u64,
            HEADER_LEN as u64 + cobblestone::sealed_len(len as u64).unwrap()
        );
        let (opened, condition) = decrypted(&file).unwrap();
        assert_eq!(
            (opened == plain, condition),
            (true, Condition::Sound),
            "{len}"
        );
    }
}

#[test]
fn every_flipped_bit_is_refused_or_in_a_spare_slot() {
    let plain = plaintext(CHUNK_LEN + 300);
    let sound = encrypted(&plain);
    for at in (0..HEADER_LEN + 80).chain(HEADER_LEN + 80 + CHUNK_LEN - 40..sound.len()) {
        let mut file = sound.clone();
        file[at] ^= 1 << (at % 8);
        match decrypted(&file) {
            Ok((opened, condition)) => {
                assert_eq!(condition, Condition::Damaged(at / SLOT_LEN), "byte {at}");
                assert_eq!(opened, plain, "byte {at}");
            }
            Err(error) => {
                assert!(matches!(error, Error::Undecryptable), "byte {at}: {error}");
                assert!(at >= HEADER_LEN, "byte {at}");
            }
        }
    }
}

#[test]
fn a_file_cut_or_extended_anywhere_is_refused() {
    let sound = encrypted(&plaintext(2 * CHUNK_LEN));
    for len in (0..HEADER_LEN + 100).chain((HEADER_LEN + 100..sound.len()).step_by(61)) {
        let error = decrypted(&sound[..len]).unwrap_err();
        if len < HEADER_LEN {
            assert!(matches!(error, Error::NotAnEnvelope), "{len}: {error}");
        } else {
            assert!(matches!(error, Error::Undecryptable), "{len}: {error}");
        }
    }
    let extended = [&sound[..], b"\0"].concat();
    assert!(matches!(decrypted(&extended), Err(Error::Undecryptable)));
}

#[test]
fn contents_belong_to_one_file_one_key_and_one_item_context() {
    let (one, other) = (encrypted(b"one"), encrypted(b"two"));
    let mixed = [&other[..HEADER_LEN], &one[HEADER_LEN..]].concat();
    assert!(matches!(decrypted(&mixed), Err(Error::Undecryptable)));

    let header = Header::read(&mut one.as_slice()).unwrap();
    for (key, item) in [
        (8, item("report")),
        (9, item("else")),
        (9, ItemContext::default()),
    ] {
        let mut plain = Vec::new();
        let wrong = Contents::new(header.file_id(), &data_key(key), &item);
        let result = wrong.decrypt(&one[HEADER_LEN..], &mut plain, 1);
        assert!(matches!(result, Err(Error::Undecryptable)));
        assert!(plain.is_empty());
    }
}

#[test]
fn streams_make_and_read_the_same_files() {
    let plain = plaintext(3 * CHUNK_LEN + 5);
    let header = Header::make(&wrapped(7)).unwrap();
    let mut writer = contents(&header).writer(header.encode().to_vec()).unwrap();
    for piece in plain.chunks(1_000) {
        writer.write_all(piece).unwrap();
    }
    let file = writer.finish().unwrap();
    assert_eq!(decrypted(&file).unwrap().0, plain);

    let mut read = Vec::new();
    let mut reader = contents(&header).reader(&file[HEADER_LEN..]).unwrap();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read, plain);
}

#[test]
fn a_reader_that_fails_is_told_apart_from_damage() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("cable pulled"))
        }
    }
    let header = Header::make(&wrapped(7)).unwrap();
    let failed = contents(&header)
        .encrypt(Failing, Vec::new(), 1)
        .unwrap_err();
    assert!(matches!(failed, Error::Io(error) if error.to_string() == "cable pulled"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_part_of_a_file_can_be_read_alone(
        len in 0_usize..5 * CHUNK_LEN,
        offset in 0_usize..6 * CHUNK_LEN,
        wanted in 0_usize..2 * CHUNK_LEN,
    ) {
        let plain = plaintext(len);
        let mut file = Cursor::new(encrypted(&plain));
        let header = Header::read(&mut file).unwrap();
        let mut opened = contents(&header).open_at(file).unwrap();
        prop_assert_eq!(opened.plaintext_len(), len as u64);
        let expected = plain.get(offset..(offset + wanted).min(len)).unwrap_or_default();

        let mut part = vec![0; wanted];
        let read = opened.read_at(offset as u64, &mut part).unwrap();
        prop_assert_eq!(&part[..read], expected);

        opened.seek(SeekFrom::Start(offset as u64)).unwrap();
        let mut part = Vec::new();
        opened.by_ref().take(wanted as u64).read_to_end(&mut part).unwrap();
        prop_assert_eq!(part, expected);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3 * HEADER_LEN)) {
        prop_assert!(decrypted(&bytes).is_err());
    }
}
