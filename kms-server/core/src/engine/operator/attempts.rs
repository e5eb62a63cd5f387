//! How often one may fail. Counted for an account and a certificate together, so that a stranger's certificate
//! locks nobody out but itself; names that do not exist are counted like those that do.

use crate::key::record::AttemptsRecord;
use crate::time::Timestamp;
use std::time::Duration;

/// Failures in a row that cost no waiting.
pub const FREE: u32 = 5;
/// From this failure on the wait no longer grows.
pub const STEADY: u32 = 10;
/// After this failure only another operator helps.
pub const STOP: u32 = 100;
/// The first wait; each further failure doubles it.
pub const DELAY_FIRST: Duration = Duration::from_secs(30);
/// The wait from failure [`STEADY`] on.
pub const DELAY_STEADY: Duration = Duration::from_mins(30);
/// A counter without a lock is forgotten after this long.
pub const KEPT: Duration = Duration::from_hours(24);

/// May one try now?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Yes.
    Open,
    /// Not before this long.
    Waiting(Duration),
    /// Not until another operator unlocks.
    Stopped,
}

/// The wait after so many failures in a row; `None`: for ever.
#[must_use]
pub const fn delay(failures: u32) -> Option<Duration> {
    match failures {
        0..FREE => Some(Duration::ZERO),
        FREE..STEADY => Some(DELAY_FIRST.saturating_mul(1 << (failures - FREE))),
        STEADY..STOP => Some(DELAY_STEADY),
        STOP.. => None,
    }
}

/// What the counter says now; what was counted before the last unlocking does not count.
#[must_use]
pub fn standing(attempts: Option<&AttemptsRecord>, unlocks: u32, now: Timestamp) -> Standing {
    let Some(attempts) = attempts.filter(|attempts| attempts.unlocks == unlocks) else {
        return Standing::Open;
    };
    match delay(attempts.failures) {
        None => Standing::Stopped,
        Some(delay) => match delay.saturating_sub(now.since(attempts.last_at)) {
            Duration::ZERO => Standing::Open,
            left => Standing::Waiting(left),
        },
    }
}

/// The counter after one more failure.
#[must_use]
pub fn failed(before: Option<&AttemptsRecord>, unlocks: u32, now: Timestamp) -> AttemptsRecord {
    let counted = before.filter(|attempts| attempts.unlocks == unlocks);
    AttemptsRecord {
        failures: counted
            .map_or(0, |attempts| attempts.failures)
            .saturating_add(1),
        last_at: now,
        unlocks,
    }
}

/// A counter that says nothing any more: old, and not at the hard stop.
#[must_use]
pub fn is_forgotten(attempts: &AttemptsRecord, now: Timestamp) -> bool {
    attempts.failures < STOP && now.since(attempts.last_at) >= KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_then_stay_then_never_end() {
        let seconds = |failures| delay(failures).map(|delay| delay.as_secs());
        let waits: Vec<_> = (0..=11).map(seconds).collect();
        let expected = [0, 0, 0, 0, 0, 30, 60, 120, 240, 480, 1_800, 1_800].map(Some);
        assert_eq!(waits, expected);
        assert_eq!((seconds(99), seconds(100)), (Some(1_800), None));
    }

    #[test]
    fn an_unlocking_makes_earlier_failures_not_count() {
        let now = Timestamp::from_micros(1_000_000);
        let mut record = None;
        for _ in 0..100 {
            record = Some(failed(record.as_ref(), 0, now));
        }
        let record = record.unwrap();
        let much_later = now.saturating_add(Duration::from_hours(24 * 365));
        assert_eq!(standing(Some(&record), 0, much_later), Standing::Stopped);
        assert_eq!(standing(Some(&record), 1, now), Standing::Open);
        assert_eq!(failed(Some(&record), 1, now).failures, 1);
        assert!(!is_forgotten(&record, much_later));
    }

    #[test]
    fn a_wait_ends_and_a_clock_put_back_does_not_end_it() {
        let now = Timestamp::from_micros(1_000_000_000);
        let record = AttemptsRecord {
            failures: 5,
            last_at: now,
            unlocks: 0,
        };
        let at = |seconds| now.saturating_add(Duration::from_secs(seconds));
        assert_eq!(
            standing(Some(&record), 0, at(29)),
            Standing::Waiting(Duration::from_secs(1))
        );
        assert_eq!(standing(Some(&record), 0, at(30)), Standing::Open);
        let back = now.saturating_sub(Duration::from_secs(900));
        assert_eq!(
            standing(Some(&record), 0, back),
            Standing::Waiting(DELAY_FIRST)
        );
    }
}
