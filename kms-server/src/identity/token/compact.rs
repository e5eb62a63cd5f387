//! A token's outer form: JWS compact serialisation (RFC 7515, 3.1) with the header of an access token
//! (RFC 9068, 2.1). Nothing is trusted here: what is read only says which key must have signed it.

use super::Refusal;
use super::json::Json;
use data_encoding::BASE64URL_NOPAD;
use kms_core::cipher::jws::Algorithm;

/// Longest key id.
pub(super) const KID_MAX: usize = 256;
/// Ed25519 and P-256 make 64 bytes, RSA with 4096 bits 512.
const SIGNATURE_MAX: usize = 512;

/// The only types that say "access token".
const TYPES: [&str; 2] = ["at+jwt", "application/at+jwt"];

/// Members of a header that bring a key or change how the rest is read: never obeyed, so never taken.
const FORBIDDEN: [&str; 9] = [
    "jwk", "jku", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty",
];

/// A token, taken apart.
pub(super) struct Compact<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) kid: String,
    /// What the signature is over.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    /// The claims, not verified.
    pub(super) claims: Json,
}

impl<'a> Compact<'a> {
    pub(super) fn parse(token: &'a [u8]) -> Result<Self, Refusal> {
        let mut parts = token.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::Form);
        };
        let signed = token
            .get(..header.len() + 1 + claims.len())
            .ok_or(Refusal::Form)?;
        let (algorithm, kid) = read_header(&object(header)?)?;
        let signature = decode(signature)?;
        if signature.is_empty() || signature.len() > SIGNATURE_MAX {
            return Err(Refusal::Form);
        }
        Ok(Self {
            algorithm,
            kid,
            signed,
            signature,
            claims: object(claims)?,
        })
    }
}

/// Base64url without padding, in its only canonical form (RFC 7515, 2).
fn decode(part: &[u8]) -> Result<Vec<u8>, Refusal> {
    BASE64URL_NOPAD.decode(part).map_err(|_| Refusal::Form)
}

fn object(part: &[u8]) -> Result<Json, Refusal> {
    Json::parse(&decode(part)?)
        .filter(Json::is_object)
        .ok_or(Refusal::Form)
}

fn read_header(header: &Json) -> Result<(Algorithm, String), Refusal> {
    let text = |name: &str| header.get(name).and_then(Json::text);
    if FORBIDDEN.iter().any(|name| header.get(name).is_some()) {
        return Err(Refusal::Header);
    }
    if !text("typ").is_some_and(|typ| TYPES.contains(&typ)) {
        return Err(Refusal::Type);
    }
    let algorithm = text("alg").and_then(Algorithm::parse);
    let algorithm = algorithm.ok_or(Refusal::Algorithm)?;
    let kid = text("kid").filter(|kid| (1..=KID_MAX).contains(&kid.len()));
    let kid = kid.ok_or(Refusal::Header)?;
    Ok((algorithm, kid.to_owned()))
}
