//! Wraps a data key again under the ACTIVE version. Dataset, key context and shred secrets stay: the new
//! blob has the old one's length.

use super::unwrap::opened_detail;
use super::view::{Decision, Moment, View};
use super::wrapping::{Wrapper, open};
use super::{Refusal, Snapshot};
use crate::audit::{Detail, Outcome};
use crate::format::wrapped::{BlobKind, Header};
use crate::name::{KeyContext, KeyId, ReasonText, VersionNumber};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;

/// Most bytes of a note in the log.
const NOTE_MAX: usize = 512;

/// A wrapped data key; its dataset stands in the proof.
#[derive(Debug)]
pub struct RewrapItem<'a> {
    /// The whole blob.
    pub blob: &'a [u8],
    /// Its header, from [`super::parse_blob`].
    pub header: Header,
    /// The rest of it.
    pub message: &'a [u8],
    /// Exactly the context of the wrap; it stays.
    pub context: KeyContext,
    /// Why the data key may stay although its version is compromised.
    pub keep_data_key: Option<ReasonText>,
}

/// A data key under the ACTIVE version.
#[derive(Debug)]
pub struct Rewrapped {
    /// As long as the old one.
    pub wrapped: Vec<u8>,
    /// The ACTIVE version.
    pub version: VersionNumber,
    /// False when it was under the ACTIVE version already: the old bytes.
    pub rewrapped: bool,
}

/// Wraps it again.
///
/// # Errors
/// As [`super::unwrap_data_key`]; COMPROMISED_VERSION where the old version is marked so and no reason
/// is given: who held that version has the data key, so a new wrap of it helps nothing. VERSION_STATE
/// when no version is ACTIVE.
pub fn rewrap(
    view: &View<'_>,
    moment: &Moment<'_>,
    authorised: &Authorised<act::Rewrap>,
    item: &RewrapItem<'_>,
) -> Result<Decision<Rewrapped>, Refusal> {
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
    if opened.is_compromised() && item.keep_data_key.is_none() {
        return Err(Reason::CompromisedVersion.into());
    }
    let target = opened.dataset.active_version();
    let target = target.ok_or(Reason::VersionState)?;
    let mut detail = rewrap_detail(view.snapshot, authorised.dataset(), item, Outcome::Ok);
    let reply = if opened.is_active() {
        Rewrapped {
            wrapped: item.blob.to_vec(),
            version: item.header.version,
            rewrapped: false,
        }
    } else {
        let wrapped = Wrapper::default().wrap(
            BlobKind::DataKey,
            target,
            opened.secrets,
            &item.context,
            &opened.plaintext,
            moment.salts,
        )?;
        Rewrapped {
            wrapped,
            version: target.record.number,
            rewrapped: true,
        }
    };
    detail.version = Some(reply.version);
    Ok(Decision::unchanged(Action::Rewrap, detail, reply))
}

/// What the log says: the version that the blob names (on success: the new one), where it came from, and
/// why a data key of a compromised version was kept.
#[must_use]
pub fn rewrap_detail(
    snapshot: &Snapshot,
    dataset: Option<KeyId>,
    item: &RewrapItem<'_>,
    outcome: Outcome,
) -> Detail {
    let mut detail = opened_detail(snapshot, dataset, &item.header, &item.context, outcome);
    let from = item.header.version.get();
    let note = match &item.keep_data_key {
        None => format!("from version {from}"),
        Some(reason) => format!("from version {from}, data key kept: {}", reason.as_str()),
    };
    let end = note.floor_char_boundary(NOTE_MAX);
    detail.note = note.get(..end).unwrap_or_default().into();
    detail
}
