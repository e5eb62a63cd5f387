//! Keeps the time mark and says whether what cannot be undone may happen: asks the probe, compares wall time
//! with monotonic time, pauses in doubt. Only an operator ends a pause.

use crate::call::{Lane, Service};
use crate::config::SynchronisedProbe;
use crate::live::Live;
use crate::live::alarms::CLOCK;
use crate::system::synchronised::is_synchronised;
use kms_core::engine::upkeep::{advance_mark, pause_timers};
use kms_core::engine::{Moment, View};
use kms_core::key::clock_watch::{ClockWatch, Doubt, Judgement};
use kms_core::key::record::{Revision, TimeMark};
use kms_core::policy::{Authorised, act};

/// Both clocks since the start or the last confirmation.
#[derive(Default)]
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
        let judged = self.judge(service, mark, revision, synchronised);
        self.was_paused = mark.paused;
        match judged {
            Judgement::Keep => {}
            Judgement::Advance(mark) => {
                if let Err(error) = service.housekeep(live, advance_mark(mark)).await {
                    tracing::warn!(%error, "the time mark was not stored");
                }
            }
            Judgement::Pause(mark, doubt) => {
                self.was_paused = true;
                pause(service, lane, live, mark, doubt).await;
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

    fn judge(
        &mut self,
        service: &Service,
        mark: TimeMark,
        revision: Revision,
        synchronised: Option<bool>,
    ) -> Judgement {
        let clock = service.clock();
        let (now, monotonic) = (clock.now(), clock.monotonic());
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

/// `None` where no probe is configured.
async fn ask(probe: Option<&SynchronisedProbe>) -> Option<bool> {
    let probe = probe?.clone();
    let asked = tokio::task::spawn_blocking(move || is_synchronised(Some(&probe)));
    Some(asked.await.unwrap_or(false))
}

async fn pause(service: &Service, lane: &Lane, live: &Live, mark: TimeMark, doubt: Doubt) {
    tracing::error!(
        reason = doubt.as_str(),
        "irreversible timers wait: confirm the clock"
    );
    let text = format!("irreversible timers wait: {}", doubt.as_str());
    live.alarms.raise(CLOCK, &text);
    let decide = |_: &View<'_>, _: &Moment<'_>, proof: &Authorised<act::MarkTime>| {
        Ok(pause_timers(proof, mark, doubt))
    };
    if let Err(refusal) = service.internal(lane, None, &[], decide).await {
        super::failed(live, "pausing timers", &refusal);
    }
}
