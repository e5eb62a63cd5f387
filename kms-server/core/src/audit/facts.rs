//! What the engine and the road know of a call, before it becomes a leaf.

use crate::name::{ApprovalId, KeyContext, KeyId, PrincipalName, SecretId, VersionNumber};
use crate::policy::Action;
use crate::reason::Reason;

/// How a call or item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Done.
    Ok,
    /// Refused or failed.
    Refused(Reason),
}

/// One thing that a call did: the whole of a single call, or one item of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// The dataset's key; `None` when the call has none or none was found.
    pub dataset: Option<KeyId>,
    /// The version used, made or changed.
    pub version: Option<VersionNumber>,
    /// How it ended.
    pub outcome: Outcome,
    /// Keys of the context whose values are logged for good, with their values.
    pub lasting: Vec<(Box<str>, Box<str>)>,
    /// The rest of the context: goes into the personal group.
    pub personal: Vec<(Box<str>, Box<str>)>,
    /// Shred secrets that took part.
    pub secrets: Vec<SecretId>,
    /// Equal items that this stands for.
    pub count: u32,
    /// What else an auditor needs, in words of ours or an operator's reason; at most 512 bytes; no personal data.
    pub note: Box<str>,
    /// The person whom the call was about, where it was about one: what stands for the name goes into the head and
    /// outlives the month's key. Not of batches.
    pub subject: Option<PrincipalName>,
}

/// Everything of one call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What was asked.
    pub action: Action,
    /// A single call: its one detail, which becomes part of the head. A batch: merged details.
    pub details: Vec<Detail>,
    /// The call was a batch: details become entries of their own, and the head's outcome is the call's.
    pub batch: bool,
    /// How the call as a whole ended.
    pub outcome: Outcome,
    /// The word of others that it rests on, or gave.
    pub approval: Option<Box<ApprovalFacts>>,
}

/// What the log keeps of an approval: enough to verify each signature for ever, and no name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalFacts {
    /// Which.
    pub id: ApprovalId,
    /// SHA-256 of the statement: the bytes that were signed.
    pub statement: [u8; 32],
    /// SSHSIG each; they name their keys.
    pub signatures: Vec<Box<[u8]>>,
}

/// Items that a call used a version for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// The dataset's key.
    pub key_id: KeyId,
    /// The version.
    pub version: VersionNumber,
    /// How many items.
    pub items: u32,
}

/// The one rule of what counts as a use: an item of a data-plane action that went well. The log counts by it
/// when it reads its own tail, so live counts must come from it too.
#[must_use]
pub fn counts_as_use(action: Action, outcome: Outcome) -> bool {
    let data_plane = matches!(
        action,
        Action::GenerateDataKey
            | Action::UnwrapDataKey
            | Action::Encrypt
            | Action::Decrypt
            | Action::Rewrap
    );
    data_plane && outcome == Outcome::Ok
}

impl Detail {
    /// Nothing known but how it ended.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self {
            dataset: None,
            version: None,
            outcome,
            lasting: Vec::new(),
            personal: Vec::new(),
            secrets: Vec::new(),
            count: 1,
            note: Box::default(),
            subject: None,
        }
    }

    /// Splits a key context by the dataset's list of lasting keys. A lasting value that is not
    /// `[a-z0-9._-]{1,64}` goes with the personal ones.
    #[must_use]
    pub fn with_context(mut self, context: &KeyContext, lasting_keys: &[Box<str>]) -> Self {
        for (key, value) in context.pairs() {
            let pair = (key.as_str().into(), value.as_str().into());
            if lasting_keys.iter().any(|k| **k == **key) && is_lasting_value(value) {
                self.lasting.push(pair);
            } else {
                self.personal.push(pair);
            }
        }
        self
    }

    fn same_but_secrets(&self, other: &Self) -> bool {
        self.dataset == other.dataset
            && self.version == other.version
            && self.outcome == other.outcome
            && self.lasting == other.lasting
            && self.personal == other.personal
            && self.note == other.note
            && self.subject == other.subject
    }
}

impl Facts {
    /// Of a single call.
    #[must_use]
    pub fn single(action: Action, detail: Detail) -> Self {
        let outcome = detail.outcome;
        Self {
            action,
            details: vec![detail],
            batch: false,
            outcome,
            approval: None,
        }
    }

    /// Of a batch; equal details are merged (equal contexts stand once). A batch of which nothing was done,
    /// all of it for one reason, is refused as a whole; any other is done, and its details say what was not.
    #[must_use]
    pub fn batch(action: Action, items: impl IntoIterator<Item = Detail>) -> Self {
        /// Most secrets of one detail, so that a leaf stays far below 32 KiB.
        const SECRETS_MAX: usize = 1_000;
        let mut details: Vec<Detail> = Vec::new();
        for item in items {
            // the newest first: neighbours are mostly equal
            let same = details.iter_mut().rev().take(8).find(|d| {
                d.same_but_secrets(&item) && d.secrets.len() + item.secrets.len() <= SECRETS_MAX
            });
            match same {
                Some(detail) => {
                    detail.count = detail.count.saturating_add(item.count);
                    detail.secrets.extend(item.secrets);
                }
                None => details.push(item),
            }
        }
        let first = details.first().map_or(Outcome::Ok, |detail| detail.outcome);
        let alike = details.iter().all(|detail| detail.outcome == first);
        Self {
            action,
            details,
            batch: true,
            outcome: if alike { first } else { Outcome::Ok },
            approval: None,
        }
    }
}

impl Facts {
    /// Versions that it used, by [`counts_as_use`].
    pub fn uses(&self) -> impl Iterator<Item = Use> + '_ {
        self.details.iter().filter_map(|detail| {
            let counts = counts_as_use(self.action, detail.outcome);
            Some(Use {
                key_id: detail.dataset.filter(|_| counts)?,
                version: detail.version?,
                items: detail.count,
            })
        })
    }
}

/// `[a-z0-9._-]{1,64}`.
#[must_use]
pub fn is_lasting_value(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| {
            b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
        })
}
