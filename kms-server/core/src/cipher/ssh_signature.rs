//! Keys of people in OpenSSH's form and their signatures (SSHSIG, PROTOCOL.sshsig): Ed25519, ECDSA over P-256, and
//! both on a FIDO device (`sk-`), which must say that somebody touched it. Never a private key, never RSA.

use super::sha256;
use crate::codec::{Malformed, Reader};
use data_encoding::{BASE64, BASE64_NOPAD};
use ring::digest;
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

/// What the signatures are for; `ssh-keygen -Y sign -n`.
pub const NAMESPACE: &str = "kms.v1.approval";
/// Most bytes of a public key.
pub const KEY_MAX: usize = 512;
/// Most bytes of a signature.
pub const SIGNATURE_MAX: usize = 1_024;

const MAGIC: &[u8] = b"SSHSIG";
/// The device saw somebody (FIDO U2F and CTAP2: user presence).
const PRESENT: u8 = 1;

/// The signature does not verify, or key or signature are of no form that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no acceptable key or signature")]
pub struct NotSigned;

impl From<Malformed> for NotSigned {
    fn from(_: Malformed) -> Self {
        Self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Ed25519,
    P256,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerKey {
    blob: Box<[u8]>,
    algorithm: Algorithm,
    point: Box<[u8]>,
    /// Of a key on a device.
    application: Option<Box<[u8]>>,
}

/// A string of RFC 4251: four bytes of length, then so many.
fn string<'a>(r: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    let len = usize::try_from(r.u32()?).map_err(|_| Malformed)?;
    r.bytes(len)
}

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

impl SignerKey {
    /// From the bytes that a line of OpenSSH carries in base64.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn from_blob(blob: &[u8]) -> Result<Self, NotSigned> {
        if blob.len() > KEY_MAX {
            return Err(NotSigned);
        }
        let mut r = Reader::new(blob);
        let kind = string(&mut r)?;
        let (algorithm, on_device) = match kind {
            b"ssh-ed25519" => (Algorithm::Ed25519, false),
            b"sk-ssh-ed25519@openssh.com" => (Algorithm::Ed25519, true),
            b"ecdsa-sha2-nistp256" => (Algorithm::P256, false),
            b"sk-ecdsa-sha2-nistp256@openssh.com" => (Algorithm::P256, true),
            _ => return Err(NotSigned),
        };
        let len = match algorithm {
            Algorithm::Ed25519 => 32,
            Algorithm::P256 => {
                if string(&mut r)? != b"nistp256" {
                    return Err(NotSigned);
                }
                65
            }
        };
        let point = string(&mut r)?;
        if point.len() != len {
            return Err(NotSigned);
        }
        let application = on_device.then(|| string(&mut r)).transpose()?;
        r.finish()?;
        Ok(Self {
            blob: blob.into(),
            algorithm,
            point: point.into(),
            application: application.map(Into::into),
        })
    }

    /// The key that a signature names; whether it made it, [`Self::verify`] says.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn named_by(signature: &[u8]) -> Result<Self, NotSigned> {
        let mut r = Reader::new(signature);
        if signature.len() > SIGNATURE_MAX || r.bytes(MAGIC.len())? != MAGIC || r.u32()? != 1 {
            return Err(NotSigned);
        }
        Self::from_blob(string(&mut r)?)
    }

    /// From a line as `ssh-keygen` writes it: kind, base64, and perhaps a comment.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn from_line(line: &str) -> Result<Self, NotSigned> {
        let mut words = line.split_ascii_whitespace();
        let (kind, text) = (
            words.next().ok_or(NotSigned)?,
            words.next().ok_or(NotSigned)?,
        );
        let blob = BASE64.decode(text.as_bytes()).map_err(|_| NotSigned)?;
        let key = Self::from_blob(&blob)?;
        if key.kind() != kind {
            return Err(NotSigned);
        }
        Ok(key)
    }

    /// The bytes that stand for it.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// Its kind, as OpenSSH says it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match (self.algorithm, &self.application) {
            (Algorithm::Ed25519, None) => "ssh-ed25519",
            (Algorithm::Ed25519, Some(_)) => "sk-ssh-ed25519@openssh.com",
            (Algorithm::P256, None) => "ecdsa-sha2-nistp256",
            (Algorithm::P256, Some(_)) => "sk-ecdsa-sha2-nistp256@openssh.com",
        }
    }

    /// `SHA256:` and base64, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", BASE64_NOPAD.encode(&sha256(&[&self.blob])))
    }

    /// Whether `signature`, the bytes between the lines of an armoured SSHSIG, is this key's over `message`.
    ///
    /// # Errors
    /// [`NotSigned`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), NotSigned> {
        if signature.len() > SIGNATURE_MAX {
            return Err(NotSigned);
        }
        let mut r = Reader::new(signature);
        let form = r.bytes(MAGIC.len())? == MAGIC && r.u32()? == 1;
        let (key, namespace, reserved) = (string(&mut r)?, string(&mut r)?, string(&mut r)?);
        let (hash, made) = (string(&mut r)?, string(&mut r)?);
        r.finish()?;
        if !form || *key != *self.blob || namespace != NAMESPACE.as_bytes() || !reserved.is_empty()
        {
            return Err(NotSigned);
        }
        let algorithm = match hash {
            b"sha512" => &digest::SHA512,
            b"sha256" => &digest::SHA256,
            _ => return Err(NotSigned),
        };
        let mut signed = MAGIC.to_vec();
        put(&mut signed, namespace);
        put(&mut signed, reserved);
        put(&mut signed, hash);
        put(&mut signed, digest::digest(algorithm, message).as_ref());
        self.verify_made(&signed, made)
    }

    fn verify_made(&self, signed: &[u8], made: &[u8]) -> Result<(), NotSigned> {
        let mut r = Reader::new(made);
        if string(&mut r)? != self.kind().as_bytes() {
            return Err(NotSigned);
        }
        let raw = string(&mut r)?;
        let said = match &self.application {
            None => signed.to_vec(),
            Some(application) => {
                let (flags, counter) = (r.u8()?, r.array::<4>()?);
                if flags & PRESENT == 0 {
                    return Err(NotSigned);
                }
                let (application, signed) = (sha256(&[application]), sha256(&[signed]));
                [&application[..], &[flags], &counter, &signed].concat()
            }
        };
        r.finish()?;
        let verified = match self.algorithm {
            Algorithm::Ed25519 => UnparsedPublicKey::new(&ED25519, &self.point).verify(&said, raw),
            Algorithm::P256 => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point)
                .verify(&said, &fixed(raw)?),
        };
        verified.map_err(|_| NotSigned)
    }
}

/// Two numbers as SSH writes them, as 32 bytes each.
fn fixed(raw: &[u8]) -> Result<[u8; 64], NotSigned> {
    let mut r = Reader::new(raw);
    let mut out = [0; 64];
    for half in out.chunks_exact_mut(32) {
        let number = string(&mut r)?;
        // a leading zero keeps it positive
        let number = number.strip_prefix(&[0]).unwrap_or(number);
        let start = half.len().checked_sub(number.len()).ok_or(NotSigned)?;
        let place = half.get_mut(start..).ok_or(NotSigned)?;
        place.copy_from_slice(number);
    }
    r.finish()?;
    Ok(out)
}

#[cfg(test)]
mod tests;
