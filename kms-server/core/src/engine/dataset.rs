//! Makes datasets and changes their policy. Never touches existing versions.

use super::creation::complete;
use super::idempotency::{prior, remember, repeated};
use super::limits::{LASTING_KEYS_MAX, REQUIRED_SECRETS_MAX, RETENTION_CLASSES_MAX};
use super::material::{ID, KEY, Material};
use super::rotate::new_version;
use super::snapshot::Dataset;
use super::upkeep::policy_scopes;
use super::view::{Change, Changed, Decision, Idempotency, Moment, View};
use super::wrapping::usable;
use super::{Refusal, index};
use crate::audit::facts::is_lasting_value;
use crate::audit::{Detail, Facts, Outcome};
use crate::key::record::{
    DatasetPolicy, DatasetRecord, Expect, Record, RecordKey, Revision, Write,
};
use crate::key::rotation;
use crate::name::{
    DatasetName, KeyId, Labels, RetentionClass, SecretId, SecretKind, VersionNumber,
};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use std::time::Duration;

/// A dataset to be made.
#[derive(Debug)]
pub struct NewDataset {
    /// Its name.
    pub name: DatasetName,
    /// What it demands and allows.
    pub policy: DatasetPolicy,
    /// What access policies may ask for.
    pub labels: Labels,
    /// No version can be scheduled for destruction.
    pub deletion_protection: bool,
}

/// Fields to be changed; `None` leaves one as it is.
#[derive(Debug, Default)]
pub struct DatasetUpdate {
    /// The revision that the caller read.
    pub etag: Revision,
    /// 1 to 3,650 days.
    pub rotation_period: Option<Duration>,
    /// Kinds that every wrap names from now on.
    pub required_secrets: Option<Vec<SecretKind>>,
    /// Classes that shred secrets may name from now on.
    pub retention_classes: Option<Vec<RetentionClass>>,
    /// Context keys whose values are logged for good from now on.
    pub lasting_context_keys: Option<Vec<Box<str>>>,
    /// Lifting it is an action of its own.
    pub deletion_protection: Option<bool>,
}

/// Makes a dataset with version 1 ACTIVE, and the period secrets that its policy demands and that
/// were gathered ([`super::upkeep::policy_scopes`]): the first call needs one at once.
///
/// # Errors
/// ALREADY_EXISTS (a conflict on the name's record means that too, on the next view), INVALID_ARGUMENT,
/// REQUEST_ID_REUSED, INTERNAL.
pub fn create_dataset(
    view: &View<'_>,
    moment: &Moment<'_>,
    _authorised: &Authorised<act::CreateDataset>,
    new: &NewDataset,
    idempotency: Option<&Idempotency>,
) -> Result<Decision<Changed>, Refusal> {
    if let Some(prior) = prior(idempotency)? {
        return Ok(replay(Action::CreateDataset, repeated(prior)?));
    }
    check_policy(&new.policy)?;
    if view.snapshot.by_name(&new.name).is_some() {
        return Err(Reason::AlreadyExists.into());
    }
    let periods = policy_scopes(&new.policy, moment.now);
    let mut creations = complete(view, &periods);
    let len = ID + KEY + creations.material_len();
    let mut material = Material::draw(moment.keys, len).map_err(Reason::from)?;
    let key_id = KeyId(*material.take()?);
    let number = VersionNumber::FIRST;
    let record = DatasetRecord {
        key_id,
        name: new.name.clone(),
        policy: new.policy.clone(),
        labels: new.labels.clone(),
        deletion_protection: new.deletion_protection,
        next_version: number.next().ok_or(Reason::Internal)?,
        created_at: moment.now,
        next_rotation_at: rotation::first(key_id, moment.now, new.policy.rotation_period),
    };
    let mut writes = vec![
        Write {
            key: RecordKey::dataset(key_id),
            expect: Expect::Absent,
            record: Some(Record::Dataset(record)),
        },
        Write {
            key: index::dataset_name_key(view.index, &new.name),
            expect: Expect::Absent,
            record: Some(Record::DatasetName(key_id)),
        },
        new_version(key_id, number, moment.now, &mut material)?,
    ];
    let changed = Changed {
        key_id,
        version: Some(number),
        marked: Vec::new(),
        repeated: false,
    };
    creations.fill(&mut material)?;
    let made = creations.ids();
    writes.extend(creations.into_writes(view.index, moment.now));
    writes.extend(remember(idempotency, Some(&changed), moment.now));
    let decision = decided(Action::CreateDataset, changed, "", writes);
    Ok(with_secrets(decision, made))
}

