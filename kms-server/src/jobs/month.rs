//! Makes ahead of time what each month needs: the audit log's key, and the period secrets of the datasets that
//! demand them. Never destroys an old one.

use crate::call::{Lane, Service};
use crate::live::Live;
use kms_core::audit::leaf::Month;
use kms_core::engine::upkeep::{AHEAD, create_period_secrets, period_scopes};
use kms_core::engine::{Moment, Refusal, View};
use kms_core::name::ShredScope;
use kms_core::policy::{Authorised, act};
use kms_core::reason::Reason;
use std::collections::BTreeSet;

const AUDIT_KEY: &str = "making the month's audit key";
const INTAKE: &str = "saying to whom values are encrypted while sealed";
const PERIODS: &str = "making period secrets";

pub(super) async fn pass(service: &Service, lane: &Lane, live: &Live) {
    let now = service.clock().now();
    let months = [now, now.saturating_add(AHEAD)].map(Month::of);
    for month in months {
        if live.state.month(month).is_none() {
            let made = service.make_month(lane, month).await;
            tell(live, AUDIT_KEY, made);
        }
    }
    match service.publish_intake(live, months.into_iter()).await {
        Ok(()) => live.alarms.clear(INTAKE),
        Err(error) => {
            let _ = live.alarms.raise(INTAKE, &error.to_string());
        }
    }
    let missing = missing_periods(service, live).await;
    match missing {
        Ok(missing) if missing.is_empty() => {}
        Ok(missing) => {
            let made = make_periods(service, lane, &missing).await;
            tell(live, PERIODS, made);
        }
        Err(reason) => tell(live, PERIODS, Err(reason.into())),
    }
}

fn tell(live: &Live, job: &str, made: Result<(), Refusal>) {
    match made {
        Ok(()) => live.alarms.clear(job),
        Err(refusal) => drop(super::failed(live, job, &refusal)),
    }
}

async fn missing_periods(service: &Service, live: &Live) -> Result<BTreeSet<ShredScope>, Reason> {
    let held = live.state.hold();
    let mut wanted = period_scopes(&held.snapshot, service.clock().now());
    let asked: Vec<_> = wanted.iter().cloned().collect();
    let gathered = live.gather(&held, &asked, &[]).await?;
    wanted.retain(|scope| matches!(gathered.by_scope.get(scope), Some(None)));
    Ok(wanted)
}

async fn make_periods(
    service: &Service,
    lane: &Lane,
    missing: &BTreeSet<ShredScope>,
) -> Result<(), Refusal> {
    let scopes: Vec<_> = missing.iter().cloned().collect();
    let decide =
        |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<act::CreatePeriodSecret>| {
            create_period_secrets(view, moment, proof, missing)
        };
    let made = service.internal(lane, None, &scopes, decide).await;
    made.map(drop)
}
