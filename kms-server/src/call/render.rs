//! From state to messages. Never holds a key: what it is given has none.

use super::code::code;
use super::page::Pager;
use kms_core::engine::snapshot::{Dataset, Version};
use kms_core::engine::{Refusal, ShredFace, Snapshot};
use kms_core::key::record::{
    Compromise, DatasetPolicy, Revision, ShredState, UsageRecord, VersionState,
};
use kms_core::name::{DatasetName, KeyId, ShredScope, TrustDomain, VersionNumber};
use kms_core::time::Timestamp;
use kms_proto::v1;
use std::time::Duration;

/// `datasets/{dataset}`.
pub(super) fn dataset_name(name: &DatasetName) -> String {
    format!("datasets/{}", name.as_str())
}

/// `datasets/{dataset}/versions/{number}`.
pub(super) fn version_name(name: &DatasetName, number: VersionNumber) -> String {
    format!("datasets/{}/versions/{}", name.as_str(), number.get())
}

/// A point in time.
pub(super) fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.as_micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    }
}

/// A span of time.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// The text form of a record's revision.
pub(super) fn etag(revision: Revision) -> String {
    format!("{:016x}", revision.0)
}

fn policy(policy: &DatasetPolicy) -> v1::DatasetPolicy {
    v1::DatasetPolicy {
        rotation_period: Some(duration(policy.rotation_period)),
        required_secrets: policy
            .required_secrets
            .iter()
            .map(|kind| i32::from(kind.number()))
            .collect(),
        retention_classes: policy
            .retention_classes
            .iter()
            .map(|class| class.as_str().to_owned())
            .collect(),
        lasting_context_keys: policy
            .lasting_context_keys
            .iter()
            .map(|key| key.to_string())
            .collect(),
    }
}

/// A dataset.
pub(super) fn dataset(dataset: &Dataset) -> v1::Dataset {
    let record = &dataset.record;
    v1::Dataset {
        name: dataset_name(&record.name),
        key_id: record.key_id.0.to_vec().into(),
        policy: Some(policy(&record.policy)),
        labels: record
            .labels
            .pairs()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        deletion_protection: record.deletion_protection,
        active_version: dataset.active.map_or(0, VersionNumber::get),
        version_count: record.next_version.get().saturating_sub(1),
        created_at: Some(timestamp(record.created_at)),
        next_rotation_at: Some(timestamp(record.next_rotation_at)),
        etag: etag(dataset.revision),
    }
}

fn compromise(mark: &Compromise) -> v1::Compromise {
    v1::Compromise {
        reason: mark.reason.as_str().to_owned(),
        at: Some(timestamp(mark.at)),
        principal: mark.principal.as_str().to_owned(),
    }
}

/// A version with its usage so far.
pub(super) fn version(name: &DatasetName, version: &Version, usage: UsageRecord) -> v1::Version {
    let record = &version.record;
    let (state, destroy_at, destroyed_at) = match record.state {
        VersionState::PreActive => (v1::VersionState::PreActive, None, None),
        VersionState::Active => (v1::VersionState::Active, None, None),
        VersionState::DecryptOnly => (v1::VersionState::DecryptOnly, None, None),
        VersionState::Disabled => (v1::VersionState::Disabled, None, None),
        VersionState::DestroyScheduled { at } => {
            (v1::VersionState::DestroyScheduled, Some(at), None)
        }
        VersionState::Destroyed { at } => (v1::VersionState::Destroyed, None, Some(at)),
    };
    v1::Version {
        name: version_name(name, record.number),
        number: record.number.get(),
        state: state.into(),
        compromised: record.compromised.as_ref().map(compromise),
        created_at: Some(timestamp(record.created_at)),
        destroy_at: destroy_at.map(timestamp),
        destroyed_at: destroyed_at.map(timestamp),
        uses: usage.uses,
        last_used_at: (usage.uses > 0).then(|| timestamp(usage.last_used_at)),
    }
}

fn scope(scope: &ShredScope) -> v1::ShredSecretScope {
    v1::ShredSecretScope {
        kind: i32::from(scope.kind.number()),
        account: scope.account.as_str().to_owned(),
        name: scope.name.to_string(),
        retention_class: scope.class.as_str().to_owned(),
    }
}

/// A shred secret's public face.
pub(super) fn shred_secret(entry: &ShredFace) -> v1::ShredSecret {
    let (state, blocked_at, destroyed_at) = match entry.state {
        ShredState::Active => (v1::SecretState::Active, None, None),
        ShredState::Blocked { at } => (v1::SecretState::Blocked, Some(at), None),
        ShredState::Destroyed { at } => (v1::SecretState::Destroyed, None, Some(at)),
    };
    v1::ShredSecret {
        id: entry.id.0.to_vec().into(),
        scope: Some(scope(&entry.scope)),
        state: state.into(),
        created_at: Some(timestamp(entry.created_at)),
        blocked_at: blocked_at.map(timestamp),
        destroyed_at: destroyed_at.map(timestamp),
        succeeds_id: entry
            .succeeds
            .map(|id| id.0.to_vec())
            .unwrap_or_default()
            .into(),
    }
}

/// How often a version was used so far.
pub(super) type Usage<'a> = &'a dyn Fn(KeyId, VersionNumber) -> UsageRecord;

/// What answers are made from.
pub(super) struct Renderer<'a> {
    /// Datasets and versions; after a change the ones that it made.
    pub snapshot: &'a Snapshot,
    /// Usage.
    pub usage: Usage<'a>,
    /// Page tokens of this caller and method.
    pub pager: Pager<'a>,
    /// Of the built-in authority, where it is on.
    pub domain: Option<&'a TrustDomain>,
    /// When the call came.
    pub now: Timestamp,
}

impl Renderer<'_> {
    /// `datasets/{dataset}`; empty for an unknown id.
    pub(super) fn name_of(&self, id: KeyId) -> String {
        let dataset = self.snapshot.by_id(id);
        dataset
            .map(|d| dataset_name(&d.record.name))
            .unwrap_or_default()
    }

    /// A dataset by its key id.
    pub(super) fn dataset(&self, id: KeyId) -> Option<v1::Dataset> {
        self.snapshot.by_id(id).map(|found| dataset(found))
    }

    /// A version with its usage so far.
    pub(super) fn version(&self, id: KeyId, number: VersionNumber) -> Option<v1::Version> {
        let dataset = self.snapshot.by_id(id)?;
        let found = dataset.versions.get(&number)?;
        Some(version(
            &dataset.record.name,
            found,
            (self.usage)(id, number),
        ))
    }

    /// The failure of one item.
    pub(super) fn item_error(&self, refusal: &Refusal) -> v1::ItemError {
        item_error(refusal)
    }
}

/// The failure of one item.
pub(super) fn item_error(refusal: &Refusal) -> v1::ItemError {
    let message = match refusal.violations.first() {
        Some(violation) => format!("{}: {}", violation.field, violation.description),
        None => refusal.reason.to_string(),
    };
    v1::ItemError {
        code: code(refusal.reason).into(),
        reason: refusal.reason.as_str().to_owned(),
        message,
    }
}
