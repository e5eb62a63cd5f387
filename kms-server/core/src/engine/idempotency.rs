//! A repeated request id answers the earlier outcome and changes nothing. Never keeps a plaintext.

use super::view::Idempotency;
use super::{Changed, Refusal};
use crate::key::record::{Expect, Record, RequestRecord, Write};
use crate::name::KeyId;
use crate::reason::Reason;
use crate::time::{DAY, Timestamp};
use std::time::Duration;

/// How long an outcome is kept.
pub const KEPT: Duration = DAY;

/// The earlier outcome, if there is one.
///
/// # Errors
/// REQUEST_ID_REUSED when it was another request.
pub fn prior(idempotency: Option<&Idempotency>) -> Result<Option<&RequestRecord>, Refusal> {
    let Some((asked, prior)) = idempotency.and_then(|i| Some((i, i.prior.as_ref()?))) else {
        return Ok(None);
    };
    if prior.fingerprint == asked.fingerprint {
        Ok(Some(prior))
    } else {
        Err(Reason::RequestIdReused.into())
    }
}

/// The write that remembers this outcome; none without a request id.
#[must_use]
pub fn remember(
    idempotency: Option<&Idempotency>,
    changed: Option<&Changed>,
    now: Timestamp,
) -> Option<Write> {
    let idempotency = idempotency?;
    let record = RequestRecord {
        fingerprint: idempotency.fingerprint,
        at: now,
        key_id: changed.map(|changed| changed.key_id),
        version: changed.and_then(|changed| changed.version),
        marked: changed.map_or_else(Vec::new, |changed| changed.marked.clone()),
    };
    Some(Write {
        key: idempotency.key.clone(),
        expect: idempotency
            .replaces
            .map_or(Expect::Absent, Expect::Unchanged),
        record: Some(Record::Request(record)),
    })
}

/// What a prior outcome answers.
///
/// # Errors
/// INTERNAL when the record names no dataset.
pub fn repeated(prior: &RequestRecord) -> Result<Changed, Reason> {
    let key_id: KeyId = prior.key_id.ok_or(Reason::Internal)?;
    Ok(Changed {
        key_id,
        version: prior.version,
        marked: prior.marked.clone(),
        repeated: true,
    })
}
