//! `[[issuers]]`: whose access tokens are taken, and whom they name. A half-configured issuer stops the start.

use kms_core::cipher::jws::Algorithm;
use kms_core::name::PrincipalName;
use kms_core::policy::role::Role;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// An OAuth 2.0 authorisation server whose JWT access tokens (RFC 9068) are taken.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Its short name: stands in the configuration's errors and in the daemon's messages.
    pub name: String,
    /// The `iss` of its tokens, compared byte for byte.
    pub issuer: String,
    /// What the `aud` of a token must be or hold.
    pub audience: String,
    /// How its tokens may be signed; never empty.
    pub algorithms: Vec<Algorithm>,
    /// Where its public keys come from.
    pub keys: KeySource,
    /// How far its clock may be off; at most a minute.
    pub clock_skew: Duration,
    /// No token lives longer, from `iat` to `exp`.
    pub lifetime_max: Duration,
    /// Whether a token must be bound to a client certificate (`cnf`, RFC 8705).
    pub binding: Binding,
    /// Whom its tokens name; never empty.
    pub grants: Vec<Grant>,
}

/// Where an issuer's public keys come from (a JWK set, RFC 7517).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A file, read again when it changes.
    File(PathBuf),
    /// Fetched by HTTPS.
    Https {
        /// `https://host[:port]/path`.
        url: String,
        /// PEM file of the authorities that may have issued that server's certificate.
        ca: PathBuf,
    },
}

/// Whether tokens must be bound to a client certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// A token without `cnf.x5t#S256` is refused.
    Required,
    /// A token without is taken; one with is held to it all the same.
    Optional,
}

/// Tokens that say all of this name `principal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The `sub`, exactly; any when absent.
    pub subject: Option<String>,
    /// Words that the `scope` must hold, all of them.
    pub scopes: Vec<String>,
    /// Claims that must be these strings exactly.
    pub claims: BTreeMap<String, String>,
    /// Whom such a token names.
    pub principal: PrincipalName,
    /// What that principal may be by this token.
    pub roles: Vec<Role>,
    /// Attribute of the principal to the claim that it is taken from; a token that lacks the claim is refused.
    pub attributes: BTreeMap<String, String>,
}
