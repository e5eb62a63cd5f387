//! Opens wrapped data keys. The version's and the secrets' states are decided before anything is opened.

use super::batch::{Item, RefusedItem, STEP};
use super::generate::wrap_detail;
use super::view::{Decision, View};
use super::wrapping::open;
use super::{Refusal, Snapshot, limits};
use crate::audit::{Detail, Facts, Outcome};
use crate::format::wrapped::{BlobKind, Header};
use crate::name::{KeyContext, KeyId, VersionNumber};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::secret::DataKey;

/// One wrapped data key, split by [`parse_blob`]; its dataset stands in the proof.
#[derive(Debug)]
pub struct UnwrapItem<'a> {
    /// The blob's header: the road finds dataset and shred secrets by it.
    pub header: Header,
    /// The rest of the blob.
    pub message: &'a [u8],
    /// Exactly the context of the wrap.
    pub context: KeyContext,
}

/// A data key in the clear, and what its version is now.
#[derive(Debug)]
pub struct UnwrappedKey {
    /// The data key.
    pub plaintext: DataKey,
    /// Key of the dataset.
    pub key_id: KeyId,
    /// Version that wrapped it.
    pub version: VersionNumber,
    /// It is the ACTIVE one; otherwise nothing new may be encrypted under the data key.
    pub active: bool,
    /// It is marked compromised: encrypt the data again.
    pub compromised: bool,
}

/// Answers of a batch, in its order.
pub type UnwrappedKeys = Vec<Result<UnwrappedKey, Refusal>>;

/// Splits a blob of `kind` into header and message.
///
/// # Errors
/// UNDECRYPTABLE: malformed, of another format or of another kind.
pub fn parse_blob(kind: BlobKind, blob: &[u8]) -> Result<(Header, &[u8]), Refusal> {
    match Header::parse(blob) {
        Ok((header, message)) if header.kind == kind => Ok((header, message)),
        Ok(_) | Err(_) => Err(Reason::Undecryptable.into()),
    }
}

/// Opens one wrapped data key.
///
/// # Errors
/// QUARANTINED, VERSION_DISABLED, VERSION_DESTROYED, SUBJECT_ERASED, UNDECRYPTABLE.
pub fn unwrap_data_key(
    view: &View<'_>,
    authorised: &Authorised<act::UnwrapDataKey>,
    item: &UnwrapItem<'_>,
) -> Result<Decision<UnwrappedKey>, Refusal> {
    let key = unwrap_one(view, authorised, item)?;
    let detail = unwrap_detail(view.snapshot, authorised.dataset(), item, Outcome::Ok);
    Ok(Decision::unchanged(Action::UnwrapDataKey, detail, key))
}

/// Opens 1 to 1,000 wrapped data keys; one item's failure is its own.
///
/// # Errors
/// INVALID_ARGUMENT for the number of items.
pub fn unwrap_data_keys(
    view: &View<'_>,
    items: &[Item<act::UnwrapDataKey, UnwrapItem<'_>>],
) -> Result<Decision<UnwrappedKeys>, Refusal> {
    Ok(Unwrapping::new(view, items)?.finish())
}

/// What the log says of an item.
#[must_use]
pub fn unwrap_detail(
    snapshot: &Snapshot,
    dataset: Option<KeyId>,
    item: &UnwrapItem<'_>,
    outcome: Outcome,
) -> Detail {
    opened_detail(snapshot, dataset, &item.header, &item.context, outcome)
}

/// What the log says of a blob that was to be opened: what its header claims.
pub(super) fn opened_detail(
    snapshot: &Snapshot,
    dataset: Option<KeyId>,
    header: &Header,
    context: &KeyContext,
    outcome: Outcome,
) -> Detail {
    let mut detail = wrap_detail(snapshot, dataset, context, outcome);
    if dataset.is_some() {
        detail.version = Some(header.version);
        detail.secrets = header.secrets().iter().map(|secret| secret.id).collect();
    }
    detail
}

fn unwrap_one(
    view: &View<'_>,
    authorised: &Authorised<act::UnwrapDataKey>,
    item: &UnwrapItem<'_>,
) -> Result<UnwrappedKey, Refusal> {
    if item.header.kind != BlobKind::DataKey {
        return Err(Reason::Undecryptable.into());
    }
    let opened = open(
        view,
        authorised.dataset(),
        &item.header,
        item.message,
        &item.context,
    )?;
    Ok(UnwrappedKey {
        plaintext: DataKey::from_slice(&opened.plaintext).ok_or(Reason::Undecryptable)?,
        key_id: item.header.key_id,
        version: item.header.version,
        active: opened.is_active(),
        compromised: opened.is_compromised(),
    })
}

/// A batch that is decided in steps of 64 items, so that a runtime can do other work between them.
pub struct Unwrapping<'a, 'b> {
    view: &'a View<'a>,
    items: &'a [Item<act::UnwrapDataKey, UnwrapItem<'b>>],
    replies: UnwrappedKeys,
    details: Vec<Detail>,
}

impl<'a, 'b> Unwrapping<'a, 'b> {
    /// Nothing is decided yet.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for the number of items.
    pub fn new(
        view: &'a View<'a>,
        items: &'a [Item<act::UnwrapDataKey, UnwrapItem<'b>>],
    ) -> Result<Self, Refusal> {
        limits::check_batch(items.len())?;
        Ok(Self {
            view,
            items,
            replies: Vec::with_capacity(items.len()),
            details: Vec::with_capacity(items.len()),
        })
    }

    /// Decides up to 64 more items; false when none is left.
    pub fn step(&mut self) -> bool {
        let from = self.replies.len();
        for (index, item) in self.items.iter().enumerate().skip(from).take(STEP) {
            let (reply, detail) = match item {
                Err(RefusedItem { refusal, detail }) => {
                    (Err(refusal.clone()), Detail::clone(detail))
                }
                Ok((authorised, item)) => {
                    let reply = unwrap_one(self.view, authorised, item)
                        .map_err(|refusal| refusal.within_item(index));
                    let outcome = Outcome::of(&reply);
                    let dataset = authorised.dataset();
                    let detail = unwrap_detail(self.view.snapshot, dataset, item, outcome);
                    (reply, detail)
                }
            };
            self.replies.push(reply);
            self.details.push(detail);
        }
        self.replies.len() < self.items.len()
    }

    /// Decides what is left, and ends.
    #[must_use]
    pub fn finish(mut self) -> Decision<UnwrappedKeys> {
        while self.step() {}
        Decision {
            reply: self.replies,
            facts: Facts::batch(Action::UnwrapDataKey, self.details),
            change: None,
        }
    }
}
