//! The approver's own key: an Ed25519 seed under a passphrase of its own (docs/formats.md, "Approver's key file").
//! Never the operator's password, never unencrypted, never overwritten.

use crate::exit::Failure;
use argon2::{Algorithm, Argon2, Params, Version};
use kms_client::make_request_id;
use ring::signature::Ed25519KeyPair;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use zeroize::Zeroizing;

const MAGIC: &[u8; 9] = b"kms-appr\x01";
const LABEL: &[u8] = b"kms/v1/client/approver-key;";
/// KiB, passes, lanes: as an operator's password.
const COST: (u32, u32, u32) = (65_536, 3, 4);
const SEED_LEN: usize = 32;
/// Fewest characters of a passphrase.
const PASSPHRASE_MIN: usize = 12;

fn key_of(passphrase: &str, salt: &[u8], cost: (u32, u32, u32)) -> Option<cobblestone::Key> {
    let (memory, passes, lanes) = cost;
    let known = (8_192..=1 << 20).contains(&memory) && (1..=16).contains(&passes);
    let params = Params::new(memory, passes, lanes, Some(32)).ok();
    let params = params.filter(|_| known && (1..=16).contains(&lanes))?;
    let mut key = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut *key)
        .ok()?;
    Some(cobblestone::Key::new(&key))
}

/// Makes a key and writes it to a new file.
///
/// # Errors
/// The file exists or cannot be written; the passphrase is too short.
pub(crate) fn make(path: &Path, passphrase: &str) -> Result<Ed25519KeyPair, Failure> {
    if passphrase.chars().count() < PASSPHRASE_MIN {
        return Err(Failure::usage(
            "the key's passphrase must have 12 characters or more",
        ));
    }
    let failed = |_| Failure::failed("the key cannot be made");
    let (left, right) = (make_request_id()?, make_request_id()?);
    let seed = Zeroizing::new([left, right].concat());
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(failed)?;
    let (memory, passes, lanes) = COST;
    let cost = [memory, passes, lanes].map(u32::to_be_bytes).concat();
    let head = [&MAGIC[..], &cost, &make_request_id()?].concat();
    let (_, salt) = head.split_at(head.len() - 16);
    let key = key_of(passphrase, salt, COST);
    let key = key.ok_or_else(|| Failure::failed("there is no memory for the key's passphrase"))?;
    let context = [LABEL, &head].concat();
    let random = |error: cobblestone::Error| Failure::failed(error.to_string());
    let salt = cobblestone::Salt::random().map_err(random)?;
    let sealed = cobblestone::seal(&key, &context, &salt, &seed);
    let sealed = sealed.map_err(random)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| Failure::file(folder, error))?;
    }
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| {
        file.write_all(&[&head[..], &sealed].concat())?;
        file.sync_all()
    });
    written.map_err(|error| Failure::file(path, error))?;
    Ok(pair)
}

/// Opens one.
///
/// # Errors
/// It cannot be read, is no such file, or the passphrase is wrong.
pub(crate) fn open(path: &Path, passphrase: &str) -> Result<Ed25519KeyPair, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file(path, error))?;
    let seed = read(&bytes, passphrase);
    let pair = seed.and_then(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).ok());
    pair.ok_or_else(|| Failure::file(path, "no approver's key, or another passphrase"))
}

fn read(bytes: &[u8], passphrase: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (head, sealed) = bytes.split_at_checked(MAGIC.len() + 12 + 16)?;
    let (cost, salt) = head.strip_prefix(MAGIC)?.split_at_checked(12)?;
    let mut numbers = cost.chunks_exact(4).map(|four| four.try_into().ok());
    let mut number = || Some(u32::from_be_bytes(numbers.next()??));
    let key = key_of(passphrase, salt, (number()?, number()?, number()?))?;
    let seed = cobblestone::open(&key, &[LABEL, head].concat(), sealed).ok()?;
    (seed.len() == SEED_LEN).then_some(seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::KeyPair as _;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_opens_under_its_passphrase_alone_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/approver.key");
        assert!(make(&path, "too short").is_err());
        let made = make(&path, "a passphrase of its own").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let opened = open(&path, "a passphrase of its own").unwrap();
        assert_eq!(made.public_key().as_ref(), opened.public_key().as_ref());
        assert!(open(&path, "another passphrase").is_err());
        assert!(make(&path, "a passphrase of its own").is_err());
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(open(&path, "a passphrase of its own").is_err());
    }
}
