//! Against signatures that OpenSSH made, and devices that the test plays.

use super::*;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};

const MESSAGE: &[u8] = b"the statement";

/// Public key and signature, made once by `ssh-keygen -Y sign -n kms.v1.approval`.
const BY_OPENSSH: [(&str, &str); 2] = [
    (
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFgOZzxkF1aCe5qPgED5w6YiL4/HXg7TiYqeVvocm2dO",
        "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgWA5nPGQXVoJ7mo+AQPnDpiIvj8deDtOJip5W+hybZ04AAA\
            APa21zLnYxLmFwcHJvdmFsAAAAAAAAAAZzaGE1MTIAAABTAAAAC3NzaC1lZDI1NTE5AAAAQABLDd3O4UCB1LcQu1qw\
            hcZYoODz9PDZtJpTJLoDLWBks9Erwb6vp604DvCnGz3hbcT4qOlzHFpRWDJ9q3nXUAM=",
    ),
    (
        "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBP1/8aY3MRmqEJi5vj\
            1CTBhrnzaf6FHBfMaCoLZMMRbMN2AVdMcSchJMhuBTVxhAPfRGKvbquyPuSTN87HuG/TU=",
        "U1NIU0lHAAAAAQAAAGgAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAAhuaXN0cDI1NgAAAEEE/X/xpjcxGaoQmLm+PU\
            JMGGufNp/oUcF8xoKgtkwxFsw3YBV0xxJyEkyG4FNXGEA99EYq9uq7I+5JM3zse4b9NQAAAA9rbXMudjEuYXBwcm92\
            YWwAAAAAAAAABnNoYTUxMgAAAGMAAAATZWNkc2Etc2hhMi1uaXN0cDI1NgAAAEgAAAAgBqT/n0CbeLC+zQ4AUvbfkm\
            ICfkAa5E7U1UTQOO9IsOIAAAAgR8qq+7ZCWoljDUOxLS5nX4C4uLwhF5Z5NXTuQU8JCsI=",
    ),
];
/// The first key's, with `-n other`.
const OTHER_NAMESPACE: &str = "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgWA5nPGQXVoJ7mo+AQPnDpiIvj8deDtOJip5W+hybZ04AAA\
    AFb3RoZXIAAAAAAAAABnNoYTUxMgAAAFMAAAALc3NoLWVkMjU1MTkAAABA0snUQzOmMnPHeQ2g1kRFIgN4wG2YxeT8\
    eKTS8UsTDNymwEDVhHeJ7Ln42Kw9AJRSmYbwYkT+nFPlnl2M+q5pCQ==";
/// A key of a kind that is not taken.
const RSA: &str = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDeihUMkfvoiTvNKgzB/bYtKMY48S26TsjqFqLS94Z24uNi5vP+jU\
    sL1NauaI+Qk7xkhTIUzvNSxUieb7eFffiaQugNafcSzZsHtJxCe/E6ARv8FoeuOj6n0iV7PIJwpSWWrmCk+7YtH07p\
    KyLVMzruIovkx0sFhGGSXhWOo6tEclyJUwjhJbIVEBIKrseffszuh+R7QiJGoZCtmH7eYm4MjhA1tj2IA9M/NJMmKU\
    VpPaHIem9hXZbDjWDyn0g+yE/0XMuoru+nD0lER4rR0KqUTToxY2PTbtWzZlHPw0lYLk3gsMibD8bSffHMM6oPx+mt\
    p37u/gglLFwBOO9cY6gPKzjnkY+q8Dwr+2a+xL0/p9pQUVRfr5ecutU1CwvtGxDeKC2ma0TlkqYRUs3fh9O1JIuSBQ\
    EuNXpnvj+SJ/hex3kYWHdBdPaomm4FzGs3kd7qEj8gMge7j4C9/WjX3J32bDE3B8b5elPdnAXmm+faWRFTMbp+EGgX\
    94MJrjUyX6M=";

fn unarmoured(text: &str) -> Vec<u8> {
    BASE64.decode(text.as_bytes()).unwrap()
}