/// Changes what the update names. Turning deletion protection off needs `lift`. Period secrets as in
/// [`create_dataset`], where the policy demands them newly.
///
/// # Errors
/// ETAG_MISMATCH, DENIED (protection would be lifted without that proof), INVALID_ARGUMENT, QUARANTINED.
pub fn update_dataset(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::UpdateDataset>,
    lift: Option<&Authorised<act::LiftDeletionProtection>>,
    update: &DatasetUpdate,
) -> Result<Decision<Changed>, Refusal> {
    let dataset = usable(view, authorised.dataset())?;
    if dataset.revision != update.etag {
        return Err(Reason::EtagMismatch.into());
    }
    let old = &dataset.record;
    let record = updated(old, update, moment)?;
    let lifts = old.deletion_protection && !record.deletion_protection;
    let may_lift = lift.is_some_and(|lift| lift.dataset() == authorised.dataset());
    if lifts && !may_lift {
        return Err(Reason::Denied.into());
    }
    let action = if lifts {
        Action::LiftDeletionProtection
    } else {
        Action::UpdateDataset
    };
    let changed = Changed {
        key_id: old.key_id,
        version: None,
        marked: Vec::new(),
        repeated: false,
    };
    let note = changes(old, &record);
    Ok(decided(
        action,
        changed,
        &note,
        vec![write(dataset, record)],
    ))
}

/// Gives a dataset other labels, all of them; `etag` is the revision that the caller read.
///
/// # Errors
/// ETAG_MISMATCH, QUARANTINED.
pub fn label_dataset(
    view: &View<'_>,
    authorised: &Authorised<act::LabelDataset>,
    labels: &Labels,
    etag: Revision,
) -> Result<Decision<Changed>, Refusal> {
    let dataset = usable(view, authorised.dataset())?;
    if dataset.revision != etag {
        return Err(Reason::EtagMismatch.into());
    }
    let changed = Changed {
        key_id: dataset.record.key_id,
        version: None,
        marked: Vec::new(),
        repeated: false,
    };
    let record = DatasetRecord {
        labels: labels.clone(),
        ..DatasetRecord::clone(&dataset.record)
    };
    let note = label_note(labels);
    let writes = vec![write(dataset, record)];
    let mut decision = decided(Action::LabelDataset, changed, &note, writes);
    // labels decide who may use it: binds before it is answered, as every restriction does
    if let Some(change) = &mut decision.change {
        change.restricts = true;
    }
    Ok(decision)
}

/// The log says which labels a dataset has from then on: they decide who may use it.
fn label_note(labels: &Labels) -> String {
    let pairs: Vec<_> = labels.pairs().map(|(k, v)| format!("{k}={v}")).collect();
    format!("labels: {}", pairs.join(", "))
}

/// A policy within its limits. Paths of violations begin with `policy.`.
///
/// # Errors
/// INVALID_ARGUMENT with every violation.
pub fn check_policy(policy: &DatasetPolicy) -> Result<(), Refusal> {
    let mut refusal = Refusal::from(Reason::InvalidArgument);
    let mut check = |holds: bool, field: &str, description| {
        if !holds {
            let found = Refusal::field(field, description).within("policy");
            refusal.violations.extend(found.violations);
        }
    };
    check(
        (rotation::PERIOD_MIN..=rotation::PERIOD_MAX).contains(&policy.rotation_period),
        "rotation_period",
        "1 to 3,650 days",
    );
    check(
        is_set(&policy.required_secrets, REQUIRED_SECRETS_MAX),
        "required_secrets",
        "at most 3, distinct",
    );
    check(
        is_set(&policy.retention_classes, RETENTION_CLASSES_MAX),
        "retention_classes",
        "at most 8, distinct",
    );
    check(
        policy.required_secrets.is_empty() || !policy.retention_classes.is_empty(),
        "retention_classes",
        "at least one where shred secrets are demanded",
    );
    let keys = &policy.lasting_context_keys;
    check(
        is_set(keys, LASTING_KEYS_MAX) && keys.iter().all(|key| is_lasting_value(key)),
        "lasting_context_keys",
        "at most 8 of the form [a-z0-9._-]{1,64}, distinct",
    );
    if refusal.violations.is_empty() {
        Ok(())
    } else {
        Err(refusal)
    }
}

