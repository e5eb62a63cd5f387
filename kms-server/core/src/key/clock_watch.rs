//! Is the wall clock to be trusted with what cannot be undone? Judges it against monotonic time and the
//! durable time mark. Never reads a clock, and never lets a paused timer run on: only an operator does.

use super::record::TimeMark;
use crate::time::Timestamp;
use std::time::Duration;

/// Wall time may part from monotonic time by this much, added up since the watch began.
pub const STEP_MAX: Duration = Duration::from_hours(1);
/// A start this long after the mark pauses.
pub const ABSENCE_MAX: Duration = Duration::from_hours(48);
/// The mark is written again when wall time has moved on by this much.
pub const MARK_EVERY: Duration = Duration::from_mins(10);

/// Why irreversible timers wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Wall time jumped.
    Stepped,
    /// The daemon started long after the mark.
    Absent,
    /// The clock stands before the mark.
    FellBack,
    /// The clock is not synchronised.
    Unsynchronised,
    /// The mark may be an older one.
    Altered,
}

impl Doubt {
    /// In words, for status and log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stepped => "wall time stepped by more than 1 h against monotonic time",
            Self::Absent => "started more than 48 h after the last time mark",
            Self::FellBack => "wall time is more than 1 h before the time mark",
            Self::Unsynchronised => "the clock is not synchronised",
            Self::Altered => "stored records of the service's own were removed or put back",
        }
    }
}

/// What is to be done with the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing.
    Keep,
    /// Write this one; timers run.
    Advance(TimeMark),
    /// Write this one; timers wait from now on.
    Pause(TimeMark, Doubt),
}

/// A point at which both clocks were read together.
#[derive(Debug, Clone, Copy)]
pub struct ClockWatch {
    wall: Timestamp,
    monotonic: Duration,
}

impl ClockWatch {
    /// Begins, at start and whenever an operator confirms the clock.
    #[must_use]
    pub const fn begin(wall: Timestamp, monotonic: Duration) -> Self {
        Self { wall, monotonic }
    }

    /// Judges at start: against the mark alone. Without a mark (a new store) the clock is taken as it is.
    #[must_use]
    pub fn judge_start(
        mark: Option<TimeMark>,
        now: Timestamp,
        synchronised: Option<bool>,
    ) -> Judgement {
        let Some(mark) = mark else {
            return Judgement::Advance(TimeMark {
                high_water: now,
                paused: false,
            });
        };
        let doubt = if synchronised == Some(false) {
            Some(Doubt::Unsynchronised)
        } else if now.since(mark.high_water) > ABSENCE_MAX {
            Some(Doubt::Absent)
        } else if mark.high_water.since(now) > STEP_MAX {
            Some(Doubt::FellBack)
        } else {
            None
        };
        decide(mark, now, doubt)
    }

    /// Judges while running: `synchronised` is `None` where nothing says it.
    #[must_use]
    pub fn judge(
        &self,
        mark: TimeMark,
        now: Timestamp,
        monotonic: Duration,
        synchronised: Option<bool>,
    ) -> Judgement {
        let passed = monotonic.saturating_sub(self.monotonic);
        let expected = self.wall.saturating_add(passed);
        let apart = now.since(expected).max(expected.since(now));
        let doubt = if synchronised == Some(false) {
            Some(Doubt::Unsynchronised)
        } else if apart > STEP_MAX {
            Some(Doubt::Stepped)
        } else {
            None
        };
        decide(mark, now, doubt)
    }
}

