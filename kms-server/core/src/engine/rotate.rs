//! New ACTIVE versions: by hand, in an emergency, by schedule. The old version decrypts on; a number is
//! never used again because the dataset's record counts it in the same transaction.

use super::dataset::{decided, replay, write};
use super::idempotency::{prior, remember, repeated};
use super::material::{KEY, Material};
use super::snapshot::{Dataset, Version};
use super::version::rewritten;
use super::view::{Changed, Decision, Idempotency, Moment, View};
use super::{Refusal, wrapping::usable};
use crate::key::record::{
    Compromise, Expect, Record, RecordKey, VersionRecord, VersionState, Write,
};
use crate::key::rotation;
use crate::key::state::{Event, next};
use crate::name::{KeyId, ReasonText, VersionNumber};
use crate::policy::{Action, ActionKind, Authorised, act};
use crate::reason::Reason;
use crate::secret::VersionKey;
use crate::time::Timestamp;

/// Makes a new ACTIVE version; the schedule stays.
///
/// # Errors
/// QUARANTINED, REQUEST_ID_REUSED, INTERNAL.
pub fn rotate(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::RotateDataset>,
    idempotency: Option<&Idempotency>,
) -> Result<Decision<Changed>, Refusal> {
    if let Some(prior) = prior(idempotency)? {
        return Ok(replay(Action::RotateDataset, repeated(prior)?));
    }
    let rotation = Rotation::new(view, authorised, Purpose::ByHand)?;
    rotation.decide(moment, Action::RotateDataset, "", idempotency)
}

/// Makes a new ACTIVE version and marks every older one that is not destroyed compromised. One that is
/// marked already keeps its first mark.
///
/// # Errors
/// QUARANTINED, REQUEST_ID_REUSED, INTERNAL.
pub fn emergency_rotate(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::EmergencyRotateDataset>,
    reason: &ReasonText,
    idempotency: Option<&Idempotency>,
) -> Result<Decision<Changed>, Refusal> {
    const ACTION: Action = Action::EmergencyRotateDataset;
    if let Some(prior) = prior(idempotency)? {
        return Ok(replay(ACTION, repeated(prior)?));
    }
    let mark = Compromise {
        reason: reason.clone(),
        at: moment.now,
        principal: authorised.principal().clone(),
    };
    let rotation = Rotation::new(view, authorised, Purpose::Emergency(mark))?;
    rotation.decide(moment, ACTION, reason.as_str(), idempotency)
}

/// Makes a new ACTIVE version because the schedule says so, and moves the schedule on along its grid: after
/// downtime too this is one rotation.
///
/// # Errors
/// VERSION_STATE when none is due; QUARANTINED, INTERNAL.
pub fn scheduled_rotation(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::ScheduledRotation>,
) -> Result<Decision<Changed>, Refusal> {
    let rotation = Rotation::new(view, authorised, Purpose::Schedule)?;
    let record = &rotation.dataset.record;
    let period = record.policy.rotation_period;
    if !rotation::is_due(record.next_rotation_at, moment.now, period) {
        return Err(Reason::VersionState.into());
    }
    rotation.decide(moment, Action::ScheduledRotation, "", None)
}

/// The write of a new ACTIVE version, its key from `material`.
pub(super) fn new_version(
    key_id: KeyId,
    number: VersionNumber,
    now: Timestamp,
    material: &mut Material,
) -> Result<Write, Reason> {
    let record = VersionRecord {
        key_id,
        number,
        state: next(VersionState::PreActive, Event::Activate, now)?,
        compromised: None,
        created_at: now,
        key: Some(VersionKey::take_bytes(material.take::<KEY>()?)),
    };
    Ok(Write {
        key: RecordKey::version(key_id, number),
        expect: Expect::Absent,
        record: Some(Record::Version(record)),
    })
}

enum Purpose {
    ByHand,
    Emergency(Compromise),
    Schedule,
}

struct Rotation<'v> {
    dataset: &'v Dataset,
    purpose: Purpose,
}

impl<'v> Rotation<'v> {
    fn new<A: ActionKind>(
        view: &View<'v>,
        authorised: &Authorised<A>,
        purpose: Purpose,
    ) -> Result<Self, Reason> {
        let dataset = usable(view, authorised.dataset())?;
        Ok(Self { dataset, purpose })
    }

    fn decide(
        self,
        moment: &Moment<'_>,
        action: Action,
        note: &str,
        idempotency: Option<&Idempotency>,
    ) -> Result<Decision<Changed>, Refusal> {
        let old = &self.dataset.record;
        let number = old.next_version;
        let mut record = (**old).clone();
        record.next_version = number.next().ok_or(Reason::VersionState)?;
        if matches!(self.purpose, Purpose::Schedule) {
            let period = old.policy.rotation_period;
            record.next_rotation_at =
                rotation::next_after(old.next_rotation_at, moment.now, period);
        }
        let mut material = Material::draw(moment.keys, KEY).map_err(Reason::from)?;
        let mut writes = vec![
            write(self.dataset, record),
            new_version(old.key_id, number, moment.now, &mut material)?,
        ];
        let mut marked = Vec::new();
        for version in self.dataset.versions.values() {
            if let Some((write, marks)) = self.older(version, moment.now)? {
                writes.push(write);
                marked.extend(marks.then_some(version.record.number));
            }
        }
        let changed = Changed {
            key_id: old.key_id,
            version: Some(number),
            marked,
            repeated: false,
        };
        writes.extend(remember(idempotency, Some(&changed), moment.now));
        Ok(decided(action, changed, note, writes))
    }

    /// What the rotation does to an older version, and whether it marks it; `None` for nothing.
    fn older(&self, version: &Version, now: Timestamp) -> Result<Option<(Write, bool)>, Reason> {
        let record = &version.record;
        if matches!(record.state, VersionState::Destroyed { .. }) {
            return Ok(None);
        }
        let state = if record.state == VersionState::Active {
            next(record.state, Event::Supersede, now)?
        } else {
            record.state
        };
        let mark = match &self.purpose {
            Purpose::Emergency(mark) if record.compromised.is_none() => Some(mark.clone()),
            Purpose::Emergency(_) | Purpose::ByHand | Purpose::Schedule => None,
        };
        if state == record.state && mark.is_none() {
            return Ok(None);
        }
        let marks = mark.is_some();
        Ok(Some((rewritten(version, state, mark), marks)))
    }
}
