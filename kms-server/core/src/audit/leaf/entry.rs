//! A leaf, decoded: what an auditor sees without any key. Never interprets what only a key can open.

use super::keys::{DirectoryKeys, PrincipalId};
use super::personal::{Personal, PersonalKey, binding};
use super::prefix::Prefix;
use crate::audit::facts::{Outcome, Use, counts_as_use};
use crate::cipher::Undecryptable;
use crate::name::{DatasetName, KeyId, PrincipalName, VersionNumber};
use crate::policy::{Action, Authentication};
use crate::reason::Reason;
use crate::time::Timestamp;
use std::time::Duration;

/// One leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is alike in all.
    pub prefix: Prefix,
    /// What its kind says.
    pub body: Body,
    /// Its personal group.
    pub personal: Personal,
    /// What later versions add, by number.
    pub sections: Vec<Section>,
}

/// An addition that this version does not know; kept, so that an old reader can still show a new log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Which.
    pub tag: u8,
    /// Its bytes.
    pub bytes: Box<[u8]>,
}

/// What the kinds say.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its type's name")]
pub enum Body {
    Head(Head),
    Detail(DetailBody),
    Introduction(Introduction),
    Counted(Counted),
    System(SystemRecord),
}

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Who called; zero while sealed.
    pub principal: PrincipalId,
    /// How that was proved.
    pub authentication: Option<Authentication>,
    /// Age of the last second factor; whole seconds.
    pub mfa_age: Option<Duration>,
    /// Number of the connection within the boot; 0 for none.
    pub connection: u64,
    /// W3C trace id.
    pub trace: Option<[u8; 16]>,
    /// What was asked.
    pub action: Action,
    /// How the call as a whole ended.
    pub outcome: Outcome,
    /// Policy generation that decided.
    pub policy_revision: u64,
    /// Items of a batch in all; 1 for a single call.
    pub items: u32,
    /// Detail leaves that follow, and the hash over them with sequence and change zeroed.
    pub details: Option<(u16, [u8; 32])>,
    /// A single call: what it was about.
    pub item: Option<Item>,
}

/// Items of a batch that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetailBody {
    /// From 1.
    pub index: u16,
    /// As in the head.
    pub principal: PrincipalId,
    /// As in the head.
    pub action: Action,
    /// What they were about.
    pub item: Item,
}

/// What a call or an item was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The dataset's key.
    pub dataset: Option<KeyId>,
    /// The version used, made or changed.
    pub version: Option<VersionNumber>,
    /// How it ended.
    pub outcome: Outcome,
    /// Equal items that it stands for; 0 when it only carries on the list of secrets before it.
    pub count: u32,
    /// Lasting context.
    pub lasting: Vec<(Box<str>, Box<str>)>,
    /// What stands for the shred secrets, under the month's key.
    pub secrets: Vec<[u8; 16]>,
    /// Words.
    pub note: Box<str>,
}

/// Who or what an id is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Introduction {
    /// A principal and one of its connections.
    Caller {
        /// What stands for it.
        principal: PrincipalId,
        /// Number of the connection within the boot; 0 for none.
        connection: u64,
        /// Its name.
        naming: Naming,
    },
    /// A dataset.
    Dataset {
        /// Its key.
        key_id: KeyId,
        /// Its name.
        name: DatasetName,
    },
}

/// How a name stands in an introduction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// A service, in the clear.
    Clear(PrincipalName),
    /// An operator, under the directory's key.
    Directory {
        /// Which directory key of the installation's, from 1.
        epoch: u32,
        /// A Cobblestone message.
        message: Box<[u8]>,
    },
    /// In the personal group, as `principal`.
    Personal,
}

/// Calls that never got an entry of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Why.
    pub reason: Reason,
    /// How many.
    pub count: u64,
    /// First of them not before.
    pub from: Timestamp,
    /// Last of them not after.
    pub until: Timestamp,
}

/// Something about the daemon or the log itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemRecord {
    /// What.
    pub event: SystemEvent,
    /// How it ended.
    pub outcome: Outcome,
    /// Words.
    pub text: Box<str>,
}

