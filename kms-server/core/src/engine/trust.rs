//! Puts into force what says who is who. That it can be read, and is what the configuration says now, is judged before.

use super::view::{Change, Decision, Moment, Refusal, View};
use crate::audit::{Detail, Facts, Outcome};
use crate::cipher::sha256;
use crate::codec::hex;
use crate::key::record::{Expect, Record, RecordKey, TrustRecord, Write};
use crate::policy::{ActionKind, Authorised, act};
use crate::reason::Reason;

/// What the configuration says.
#[derive(Debug, Clone, Copy)]
pub struct Configured<'a> {
    /// See [`TrustRecord`].
    pub document: &'a str,
    /// See [`TrustRecord`].
    pub development: bool,
}

/// Stands for a document where it does not stand itself.
#[must_use]
pub fn fingerprint(document: &str) -> String {
    format!("sha256:{}", hex(&sha256(&[document.as_bytes()])))
}

/// Puts what is configured into force, as the roster approved it.
///
/// # Errors
/// INVALID_ARGUMENT for anything but what is configured now.
pub fn approve_trust(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<act::ApproveTrust>,
    (wanted, configured): (&str, Configured<'_>),
) -> Result<Decision<()>, Refusal> {
    if wanted != configured.document {
        return Err(Refusal::field("document", "the configured one"));
    }
    Ok(put_into_force(view, moment, proof, configured))
}

/// Takes the first configuration for approved, and every one of a development installation that stays one.
///
/// # Errors
/// DENIED for any other.
pub fn adopt_trust(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<act::AdoptTrust>,
    configured: Configured<'_>,
) -> Result<Decision<()>, Refusal> {
    let before = view.snapshot.trust.as_ref();
    let free = before.is_none_or(|kept| kept.record.development && configured.development);
    if !free {
        return Err(Reason::Denied.into());
    }
    Ok(put_into_force(view, moment, proof, configured))
}

fn put_into_force<A: ActionKind>(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<A>,
    configured: Configured<'_>,
) -> Decision<()> {
    let before = view.snapshot.trust.as_ref();
    let mut detail = Detail::new(Outcome::Ok);
    detail.note = fingerprint(configured.document).into();
    let same = before.is_some_and(|kept| *kept.record.document == *configured.document);
    let record = TrustRecord {
        document: configured.document.into(),
        development: configured.development,
        approved_by: proof.principal().clone(),
        approved_at: moment.now,
    };
    Decision {
        reply: (),
        facts: Facts::single(A::ACTION, detail),
        change: (!same).then(|| Change {
            writes: vec![Write {
                key: RecordKey::trust(),
                expect: before.map_or(Expect::Absent, |kept| Expect::Unchanged(kept.revision)),
                record: Some(Record::Trust(record)),
            }],
            // whom it no longer names is refused from the answer on
            restricts: true,
        }),
    }
}
