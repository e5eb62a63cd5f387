//! Takes the first configuration of who is who for approved, and any of a development installation. Never a changed one
//! of a real installation: that is the roster's affair. Puts what was approved into force, however the daemon was unsealed:
//! those whom the files no longer name could not connect to make the first call.

use crate::call::{Lane, Service};
use crate::live::Live;

const JOB: &str = "adopting the configuration";

pub(super) async fn pass(service: &Service, lane: &Lane, live: &Live) {
    service.enforce_trust();
    match service.adopt_trust(lane).await {
        Ok(()) => live.alarms.clear(JOB),
        Err(refusal) => {
            super::failed(live, JOB, &refusal);
        }
    }
}
