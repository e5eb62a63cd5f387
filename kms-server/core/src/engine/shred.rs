//! Shred secrets: made ahead of use, blocked, unblocked, destroyed. A destroyed one leaves a tombstone and
//! is never made again by accident.

use super::batch::{Item, RefusedItem};
use super::creation::{Creations, Judged, judge};
use super::idempotency::{prior, remember};
use super::material::Material;
use super::view::{Change, Decision, Idempotency, Moment, ShredEntry, View};
use super::{Refusal, limits};
use crate::audit::{Detail, Facts, Outcome};
use crate::key::record::{
    Expect, Record, RecordKey, RequestRecord, ShredRecord, ShredState, Write,
};
use crate::key::state::{ShredEvent, next_shred};
use crate::name::{ReasonText, SecretId, ShredScope};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::secret::ShredSecret;
use crate::time::Timestamp;
use std::sync::Arc;

/// A shred secret to be made; its scope from [`super::resolve_scope`] without a policy.
#[derive(Debug)]
pub struct NewSecret {
    /// What it is for.
    pub scope: ShredScope,
    /// The destroyed secret that it may succeed.
    pub succeeds: Option<SecretId>,
}

/// Names one shred secret.
#[derive(Debug)]
pub enum Selector {
    /// The newest of a scope.
    Scope(ShredScope),
    /// By id.
    Id(SecretId),
}

/// A shred secret's public face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShredFace {
    /// Stands in blobs.
    pub id: SecretId,
    /// What it is for.
    pub scope: ShredScope,
    /// Its state.
    pub state: ShredState,
    /// When it was made.
    pub created_at: Timestamp,
    /// The destroyed secret of the same scope before it.
    pub succeeds: Option<SecretId>,
}

impl From<&ShredEntry> for ShredFace {
    fn from(entry: &ShredEntry) -> Self {
        Self {
            id: entry.id,
            scope: entry.scope.clone(),
            state: entry.state,
            created_at: entry.created_at,
            succeeds: entry.succeeds,
        }
    }
}

/// One answer of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedSecret {
    /// The secret.
    pub secret: ShredFace,
    /// False when it existed.
    pub created: bool,
}

/// Answers of a batch, in its order.
pub type CreatedSecrets = Vec<Result<CreatedSecret, Refusal>>;

/// Makes 1 to 1,000 shred secrets. One that exists is answered as it is, an erased one is its item's error.
///
/// # Errors
/// INVALID_ARGUMENT (number of items, the same scope twice), REQUEST_ID_REUSED, INTERNAL.
pub fn create_shred_secrets(
    view: &View<'_>,
    moment: &Moment<'_>,
    items: &[Item<act::CreateShredSecret, NewSecret>],
    idempotency: Option<&Idempotency>,
) -> Result<Decision<CreatedSecrets>, Refusal> {
    limits::check_batch(items.len())?;
    check_distinct(items)?;
    let prior = prior(idempotency)?;
    let mut creations = Creations::default();
    let judged: Vec<_> = items
        .iter()
        .enumerate()
        .map(|(position, item)| match item {
            Ok((_, new)) => judge_new(view, new, prior, &mut creations)
                .map_err(|refusal| refusal.within_item(position)),
            Err(RefusedItem { refusal, .. }) => Err(refusal.clone()),
        })
        .collect();
    let mut material =
        Material::draw(moment.keys, creations.material_len()).map_err(Reason::from)?;
    creations.fill(&mut material)?;
    let mut reply = Vec::with_capacity(items.len());
    let mut details = Vec::with_capacity(items.len());
    for (item, outcome) in items.iter().zip(judged) {
        let created = outcome.and_then(|made| Ok(made.render(item, &creations, moment.now)?));
        details.push(create_detail(item, &created));
        reply.push(created);
    }
    let mut writes = creations.into_writes(view.index, moment.now);
    if prior.is_none() {
        writes.extend(remember(idempotency, None, moment.now));
    }
    Ok(Decision {
        reply,
        facts: Facts::batch(Action::CreateShredSecret, details),
        change: (!writes.is_empty()).then_some(Change {
            writes,
            restricts: false,
        }),
    })
}

/// Refuses every use of a shred secret from the answer on.
///
/// # Errors
/// SHRED_SECRET_MISSING, SUBJECT_ERASED (destroyed).
pub fn block_shred(
    view: &View<'_>,
    moment: &Moment<'_>,
    _authorised: &Authorised<act::BlockShredSecret>,
    selector: &Selector,
    reason: &ReasonText,
) -> Result<Decision<ShredFace>, Refusal> {
    const ACTION: Action = Action::BlockShredSecret;
    decide(view, moment, selector, ShredEvent::Block, ACTION, reason)
}

/// Lets a blocked shred secret be used again.
///
/// # Errors
/// As [`block_shred`].
pub fn unblock_shred(
    view: &View<'_>,
    moment: &Moment<'_>,
    _authorised: &Authorised<act::UnblockShredSecret>,
    selector: &Selector,
    reason: &ReasonText,
) -> Result<Decision<ShredFace>, Refusal> {
    const ACTION: Action = Action::UnblockShredSecret;
    decide(view, moment, selector, ShredEvent::Unblock, ACTION, reason)
}

