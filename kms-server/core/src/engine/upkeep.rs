//! What the daemon does on its own: the time mark, keys made ahead of time, forgotten request ids, usage.
//! Never destroys anything that is owed a tombstone.

use super::creation::{Creations, Judged, judge};
use super::idempotency::KEPT;
use super::material::Material;
use super::view::{Change, Decision, Moment, View};
use super::{Refusal, Snapshot};
use crate::audit::{Detail, Facts, Outcome};
use crate::key::clock_watch::{CONFIRM_MAX, Doubt};
use crate::key::record::{
    Expect, Record, RecordKey, RequestRecord, Revision, TimeMark, UsageRecord, Write,
};
use crate::name::{
    AccountName, KeyId, RetentionClass, SecretId, SecretKind, ShredScope, VersionNumber,
};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::secret::AuditMonthKey;
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

/// Takes an operator's word that the clock is right: irreversible timers run again, from the daemon's now.
/// The road begins a new [`crate::key::clock_watch::ClockWatch`] once this is published.
///
/// # Errors
/// INVALID_ARGUMENT when `stated` is not within 5 minutes of the daemon's clock.
pub fn confirm_clock(
    moment: &Moment<'_>,
    _authorised: &Authorised<act::ConfirmClock>,
    stated: Timestamp,
) -> Result<Decision<TimeMark>, Refusal> {
    let apart = stated.since(moment.now).max(moment.now.since(stated));
    if apart > CONFIRM_MAX {
        return Err(Refusal::field(
            "now",
            "within 5 minutes of the daemon's clock",
        ));
    }
    let mark = TimeMark {
        high_water: moment.now,
        paused: false,
    };
    Ok(Decision {
        reply: mark,
        facts: Facts::single(Action::ConfirmClock, Detail::new(Outcome::Ok)),
        change: Some(mark_change(mark)),
    })
}

/// Scopes of the period secrets that should stand at `now`: of this month, and near its end of the next, for
/// every class of every dataset that demands a period.
#[must_use]
pub fn period_scopes(snapshot: &Snapshot, now: Timestamp) -> BTreeSet<ShredScope> {
    let mut classes: BTreeSet<&RetentionClass> = BTreeSet::new();
    for dataset in snapshot.after(None) {
        let policy = &dataset.record.policy;
        if policy.required_secrets.contains(&SecretKind::Period) {
            classes.extend(&policy.retention_classes);
        }
    }
    let months = months_ahead(now);
    let scope = |class: &RetentionClass, month: &str| {
        let nobody = AccountName::parse("").ok()?;
        ShredScope::new(SecretKind::Period, nobody, month, class.clone()).ok()
    };
    classes
        .into_iter()
        .flat_map(|class| months.iter().filter_map(move |month| scope(class, month)))
        .collect()
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
    let mut numbers = Vec::new();
    for scope in scopes {
        match judge(view, scope, true, None) {
            Ok(Judged::Create(fresh)) => numbers.push(creations.add(scope, fresh)),
            Ok(Judged::Use(_)) => {}
            Err(refusal) if refusal.reason == Reason::SubjectErased => {}
            Err(refusal) => return Err(refusal),
        }
    }
    let mut material =
        Material::draw(moment.keys, creations.material_len()).map_err(Reason::from)?;
    creations.fill(&mut material)?;
    let made = numbers
        .into_iter()
        .map(|number| creations.made(number).map(|(id, _)| id))
        .collect::<Result<Vec<_>, _>>()?;
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

/// Makes the audit key of a month (`YYYY-MM`) that has none; a conflict means that it has one by now.
///
/// # Errors
/// INTERNAL without randomness.
pub fn create_audit_key(
    moment: &Moment<'_>,
    _authorised: &Authorised<act::CreateAuditKey>,
    month: &str,
) -> Result<Decision<()>, Refusal> {
    let key = AuditMonthKey::make_random(moment.keys).map_err(Reason::from)?;
    let mut detail = Detail::new(Outcome::Ok);
    detail.note = month.into();
    Ok(Decision {
        reply: (),
        facts: Facts::single(Action::CreateAuditKey, detail),
        change: Some(Change {
            writes: vec![Write {
                key: RecordKey::audit_key(month),
                expect: Expect::Absent,
                record: Some(Record::AuditKey(key)),
            }],
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
