//! Verifies, slice by slice, the records that are too many to verify at unseal. What does not add up, then or now, is named in
//! log and status; reading a damaged record is refused anyway. Never mends anything.

use crate::call::{Lane, Service};
use crate::live::Live;
use crate::store::scrub::Slice;
use kms_core::audit::{Detail, Outcome};
use kms_core::codec::hex;
use kms_core::engine::{Decision, Moment, View};
use kms_core::policy::{Action, Authorised, act};
use std::collections::HashSet;
use std::time::Duration;

/// Records of a slice: about 2 ms of the writer's time.
const SLICE: usize = 256;
/// Most findings that are logged between two unsealings.
const TOLD_MAX: usize = 10_000;
/// From slice to slice.
const SLICE_EVERY: Duration = Duration::from_secs(1);
/// From one whole pass to the next.
const PASS_EVERY: Duration = Duration::from_mins(10);

pub(super) async fn run(service: &Service, lane: &Lane) {
    let clock = service.clock();
    let mut told = HashSet::new();
    if let Some(live) = service.gate().live() {
        let at_unseal = Slice {
            shards: live.altered.clone(),
            ..Slice::default()
        };
        tell(service, lane, &live, &at_unseal, &mut told).await;
    }
    loop {
        let Some(live) = service.gate().live() else {
            return;
        };
        let pause = match live.writer().scrub(SLICE).await {
            Ok(slice) => {
                tell(service, lane, &live, &slice, &mut told).await;
                if slice.finished {
                    PASS_EVERY
                } else {
                    SLICE_EVERY
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the store was not verified");
                PASS_EVERY
            }
        };
        drop(live);
        clock.wait_until(clock.monotonic() + pause).await;
    }
}

/// What was found and not told before. The status keeps a hundred alarms; the log is told of each all the same.
async fn tell(
    service: &Service,
    lane: &Lane,
    live: &Live,
    slice: &Slice,
    told: &mut HashSet<String>,
) {
    let damaged = slice.damaged.iter().map(|key| {
        let (tree, name) = (key.tree, hex(&key.key));
        format!("store: {tree:?} record {name} does not open")
    });
    let altered = slice.shards.iter().map(|(tree, shard)| {
        format!("store: {tree:?} records of {shard:?} were removed or put back from an older copy")
    });
    for text in damaged.chain(altered) {
        live.alarms.raise(&text, &text);
        if told.len() >= TOLD_MAX || !told.insert(text.clone()) {
            continue;
        }
        tracing::error!("{text}");
        let decide = |_: &View<'_>, _: &Moment<'_>, _: &Authorised<act::Quarantine>| {
            let mut detail = Detail::new(Outcome::Ok);
            detail.note = text.as_str().into();
            Ok(Decision::unchanged(Action::Quarantine, detail, ()))
        };
        if let Err(refusal) = service.internal(lane, None, &[], decide).await {
            tracing::error!(
                reason = refusal.reason.as_str(),
                "the finding was not logged"
            );
        }
    }
}
