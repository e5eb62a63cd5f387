//! Known answers of every algorithm in use, computed at each start. Nothing is served when one differs:
//! a miscompiled build or a failing machine must not make keys.
//!
//! The answers are hex text, so that they can be compared with their sources by eye.

use super::password::{argon2id, unbounded_cost};
use super::seal_key::{self, PreShared};
use super::signature::InstanceKey;
use super::{HashKey, MessageKey, derive_key, sha256};
use crate::codec::hex;
use crate::entropy::{Entropy, EntropyUnavailable};
use crate::secret::{DerivedKey, SealPsk};

/// One algorithm's answer is not the known one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the self test of {which} failed: keys made by this machine or this build cannot be trusted"
)]
pub struct Failed {
    /// The algorithm.
    pub which: &'static str,
}

/// Computes every answer; about 2 ms.
///
/// # Errors
/// [`Failed`] names the first that differs.
pub fn run() -> Result<(), Failed> {
    run_with(&ANSWERS)
}

/// Name of the algorithm, what computes it, the known answer in hex.
#[derive(Clone, Copy)]
struct Answer {
    which: &'static str,
    compute: fn() -> Option<Vec<u8>>,
    known: &'static str,
}

const ANSWERS: [Answer; 8] = [
    // FIPS 180-4, published example "abc".
    Answer {
        which: "SHA-256",
        compute: || Some(sha256(&[b"ab", b"c"]).to_vec()),
        known: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    },
    // RFC 5869 prints no answer for SHA-512; this one is OpenSSL's.
    Answer {
        which: "HKDF-SHA-512",
        compute: || {
            let mut salt = [0_u8; 32];
            salt.iter_mut().zip(0..).for_each(|(byte, i)| *byte = i);
            let key = derive_key(&salt, &[0x0b; 32], &[b"self", b" test"]);
            Some(key.expose_bytes().to_vec())
        },
        known: "1a209944f1a3bf43a2677821c4d33ae6d72e6ceaf7c0224553b745feb39eed72",
    },
    // As RFC 4231, test 1, with a key of 32 bytes; OpenSSL's answer.
    Answer {
        which: "HMAC-SHA-256",
        compute: || Some(HashKey::new(&[0x0b; 32]).hash(&[b"Hi ", b"There"]).to_vec()),
        known: "198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7",
    },
    // Wycheproof, chunked_encryption with AES-256, test 9: made, then opened.
    Answer {
        which: "Cobblestone-256 (HKDF-SHA-512, AES-256-GCM)",
        compute: cobblestone,
        known: "dbedaefc1c35dc6c0f22b743b03e488747166a51f33479e7ceb8b7e11cc0d2710f624a127501bc4aea7d0af6f83cfe359b9e69415aa537f36adf86eb35b070475baa039bb7791432adbca49578bbd3",
    },
    // phc-winner-argon2, test.c.
    Answer {
        which: "Argon2id",
        compute: || {
            let mut key = [0; 32];
            argon2id(
                b"password",
                b"somesalt",
                unbounded_cost(256, 2, 2),
                &mut key,
            )
            .ok()?;
            Some(key.to_vec())
        },
        known: "6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037",
    },
    // An own message: made again by an independent implementation of RFC 9180 over OpenSSL.
    Answer {
        which: "HPKE (X25519, HKDF-SHA256, AES-256-GCM)",
        compute: hpke_base,
        known: "5fd47633b5e43fca7bad1bfbe424feacb175d9d4d4a30f166dbd30636f0b446b2be9624bf6659aed5f9e375a395c3ec81aa5ccb5ab986ad5",
    },
    // SHA-256 of an own message, which an independent implementation over OpenSSL opened.
    Answer {
        which: "HPKE in PSK mode (X-Wing, HKDF-SHA256, AES-256-GCM)",
        compute: hpke_seal,
        known: "3c8aa38b93b84bd7e2262bb5f00bf59d7c50ba74d5689353806181275baa3edd",
    },
    // RFC 8032, section 7.1, test 2: signed, then verified.
    Answer {
        which: "Ed25519",
        compute: ed25519,
        known: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    },
];

