//! Background jobs under the daemon's own principal: they take the road of every call and read no clock but
//! the injected one. Never run while sealed, and destroy nothing while the clock is in doubt.

mod anchors;
mod anonymise;
mod destruction;
mod forward;
mod log_key;
mod month;
mod request;
mod rotation;
mod scrub;
mod time;
mod trust;
mod usage;

use crate::call::{Lane, Service};
use crate::config::SynchronisedProbe;
use crate::live::Live;
use kms_core::engine::Refusal;
use kms_core::reason::Kind;
use std::time::Duration;
use time::TimeWatch;
use tokio::sync::watch;

/// From the end of one pass to the beginning of the next.
pub const PASS_EVERY: Duration = Duration::from_mins(1);

/// Runs all jobs, for ever. `probe` says whether the wall clock is synchronised; `passes` counts.
pub async fn run(
    service: &Service,
    lane: &Lane,
    probe: Option<SynchronisedProbe>,
    passes: &watch::Sender<u64>,
) {
    let mut sealed = service.gate().sealed();
    // an error says that the gate is gone, and with it everything to be done
    while sealed.wait_for(|sealed| !sealed).await.is_ok() {
        let work = async {
            tokio::join!(
                regularly(service, lane, probe.as_ref(), passes),
                scrub::run(service, lane),
                forward::run(service, lane),
            )
        };
        tokio::select! {
            _ = work => {}
            // what is under way is dropped, and with it every key; a change that was handed in goes on
            _ = sealed.wait_for(|sealed| *sealed) => {}
        }
    }
}

async fn regularly(
    service: &Service,
    lane: &Lane,
    probe: Option<&SynchronisedProbe>,
    passes: &watch::Sender<u64>,
) {
    let mut watch = TimeWatch::default();
    let mut usage = usage::Flush::new();
    let mut requests = request::Forgetting::default();
    loop {
        let Some(live) = service.gate().live() else {
            return;
        };
        let trusted = watch.pass(service, lane, &live, probe).await;
        trust::pass(service, lane, &live).await;
        log_key::pass(service, lane, &live).await;
        anchors::pass(service, lane, &live).await;
        month::pass(service, lane, &live).await;
        rotation::pass(service, lane, &live).await;
        if trusted {
            destruction::pass(service, lane, &live).await;
            anonymise::pass(service, lane, &live).await;
            requests.pass(service, &live).await;
        }
        usage.pass(service, &live).await;
        drop(live);
        let clock = service.clock();
        let next = clock.monotonic() + PASS_EVERY;
        // last: whoever hears of it may move the clock
        passes.send_modify(|passes| *passes += 1);
        clock.wait_until(next).await;
    }
}

/// Tells of a job's failure; `true` when others will fail in the same way now.
fn failed(live: &Live, job: &str, refusal: &Refusal) -> bool {
    tracing::error!(job, reason = refusal.reason.as_str(), "a job failed");
    live.alarms
        .raise(job, &format!("{job} failed: {}", refusal.reason));
    refusal.reason.kind() == Kind::Unavailable
}
