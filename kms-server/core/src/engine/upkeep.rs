//! What the daemon does on its own: the time mark, keys made ahead of time, forgotten request ids, usage.
//! Never destroys anything that is owed a tombstone.

use super::creation::{Creations, Judged, judge};
use super::idempotency::KEPT;
use super::material::Material;
use super::view::{Change, Decision, Moment, View};
use super::{Refusal, Snapshot};
use crate::audit::{Detail, Facts, Outcome};
use crate::key::clock_watch::Doubt;
use crate::key::record::{
    DatasetPolicy, Expect, Record, RecordKey, RequestRecord, Revision, TimeMark, UsageRecord, Write,
};
use crate::name::{
    AccountName, KeyId, RetentionClass, SecretId, SecretKind, ShredScope, VersionNumber,
};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::time::{DAY, Timestamp};
use std::collections::BTreeSet;

/// Secrets of the next month are made this long before it begins.
pub const AHEAD: std::time::Duration = std::time::Duration::from_hours(7 * 24);

/// The change that moves the time mark on; it needs no entry.
#[must_use]
pub fn advance_mark(mark: TimeMark) -> Change {
    mark_change(mark)
}

/// Lets irreversible timers wait, and says why in the log.
#[must_use]
pub fn pause_timers(
    _authorised: &Authorised<act::MarkTime>,
    mark: TimeMark,
    doubt: Doubt,
) -> Decision<TimeMark> {
    let mut detail = Detail::new(Outcome::Ok);
    detail.note = format!("irreversible timers wait: {}", doubt.as_str()).into();
    let mark = TimeMark {
        paused: true,
        ..mark
    };
    Decision {
        reply: mark,
        facts: Facts::single(Action::MarkTime, detail),
        change: Some(mark_change(mark)),
    }
}

/// Scopes of the period secrets that should stand at `now` for every dataset; see [`policy_scopes`].
#[must_use]
pub fn period_scopes(snapshot: &Snapshot, now: Timestamp) -> BTreeSet<ShredScope> {
    let datasets = snapshot.after(None);
    datasets
        .flat_map(|dataset| policy_scopes(&dataset.record.policy, now))
        .collect()
}

/// Scopes of the period secrets that should stand at `now` for one policy: of this month, and near its end of
/// the next, for each of its classes, if it demands a period.
#[must_use]
pub fn policy_scopes(policy: &DatasetPolicy, now: Timestamp) -> BTreeSet<ShredScope> {
    if !policy.required_secrets.contains(&SecretKind::Period) {
        return BTreeSet::new();
    }
    let months = months_ahead(now);
    let scope = |class: &RetentionClass, month: &str| {
        let nobody = AccountName::parse("").ok()?;
        ShredScope::new(SecretKind::Period, nobody, month, class.clone()).ok()
    };
    let of_class = |class| months.iter().filter_map(move |month| scope(class, month));
    policy.retention_classes.iter().flat_map(of_class).collect()
}

/// This month, and the next when it is near: `YYYY-MM`.
#[must_use]
pub fn months_ahead(now: Timestamp) -> BTreeSet<String> {
    [now, now.saturating_add(AHEAD)]
        .map(Timestamp::month_name)
        .into()
}

/// Makes the period secrets among `scopes` that there are none of. Blocked and destroyed ones are left alone.
///
/// # Errors
/// INTERNAL without randomness, or when a scope was not gathered.
pub fn create_period_secrets(
    view: &View<'_>,
    moment: &Moment<'_>,
    _authorised: &Authorised<act::CreatePeriodSecret>,
    scopes: &BTreeSet<ShredScope>,
) -> Result<Decision<Vec<SecretId>>, Refusal> {
    let mut creations = Creations::default();
    for scope in scopes {
        match judge(view, scope, true, None) {
            Ok(Judged::Create(fresh)) => {
                creations.add(scope, fresh);
            }
            Ok(Judged::Use(_)) => {}
            Err(refusal) if refusal.reason == Reason::SubjectErased => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let mut material =
        Material::draw(moment.keys, creations.material_len()).map_err(Reason::from)?;
    creations.fill(&mut material)?;
    let made = creations.ids();
    let mut detail = Detail::new(Outcome::Ok);
    detail.secrets.clone_from(&made);
    let writes = creations.into_writes(view.index, moment.now);
    Ok(Decision {
        reply: made,
        facts: Facts::single(Action::CreatePeriodSecret, detail),
        change: (!writes.is_empty()).then_some(Change {
            writes,
            restricts: false,
        }),
    })
}

/// Is the outcome of a request id old enough to be forgotten? Also one a day or more ahead of now: the
/// clock that wrote it was wrong.
#[must_use]
pub fn is_forgotten(record: &RequestRecord, now: Timestamp) -> bool {
    now.since(record.at) >= KEPT || record.at.since(now) >= DAY
}

/// The change that removes outcomes; it needs no entry.
#[must_use]
pub fn forget_requests(outcomes: impl IntoIterator<Item = (RecordKey, Revision)>) -> Change {
    let writes = outcomes.into_iter().map(|(key, revision)| Write {
        key,
        expect: Expect::Unchanged(revision),
        record: None,
    });
    Change {
        writes: writes.collect(),
        restricts: false,
    }
}

/// The change that stores usage counts; it needs no entry.
#[must_use]
pub fn store_usage(
    counts: impl IntoIterator<Item = (KeyId, VersionNumber, UsageRecord)>,
) -> Change {
    let writes = counts
        .into_iter()
        .map(|(key_id, number, usage)| Write {
            key: RecordKey::usage(key_id, number),
            // the flush alone writes these
            expect: Expect::Anything,
            record: Some(Record::Usage(usage)),
        })
        .collect();
    Change {
        writes,
        restricts: false,
    }
}

fn mark_change(mark: TimeMark) -> Change {
    Change {
        writes: vec![Write {
            key: RecordKey::time_mark(),
            // the newest word counts: the clock watch and the operator are its only writers
            expect: Expect::Anything,
            record: Some(Record::TimeMark(mark)),
        }],
        restricts: false,
    }
}
