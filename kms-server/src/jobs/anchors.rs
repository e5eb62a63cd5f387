//! Logs what the anchors said at unseal: who may have been overruled by the configuration stands in the log.

use crate::call::{Lane, Service};
use crate::live::Live;
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::{Decision, Moment, View};
use kms_core::policy::{ActionKind as _, Authorised, act};

const JOB: &str = "logging what the anchors said";

pub(super) async fn pass(service: &Service, lane: &Lane, live: &Live) {
    let Some(said) = service.gate().anchored() else {
        return;
    };
    let decide = |_: &View<'_>, _: &Moment<'_>, _: &Authorised<act::ConfirmAnchors>| {
        let mut detail = Detail::new(Outcome::Ok);
        detail.note = said.said.as_str().into();
        let mut facts = Facts::single(act::ConfirmAnchors::ACTION, detail);
        facts.approval = said.overridden.clone().map(Box::new);
        Ok(Decision {
            reply: (),
            facts,
            change: None,
        })
    };
    match service.internal(lane, None, &[], decide).await {
        Ok(()) => {
            service.gate().anchored_is_logged();
            live.alarms.clear(JOB);
        }
        Err(refusal) => drop(super::failed(live, JOB, &refusal)),
    }
}
