//! The claims of a verified token (RFC 9068, 2.2): present, of the right kind, of this issuer, for this service,
//! now. Whom they name is decided by the issuer's grants.

use super::Refusal;
use super::json::Json;
use crate::config::issuer::{Binding, Issuer};
use data_encoding::BASE64URL_NOPAD;
use kms_core::time::Timestamp;
use std::time::Duration;

/// Latest time that a claim may name, in seconds: what every JSON parser reads exactly (RFC 8259, 6).
const SECONDS_MAX: u64 = (1 << 53) - 1;
/// Longest name in a claim.
const TEXT_MAX: usize = 512;
/// Audiences of one token.
const AUDIENCES_MAX: usize = 16;

/// What verified claims say, apart from whom they name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) not_before: Timestamp,
    pub(super) expires: Timestamp,
    /// SHA-256 of the client certificate that the token is bound to.
    pub(super) certificate: Option<[u8; 32]>,
}

impl Terms {
    /// Checks everything but the present time.
    pub(super) fn read(claims: &Json, issuer: &Issuer) -> Result<Self, Refusal> {
        if text(claims, "iss")? != issuer.issuer {
            return Err(Refusal::Issuer);
        }
        if !is_for(claims.get("aud"), &issuer.audience) {
            return Err(Refusal::Audience);
        }
        for name in ["sub", "client_id", "jti"] {
            text(claims, name)?;
        }
        let issued = time(claims, "iat")?.ok_or(Refusal::Time)?;
        let expires = time(claims, "exp")?.ok_or(Refusal::Time)?;
        let not_before = time(claims, "nbf")?.unwrap_or(issued).max(issued);
        if expires <= issued || expires.since(issued) > issuer.lifetime_max {
            return Err(Refusal::Time);
        }
        let certificate = confirmation(claims.get("cnf"))?;
        if certificate.is_none() && issuer.binding == Binding::Required {
            return Err(Refusal::Unbound);
        }
        Ok(Self {
            not_before: not_before.saturating_sub(issuer.clock_skew),
            expires: expires.saturating_add(issuer.clock_skew),
            certificate,
        })
    }

    /// Whether the token is good at `now`, with the clock's allowance.
    pub(super) fn hold_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.expires
    }
}

/// A claim that must be there and be a text.
pub(super) fn text<'a>(claims: &'a Json, name: &str) -> Result<&'a str, Refusal> {
    let text = claims.get(name).and_then(Json::text);
    text.filter(|text| (1..=TEXT_MAX).contains(&text.len()))
        .ok_or(Refusal::Claims)
}

/// Seconds since 1970 as a whole number: no text, no fraction, nothing negative.
fn time(claims: &Json, name: &str) -> Result<Option<Timestamp>, Refusal> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.number().filter(|seconds| *seconds <= SECONDS_MAX);
    let seconds = Duration::from_secs(seconds.ok_or(Refusal::Time)?);
    Ok(Some(Timestamp::default().saturating_add(seconds)))
}

/// `aud` is the audience, or a list of texts that holds it; never a part of it.
fn is_for(audience: Option<&Json>, wanted: &str) -> bool {
    match audience {
        Some(Json::Text(one)) => one == wanted,
        Some(Json::Array(many)) => {
            many.len() <= AUDIENCES_MAX
                && many.iter().all(|one| one.text().is_some())
                && many.iter().any(|one| one.text() == Some(wanted))
        }
        _ => false,
    }
}

/// `cnf` must be the hash of a certificate and nothing else: a way of proof that is not checked here must not
/// pass for none.
fn confirmation(cnf: Option<&Json>) -> Result<Option<[u8; 32]>, Refusal> {
    let Some(cnf) = cnf else {
        return Ok(None);
    };
    let Json::Object(members) = cnf else {
        return Err(Refusal::Binding);
    };
    let [(name, Json::Text(hash))] = members.as_slice() else {
        return Err(Refusal::Binding);
    };
    let hash = BASE64URL_NOPAD.decode(hash.as_bytes()).ok();
    let hash = hash.and_then(|hash| hash.try_into().ok());
    let hash = hash.filter(|_| name == "x5t#S256");
    hash.map(Some).ok_or(Refusal::Binding)
}
