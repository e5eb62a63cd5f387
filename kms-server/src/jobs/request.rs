//! Forgets outcomes of request ids and failed attempts to log in after a day, and approvals a week after their end,
//! counted by wall clock and time mark both.

use crate::call::Service;
use crate::live::Live;
use crate::store::StoreError;
use kms_core::engine::operator::attempts;
use kms_core::engine::upkeep::{forget_requests, is_forgotten};
use kms_core::key::record::{Record, RecordKey, Tree};
use kms_core::time::Timestamp;
use std::time::Duration;

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_hours(1);
/// From the end of an approval's life until it is forgotten.
const APPROVALS_KEPT: Duration = Duration::from_hours(7 * 24);
/// Records read and removed at once.
const PAGE: usize = 500;

/// When to look again.
#[derive(Default)]
pub(super) struct Forgetting {
    next: Duration,
}

impl Forgetting {
    /// Looks at all outcomes, once an hour.
    pub(super) async fn pass(&mut self, service: &Service, live: &Live) {
        let monotonic = service.clock().monotonic();
        if monotonic < self.next {
            return;
        }
        self.next = monotonic + LOOK_EVERY;
        let known = service
            .clock()
            .now()
            .min(live.state.time_mark().0.high_water);
        if let Err(error) = forget(service, live, known).await {
            tracing::warn!(%error, "old request ids were not forgotten");
        }
        if let Err(error) = forget_attempts(service, live, known).await {
            tracing::warn!(%error, "old failed attempts were not forgotten");
        }
        if let Err(error) = forget_approvals(service, live, known).await {
            tracing::warn!(%error, "old approvals were not forgotten");
        }
    }
}

/// Approvals that ended long ago: what they did, and on whose word, stands in the log.
async fn forget_approvals(
    service: &Service,
    live: &Live,
    now: Timestamp,
) -> Result<(), ForgetError> {
    let old: Vec<_> = {
        let held = live.state.hold();
        let all = held.snapshot.approvals.after(None);
        let old = all.filter(|kept| now.since(kept.record.expires_at) >= APPROVALS_KEPT);
        old.map(|kept| (RecordKey::approval(kept.record.id), kept.revision))
            .take(PAGE)
            .collect()
    };
    if !old.is_empty() {
        service.housekeep(live, forget_requests(old)).await?;
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
enum ForgetError {
    #[error(transparent)]
    Read(#[from] StoreError),
    #[error(transparent)]
    Change(#[from] crate::store::ChangeError),
}

/// Counters of failed attempts to log in that no longer say anything.
async fn forget_attempts(
    service: &Service,
    live: &Live,
    now: Timestamp,
) -> Result<(), ForgetError> {
    loop {
        let old: Vec<_> = {
            let held = live.state.hold();
            let all = held.snapshot.operators.all_attempts();
            let old = all.filter(|(_, attempts, _)| attempts::is_forgotten(attempts, now));
            old.map(|(key, _, revision)| (key, revision))
                .take(PAGE)
                .collect()
        };
        let last = old.len() < PAGE;
        if !old.is_empty() {
            service.housekeep(live, forget_requests(old)).await?;
        }
        // strange names leave many behind, and all of them go
        if last {
            return Ok(());
        }
    }
}

async fn forget(service: &Service, live: &Live, now: Timestamp) -> Result<(), ForgetError> {
    let mut after: Option<Box<[u8]>> = None;
    loop {
        let records = live.records.clone();
        let from = after.take();
        let read = move || records.range(Tree::Request, from.as_deref(), PAGE);
        let page = tokio::task::spawn_blocking(read).await;
        let page = page.map_err(|_| StoreError::Stopped)??;
        let old: Vec<_> = page
            .stored
            .into_iter()
            .filter(|stored| match &stored.record {
                Some(Record::Request(record)) => is_forgotten(record, now),
                _ => false,
            })
            .map(|stored| (stored.key, stored.revision))
            .collect();
        if !old.is_empty() {
            service.housekeep(live, forget_requests(old)).await?;
        }
        after = page.next_after;
        if after.is_none() {
            return Ok(());
        }
    }
}
