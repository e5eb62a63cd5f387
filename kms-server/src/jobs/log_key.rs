//! Gives the audit log the key that signs its checkpoints; makes one when there is none yet. Never replaces one.

use crate::call::{Lane, Service};
use crate::live::Live;

const JOB: &str = "making the key of the audit log";

pub(super) async fn pass(service: &Service, lane: &Lane, live: &Live) {
    if service.audit().signs_with().is_some() {
        return;
    }
    if live.state.log_key().is_none()
        && let Err(refusal) = service.make_log_key(lane).await
    {
        super::failed(live, JOB, &refusal);
        return;
    }
    if service.keep_log_key(live) {
        live.alarms.clear(JOB);
    } else {
        let _ = live
            .alarms
            .raise(JOB, "the key of the audit log is not usable");
    }
}
