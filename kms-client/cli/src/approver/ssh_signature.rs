//! Signatures in OpenSSH's form (SSHSIG, PROTOCOL.sshsig): made here with a key of our own, or by `ssh-keygen` with
//! whatever key it knows, in files, agents or devices.

use crate::exit::Failure;
use data_encoding::BASE64;
use ring::digest;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What the signatures are for.
pub(crate) const NAMESPACE: &str = "kms.v1.approval";
const MAGIC: &[u8] = b"SSHSIG";
const KIND: &[u8] = b"ssh-ed25519";
const HASH: &[u8] = b"sha512";

/// A signature with the public key that it names.
pub(crate) struct Signed {
    pub public_key: Vec<u8>,
    pub signature: Vec<u8>,
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(*part);
    }
    out
}

/// The public key as OpenSSH encodes it.
pub(crate) fn public_key(pair: &Ed25519KeyPair) -> Vec<u8> {
    strings(&[KIND, pair.public_key().as_ref()])
}

/// The line that `kms approval key add` and `ssh-keygen` read.
pub(crate) fn line(public_key: &[u8]) -> String {
    format!("ssh-ed25519 {}", BASE64.encode(public_key))
}

/// Signs with a key of our own.
pub(crate) fn sign(pair: &Ed25519KeyPair, message: &[u8]) -> Signed {
    let hashed = digest::digest(&digest::SHA512, message);
    let signed = strings(&[NAMESPACE.as_bytes(), b"", HASH, hashed.as_ref()]);
    let raw = pair.sign(&[MAGIC, &signed].concat());
    let public_key = public_key(pair);
    let made = strings(&[KIND, raw.as_ref()]);
    let body = strings(&[&public_key, NAMESPACE.as_bytes(), b"", HASH, &made]);
    Signed {
        signature: [MAGIC, &1_u32.to_be_bytes(), &body].concat(),
        public_key,
    }
}

/// Has `ssh-keygen` sign; it asks for passphrase or touch by itself.
///
/// # Errors
/// It cannot be run, or does not sign.
pub(crate) fn sign_with_openssh(key: &Path, message: &[u8]) -> Result<Signed, Failure> {
    let failed = |what: &str| Failure::failed(format!("ssh-keygen with {}: {what}", key.display()));
    let mut child = Command::new("ssh-keygen")
        .args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error.to_string()))?;
    // dropped at once: that ends what it reads
    let written = child.stdin.take().map(|mut input| input.write_all(message));
    let output = child.wait_with_output()?;
    if !output.status.success() || written.is_none_or(|it| it.is_err()) {
        return Err(failed("it did not sign"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let signature = without_armour(&text).ok_or_else(|| failed("it answered no signature"))?;
    let public_key = named_key(&signature).ok_or_else(|| failed("it answered no signature"))?;
    Ok(Signed {
        public_key,
        signature,
    })
}

/// As `ssh-keygen` writes and reads it.
pub(crate) fn armoured(signature: &[u8]) -> String {
    let base64 = BASE64.encode(signature);
    format!("-----BEGIN SSH SIGNATURE-----\n{base64}\n-----END SSH SIGNATURE-----\n")
}

/// The bytes between the lines; `None`: it is no signature.
pub(crate) fn without_armour(text: &str) -> Option<Vec<u8>> {
    let base64: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let signature = BASE64.decode(base64.as_bytes()).ok();
    signature.filter(|signature| signature.starts_with(MAGIC))
}

/// The key that a signature names.
fn named_key(signature: &[u8]) -> Option<Vec<u8>> {
    let rest = signature.strip_prefix(MAGIC)?.get(4..)?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    rest.get(..len).map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssh_verifies_what_is_signed_here() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let signed = sign(&pair, b"the statement");
        assert_eq!(
            named_key(&signed.signature).as_ref(),
            Some(&signed.public_key)
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sig");
        let armour = armoured(&signed.signature);
        assert_eq!(without_armour(&armour), Some(signed.signature));
        std::fs::write(&file, armour).unwrap();
        let checks = |message: &[u8]| {
            let mut child = Command::new("ssh-keygen")
                .args(["-q", "-Y", "check-novalidate", "-n", NAMESPACE, "-s"])
                .arg(&file)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(message).unwrap();
            child.wait().unwrap().success()
        };
        assert!(checks(b"the statement"));
        assert!(!checks(b"the statemenT"));
    }
}