/// Destroys a shred secret for ever; a tombstone stays. One that is destroyed already is answered as it is.
///
/// # Errors
/// SHRED_SECRET_MISSING.
pub fn destroy_shred(
    view: &View<'_>,
    moment: &Moment<'_>,
    _authorised: &Authorised<act::DestroyShredSecret>,
    selector: &Selector,
    reason: &ReasonText,
) -> Result<Decision<ShredFace>, Refusal> {
    const ACTION: Action = Action::DestroyShredSecret;
    decide(view, moment, selector, ShredEvent::Destroy, ACTION, reason)
}

/// The secret that a selector names, among what was gathered.
///
/// # Errors
/// SHRED_SECRET_MISSING.
pub fn select<'v>(view: &View<'v>, selector: &Selector) -> Result<&'v Arc<ShredEntry>, Refusal> {
    let found = match selector {
        Selector::Scope(scope) => {
            let named = view.by_scope.get(scope).ok_or(Reason::Internal)?;
            named.as_ref().map(|named| &named.entry)
        }
        Selector::Id(id) => view.by_id.get(id).ok_or(Reason::Internal)?.as_ref(),
    };
    found.ok_or_else(|| Reason::ShredSecretMissing.into())
}

fn decide(
    view: &View<'_>,
    moment: &Moment<'_>,
    selector: &Selector,
    event: ShredEvent,
    action: Action,
    reason: &ReasonText,
) -> Result<Decision<ShredFace>, Refusal> {
    let entry = select(view, selector)?;
    let state = next_shred(entry.state, event, moment.now)?;
    let mut detail = Detail::new(Outcome::Ok);
    detail.secrets = vec![entry.id];
    detail.note = reason.as_str().into();
    let change = (state != entry.state).then(|| Change {
        writes: vec![rewritten(entry, state)],
        restricts: !matches!(state, ShredState::Active),
    });
    Ok(Decision {
        reply: ShredFace {
            state,
            ..ShredFace::from(&**entry)
        },
        facts: Facts::single(action, detail),
        change,
    })
}

fn rewritten(entry: &ShredEntry, state: ShredState) -> Write {
    let secret = match state {
        ShredState::Destroyed { .. } => None,
        ShredState::Active | ShredState::Blocked { .. } => entry
            .secret
            .as_ref()
            .and_then(|secret| ShredSecret::from_slice(secret.expose_bytes())),
    };
    Write {
        key: RecordKey::shred(entry.id),
        expect: Expect::Unchanged(entry.revision),
        record: Some(Record::Shred(ShredRecord {
            id: entry.id,
            scope: entry.scope.clone(),
            state,
            created_at: entry.created_at,
            succeeds: entry.succeeds,
            secret,
        })),
    }
}

fn check_distinct(items: &[Item<act::CreateShredSecret, NewSecret>]) -> Result<(), Refusal> {
    let mut scopes: Vec<_> = items
        .iter()
        .filter_map(|item| item.as_ref().ok())
        .map(|(_, new)| &new.scope)
        .collect();
    scopes.sort_unstable();
    if scopes
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a != b))
    {
        Ok(())
    } else {
        Err(Refusal::field("items", "distinct scopes"))
    }
}

enum Made {
    Before(CreatedSecret),
    Now(usize),
}

fn judge_new<'a>(
    view: &View<'_>,
    new: &'a NewSecret,
    prior: Option<&RequestRecord>,
    creations: &mut Creations<'a>,
) -> Result<Made, Refusal> {
    let Some(prior) = prior else {
        let judged = judge(view, &new.scope, true, new.succeeds)?;
        return Ok(match judged {
            Judged::Use(entry) => Made::Before(CreatedSecret {
                secret: entry.into(),
                created: false,
            }),
            Judged::Create(fresh) => Made::Now(creations.add(&new.scope, fresh)),
        });
    };
    // a repeat makes nothing; what the first call made was made at its very time
    let named = view.by_scope.get(&new.scope).ok_or(Reason::Internal)?;
    let entry = &named.as_ref().ok_or(Reason::ShredSecretMissing)?.entry;
    let created = entry.created_at == prior.at;
    if !created && !matches!(entry.state, ShredState::Active) {
        return Err(Reason::SubjectErased.into());
    }
    Ok(Made::Before(CreatedSecret {
        secret: (&**entry).into(),
        created,
    }))
}

impl Made {
    fn render(
        self,
        item: &Item<act::CreateShredSecret, NewSecret>,
        creations: &Creations<'_>,
        now: Timestamp,
    ) -> Result<CreatedSecret, Reason> {
        let number = match self {
            Self::Before(created) => return Ok(created),
            Self::Now(number) => number,
        };
        let (_, new) = item.as_ref().map_err(|_| Reason::Internal)?;
        let (id, succeeds) = creations.made(number)?;
        let secret = ShredFace {
            id,
            scope: new.scope.clone(),
            state: ShredState::Active,
            created_at: now,
            succeeds,
        };
        Ok(CreatedSecret {
            secret,
            created: true,
        })
    }
}

fn create_detail(
    item: &Item<act::CreateShredSecret, NewSecret>,
    created: &Result<CreatedSecret, Refusal>,
) -> Detail {
    match (item, created) {
        (Err(RefusedItem { detail, .. }), _) => Detail::clone(detail),
        (Ok(_), created) => {
            let mut detail = Detail::new(Outcome::of(created));
            if let Ok(created) = created {
                detail.secrets = vec![created.secret.id];
                detail.note = if created.created { "" } else { "existed" }.into();
            }
            detail
        }
    }
}