fn run_with(answers: &[Answer]) -> Result<(), Failed> {
    answers.iter().try_for_each(|answer| {
        let computed = (answer.compute)();
        if computed.is_some_and(|bytes| hex(&bytes) == answer.known) {
            Ok(())
        } else {
            Err(Failed {
                which: answer.which,
            })
        }
    })
}

fn cobblestone() -> Option<Vec<u8>> {
    let mut key = *b"YELLOW SUBMARINE YELLOW SUBMARIN";
    let key = MessageKey::new(&DerivedKey::take_bytes(&mut key));
    let salt = Fixed(&[
        0xdb, 0xed, 0xae, 0xfc, 0x1c, 0x35, 0xdc, 0x6c, 0x0f, 0x22, 0xb7, 0x43, 0xb0, 0x3e, 0x48,
        0x87, 0x47, 0x16, 0x6a, 0x51, 0xf3, 0x34, 0x79, 0xe7,
    ]);
    let mut message = Vec::new();
    key.seal_into(b"test context", b"chunked", &salt, &mut message)
        .ok()?;
    let opened = key.open(b"test context", &message).ok()?;
    (opened.as_slice() == b"chunked").then_some(message)
}

fn hpke_base() -> Option<Vec<u8>> {
    let (private, text) = ([5; 32], b"Hi There");
    let public = seal_key::public_of(&private);
    let message =
        seal_key::encrypt_to(&public, b"self test", b"aad", text, &Fixed(&[7; 32])).ok()?;
    let opened = seal_key::decrypt_with(&private, b"self test", b"aad", &message).ok()?;
    (opened.as_slice() == text).then_some(message)
}

fn hpke_seal() -> Option<Vec<u8>> {
    let (private, text) = ([5; 32], b"Hi There");
    let key = SealPsk::take_bytes(&mut [6; 32]);
    let shared = PreShared {
        key: &key,
        id: b"psk id",
    };
    let public = seal_key::seal_public_of(&private);
    let (info, aad, fixed) = (b"self test", b"aad", Fixed(&[7; 64]));
    let message = seal_key::encrypt_to_seal(&public[..], shared, info, aad, text, &fixed).ok()?;
    let opened = seal_key::decrypt_with_seal(&private, shared, info, aad, &message).ok()?;
    (opened.as_slice() == text).then(|| sha256(&[&message]).to_vec())
}

fn ed25519() -> Option<Vec<u8>> {
    let key = InstanceKey::from_seed(&[
        0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e,
        0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8,
        0xa6, 0xfb,
    ])
    .ok()?;
    let signature = key.sign(&[0x72]);
    key.public().verify(&[0x72], &signature).ok()?;
    Some(signature.to_vec())
}

/// A random source that always gives these bytes, so that the answer can be known.
struct Fixed(&'static [u8]);

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        let fixed = self.0.get(..bytes.len()).ok_or(EntropyUnavailable)?;
        bytes.copy_from_slice(fixed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_the_known_one() {
        assert_eq!(run(), Ok(()));
    }

    #[test]
    fn a_wrong_answer_is_named() {
        for place in 0..ANSWERS.len() {
            let mut answers = ANSWERS;
            let changed = ANSWERS[place].known.replacen(char::is_numeric, "f", 1);
            answers[place].known = Box::leak(changed.into_boxed_str());
            let which = ANSWERS[place].which;
            assert_eq!(run_with(&answers), Err(Failed { which }));
        }
    }

    #[test]
    fn what_cannot_be_computed_is_a_failure() {
        let mut answers = ANSWERS;
        answers[2].compute = || None;
        let which = "HMAC-SHA-256";
        assert_eq!(run_with(&answers), Err(Failed { which }));
    }
}