/// The mark never moves while timers wait, nor in the moment that makes them wait.
fn decide(mark: TimeMark, now: Timestamp, doubt: Option<Doubt>) -> Judgement {
    match doubt {
        _ if mark.paused => Judgement::Keep,
        Some(doubt) => Judgement::Pause(
            TimeMark {
                paused: true,
                ..mark
            },
            doubt,
        ),
        None if now.since(mark.high_water) >= MARK_EVERY => Judgement::Advance(TimeMark {
            high_water: now,
            paused: false,
        }),
        None => Judgement::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const SECOND: Duration = Duration::from_secs(1);
    const YEARS: Duration = Duration::from_hours(24 * 3_650);

    fn start() -> Timestamp {
        Timestamp::from_micros(1_795_392_000_000_000)
    }

    fn mark(paused: bool) -> TimeMark {
        TimeMark {
            high_water: start(),
            paused,
        }
    }

    fn doubt(judgement: Judgement) -> Option<Doubt> {
        match judgement {
            Judgement::Pause(kept, doubt) => {
                assert_eq!(kept, mark(true), "a pause never moves the mark");
                Some(doubt)
            }
            Judgement::Keep | Judgement::Advance(_) => None,
        }
    }

    #[test]
    fn ten_years_forward_pause_and_move_nothing() {
        let watch = ClockWatch::begin(start(), SECOND);
        let judged = watch.judge(mark(false), start().saturating_add(YEARS), SECOND * 2, None);
        assert_eq!(doubt(judged), Some(Doubt::Stepped));
        let at_start =
            ClockWatch::judge_start(Some(mark(false)), start().saturating_add(YEARS), None);
        assert_eq!(doubt(at_start), Some(Doubt::Absent));
    }

    #[test]
    fn small_steps_add_up() {
        let watch = ClockWatch::begin(start(), Duration::ZERO);
        let at = |minutes: u64, step: u64| {
            let passed = Duration::from_mins(minutes);
            let now = start().saturating_add(passed + Duration::from_mins(step));
            watch.judge(mark(false), now, passed, None)
        };
        assert_eq!(doubt(at(10, 59)), None);
        assert_eq!(doubt(at(20, 60)), None);
        assert_eq!(doubt(at(30, 61)), Some(Doubt::Stepped));
        let back = start().saturating_sub(HOUR + SECOND);
        let judged = watch.judge(mark(false), back, Duration::ZERO, None);
        assert_eq!(doubt(judged), Some(Doubt::Stepped));
    }

    #[test]
    fn an_unsynchronised_clock_pauses_and_an_unknown_one_does_not() {
        let watch = ClockWatch::begin(start(), SECOND);
        let judged = |synchronised| watch.judge(mark(false), start(), SECOND, synchronised);
        assert_eq!(doubt(judged(Some(false))), Some(Doubt::Unsynchronised));
        assert_eq!(doubt(judged(Some(true))), None);
        assert_eq!(doubt(judged(None)), None);
        let at_start = ClockWatch::judge_start(Some(mark(false)), start(), Some(false));
        assert_eq!(doubt(at_start), Some(Doubt::Unsynchronised));
    }

    #[test]
    fn a_start_within_two_days_goes_on_and_a_clock_behind_the_mark_does_not() {
        let judged = |now| ClockWatch::judge_start(Some(mark(false)), now, None);
        let soon = start().saturating_add(ABSENCE_MAX);
        assert_eq!(
            judged(soon),
            Judgement::Advance(TimeMark {
                high_water: soon,
                paused: false
            })
        );
        assert_eq!(
            doubt(judged(soon.saturating_add(SECOND))),
            Some(Doubt::Absent)
        );
        assert_eq!(judged(start().saturating_sub(HOUR)), Judgement::Keep);
        let behind = start().saturating_sub(HOUR + SECOND);
        assert_eq!(doubt(judged(behind)), Some(Doubt::FellBack));
    }

    #[test]
    fn a_pause_ends_by_no_lapse_of_time() {
        let watch = ClockWatch::begin(start(), Duration::ZERO);
        for hours in [0, 1, 47, 10_000] {
            let passed = HOUR * hours;
            let now = start().saturating_add(passed);
            let judged = watch.judge(mark(true), now, passed, Some(true));
            assert_eq!(judged, Judgement::Keep);
            let at_start = ClockWatch::judge_start(Some(mark(true)), now, Some(true));
            assert_eq!(at_start, Judgement::Keep);
        }
    }

    #[test]
    fn the_mark_follows_and_never_goes_back() {
        let watch = ClockWatch::begin(start(), Duration::ZERO);
        let judged = |passed: Duration| {
            watch.judge(
                mark(false),
                start().saturating_add(passed),
                passed,
                Some(true),
            )
        };
        assert_eq!(judged(MARK_EVERY - SECOND), Judgement::Keep);
        let now = start().saturating_add(MARK_EVERY);
        assert_eq!(
            judged(MARK_EVERY),
            Judgement::Advance(TimeMark {
                high_water: now,
                paused: false
            })
        );
        let back = start().saturating_sub(HOUR);
        assert_eq!(
            watch.judge(mark(false), back, Duration::ZERO, None),
            Judgement::Keep
        );
    }
}
