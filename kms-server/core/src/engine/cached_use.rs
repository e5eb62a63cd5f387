//! A client's word on uses of data keys that it remembered. It is logged as it is given: nothing is opened, nothing of
//! it can be proved, and nothing is decided by it.

use super::batch::{Item, RefusedItem};
use super::unwrap::opened_detail;
use super::view::{Decision, View};
use super::{Refusal, limits};
use crate::audit::{Detail, Facts, Outcome};
use crate::cipher::Sha256;
use crate::codec::hex;
use crate::format::wrapped::Header;
use crate::name::KeyContext;
use crate::policy::{Action, act};
use std::time::Duration;

/// Bytes of what stands for a wrapped data key in the log.
const MARK_LEN: usize = 8;
/// The longest that a report may look back.
pub const AGO_MAX: Duration = Duration::from_hours(24);

/// Uses of one remembered data key.
#[derive(Debug)]
pub struct CachedUse<'a> {
    /// Of its wrap.
    pub header: Header,
    /// The whole wrap.
    pub wrapped: &'a [u8],
    /// Of its wrap, as the client says.
    pub context: KeyContext,
    /// How many; at least 1.
    pub uses: u64,
    /// How long ago the first and the last of them were.
    pub ago: (Duration, Duration),
}

/// Logs them; answers how many items were taken.
///
/// # Errors
/// INVALID_ARGUMENT for the number of items; the first item's refusal when none was taken.
pub fn report_cached_uses(
    view: &View<'_>,
    items: &[Item<act::ReportCachedUses, CachedUse<'_>>],
    uncounted: u64,
) -> Result<Decision<usize>, Refusal> {
    limits::check_batch(items.len())?;
    let taken = items.iter().filter(|item| item.is_ok()).count();
    if let (0, Some(Err(first))) = (taken, items.first()) {
        return Err(first.refusal.clone());
    }
    let mut details: Vec<Detail> = items
        .iter()
        .map(|item| match item {
            Err(RefusedItem { detail, .. }) => Detail::clone(detail),
            Ok((authorised, used)) => {
                let (dataset, ok) = (authorised.dataset(), Outcome::Ok);
                let mut detail =
                    opened_detail(view.snapshot, dataset, &used.header, &used.context, ok);
                detail.count = count(used.uses);
                detail.note = note(used).into();
                detail
            }
        })
        .collect();
    if uncounted > 0 {
        let mut detail = Detail::new(Outcome::Ok);
        detail.count = count(uncounted);
        detail.note = "of data keys that the client could not count one by one".into();
        details.push(detail);
    }
    Ok(Decision {
        reply: taken,
        facts: Facts::batch(Action::ReportCachedUses, details),
        change: None,
    })
}

fn count(uses: u64) -> u32 {
    u32::try_from(uses).unwrap_or(u32::MAX)
}

/// Which data key, by the first bytes of SHA-256 of its wrap, and when.
fn note(used: &CachedUse<'_>) -> String {
    let mut hash = Sha256::new();
    hash.update(used.wrapped);
    let hash = hash.finish();
    let mark = hex(hash.get(..MARK_LEN).unwrap_or(&hash));
    let (first, last) = (used.ago.0.as_secs(), used.ago.1.as_secs());
    format!("data key {mark}, from {first} s to {last} s before")
}
