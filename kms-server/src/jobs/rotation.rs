//! Rotates what is due, one after the other. After downtime each dataset rotates once.

use crate::call::{Lane, Service};
use crate::live::Live;
use kms_core::engine::scheduled_rotation;
use kms_core::key::rotation::is_due;
use kms_core::name::KeyId;

const JOB: &str = "scheduled rotation";

pub(super) async fn pass(service: &Service, lane: &Lane, live: &Live) {
    let mut unhindered = true;
    for id in due(service, live) {
        let rotated = service
            .internal(lane, Some(id), &[], scheduled_rotation)
            .await;
        if let Err(refusal) = rotated {
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

fn due(service: &Service, live: &Live) -> Vec<KeyId> {
    let now = service.clock().now();
    let held = live.state.hold();
    held.snapshot
        .after(None)
        .filter(|dataset| !dataset.quarantined)
        .map(|dataset| &dataset.record)
        .filter(|record| is_due(record.next_rotation_at, now, record.policy.rotation_period))
        .map(|record| record.key_id)
        .collect()
}