/// What can happen to daemon and log. Numbers never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum SystemEvent {
    /// The daemon started.
    Start = 1,
    /// The daemon stopped in good order.
    Stop = 2,
    /// A log began; the text is its origin.
    Origin = 3,
    /// The log goes on in a new segment after a failed write.
    Resumed = 4,
    /// A tail that was never acknowledged was cut, or damage was found, when the log was opened.
    Repaired = 5,
    /// A stored record was found damaged.
    Quarantine = 6,
    /// The clock stepped, or irreversible timers were paused.
    Clock = 7,
}

impl SystemEvent {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Start,
        Self::Stop,
        Self::Origin,
        Self::Resumed,
        Self::Repaired,
        Self::Quarantine,
        Self::Clock,
    ];

    pub(super) fn from_number(number: u16) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|event| *event as u16 == number)
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "Start",
            Self::Stop => "Stop",
            Self::Origin => "Origin",
            Self::Resumed => "Resumed",
            Self::Repaired => "Repaired",
            Self::Quarantine => "Quarantine",
            Self::Clock => "Clock",
        }
    }
}

impl Entry {
    /// Opens the personal group: pairs, empty when there is none.
    ///
    /// # Errors
    /// [`Undecryptable`] with another key, and always once the month's key is destroyed.
    pub fn open_personal(
        &self,
        key: PersonalKey<'_>,
    ) -> Result<Vec<(String, String)>, Undecryptable> {
        let index = match &self.body {
            Body::Detail(detail) => detail.index,
            _ => 0,
        };
        self.personal.open(&binding(&self.prefix, index), key)
    }

    /// Who called, as far as ids go.
    #[must_use]
    pub const fn principal(&self) -> Option<PrincipalId> {
        match &self.body {
            Body::Head(head) => Some(head.principal),
            Body::Detail(detail) => Some(detail.principal),
            Body::Introduction(Introduction::Caller { principal, .. }) => Some(*principal),
            _ => None,
        }
    }

    /// What it was about.
    #[must_use]
    pub const fn item(&self) -> Option<&Item> {
        match &self.body {
            Body::Head(head) => head.item.as_ref(),
            Body::Detail(detail) => Some(&detail.item),
            _ => None,
        }
    }

    /// The dataset's key.
    #[must_use]
    pub fn dataset(&self) -> Option<KeyId> {
        match &self.body {
            Body::Introduction(Introduction::Dataset { key_id, .. }) => Some(*key_id),
            _ => self.item()?.dataset,
        }
    }

    /// What was asked; calls that were only counted count as [`Action::Refuse`].
    #[must_use]
    pub const fn action(&self) -> Option<Action> {
        match &self.body {
            Body::Head(head) => Some(head.action),
            Body::Detail(detail) => Some(detail.action),
            Body::Counted(_) => Some(Action::Refuse),
            Body::System(_) | Body::Introduction(_) => None,
        }
    }

    /// The action's or event's name; empty for introductions.
    #[must_use]
    pub const fn action_name(&self) -> &'static str {
        match (&self.body, self.action()) {
            (_, Some(action)) => action.as_str(),
            (Body::System(record), None) => record.event.as_str(),
            _ => "",
        }
    }

    /// How it ended; introductions have no outcome.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        match &self.body {
            Body::Head(head) => Some(head.outcome),
            Body::Detail(detail) => Some(detail.item.outcome),
            Body::Counted(counted) => Some(Outcome::Refused(counted.reason)),
            Body::System(record) => Some(record.outcome),
            Body::Introduction(_) => None,
        }
    }

    /// Use of a version that it records, by the rule of [`counts_as_use`].
    #[must_use]
    pub fn used(&self) -> Option<Use> {
        let item = self.item()?;
        counts_as_use(self.action()?, item.outcome).then_some(())?;
        Some(Use {
            key_id: item.dataset?,
            version: item.version?,
            items: item.count,
        })
    }
}

impl Naming {
    /// The name, as far as it can be read here.
    #[must_use]
    pub fn resolve(
        &self,
        principal: PrincipalId,
        directory: Option<&DirectoryKeys>,
    ) -> Option<PrincipalName> {
        match self {
            Self::Clear(name) => Some(name.clone()),
            Self::Directory { epoch, message } => directory
                .filter(|keys| keys.epoch() == *epoch)?
                .decrypt_name(principal, message)
                .ok(),
            Self::Personal => None,
        }
    }
}
