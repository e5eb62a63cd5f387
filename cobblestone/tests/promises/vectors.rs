//! The 35 Wycheproof vectors of Cobblestone-256, through every way of opening.

use std::io::{Cursor, Read, Seek, SeekFrom};

use cobblestone::{Error, Key, OpenAt, OpenReader, Salt, open, seal};
use ring::digest::{SHA512, digest};
use wycheproof::TestResult;
use wycheproof::chunked_encryption::{Test, TestFlag, TestName, TestSet};

fn inflate(zlib: &[u8]) -> Vec<u8> {
    miniz_oxide::inflate::decompress_to_vec_zlib(zlib).expect("vectors are zlib-compressed")
}

/// Length and SHA-512 of what the vector says is genuine.
fn assert_is_expected(test: &Test, text: &[u8]) {
    assert_eq!(Some(text.len()), test.msg_length, "tc {}", test.tc_id);
    let expected = test.msg_sha512.as_ref().expect("hash given with length");
    assert_eq!(digest(&SHA512, text).as_ref(), expected.as_slice());
}

#[test]
fn every_wycheproof_vector() {
    let set = TestSet::load(TestName::Cobblestone256).unwrap();
    let (mut valid, mut invalid, mut bad_keys, mut partial) = (0, 0, 0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let message = inflate(&test.ct);
        let Ok(key) = <&[u8; 32]>::try_from(test.key.as_slice()) else {
            // the type of `Key::new` refuses it
            assert!(test.flags.contains(&TestFlag::InvalidKeySize));
            assert_eq!(test.result, TestResult::Invalid);
            bad_keys += 1;
            continue;
        };
        let key = Key::new(key);
        match test.result {
            TestResult::Valid => {
                opens(&key, test, &message);
                valid += 1;
            }
            TestResult::Invalid => {
                partial += usize::from(test.flags.contains(&TestFlag::PartialPlaintext));
                is_refused(&key, test, &message);
                invalid += 1;
            }
            TestResult::Acceptable => panic!("no vector is a matter of taste"),
        }
    }
    assert_eq!(valid + invalid + bad_keys, 35);
    assert_eq!((valid, invalid, bad_keys), (10, 23, 2));
    assert!(partial > 0);
}

fn opens(key: &Key, test: &Test, message: &[u8]) {
    let text = open(key, &test.ctx, message).unwrap();
    assert_is_expected(test, &text);

    let mut streamed = Vec::new();
    let mut reader = OpenReader::new(message, key, &test.ctx).unwrap();
    reader.read_to_end(&mut streamed).unwrap();
    assert_eq!(streamed, *text);

    let mut file = OpenAt::new(Cursor::new(message), key, &test.ctx).unwrap();
    assert_eq!(file.plaintext_len(), text.len() as u64);
    let mut all = vec![0; text.len()];
    assert_eq!(file.read_at(0, &mut all).unwrap(), all.len());
    assert_eq!(all, *text);

    // the vectors test decryption; the same salt must give the same bytes back
    let salt = Salt::from_bytes(*message.first_chunk().unwrap());
    assert_eq!(seal(key, &test.ctx, &salt, &text).unwrap(), message);
}

fn is_refused(key: &Key, test: &Test, message: &[u8]) {
    let undecryptable = Some(Error::Undecryptable);
    assert_eq!(open(key, &test.ctx, message).err(), undecryptable);

    let header_fails = test.flags.contains(&TestFlag::HeaderFailure);
    match OpenReader::new(message, key, &test.ctx) {
        Err(error) => {
            assert!(header_fails, "tc {}", test.tc_id);
            assert_eq!(Error::of(&error), undecryptable);
        }
        Ok(mut reader) => {
            assert!(!header_fails, "tc {}", test.tc_id);
            let mut released = Vec::new();
            for _ in 0..3 {
                let error = reader.read_to_end(&mut released).unwrap_err();
                assert_eq!(Error::of(&error), undecryptable);
            }
            if test.flags.contains(&TestFlag::PartialPlaintext) {
                assert_is_expected(test, &released);
            } else {
                assert!(released.is_empty(), "tc {}", test.tc_id);
            }
        }
    }

    // authenticating the length may succeed where the vector says so, and only there
    let length_is_valid = test.flags.contains(&TestFlag::ValidFinalChunk);
    match OpenAt::new(Cursor::new(message), key, &test.ctx) {
        Err(error) => {
            assert!(!length_is_valid, "tc {}", test.tc_id);
            assert_eq!(Error::of(&error), undecryptable);
        }
        Ok(mut file) => {
            assert!(length_is_valid, "tc {}", test.tc_id);
            file.seek(SeekFrom::End(0)).unwrap();
            let mut all = vec![0; usize::try_from(file.plaintext_len()).unwrap()];
            let error = file.read_at(0, &mut all).unwrap_err();
            assert_eq!(Error::of(&error), undecryptable);
        }
    }
}
