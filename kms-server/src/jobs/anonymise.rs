//! Anonymises the audit log month by month: destroys the keys of months long past, unless a hold says that they are
//! still needed. The engine asks again whether it is time.

use crate::call::{Lane, Service};
use crate::live::Live;
use kms_core::audit::leaf::Month;
use kms_core::engine::anonymise::{anonymise_due, is_due};
use kms_core::engine::{Moment, View};
use kms_core::policy::{Authorised, act};

const JOB: &str = "anonymising the audit log";

pub(super) async fn pass(service: &Service, lane: &Lane, live: &Live) {
    let kept = service.anonymise_after_months();
    let due = due(service, live, kept);
    let Some(oldest) = due.first() else {
        return live.alarms.clear(JOB);
    };
    if let Some(reason) = service.anonymisation_hold() {
        let text = format!("the audit log of {oldest} is not anonymised: {reason}");
        live.alarms.raise(JOB, &text);
        return;
    }
    for month in due {
        let decide =
            |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<act::DueAnonymisation>| {
                anonymise_due(view, moment, proof, month, kept)
            };
        if let Err(refusal) = service.internal(lane, None, &[], decide).await {
            super::failed(live, JOB, &refusal);
            return;
        }
        tracing::info!(%month, "the audit log of a month was anonymised");
    }
    live.alarms.clear(JOB);
}

fn due(service: &Service, live: &Live, kept: u16) -> Vec<Month> {
    let (now, mark) = (service.clock().now(), live.state.time_mark().0);
    let held = live.state.hold();
    let open = held.snapshot.months.open();
    open.filter(|month| is_due(*month, kept, now, mark))
        .collect()
}
