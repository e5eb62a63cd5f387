//! What the engine is given and what it gives back.

use super::Snapshot;
use crate::audit::{Detail, Facts, Outcome};
use crate::cipher::HashKey;
use crate::entropy::Entropy;
use crate::key::record::{RecordKey, RequestRecord, Revision, ShredState, TimeMark, Write};
use crate::name::{ApprovalId, KeyId, SecretId, ShredScope, VersionNumber};
use crate::policy::Action;
use crate::reason::Reason;
use crate::secret::ShredSecret;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;

/// When, and with what randomness.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// The daemon's wall clock.
    pub now: Timestamp,
    /// Key material and ids: one fresh call to the system per request or batch.
    pub keys: &'a dyn Entropy,
    /// Salts: may be drawn ahead.
    pub salts: &'a dyn Entropy,
}

/// A shred secret as gathered from cache or store.
#[derive(Debug)]
pub struct ShredEntry {
    /// Its record's revision.
    pub revision: Revision,
    /// Its id.
    pub id: SecretId,
    /// What it is for.
    pub scope: ShredScope,
    /// Its state.
    pub state: ShredState,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it succeeds.
    pub succeeds: Option<SecretId>,
    /// The secret; `None` exactly when destroyed.
    pub secret: Option<ShredSecret>,
}

/// The newest shred secret of a scope.
#[derive(Debug, Clone)]
pub struct Named {
    /// Revision of the record that leads from the scope to the secret.
    pub name_revision: Revision,
    /// The secret.
    pub entry: Arc<ShredEntry>,
}

/// Everything gathered for one call.
pub struct View<'a> {
    /// Datasets and versions.
    pub snapshot: &'a Snapshot,
    /// Shred secrets by scope: `None` where there is none.
    pub by_scope: &'a HashMap<ShredScope, Option<Named>>,
    /// Shred secrets by id: `None` where there is none.
    pub by_id: &'a HashMap<SecretId, Option<Arc<ShredEntry>>>,
    /// Keys the record keys of names; see [`super::index`].
    pub index: &'a HashKey,
    /// The time mark: irreversible timers ask it.
    pub time_mark: TimeMark,
}

impl View<'_> {
    /// The later of the clocks: what ends something asks it, so that no clock put back makes it last.
    #[must_use]
    pub fn latest(&self, now: Timestamp) -> Timestamp {
        now.max(self.time_mark.high_water)
    }
}

/// The caller's idempotency key, resolved.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// Where its record lies.
    pub key: RecordKey,
    /// Fingerprint of this request.
    pub fingerprint: [u8; 32],
    /// What the store holds, not older than 24 h.
    pub prior: Option<RequestRecord>,
    /// Revision of an expired record that the new one replaces.
    pub replaces: Option<Revision>,
}

/// Writes of a change.
#[derive(Debug, Default)]
pub struct Change {
    /// In any order; one transaction.
    pub writes: Vec<Write>,
    /// Takes something away (destroy, block, disable): binds at commit, everywhere, before the answer.
    pub restricts: bool,
}

/// What the engine decided.
#[derive(Debug)]
pub struct Decision<R> {
    /// What is answered, once the rest is durable.
    pub reply: R,
    /// What the log says.
    pub facts: Facts,
    /// What is written; `None` when nothing.
    pub change: Option<Change>,
}

impl<R> Decision<R> {
    /// One entry and nothing written: what was read, used or turned away.
    #[must_use]
    pub fn unchanged(action: Action, detail: Detail, reply: R) -> Self {
        Self {
            reply,
            facts: Facts::single(action, detail),
            change: None,
        }
    }
}

/// What a change of a dataset or of its versions answers; the road renders the rest once it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The dataset.
    pub key_id: KeyId,
    /// The version made or changed, if one.
    pub version: Option<VersionNumber>,
    /// Versions marked compromised by this call.
    pub marked: Vec<VersionNumber>,
    /// An earlier call with the same request id did it; this one changed nothing.
    pub repeated: bool,
}

/// A field of the request that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, as in the proto: `items[3].dataset`.
    pub field: String,
    /// What it must be.
    pub description: &'static str,
}

/// A call or item is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Which fields, where that is the reason.
    pub violations: Vec<Violation>,
    /// The pending approval that others must sign, where that is the reason.
    pub approval: Option<ApprovalId>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            violations: Vec::new(),
            approval: None,
        }
    }
}

impl Outcome {
    /// How an item ended that made something or was refused.
    #[must_use]
    pub const fn of<T>(result: &Result<T, Refusal>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(refusal) => Self::Refused(refusal.reason),
        }
    }
}

impl Refusal {
    /// Others must sign this approval first.
    #[must_use]
    pub const fn pending(id: ApprovalId) -> Self {
        Self {
            reason: Reason::ApprovalRequired,
            violations: Vec::new(),
            approval: Some(id),
        }
    }

    /// A field breaks a limit or form.
    #[must_use]
    pub fn field(field: impl Into<String>, description: &'static str) -> Self {
        Self {
            reason: Reason::InvalidArgument,
            violations: vec![Violation {
                field: field.into(),
                description,
            }],
            approval: None,
        }
    }
}
