//! Life of one version: disabled, enabled, scheduled for destruction, restored, destroyed when due. Never
//! touches the ACTIVE one, and destroys nothing while irreversible timers are paused.

use super::Refusal;
use super::dataset::decided;
use super::snapshot::{Dataset, Version};
use super::view::{Changed, Decision, Moment, View};
use super::wrapping::usable;
use crate::key::record::{
    Compromise, Expect, Record, RecordKey, VersionRecord, VersionState, Write,
};
use crate::key::state::{Event, next};
use crate::name::{KeyId, VersionNumber};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::secret::VersionKey;
use crate::time::{DAY, Timestamp};
use std::time::Duration;

/// Shortest waiting time of a scheduled destruction.
pub const WAITING_MIN: Duration = Duration::from_hours(7 * 24);
/// Longest one.
pub const WAITING_MAX: Duration = Duration::from_hours(90 * 24);
/// The one of calls that name none.
pub const WAITING_DEFAULT: Duration = Duration::from_hours(30 * 24);

/// Refuses every use of a version from the answer on. One that is disabled already stays so.
///
/// # Errors
/// VERSION_STATE (ACTIVE: rotate first; or scheduled), VERSION_DESTROYED, DENIED (no such version),
/// QUARANTINED.
pub fn disable_version(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::DisableVersion>,
    number: VersionNumber,
) -> Result<Decision<Changed>, Refusal> {
    let target = Target::find(view, authorised.dataset(), number)?;
    target.decide(Action::DisableVersion, Event::Disable, moment.now, true)
}

/// Lets a disabled version decrypt again.
///
/// # Errors
/// As [`disable_version`].
pub fn enable_version(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::EnableVersion>,
    number: VersionNumber,
) -> Result<Decision<Changed>, Refusal> {
    let target = Target::find(view, authorised.dataset(), number)?;
    target.decide(Action::EnableVersion, Event::Enable, moment.now, false)
}

/// Refuses every use of a version from the answer on and destroys it after `waiting`, counted from the
/// later of now and the time mark: a clock that fell back does not shorten it.
///
/// # Errors
/// DELETION_PROTECTED; INVALID_ARGUMENT (7 to 90 days); VERSION_STATE (ACTIVE, or scheduled already);
/// VERSION_DESTROYED, DENIED, QUARANTINED.
pub fn schedule_destruction(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::ScheduleVersionDestruction>,
    number: VersionNumber,
    waiting: Duration,
) -> Result<Decision<Changed>, Refusal> {
    let target = Target::find(view, authorised.dataset(), number)?;
    if target.dataset.record.deletion_protection {
        return Err(Reason::DeletionProtected.into());
    }
    if !(WAITING_MIN..=WAITING_MAX).contains(&waiting) {
        return Err(Refusal::field("waiting_time", "7 to 90 days"));
    }
    let from = moment.now.max(view.time_mark.high_water);
    let event = Event::ScheduleDestruction { waiting };
    target.decide(Action::ScheduleVersionDestruction, event, from, true)
}

/// Cancels a scheduled destruction; the version is then DISABLED.
///
/// # Errors
/// VERSION_STATE (not scheduled), VERSION_DESTROYED, DENIED, QUARANTINED.
pub fn restore_version(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::RestoreVersion>,
    number: VersionNumber,
) -> Result<Decision<Changed>, Refusal> {
    let target = Target::find(view, authorised.dataset(), number)?;
    target.decide(Action::RestoreVersion, Event::Restore, moment.now, false)
}

/// Destroys a version whose waiting time is over: its key is dropped, a tombstone stays.
///
/// # Errors
/// TIMERS_PAUSED; DELETION_PROTECTED (protection was turned on again meanwhile: that holds it);
/// VERSION_STATE (not scheduled, or not due by both wall clock and time mark); VERSION_DESTROYED.
pub fn due_destruction(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::DueDestruction>,
    number: VersionNumber,
) -> Result<Decision<Changed>, Refusal> {
    let target = Target::find(view, authorised.dataset(), number)?;
    if view.time_mark.paused {
        return Err(Reason::TimersPaused.into());
    }
    if target.dataset.record.deletion_protection {
        return Err(Reason::DeletionProtected.into());
    }
    let known = moment.now.min(view.time_mark.high_water);
    target.decide(Action::DueDestruction, Event::FallDue, known, true)
}

struct Target<'v> {
    dataset: &'v Dataset,
    version: &'v Version,
}

impl<'v> Target<'v> {
    fn find(
        view: &View<'v>,
        dataset: Option<KeyId>,
        number: VersionNumber,
    ) -> Result<Self, Reason> {
        let dataset = usable(view, dataset)?;
        // a missing version looks like a forbidden one
        let version = dataset.versions.get(&number).ok_or(Reason::Denied)?;
        Ok(Self { dataset, version })
    }

    fn decide(
        self,
        action: Action,
        event: Event,
        now: Timestamp,
        restricts: bool,
    ) -> Result<Decision<Changed>, Refusal> {
        let old = &self.version.record;
        let state = next(old.state, event, now)?;
        let changed = Changed {
            key_id: old.key_id,
            version: Some(old.number),
            marked: Vec::new(),
            repeated: false,
        };
        let (note, writes) = if state == old.state {
            ("nothing to change".to_owned(), Vec::new())
        } else {
            (note(state, now), vec![rewritten(self.version, state, None)])
        };
        let mut decision = decided(action, changed, &note, writes);
        if let Some(change) = &mut decision.change {
            change.restricts = restricts;
        }
        Ok(decision)
    }
}

fn note(state: VersionState, now: Timestamp) -> String {
    match state {
        VersionState::DestroyScheduled { at } => {
            let days = at.since(now).as_secs() / DAY.as_secs();
            format!("destruction in {days} days")
        }
        VersionState::PreActive
        | VersionState::Active
        | VersionState::DecryptOnly
        | VersionState::Disabled
        | VersionState::Destroyed { .. } => String::new(),
    }
}

/// The version's record in another state, with its mark or else `mark`; a destroyed one without its key.
pub(super) fn rewritten(version: &Version, state: VersionState, mark: Option<Compromise>) -> Write {
    let old = &version.record;
    let key = match state {
        VersionState::Destroyed { .. } => None,
        VersionState::PreActive
        | VersionState::Active
        | VersionState::DecryptOnly
        | VersionState::Disabled
        | VersionState::DestroyScheduled { .. } => old
            .key
            .as_ref()
            .and_then(|key| VersionKey::from_slice(key.expose_bytes())),
    };
    let record = VersionRecord {
        key_id: old.key_id,
        number: old.number,
        state,
        compromised: old.compromised.clone().or(mark),
        created_at: old.created_at,
        key,
    };
    Write {
        key: RecordKey::version(old.key_id, old.number),
        expect: Expect::Unchanged(version.revision),
        record: Some(Record::Version(record)),
    }
}
