//! When the schedule rotates: arithmetic on one grid per dataset, never a clock and never a rotation itself.
//!
//! The grid is `created_at + jitter + k x period`. A manual rotation leaves it alone; catching up after
//! downtime is one rotation, after which the next point of the same grid lies ahead.

use crate::name::KeyId;
use crate::time::{DAY, Timestamp};
use std::time::Duration;

/// Shortest period.
pub const PERIOD_MIN: Duration = DAY;
/// Longest period.
pub const PERIOD_MAX: Duration = Duration::from_hours(3_650 * 24);
/// Period of datasets that name none.
pub const PERIOD_DEFAULT: Duration = Duration::from_hours(90 * 24);
/// No jitter is longer.
pub const JITTER_MAX: Duration = Duration::from_hours(12);

/// How far this dataset's grid is shifted, so that datasets made together do not rotate together: by key
/// id, evenly over 1/24 of the period, at most 12 h.
#[must_use]
pub fn jitter(key_id: KeyId, period: Duration) -> Duration {
    let span = (period / 24).min(JITTER_MAX).as_micros();
    let [a, b, c, d, e, f, g, h, ..] = key_id.0;
    let fraction = u128::from(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
    // below 2^36 x 2^64; key ids are random, so their first bytes are as good as a hash
    Duration::from_micros(u64::try_from((span * fraction) >> 64).unwrap_or(0))
}

/// First point of the grid after the dataset's creation.
#[must_use]
pub fn first(key_id: KeyId, created_at: Timestamp, period: Duration) -> Timestamp {
    created_at
        .saturating_add(period)
        .saturating_add(jitter(key_id, period))
}

/// Is a rotation due? Also when `next` lies further ahead than any schedule puts it: then the clock was
/// wrong when it was set, and waiting for it would mean not to rotate for years.
#[must_use]
pub fn is_due(next: Timestamp, now: Timestamp, period: Duration) -> bool {
    now >= next || next.since(now) > period.saturating_add(DAY)
}

/// The point of the grid through `due` that lies after `now` by at most one period.
#[must_use]
pub fn next_after(due: Timestamp, now: Timestamp, period: Duration) -> Timestamp {
    let step = i64::try_from(period.as_micros()).unwrap_or(i64::MAX).max(1);
    let past = i128::from(now.as_micros()) - i128::from(due.as_micros());
    let ahead = i128::from(step) - past.rem_euclid(i128::from(step));
    now.saturating_add(Duration::from_micros(u64::try_from(ahead).unwrap_or(0)))
}

/// The next point when the period changes from `old` to `new`: one new period after the last point of the
/// old grid; where that is past already, at most one jitter from now.
#[must_use]
pub fn rescheduled(
    key_id: KeyId,
    next: Timestamp,
    old: Duration,
    new: Duration,
    now: Timestamp,
) -> Timestamp {
    let last = next
        .saturating_sub(jitter(key_id, old))
        .saturating_sub(old)
        .min(now);
    let shift = jitter(key_id, new);
    let next = last.saturating_add(new).saturating_add(shift);
    next.max(now.saturating_add(shift))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(hours: u64) -> Timestamp {
        Timestamp::default().saturating_add(Duration::from_hours(hours))
    }

    #[test]
    fn after_a_year_of_downtime_one_rotation_leads_back_to_the_grid() {
        let (period, due) = (Duration::from_hours(24), at(24));
        let now = at(24 * 365 + 7);
        assert!(is_due(due, now, period));
        let next = next_after(due, now, period);
        assert_eq!(next, at(24 * 366));
        assert!(!is_due(next, now, period));
    }

    #[test]
    fn a_schedule_set_by_a_wrong_clock_heals() {
        let (period, due) = (PERIOD_DEFAULT, at(24 * 90));
        let set_in_ten_years = next_after(due, at(24 * 3_650), period);
        let now = at(24 * 100);
        assert!(is_due(set_in_ten_years, now, period));
        assert_eq!(next_after(set_in_ten_years, now, period), at(24 * 180));
    }

    #[test]
    fn jitter_spreads_over_its_bound() {
        let id = |byte| KeyId([byte; 16]);
        assert_eq!(jitter(id(0), PERIOD_DEFAULT), Duration::ZERO);
        let most = jitter(id(0xff), PERIOD_DEFAULT);
        assert!(most < JITTER_MAX && most > JITTER_MAX - Duration::from_secs(1));
        assert!(jitter(id(0xff), DAY) < Duration::from_hours(1));
        assert_ne!(jitter(id(1), PERIOD_DEFAULT), jitter(id(2), PERIOD_DEFAULT));
    }

    #[test]
    fn a_shorter_period_is_due_soon_and_a_longer_one_later() {
        let id = KeyId([0; 16]);
        let next = first(id, at(0), PERIOD_DEFAULT);
        let (week, now) = (Duration::from_hours(7 * 24), at(50 * 24));
        assert_eq!(rescheduled(id, next, PERIOD_DEFAULT, week, now), now);
        let year = Duration::from_hours(365 * 24);
        assert_eq!(
            rescheduled(id, next, PERIOD_DEFAULT, year, now),
            at(365 * 24)
        );
    }

    proptest! {
        #[test]
        fn next_points_stay_on_the_grid_and_ahead(
            id in any::<[u8; 16]>(),
            created in 0_i64..4_000_000_000_000_000,
            days in 1_u64..=3_650,
            later in 0_u64..400_000,
        ) {
            let (id, created, period) = (KeyId(id), Timestamp::from_micros(created), DAY * days as u32);
            let due = first(id, created, period);
            let now = created.saturating_add(Duration::from_hours(later));
            let next = next_after(due, now, period);
            prop_assert!(next > now);
            prop_assert!(next.since(now) <= period);
            let apart = (next.as_micros() - due.as_micros()).rem_euclid(period.as_micros() as i64);
            prop_assert_eq!(apart, 0);
            prop_assert!(jitter(id, period) <= (period / 24).min(JITTER_MAX));
            prop_assert!(!is_due(next, now, period));
            prop_assert!(!is_due(due, created, period));
        }

        #[test]
        fn a_changed_period_is_never_a_storm_nor_a_silence(
            id in any::<[u8; 16]>(),
            old in 1_u32..=3_650,
            new in 1_u32..=3_650,
            passed in 0_u32..4_000,
        ) {
            let (id, old, new) = (KeyId(id), DAY * old, DAY * new);
            let created = at(0);
            let now = created.saturating_add(DAY * passed);
            let due = first(id, created, old);
            let next = if now >= due { next_after(due, now, old) } else { due };
            let changed = rescheduled(id, next, old, new, now);
            prop_assert!(changed >= now);
            prop_assert!(changed.since(now) <= new + JITTER_MAX);
        }
    }
}
