//! Reads a request for a certificate (PKCS #10, RFC 2986): the key in it, and that whoever sends it holds that key.
//! Names and extensions in it are not even looked at.

use kms_core::cipher::authority::SubjectKey;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::der_parser::asn1_rs::Any;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_SIG_ECDSA_WITH_SHA256, OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer;
use x509_parser::x509::AlgorithmIdentifier;

/// Most bytes of a request.
pub const LEN_MAX: usize = 4 * 1024;

/// What is wrong with a request, in fixed words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub &'static str);

const FORM: Unfit = Unfit("a PKCS #10 request in DER, at most 4 KiB");
const KIND: Unfit =
    Unfit("a request for a key of P-256 or Ed25519, signed by ECDSA with SHA-256 or Ed25519");
const SIGNATURE: Unfit = Unfit("a request signed by the key in it");

/// The key that is to be certified.
///
/// # Errors
/// [`Unfit`]: another form, another kind of key, or a signature that is not that key's.
pub fn read(der: &[u8]) -> Result<SubjectKey, Unfit> {
    if der.len() > LEN_MAX {
        return Err(FORM);
    }
    let Ok(([], request)) = X509CertificationRequest::from_der(der) else {
        return Err(FORM);
    };
    let info = &request.certification_request_info;
    let asked = &info.subject_pki;
    let bits = &asked.subject_public_key;
    let signature = &request.signature_value;
    if bits.unused_bits != 0 || signature.unused_bits != 0 {
        return Err(FORM);
    }
    let key = key(&asked.algorithm, &bits.data, &request.signature_algorithm).ok_or(KIND)?;
    if written_again(info.raw, &request.signature_algorithm, &signature.data) != der {
        return Err(FORM);
    }
    key.verify(info.raw, &signature.data)
        .map_err(|_| SIGNATURE)?;
    Ok(key)
}

/// The request in DER (RFC 2986, section 4) of its parts. The parser overlooks tags that differ in their lowest bit; what it
/// understood must be what was sent.
fn written_again(info: &[u8], signed: &AlgorithmIdentifier<'_>, signature: &[u8]) -> Vec<u8> {
    let mut oid = Vec::new();
    element(&mut oid, 0x06, &[signed.algorithm.as_bytes()]);
    let mut whole = info.to_vec();
    element(&mut whole, 0x30, &[&oid]);
    element(&mut whole, 0x03, &[&[0], signature]);
    let mut der = Vec::with_capacity(whole.len() + 4);
    element(&mut der, 0x30, &[&whole]);
    der
}

/// Appends tag, length (X.690, 10.1: the shortest form) and content; at most 65,535 bytes, and a request is far shorter.
fn element(out: &mut Vec<u8>, tag: u8, content: &[&[u8]]) {
    let len: usize = content.iter().map(|part| part.len()).sum();
    let [.., high, low] = len.to_be_bytes();
    out.push(tag);
    match len {
        0..0x80 => out.push(low),
        0x80..0x100 => out.extend([0x81, low]),
        _ => out.extend([0x82, high, low]),
    }
    content.iter().for_each(|part| out.extend_from_slice(part));
}

fn key(
    algorithm: &AlgorithmIdentifier<'_>,
    bits: &[u8],
    signed: &AlgorithmIdentifier<'_>,
) -> Option<SubjectKey> {
    // RFC 5758, 3.2 and RFC 8410, 3: signatures have no parameters
    if signed.parameters.is_some() {
        return None;
    }
    if algorithm.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY
        && signed.algorithm == OID_SIG_ECDSA_WITH_SHA256
    {
        let curve = algorithm.parameters.as_ref().map(Any::as_oid)?.ok()?;
        return (curve == OID_EC_P256).then(|| SubjectKey::p256(bits))?;
    }
    let is_ed25519 = algorithm.algorithm == OID_SIG_ED25519
        && signed.algorithm == OID_SIG_ED25519
        && algorithm.parameters.is_none();
    is_ed25519.then(|| SubjectKey::ed25519(bits))?
}
