//! Facts into leaf bytes. The hot path (a single call, no personal group) writes one leaf and hashes only
//! its shred secrets.

use super::LEAF_MAX;
use super::entry::SystemEvent;
use super::keys::{DirectoryKeys, LeafKeys, Month, PrincipalId};
use super::personal;
use super::prefix::{Coordinates, Kind, Prefix, stamp_change, stamp_sequence};
use super::section;
use crate::audit::facts::{Detail, Facts, Outcome};
use crate::cipher::{Sha256, label};
use crate::codec::Writer;
use crate::entropy::{Entropy, EntropyUnavailable};
use crate::name::{CallId, DatasetName, KeyId, PrincipalName, SecretId};
use crate::policy::Authentication;
use crate::reason::Reason;
use crate::time::Timestamp;
use std::time::Duration;

/// Most shred secrets in one leaf; what is more goes on in detail leaves.
const SECRETS_MAX: usize = 1_000;
/// Most bytes of a note.
const NOTE_MAX: usize = 512;

/// Who called, as far as the log is concerned.
#[derive(Debug, Clone, Copy)]
pub struct CallerFacts<'a> {
    /// What stands for the principal; zero while sealed.
    pub principal: PrincipalId,
    /// Its name: goes into the personal group while sealed, when there is no id; else unused.
    pub name: Option<&'a PrincipalName>,
    /// How that was proved.
    pub authentication: Option<Authentication>,
    /// Age of the last second factor.
    pub mfa_age: Option<Duration>,
    /// Number of the connection within the boot; 0 for none.
    pub connection: u64,
}

/// The call itself.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts {
    /// The request id of its answer.
    pub id: CallId,
    /// When and where.
    pub at: Coordinates,
    /// W3C trace id.
    pub trace: Option<[u8; 16]>,
    /// Policy generation that decided.
    pub policy_revision: u64,
    /// What stands for the person whom the call was about.
    pub subject: Option<PrincipalId>,
}

/// Who a principal is and where it calls from.
#[derive(Debug, Clone, Copy)]
pub struct CallerIntroduction<'a> {
    /// What stands for it; zero while sealed.
    pub principal: PrincipalId,
    /// Its name.
    pub name: &'a PrincipalName,
    /// A person: its name is not written in the clear.
    pub person: bool,
    /// Number of the connection within the boot; 0 for none.
    pub connection: u64,
    /// Address, certificate and the like: for the personal group.
    pub personal: &'a [(&'a str, &'a str)],
}

/// Calls that were shed or not authenticated.
#[derive(Debug, Clone, Copy)]
pub struct Count<'a> {
    /// Where they came from; `None` where that is no longer known.
    pub source: Option<&'a str>,
    /// Why they were refused.
    pub reason: Reason,
    /// How many.
    pub count: u64,
    /// First of them not before.
    pub from: Timestamp,
    /// Last of them not after.
    pub until: Timestamp,
}

/// No leaf could be made; without one nothing is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// No nonce or salt.
    #[error("no randomness available")]
    Entropy,
    /// More text or more details than a call can have.
    #[error("the facts do not fit into leaves")]
    TooLong,
    /// There are shred secrets to name and no month's key to hash them under.
    #[error("no month's key at hand")]
    KeyMissing,
}

impl From<EntropyUnavailable> for EncodeError {
    fn from(_: EntropyUnavailable) -> Self {
        Self::Entropy
    }
}

/// A detail, or as much of it as one leaf holds.
#[derive(Clone, Copy)]
struct Piece<'a> {
    detail: &'a Detail,
    secrets: &'a [SecretId],
    /// Not the first of its detail: only the secrets go on.
    carries_on: bool,
}

fn pieces(detail: &Detail) -> impl Iterator<Item = Piece<'_>> {
    let first = detail.secrets.len().min(SECRETS_MAX);
    let (head, tail) = detail.secrets.split_at(first);
    let piece = |secrets, carries_on| Piece {
        detail,
        secrets,
        carries_on,
    };
    std::iter::once(piece(head, false))
        .chain(tail.chunks(SECRETS_MAX).map(move |part| piece(part, true)))
}

