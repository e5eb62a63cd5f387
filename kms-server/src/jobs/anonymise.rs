//! Anonymises the audit log month by month: destroys the keys of months long past, unless a hold says that they are
//! still needed. The engine asks again whether it is time.

use crate::call::{Lane, Service};
use crate::live::Live;
use kms_core::engine::anonymise::{anonymise, is_due};
use kms_core::engine::{Moment, View};
use kms_core::policy::{Authorised, act};

const JOB: &str = "anonymising the audit log";

pub(super) async fn pass(service: &Service, lane: &Lane, live: &Live) {
    let (now, mark) = (service.clock().now(), live.state.time_mark().0);
    let mut due = live.state.month_records();
    due.retain(|(month, _)| is_due(*month, now, mark));
    let Some((oldest, _)) = due.first() else {
        return live.alarms.clear(JOB);
    };
    if let Some(reason) = service.anonymisation_hold() {
        let text = format!("the audit log of {oldest} is not anonymised: {reason}");
        live.alarms.raise(JOB, &text);
        return;
    }
    for (month, revision) in due {
        let decide =
            |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<act::DueAnonymisation>| {
                anonymise(view, moment, proof, month, revision)
            };
        if let Err(refusal) = service.internal(lane, None, &[], decide).await {
            super::failed(live, JOB, &refusal);
            return;
        }
        tracing::info!(%month, "the audit log of a month was anonymised");
    }
    live.alarms.clear(JOB);
}