#[test]
fn what_openssh_signed_verifies_and_nothing_else_does() {
    for (line, signature) in BY_OPENSSH {
        let key = SignerKey::from_line(line).unwrap();
        let signature = unarmoured(signature);
        assert_eq!(key.verify(MESSAGE, &signature), Ok(()));
        assert!(key.verify(b"the statemenT", &signature).is_err());
        for place in 0..signature.len() {
            let mut changed = signature.clone();
            changed[place] ^= 1;
            assert!(key.verify(MESSAGE, &changed).is_err(), "byte {place}");
            assert!(key.verify(MESSAGE, &signature[..place]).is_err());
        }
        let longer = [&signature[..], &[0]].concat();
        assert!(key.verify(MESSAGE, &longer).is_err());
    }
    let [(ed, ed_signature), (ec, _)] = BY_OPENSSH;
    let (ed, ec) = (
        SignerKey::from_line(ed).unwrap(),
        SignerKey::from_line(ec).unwrap(),
    );
    assert!(ec.verify(MESSAGE, &unarmoured(ed_signature)).is_err());
    assert!(ed.verify(MESSAGE, &unarmoured(OTHER_NAMESPACE)).is_err());
}

#[test]
fn keys_have_one_form_and_rsa_is_none() {
    let (line, _) = BY_OPENSSH[0];
    let key = SignerKey::from_line(line).unwrap();
    assert_eq!(key.kind(), "ssh-ed25519");
    assert_eq!(SignerKey::from_blob(key.blob()).as_ref(), Ok(&key));
    assert_eq!(
        SignerKey::from_line(&format!("{line} carol@desk")).as_ref(),
        Ok(&key)
    );
    assert!(key.fingerprint().starts_with("SHA256:"));
    let other_kind = line.replace("ssh-ed25519", "ecdsa-sha2-nistp256");
    let longer = [key.blob(), &[0]].concat();
    assert!(SignerKey::from_blob(&longer).is_err());
    for bad in ["", "ssh-ed25519", "ssh-ed25519 !", RSA, &other_kind] {
        assert!(SignerKey::from_line(bad).is_err(), "{bad}");
    }
}

fn string_of(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    parts.iter().for_each(|part| put(&mut out, part));
    out
}

fn number(bytes: &[u8]) -> Vec<u8> {
    let bytes: Vec<u8> = bytes
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    if negative {
        [&[0], &bytes[..]].concat()
    } else {
        bytes
    }
}

/// A whole SSHSIG of a key on a device.
fn by_device(key: &SignerKey, flags: u8, sign: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let hashed = digest::digest(&digest::SHA512, MESSAGE);
    let parts: [&[u8]; 4] = [NAMESPACE.as_bytes(), b"", b"sha512", hashed.as_ref()];
    let signed = [MAGIC, &string_of(&parts)].concat();
    let counter = 7_u32.to_be_bytes();
    let said = [
        &sha256(&[b"ssh:"])[..],
        &[flags],
        &counter,
        &sha256(&[&signed]),
    ]
    .concat();
    let raw = string_of(&[key.kind().as_bytes(), &sign(&said)]);
    let made = [&raw[..], &[flags], &counter].concat();
    let head = [MAGIC, &1_u32.to_be_bytes()].concat();
    let tail: [&[u8]; 5] = [key.blob(), NAMESPACE.as_bytes(), b"", b"sha512", &made];
    [head, string_of(&tail)].concat()
}

#[test]
fn keys_on_devices_must_have_been_touched() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
    let public = pair.public_key().as_ref();
    let blob = string_of(&[b"sk-ssh-ed25519@openssh.com", public, b"ssh:"]);
    let key = SignerKey::from_blob(&blob).unwrap();
    let sign = |said: &[u8]| pair.sign(said).as_ref().to_vec();
    assert_eq!(key.verify(MESSAGE, &by_device(&key, 1, sign)), Ok(()));
    assert_eq!(key.verify(MESSAGE, &by_device(&key, 5, sign)), Ok(()));
    assert!(key.verify(MESSAGE, &by_device(&key, 0, sign)).is_err());

    let random = SystemRandom::new();
    let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let form = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::from_pkcs8(form, made.as_ref(), &random).unwrap();
    let public = pair.public_key().as_ref();
    let kind = b"sk-ecdsa-sha2-nistp256@openssh.com";
    let blob = string_of(&[kind, b"nistp256", public, b"ssh:"]);
    let key = SignerKey::from_blob(&blob).unwrap();
    // numbers lose leading zeros and gain one: often enough in so many
    for _ in 0..300 {
        let sign = |said: &[u8]| {
            let raw = pair.sign(&random, said).unwrap();
            let (r, s) = raw.as_ref().split_at(32);
            string_of(&[&number(r), &number(s)])
        };
        assert_eq!(key.verify(MESSAGE, &by_device(&key, 1, sign)), Ok(()));
        assert!(key.verify(MESSAGE, &by_device(&key, 0, sign)).is_err());
    }
}