/// The leaves of one call: the head first, then its details. Sequence and change are 0 in all of them.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_call(
    facts: &Facts,
    caller: &CallerFacts<'_>,
    call: &CallFacts,
    keys: LeafKeys<'_>,
    entropy: &dyn Entropy,
) -> Result<Vec<Vec<u8>>, EncodeError> {
    let mut all = facts.details.iter().flat_map(pieces);
    let own = if facts.batch { None } else { all.next() };
    let mut leaves = vec![Vec::new()];
    for piece in all {
        let index = u16::try_from(leaves.len()).map_err(|_| EncodeError::TooLong)?;
        let (mut w, prefix) = begin(Kind::Detail, call.id, call.at, keys);
        w.u16(index).bytes(&caller.principal.0);
        w.u16(facts.action.number());
        item(&mut w, piece, keys)?;
        let pairs = personal_of(Some(piece));
        leaves.push(finish(w, &prefix, index, pairs, keys, entropy)?);
    }
    let details = leaves.get(1..).unwrap_or_default();
    let (mut w, prefix) = begin(Kind::Head, call.id, call.at, keys);
    w.bytes(&caller.principal.0)
        .u8(caller.authentication.map_or(0, |way| way as u8));
    w.u32(caller.mfa_age.map_or(u32::MAX, seconds))
        .u64(caller.connection);
    w.bytes(&call.trace.unwrap_or_default())
        .u16(facts.action.number());
    w.u8(number(facts.outcome)).u64(call.policy_revision);
    w.u32(items(facts));
    let count = u16::try_from(details.len()).map_err(|_| EncodeError::TooLong)?;
    w.u16(count);
    if count > 0 {
        w.bytes(&details_hash(details));
    }
    match own {
        None => w.u8(0),
        Some(piece) => {
            item(w.u8(1), piece, keys)?;
            &mut w
        }
    };
    let name = caller
        .name
        .filter(|_| caller.principal == PrincipalId::default());
    let name = name.map(|name| ("principal", name.as_str()));
    let pairs = name.into_iter().chain(personal_of(own));
    personal::write(&mut w, &prefix, 0, pairs, keys, entropy)?;
    section::write(&mut w, facts.approval.as_deref(), call.subject);
    let head = whole(w)?;
    if let Some(first) = leaves.first_mut() {
        *first = head;
    }
    Ok(leaves)
}

/// Says who a principal is and where one of its connections comes from. Not a head.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_caller_introduction(
    caller: &CallerIntroduction<'_>,
    id: CallId,
    at: Coordinates,
    keys: LeafKeys<'_>,
    directory: Option<&DirectoryKeys>,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, EncodeError> {
    let (mut w, prefix) = begin(Kind::Introduction, id, at, keys);
    w.u8(1).bytes(&caller.principal.0).u64(caller.connection);
    let name = caller.name.as_str();
    let mut hidden = None;
    match (caller.person, directory) {
        (false, _) => w.u8(1).short(name.as_bytes()),
        (true, Some(keys)) => {
            let message = keys.encrypt_name(caller.principal, caller.name, entropy)?;
            w.u8(2).u32(keys.epoch()).short(&message)
        }
        (true, None) => {
            hidden = Some(("principal", name));
            w.u8(3)
        }
    };
    let pairs = hidden.into_iter().chain(caller.personal.iter().copied());
    finish(w, &prefix, 0, pairs, keys, entropy)
}

/// Says what a dataset's key is called. Not a head.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_dataset_introduction(
    key_id: KeyId,
    name: &DatasetName,
    id: CallId,
    at: Coordinates,
) -> Result<Vec<u8>, EncodeError> {
    let (mut w, _) = begin(Kind::Introduction, id, at, LeafKeys::Missing);
    w.u8(2).bytes(&key_id.0).short(name.as_str().as_bytes());
    finish_bare(w)
}

/// Counts calls that get no entry of their own. Not a head.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_counted(
    count: &Count<'_>,
    id: CallId,
    at: Coordinates,
    keys: LeafKeys<'_>,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, EncodeError> {
    let (mut w, prefix) = begin(Kind::Counted, id, at, keys);
    w.u8(count.reason.number()).u64(count.count);
    w.i64(count.from.as_micros()).i64(count.until.as_micros());
    let source = count.source.map(|source| ("address", source));
    finish(w, &prefix, 0, source.into_iter(), keys, entropy)
}

/// Something about the daemon or the log itself; `text` is cut at 512 bytes. Not a head.
///
/// # Errors
/// [`EncodeError`].
pub fn encode_system(
    event: SystemEvent,
    outcome: Outcome,
    text: &str,
    id: CallId,
    at: Coordinates,
) -> Result<Vec<u8>, EncodeError> {
    let (mut w, _) = begin(Kind::System, id, at, LeafKeys::Missing);
    w.u16(event as u16).u8(number(outcome)).short(cut(text));
    finish_bare(w)
}

