//! Items of batches: an item that the road refused already keeps its place in answer and log.

use super::Refusal;
use crate::audit::{Detail, Outcome};
use crate::policy::Authorised;

/// Items that one step of a batch decides; between steps a runtime may do other work.
pub const STEP: usize = 64;

/// An item of a batch, as the road hands it over.
pub type Item<A, T> = Result<(Authorised<A>, T), RefusedItem>;

/// An item that was refused before the engine saw it.
#[derive(Debug)]
pub struct RefusedItem {
    /// Why.
    pub refusal: Refusal,
    /// What the log says of it.
    pub detail: Box<Detail>,
}

impl From<Refusal> for RefusedItem {
    fn from(refusal: Refusal) -> Self {
        let detail = Box::new(Detail::new(Outcome::Refused(refusal.reason)));
        Self { refusal, detail }
    }
}
