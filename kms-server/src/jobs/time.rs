//! Keeps the time mark and says whether what cannot be undone may happen: asks the probe, compares wall time
//! with monotonic time, pauses in doubt. Only an operator ends a pause.

use crate::call::{Lane, Service};
use crate::config::SynchronisedProbe;
use crate::live::Live;
use crate::live::alarms::CLOCK;
use crate::system::synchronised::is_synchronised;
use kms_core::engine::upkeep::{advance_mark, pause_timers};
use kms_core::engine::{Moment, View};
use kms_core::format::place::Tree;
use kms_core::format::root::Shard;
use kms_core::key::clock_watch::{ClockWatch, Doubt, Judgement};
use kms_core::key::record::{Revision, TimeMark};
use kms_core::policy::{Authorised, act};
use kms_core::time::Timestamp;
use std::time::Duration;

/// Both clocks since the start or the last confirmation.
#[derive(Default, Clone, Copy)]
pub(super) struct TimeWatch {
    since: Option<ClockWatch>,
    was_paused: bool,
}

impl TimeWatch {
    /// `false` when irreversible timers must wait.
    pub(super) async fn pass(
        &mut self,
        service: &Service,
        lane: &Lane,
        live: &Live,
        probe: Option<&SynchronisedProbe>,
    ) -> bool {
        let synchronised = ask(probe).await;
        let (mark, revision) = live.state.time_mark();
        let before = *self;
        let clock = service.clock();
        let clocks = (clock.now(), clock.monotonic());
        let judged = self.judge(clocks, mark, revision, synchronised);
        let judged = match judged {
            Judgement::Keep | Judgement::Advance(_)
                if before.since.is_none() && !mark.paused && is_altered(live) =>
            {
                Judgement::Pause(
                    TimeMark {
                        paused: true,
                        ..mark
                    },
                    Doubt::Altered,
                )
            }
            other => other,
        };
        self.was_paused = mark.paused;
        match judged {
            Judgement::Keep => {}
            Judgement::Advance(mark) => {
                if let Err(error) = service.housekeep(live, advance_mark(mark)).await {
                    tracing::warn!(%error, "the time mark was not stored");
                }
            }
            Judgement::Pause(mark, doubt) => {
                let stored = pause(service, lane, live, mark, doubt).await;
                self.paused(before, stored);
                return false;
            }
        }
        if mark.paused {
            if live.alarms.get(CLOCK).is_none() {
                live.alarms.raise(
                    CLOCK,
                    "irreversible timers wait since before the last unsealing; the audit log says why",
                );
            }
        } else {
            live.alarms.clear(CLOCK);
        }
        !mark.paused
    }

    /// After a pause. One that was not stored must not look confirmed to the next pass, which judges the same clocks
    /// again.
    const fn paused(&mut self, before: Self, stored: bool) {
        if stored {
            self.was_paused = true;
        } else {
            *self = before;
        }
    }

    fn judge(
        &mut self,
        (now, monotonic): (Timestamp, Duration),
        mark: TimeMark,
        revision: Revision,
        synchronised: Option<bool>,
    ) -> Judgement {
        let confirmed = self.was_paused && !mark.paused;
        match self.since {
            Some(since) if !confirmed => since.judge(mark, now, monotonic, synchronised),
            before => {
                let since = ClockWatch::begin(now, monotonic);
                self.since = Some(since);
                if before.is_some() {
                    return since.judge(mark, now, monotonic, synchronised);
                }
                let stored = (revision != Revision::default()).then_some(mark);
                ClockWatch::judge_start(stored, now, synchronised)
            }
        }
    }
}

/// Whether the mark that was found at unseal may be an older one, or another's.
fn is_altered(live: &Live) -> bool {
    let of_mark = |(tree, _): &(Tree, Shard)| *tree == Tree::System;
    live.altered.iter().any(of_mark)
}

/// `None` where no probe is configured.
async fn ask(probe: Option<&SynchronisedProbe>) -> Option<bool> {
    let probe = probe?.clone();
    let asked = tokio::task::spawn_blocking(move || is_synchronised(Some(&probe)));
    Some(asked.await.unwrap_or(false))
}

/// Whether it was stored.
async fn pause(service: &Service, lane: &Lane, live: &Live, mark: TimeMark, doubt: Doubt) -> bool {
    tracing::error!(
        reason = doubt.as_str(),
        "irreversible timers wait: confirm the clock"
    );
    let text = format!("irreversible timers wait: {}", doubt.as_str());
    live.alarms.raise(CLOCK, &text);
    let decide = |_: &View<'_>, _: &Moment<'_>, proof: &Authorised<act::MarkTime>| {
        Ok(pause_timers(proof, mark, doubt))
    };
    let paused = service.internal(lane, None, &[], decide).await;
    if let Err(refusal) = &paused {
        super::failed(live, "pausing timers", refusal);
    }
    paused.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_that_was_not_stored_is_no_confirmation() {
        let begin = Timestamp::from_micros(1_795_478_400_000_000);
        let mark = TimeMark {
            high_water: begin,
            paused: false,
        };
        let mut watch = TimeWatch::default();
        let pass = |watch: &mut TimeWatch, wall: Timestamp, monotonic: u64, stored: bool| {
            let before = *watch;
            let clocks = (wall, Duration::from_secs(monotonic));
            let judged = watch.judge(clocks, mark, Revision(1), None);
            watch.was_paused = mark.paused;
            let pauses = matches!(judged, Judgement::Pause(..));
            if pauses {
                watch.paused(before, stored);
            }
            pauses
        };
        assert!(!pass(&mut watch, begin, 0, true));
        let wrong = begin.saturating_add(kms_core::time::DAY * 3_650);
        for second in 1..4 {
            assert!(pass(&mut watch, wrong, second, false), "pass {second}");
        }
        // stored at last; a mark without a pause then is somebody's confirmation
        assert!(pass(&mut watch, wrong, 5, true));
        assert!(!pass(&mut watch, wrong, 6, true));

        // at a start long after the mark, too
        let mut watch = TimeWatch::default();
        for second in 0..3 {
            assert!(pass(&mut watch, wrong, second, false), "pass {second}");
        }
    }
}
