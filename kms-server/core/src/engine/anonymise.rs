//! Anonymising the audit log: destroying a month's key closes every personal group of that month, wherever copies of
//! the log lie, and changes no leaf. Never before its time, and never while the clock is in doubt.

use super::Refusal;
use super::view::{Change, Decision, Moment, View};
use crate::audit::leaf::Month;
use crate::audit::{Detail, Facts, Outcome};
use crate::key::record::{Expect, Record, RecordKey, Revision, TimeMark, Write};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::time::Timestamp;

/// A month's personal groups stay open for so many whole months after it.
pub const KEPT_MONTHS: u16 = 6;

/// Whether the key of `month` falls due: by wall clock and time mark both, with timers running.
#[must_use]
pub fn is_due(month: Month, now: Timestamp, mark: TimeMark) -> bool {
    let reached = Month::of(now.min(mark.high_water));
    let past = reached.number().saturating_sub(month.number());
    !mark.paused && past > KEPT_MONTHS
}

/// Destroys the key of `month`, whose record has that revision; a tombstone stays in its place.
///
/// # Errors
/// TIMERS_PAUSED when it is not due, or the clock is in doubt.
pub fn anonymise(
    view: &View<'_>,
    moment: &Moment<'_>,
    _authorised: &Authorised<act::DueAnonymisation>,
    month: Month,
    revision: Revision,
) -> Result<Decision<()>, Refusal> {
    if !is_due(month, moment.now, view.time_mark) {
        return Err(Reason::TimersPaused.into());
    }
    let mut detail = Detail::new(Outcome::Ok);
    detail.note = month.to_string().into();
    Ok(Decision {
        reply: (),
        facts: Facts::single(Action::DueAnonymisation, detail),
        change: Some(Change {
            writes: vec![Write {
                key: RecordKey::audit_key(&month.to_string()),
                expect: Expect::Unchanged(revision),
                record: Some(Record::AuditTombstone(moment.now)),
            }],
            restricts: false,
        }),
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
            is_due(month, at(now), TimeMark { high_water, paused })
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
}