fn is_set<T: PartialEq>(items: &[T], max: usize) -> bool {
    let distinct = |(position, item)| !items.iter().skip(position + 1).any(|other| other == item);
    items.len() <= max && items.iter().enumerate().all(distinct)
}

fn updated(
    old: &DatasetRecord,
    update: &DatasetUpdate,
    moment: &Moment<'_>,
) -> Result<DatasetRecord, Refusal> {
    if update.is_empty() {
        return Err(Refusal::field("update_mask", "at least one field"));
    }
    let mut record = old.clone();
    record.policy = update.applied(&old.policy);
    check_policy(&record.policy).map_err(|refusal| refusal.within("dataset"))?;
    let protection = update.deletion_protection;
    record.deletion_protection = protection.unwrap_or(old.deletion_protection);
    let (before, after) = (old.policy.rotation_period, record.policy.rotation_period);
    if before != after {
        let next = old.next_rotation_at;
        record.next_rotation_at =
            rotation::rescheduled(old.key_id, next, before, after, moment.now);
    }
    Ok(record)
}

impl DatasetUpdate {
    /// The policy after the update.
    #[must_use]
    pub fn applied(&self, policy: &DatasetPolicy) -> DatasetPolicy {
        DatasetPolicy {
            rotation_period: self.rotation_period.unwrap_or(policy.rotation_period),
            required_secrets: or(self.required_secrets.as_ref(), &policy.required_secrets),
            retention_classes: or(self.retention_classes.as_ref(), &policy.retention_classes),
            lasting_context_keys: or(
                self.lasting_context_keys.as_ref(),
                &policy.lasting_context_keys,
            ),
        }
    }

    const fn is_empty(&self) -> bool {
        self.rotation_period.is_none()
            && self.required_secrets.is_none()
            && self.retention_classes.is_none()
            && self.lasting_context_keys.is_none()
            && self.deletion_protection.is_none()
    }
}

fn or<T: Clone>(new: Option<&T>, old: &T) -> T {
    new.unwrap_or(old).clone()
}

/// Which fields differ, for the log: names only.
fn changes(old: &DatasetRecord, new: &DatasetRecord) -> String {
    let (before, after) = (&old.policy, &new.policy);
    let fields = [
        (
            before.rotation_period != after.rotation_period,
            "rotation_period",
        ),
        (
            before.required_secrets != after.required_secrets,
            "required_secrets",
        ),
        (
            before.retention_classes != after.retention_classes,
            "retention_classes",
        ),
        (
            before.lasting_context_keys != after.lasting_context_keys,
            "lasting_context_keys",
        ),
        (
            old.deletion_protection != new.deletion_protection,
            "deletion_protection",
        ),
    ];
    let changed: Vec<_> = fields.iter().filter(|f| f.0).map(|f| f.1).collect();
    format!("changed: {}", changed.join(", "))
}

/// The dataset's record, written anew.
pub(super) fn write(dataset: &Dataset, record: DatasetRecord) -> Write {
    Write {
        key: RecordKey::dataset(record.key_id),
        expect: Expect::Unchanged(dataset.revision),
        record: Some(Record::Dataset(record)),
    }
}

/// A change that takes nothing away.
pub(super) fn decided(
    action: Action,
    changed: Changed,
    note: &str,
    writes: Vec<Write>,
) -> Decision<Changed> {
    let mut detail = Detail::new(Outcome::Ok);
    detail.dataset = Some(changed.key_id);
    detail.version = changed.version;
    detail.note = note.into();
    Decision {
        reply: changed,
        facts: Facts::single(action, detail),
        change: (!writes.is_empty()).then_some(Change {
            writes,
            restricts: false,
        }),
    }
}

fn with_secrets(mut decision: Decision<Changed>, made: Vec<SecretId>) -> Decision<Changed> {
    for detail in &mut decision.facts.details {
        detail.secrets.clone_from(&made);
    }
    decision
}

/// The answer to a repeated request id.
pub(super) fn replay(action: Action, changed: Changed) -> Decision<Changed> {
    decided(action, changed, "repeated request id", Vec::new())
}