fn begin(kind: Kind, id: CallId, at: Coordinates, keys: LeafKeys<'_>) -> (Writer, Prefix) {
    let month: Option<Month> = match keys {
        LeafKeys::Unsealed(month) => Some(month.month()),
        LeafKeys::Sealed(intake) => Some(intake.month),
        LeafKeys::Missing => None,
    };
    let prefix = Prefix {
        kind,
        sequence: 0,
        change: 0,
        id,
        at,
        month,
    };
    let mut w = Writer::with_capacity(320);
    prefix.write(&mut w);
    (w, prefix)
}

fn item(w: &mut Writer, piece: Piece<'_>, keys: LeafKeys<'_>) -> Result<(), EncodeError> {
    let detail = piece.detail;
    w.option(detail.dataset.as_ref(), |w, id| {
        w.bytes(&id.0);
    });
    w.u32(detail.version.map_or(0, |version| version.get()));
    w.u8(number(detail.outcome));
    w.u32(if piece.carries_on { 0 } else { detail.count });
    let lasting = u8::try_from(detail.lasting.len()).map_err(|_| EncodeError::TooLong)?;
    w.u8(lasting);
    for (key, value) in &detail.lasting {
        w.short(key.as_bytes()).short(value.as_bytes());
    }
    // at most SECRETS_MAX of them
    w.u16(u16::try_from(piece.secrets.len()).map_err(|_| EncodeError::TooLong)?);
    if !piece.secrets.is_empty() {
        let LeafKeys::Unsealed(month) = keys else {
            return Err(EncodeError::KeyMissing);
        };
        for id in piece.secrets {
            w.bytes(&month.secret_hash(*id));
        }
    }
    w.short(if piece.carries_on {
        b""
    } else {
        cut(&detail.note)
    });
    Ok(())
}

fn personal_of(piece: Option<Piece<'_>>) -> impl Iterator<Item = (&str, &str)> {
    piece
        .filter(|piece| !piece.carries_on)
        .into_iter()
        .flat_map(|piece| &piece.detail.personal)
        .map(|(key, value)| (&**key, &**value))
}

fn finish<'p>(
    mut w: Writer,
    prefix: &Prefix,
    index: u16,
    pairs: impl Iterator<Item = (&'p str, &'p str)>,
    keys: LeafKeys<'_>,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, EncodeError> {
    personal::write(&mut w, prefix, index, pairs, keys, entropy)?;
    bounded(w)
}

/// Without a personal group.
fn finish_bare(mut w: Writer) -> Result<Vec<u8>, EncodeError> {
    w.u8(0);
    bounded(w)
}

fn bounded(mut w: Writer) -> Result<Vec<u8>, EncodeError> {
    w.u8(0);
    whole(w)
}

fn whole(mut w: Writer) -> Result<Vec<u8>, EncodeError> {
    let leaf = w.finish();
    if leaf.len() > LEAF_MAX {
        return Err(EncodeError::TooLong);
    }
    Ok(leaf)
}

/// SHA-256 over label and details, each with its length, sequence and change zeroed. An auditor computes
/// the same from the leaves that follow a head.
#[must_use]
pub fn details_hash<L: AsRef<[u8]>>(details: &[L]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(label::AUDIT_DETAILS);
    for detail in details {
        let mut leaf = detail.as_ref().to_vec();
        stamp_sequence(&mut leaf, 0);
        stamp_change(&mut leaf, 0);
        hash.update(&u32::try_from(leaf.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(&leaf);
    }
    hash.finish()
}

fn number(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Refused(reason) => reason.number(),
    }
}

fn items(facts: &Facts) -> u32 {
    if facts.batch {
        let counts = facts.details.iter().map(|detail| detail.count);
        counts.fold(0, u32::saturating_add)
    } else {
        1
    }
}

/// Whole seconds; what is longer than 136 years counts as the longest.
fn seconds(age: Duration) -> u32 {
    u32::try_from(age.as_secs()).map_or(u32::MAX - 1, |age| age.min(u32::MAX - 1))
}

/// At most [`NOTE_MAX`] bytes, cut between characters.
fn cut(text: &str) -> &[u8] {
    let end = text.floor_char_boundary(NOTE_MAX);
    text.get(..end).unwrap_or_default().as_bytes()
}
