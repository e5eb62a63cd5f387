//! Stores what the log counted of versions' uses, so that a restart need not read the whole log again.

use crate::call::Service;
use crate::live::Live;
use crate::store::{Records, StoreError};
use kms_core::engine::upkeep::store_usage;
use kms_core::key::record::{Record, Tree};

/// Records read at once.
const PAGE: usize = 1_000;

/// How far the store has it; `None` before it was asked.
pub(super) struct Flush {
    through: Option<u64>,
}

impl Flush {
    pub(super) const fn new() -> Self {
        Self { through: None }
    }

    /// Stores what changed since the last pass, in one transaction.
    pub(super) async fn pass(&mut self, service: &Service, live: &Live) {
        let through = match self.through {
            Some(through) => through,
            None => {
                let records = live.records.clone();
                let read = tokio::task::spawn_blocking(move || stored_through(&records));
                match read.await {
                    Ok(Ok(through)) => *self.through.insert(through),
                    // asked again with the next pass
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        };
        let counts = service.audit().usage_since(through);
        let Some(through) = counts.iter().map(|(_, u)| u.through_sequence).max() else {
            return;
        };
        let counts = counts
            .into_iter()
            .map(|((id, number), usage)| (id, number, usage));
        match service.housekeep(live, store_usage(counts)).await {
            Ok(()) => self.through = Some(through),
            Err(error) => tracing::warn!(%error, "usage counts were not stored"),
        }
    }
}

/// Counting went on from here at the start: the greatest sequence number in the store.
fn stored_through(records: &Records) -> Result<u64, StoreError> {
    let (mut through, mut after) = (0, None::<Box<[u8]>>);
    loop {
        let page = records.range(Tree::Usage, after.as_deref(), PAGE)?;
        for stored in page.stored {
            if let Some(Record::Usage(usage)) = stored.record {
                through = through.max(usage.through_sequence);
            }
        }
        after = page.next_after;
        if after.is_none() {
            return Ok(through);
        }
    }
}
