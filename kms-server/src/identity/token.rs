//! OAuth 2.0 access tokens (RFC 9068) of the configured issuers: who is named by one that is good now. Says
//! nothing of a caller's certificate but that the token is bound to it, and never why a token was refused to the
//! one who sent it.

mod claims;
mod compact;
mod issuer;
mod json;
mod key_set;
mod shelf;

pub use issuer::FETCH_EVERY;

use super::trust::BadFile;
use crate::config::issuer::Issuer as Settings;
use crate::system::clock::Clock;
use compact::Compact;
use issuer::Issuer;
use kms_core::cipher::sha256;
use kms_core::time::Timestamp;
use shelf::Shelf;
pub(super) use shelf::Verified;
use std::sync::Arc;

/// Why a token was refused: for the daemon's own messages at level debug, never for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not three parts of canonical base64url around two JSON objects.
    #[error("not in compact form")]
    Form,
    /// The header brings a key or an extension, or names no key.
    #[error("a header member that is not taken")]
    Header,
    /// Not an access token.
    #[error("not of type at+jwt")]
    Type,
    /// None, a shared key's, or not one of this issuer's or key's.
    #[error("algorithm not of the list")]
    Algorithm,
    /// No issuer of that name.
    #[error("unknown issuer")]
    Issuer,
    /// The issuer has no such key, or none that was ever reached.
    #[error("unknown key")]
    UnknownKey,
    /// The signature is not that key's.
    #[error("signature does not verify")]
    Signature,
    /// A claim is missing, or not of its kind.
    #[error("a claim is missing or malformed")]
    Claims,
    /// For somebody else.
    #[error("another audience")]
    Audience,
    /// Expired, not valid yet, too long-lived, or a time that is no whole number.
    #[error("not valid at this time")]
    Time,
    /// `cnf` is malformed, or the certificate is another.
    #[error("not bound to this certificate")]
    Binding,
    /// The issuer's tokens must be bound, and this one is not.
    #[error("not bound to a certificate")]
    Unbound,
    /// No grant fits, or more than one does.
    #[error("names no principal, or more than one")]
    Nobody,
    /// The certificate is missing, out of its validity, revoked, not trusted or nobody's.
    #[error("no acceptable certificate")]
    Certificate,
    /// The certificate names another principal.
    #[error("certificate and token name two principals")]
    TwoNames,
}

/// The issuers, and what was verified lately.
pub(super) struct Tokens {
    issuers: Vec<Issuer>,
    shelf: Shelf,
}

impl Tokens {
    pub(super) fn new(settings: Vec<Settings>, clock: &Arc<dyn Clock>) -> Result<Self, BadFile> {
        let issuers = settings
            .into_iter()
            .map(|settings| Issuer::new(settings, clock));
        Ok(Self {
            issuers: issuers.collect::<Result<_, _>>()?,
            shelf: Shelf::default(),
        })
    }

    /// What the token says, if it is good at `now`: looked up by its hash, or verified. The same token is looked
    /// at again when its issuer's keys changed.
    pub(super) fn verify(&self, token: &[u8], now: Timestamp) -> Result<Arc<Verified>, Refusal> {
        let hash = sha256(&[token]);
        if let Some(verified) = self.shelf.get(&hash)
            && self.is_current(&verified)
        {
            let holds = verified.terms.hold_at(now);
            return holds.then_some(verified).ok_or(Refusal::Time);
        }
        let compact = Compact::parse(token)?;
        let (place, issuer) = self.issuer_of(&compact)?;
        let (generation, terms, grant) = issuer.verify(&compact)?;
        let principal = issuer::principal(grant, &compact.claims)?;
        if !terms.hold_at(now) {
            return Err(Refusal::Time);
        }
        let verified = Arc::new(Verified {
            issuer: place,
            generation,
            terms,
            principal,
        });
        self.shelf.put(hash, Arc::clone(&verified), now);
        Ok(verified)
    }

    /// Has the keys of the token's issuer fetched, unless that was done a moment ago. Whether it is worth another
    /// look at the token.
    pub(super) async fn refreshed(&self, token: &[u8], clock: &dyn Clock) -> bool {
        let Ok(compact) = Compact::parse(token) else {
            return false;
        };
        match self.issuer_of(&compact) {
            Ok((_, issuer)) => issuer.refreshed(clock).await,
            Err(_) => false,
        }
    }

    /// Keeps all keys fresh; never ends.
    pub(super) async fn keep_fresh(&self, clock: &dyn Clock) {
        let mut each: Vec<_> = self
            .issuers
            .iter()
            .map(|issuer| Box::pin(issuer.keep_fresh(clock)))
            .collect();
        std::future::poll_fn(|context| {
            for one in &mut each {
                // none ever ends
                let _ = one.as_mut().poll(context);
            }
            std::task::Poll::<()>::Pending
        })
        .await;
    }

    fn is_current(&self, verified: &Verified) -> bool {
        let issuer = self.issuers.get(verified.issuer);
        issuer.is_some_and(|issuer| issuer.generation() == verified.generation)
    }

    fn issuer_of(&self, token: &Compact<'_>) -> Result<(usize, &Issuer), Refusal> {
        let named = claims::text(&token.claims, "iss")?;
        let mut issuers = self.issuers.iter().enumerate();
        issuers
            .find(|(_, issuer)| issuer.settings.issuer == named)
            .ok_or(Refusal::Issuer)
    }
}
