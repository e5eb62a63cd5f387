//! Anonymising the audit log: destroying a month's key closes every personal group of that month, wherever copies of
//! the log lie, and changes no leaf. Never a month that is not over, never while the clock is in doubt.

use super::Refusal;
use super::view::{Change, Decision, Moment, View};
use crate::audit::leaf::Month;
use crate::audit::{Detail, Facts, Outcome};
use crate::key::record::{Expect, Record, RecordKey, TimeMark, Write};
use crate::policy::{ActionKind, Authorised, act};
use crate::reason::Reason;
use crate::time::Timestamp;

/// Most whole months that personal groups stay open after their own: who is promised six may hold them for fewer.
pub const KEPT_MONTHS_MAX: u16 = 6;

/// Whether `kept` whole months have passed since `month`, by wall clock and time mark both, with timers running.
#[must_use]
pub fn is_due(month: Month, kept: u16, now: Timestamp, mark: TimeMark) -> bool {
    let reached = Month::of(now.min(mark.high_water));
    let past = reached.number().saturating_sub(month.number());
    !mark.paused && past > kept
}

/// Destroys the key of a month long past, `kept` whole months being what the configuration says.
///
/// # Errors
/// TIMERS_PAUSED when it is not due, or the clock is in doubt.
pub fn anonymise_due(
    view: &View<'_>,
    moment: &Moment<'_>,
    _authorised: &Authorised<act::DueAnonymisation>,
    month: Month,
    kept: u16,
) -> Result<Decision<Timestamp>, Refusal> {
    if !is_due(month, kept, moment.now, view.time_mark) {
        return Err(Reason::TimersPaused.into());
    }
    destroy::<act::DueAnonymisation>(view, moment, month)
}

/// Destroys the key of a month that is over; `held`: something still needs it. One that is destroyed is found done.
///
/// # Errors
/// ANONYMISATION_HELD; INVALID_ARGUMENT for a month that is not over, or never had a key; TIMERS_PAUSED while the
/// clock is in doubt.
pub fn anonymise(
    view: &View<'_>,
    moment: &Moment<'_>,
    _authorised: &Authorised<act::AnonymiseMonth>,
    month: Month,
    held: bool,
) -> Result<Decision<Timestamp>, Refusal> {
    if held {
        return Err(Reason::AnonymisationHeld.into());
    }
    if view.time_mark.paused {
        return Err(Reason::TimersPaused.into());
    }
    if !is_due(month, 0, moment.now, view.time_mark) {
        return Err(Refusal::field("month", "a month that is over"));
    }
    destroy::<act::AnonymiseMonth>(view, moment, month)
}

/// A tombstone takes the key's place: nothing makes another one for that month. Restricts, so that whoever is answered
/// knows that no call opens a value any more.
fn destroy<A: ActionKind>(
    view: &View<'_>,
    moment: &Moment<'_>,
    month: Month,
) -> Result<Decision<Timestamp>, Refusal> {
    let found = view.snapshot.months.get(month);
    let found = found.ok_or(Refusal::field("month", "one that had a key"))?;
    let mut detail = Detail::new(Outcome::Ok);
    detail.note = month.to_string().into();
    let change = found.anonymised_at.is_none().then(|| Change {
        writes: vec![Write {
            key: RecordKey::audit_key(&month.to_string()),
            expect: Expect::Unchanged(found.revision),
            record: Some(Record::AuditTombstone(moment.now)),
        }],
        restricts: true,
    });
    Ok(Decision {
        reply: found.anonymised_at.unwrap_or(moment.now),
        facts: Facts::single(A::ACTION, detail),
        change,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let month = Month::parse(text).unwrap();
        // the middle of it
        let days = (i64::from(month.number()) - 1) * 30_437 / 1_000 + 15;
        let time = Timestamp::from_micros(days * 86_400_000_000);
        assert_eq!(Month::of(time), month);
        time
    }

    #[test]
    fn a_month_falls_due_when_six_whole_ones_have_passed_by_both_clocks() {
        let month = Month::parse("2026-05").unwrap();
        let due = |now: &str, mark: &str, paused| {
            let high_water = at(mark);
            is_due(month, 6, at(now), TimeMark { high_water, paused })
        };
        assert!(!due("2026-05", "2026-05", false));
        assert!(!due("2026-11", "2026-11", false));
        assert!(due("2026-12", "2026-12", false));
        assert!(due("2030-01", "2030-01", false));
        // one clock alone, or one in doubt
        assert!(!due("2036-12", "2026-11", false));
        assert!(!due("2026-11", "2036-12", false));
        assert!(!due("2030-01", "2030-01", true));
        // an earlier clock
        assert!(!due("2020-01", "2020-01", false));
    }

    #[test]
    fn a_month_is_over_when_another_has_begun_by_both_clocks() {
        let month = Month::parse("2026-05").unwrap();
        let over = |now: &str, mark: &str| {
            let high_water = at(mark);
            let paused = false;
            is_due(month, 0, at(now), TimeMark { high_water, paused })
        };
        assert!(!over("2026-05", "2026-05"));
        assert!(!over("2026-06", "2026-05"));
        assert!(over("2026-06", "2026-06"));
    }
}
