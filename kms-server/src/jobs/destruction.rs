//! Destroys versions whose waiting time is over, by wall clock and time mark both. The engine asks again:
//! this only finds them.

use crate::call::{Lane, Service};
use crate::live::Live;
use kms_core::engine::snapshot::Dataset;
use kms_core::engine::{Moment, View, due_destruction};
use kms_core::key::record::VersionState;
use kms_core::name::{KeyId, VersionNumber};
use kms_core::policy::{Authorised, act};

const JOB: &str = "due destruction";

pub(super) async fn pass(service: &Service, lane: &Lane, live: &Live) {
    let mut unhindered = true;
    for (id, number) in due(service, live) {
        let decide =
            |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<act::DueDestruction>| {
                due_destruction(view, moment, proof, number)
            };
        if let Err(refusal) = service.internal(lane, Some(id), &[], decide).await {
            unhindered = false;
            if super::failed(live, JOB, &refusal) {
                return;
            }
        }
    }
    if unhindered {
        live.alarms.clear(JOB);
    }
}

fn due(service: &Service, live: &Live) -> Vec<(KeyId, VersionNumber)> {
    let known = service
        .clock()
        .now()
        .min(live.state.time_mark().0.high_water);
    let held = live.state.hold();
    let usable = |dataset: &&Dataset| !dataset.quarantined && !dataset.record.deletion_protection;
    let mut found = Vec::new();
    for dataset in held.snapshot.after(None).map(AsRef::as_ref).filter(usable) {
        for (number, version) in &dataset.versions {
            if matches!(version.record.state, VersionState::DestroyScheduled { at } if at <= known)
            {
                found.push((dataset.record.key_id, *number));
            }
        }
    }
    found
}
