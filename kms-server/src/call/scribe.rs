//! Writes entries: facts and caller into leaves, and who stands behind an id before it is used the first
//! time in a month. Never waits and never decides.

use crate::audit_log::counted::Row;
use crate::audit_log::intake::Intake;
use crate::audit_log::names::Names;
use crate::audit_log::{Space, Submission, UsageMark};
use crate::identity::Connection;
use crate::live::Live;
use crate::system::clock::Clock;
use kms_core::audit::leaf::{
    BootId, CallFacts, CallerFacts, CallerIntroduction, Coordinates, Count, EncodeError, LeafKeys,
    Month, MonthIntake, MonthKeys, PrincipalId, SystemEvent, encode_call,
    encode_caller_introduction, encode_counted, encode_dataset_introduction, encode_system,
};
use kms_core::audit::{Facts, Outcome};
use kms_core::codec::hex;
use kms_core::engine::Snapshot;
use kms_core::entropy::Entropy;
use kms_core::name::{CallId, KeyId, PrincipalName};
use kms_core::policy::{Authentication, Principal, Role};
use kms_core::reason::Reason;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use super::lane::Lane;

/// Number of the only node.
const NODE: u32 = 1;

/// See the module.
pub(super) struct Scribe {
    boot: BootId,
    next: AtomicU64,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// To whom personal groups are encrypted while sealed.
    pub(super) intake: Intake,
    /// Number of the month in which the daemon's own principal was introduced last.
    introduced: AtomicU16,
    pub(super) names: Names,
}

/// Whose call an entry is about.
#[derive(Clone, Copy)]
pub(super) struct Author<'a> {
    /// The call's id.
    pub id: CallId,
    /// Where and when.
    pub at: Coordinates,
    /// Who; `None` before anybody was identified.
    pub principal: Option<&'a Principal>,
    /// It is a person: the name stands encrypted.
    pub person: bool,
    /// Over which connection; `None` for the daemon's own jobs.
    pub connection: Option<&'a Connection>,
    /// W3C trace id.
    pub trace: Option<[u8; 16]>,
    /// The generation of policies that was asked.
    pub policy: u64,
}

impl Author<'_> {
    /// Operators, the certificates from which they log in, and the daemon itself may use the log's reserve. Nobody else
    /// may: not even a certificate that has no role, whose refused calls would fill it.
    pub(super) fn space(&self) -> Space {
        let may = |p: &Principal| {
            matches!(
                p.authentication,
                Authentication::Internal | Authentication::OperatorSession
            ) || p.roles.contains(Role::OperatorCertificate)
        };
        if self.principal.is_some_and(may) {
            Space::Operator
        } else {
            Space::Data
        }
    }
}

/// Keys of the log as of one call.
pub(super) struct Keys<'a> {
    live: Option<&'a Live>,
    month: Option<Arc<MonthKeys>>,
    intake: Option<MonthIntake>,
}

impl Keys<'_> {
    fn leaf(&self) -> LeafKeys<'_> {
        match (&self.month, &self.intake) {
            (Some(month), _) => LeafKeys::Unsealed(month),
            (None, Some(intake)) => LeafKeys::Sealed(intake),
            (None, None) => LeafKeys::Missing,
        }
    }
}

impl Scribe {
    pub(super) fn new(
        boot: BootId,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        intake: Intake,
    ) -> Self {
        Self {
            boot,
            next: AtomicU64::new(1),
            clock,
            entropy,
            intake,
            introduced: AtomicU16::new(0),
            names: Names::new(),
        }
    }

    /// The id of the next call: this start's 8 random bytes and a number.
    pub(super) fn next_id(&self) -> CallId {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut id = [0; 16];
        let bytes = self.boot.0.into_iter().chain(number.to_be_bytes());
        id.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        CallId(id)
    }

    /// Here and now.
    pub(super) fn now(&self) -> Coordinates {
        Coordinates {
            time: self.clock.now(),
            monotonic: self.clock.monotonic(),
            node: NODE,
            boot: self.boot,
        }
    }

    /// The keys for an entry of now.
    pub(super) fn keys<'a>(&'a self, live: Option<&'a Live>, at: Coordinates) -> Keys<'a> {
        Keys {
            live,
            month: live.and_then(|live| live.month(at.time)),
            intake: match live {
                Some(_) => None,
                None => self.intake.of(Month::of(at.time)),
            },
        }
    }

    fn principal_id(&self, author: &Author<'_>, live: Option<&Live>) -> PrincipalId {
        let (Some(principal), Some(live)) = (author.principal, live) else {
            return PrincipalId::default();
        };
        let derive = || {
            let id = live.keys.directory.principal_id(&principal.name);
            self.names.know_principal(id, principal.name.clone());
            id
        };
        match author.connection {
            Some(connection) if connection.is_own(&principal.name) => {
                *connection.introduction.principal.get_or_init(derive)
            }
            _ => derive(),
        }
    }

    /// What stands for the person whom a call was about.
    fn subject_id(&self, facts: &Facts, live: Option<&Live>) -> Option<PrincipalId> {
        let detail = facts.details.first().filter(|_| !facts.batch)?;
        let name = detail.subject.as_ref()?;
        let id = live?.keys.directory.principal_id(name);
        self.names.know_principal(id, name.clone());
        Some(id)
    }

    /// The leaves of a call, head first.
    pub(super) fn leaves(
        &self,
        author: &Author<'_>,
        facts: &Facts,
        keys: &Keys<'_>,
    ) -> Result<Vec<Vec<u8>>, Reason> {
        let caller = CallerFacts {
            principal: self.principal_id(author, keys.live),
            name: author.principal.map(|principal| &principal.name),
            authentication: author.principal.map(|principal| principal.authentication),
            mfa_age: author.principal.and_then(|principal| {
                let factor = principal.second_factor?;
                Some(author.at.time.since(factor.at))
            }),
            connection: author.connection.map_or(0, Connection::number),
        };
        let call = CallFacts {
            id: author.id,
            at: author.at,
            trace: author.trace,
            policy_revision: author.policy,
            subject: self.subject_id(facts, keys.live),
        };
        encode_call(facts, &caller, &call, keys.leaf(), &*self.entropy).map_err(|error| {
            tracing::error!(%error, "an entry cannot be encoded");
            match error {
                EncodeError::KeyMissing => Reason::AuditUnavailable,
                EncodeError::Entropy | EncodeError::TooLong => Reason::Internal,
            }
        })
    }

    /// Appends what the log does not know yet this month of the caller and of the datasets in `facts`.
    /// Not waited for: it lies before whatever is appended next.
    pub(super) fn introduce(
        &self,
        lane: &Lane,
        author: &Author<'_>,
        facts: &Facts,
        snapshot: Option<&Snapshot>,
        keys: &Keys<'_>,
    ) {
        let month = Month::of(author.at.time);
        if let (Some(connection), Some(principal)) = (author.connection, author.principal)
            && connection.to_introduce(&principal.name, month.number(), keys.live.is_none())
        {
            let leaf = self.caller(author, connection, &principal.name, keys);
            append(lane, author.space(), leaf);
        }
        self.introduce_self(lane, author, month, keys);
        let Some(snapshot) = snapshot else {
            return;
        };
        let mut introduced = lane.datasets.borrow_mut();
        for id in facts.details.iter().filter_map(|detail| detail.dataset) {
            if introduced.get(&id) == Some(&month) {
                continue;
            }
            if let Some(leaf) = self.dataset(id, snapshot, author.at) {
                introduced.insert(id, month);
                append(lane, author.space(), Ok(leaf));
            }
        }
    }

    /// The daemon's own principal, whose jobs come over no connection.
    fn introduce_self(&self, lane: &Lane, author: &Author<'_>, month: Month, keys: &Keys<'_>) {
        let (None, Some(principal), Some(live)) = (author.connection, author.principal, keys.live)
        else {
            return;
        };
        if self.introduced.swap(month.number(), Ordering::Relaxed) == month.number() {
            return;
        }
        let introduction = CallerIntroduction {
            principal: self.principal_id(author, Some(live)),
            name: &principal.name,
            person: false,
            connection: 0,
            personal: &[],
        };
        let leaf = encode_caller_introduction(
            &introduction,
            self.next_id(),
            author.at,
            keys.leaf(),
            Some(&live.keys.directory),
            &*self.entropy,
        );
        append(lane, author.space(), leaf);
    }

    fn caller(
        &self,
        author: &Author<'_>,
        connection: &Connection,
        name: &PrincipalName,
        keys: &Keys<'_>,
    ) -> Result<Vec<u8>, EncodeError> {
        let address = connection.peer().to_string();
        let certificate = connection.presented().map(|shown| hex(shown.sha256()));
        let mut personal = vec![("address", address.as_str())];
        if let Some(certificate) = &certificate {
            personal.push(("certificate", certificate));
        }
        let introduction = CallerIntroduction {
            principal: self.principal_id(author, keys.live),
            name,
            person: author.person,
            connection: connection.number(),
            personal: &personal,
        };
        encode_caller_introduction(
            &introduction,
            self.next_id(),
            author.at,
            keys.leaf(),
            keys.live.map(|live| &live.keys.directory),
            &*self.entropy,
        )
    }

    fn dataset(&self, id: KeyId, snapshot: &Snapshot, at: Coordinates) -> Option<Vec<u8>> {
        let name = &snapshot.by_id(id)?.record.name;
        self.names.know_dataset(id, name.clone());
        encode_dataset_introduction(id, name, self.next_id(), at).ok()
    }

    /// The leaf of something that happened to the daemon itself.
    pub(super) fn system(&self, event: SystemEvent, text: &str) -> Result<Vec<u8>, EncodeError> {
        encode_system(event, Outcome::Ok, text, self.next_id(), self.now())
    }

    /// The leaf of calls that were counted together.
    pub(super) fn counted(&self, row: &Row, live: Option<&Live>) -> Option<Vec<u8>> {
        let source = row.source.map(|source| source.to_string());
        let count = Count {
            source: source.as_deref(),
            reason: row.reason,
            count: row.count,
            from: row.from,
            until: row.until,
        };
        let at = self.now();
        let keys = self.keys(live, at);
        encode_counted(&count, self.next_id(), at, keys.leaf(), &*self.entropy).ok()
    }
}

/// What the log counts of a call's facts.
pub(super) fn usage(facts: &Facts, at: Coordinates) -> Vec<UsageMark> {
    let mark = |used: kms_core::audit::facts::Use| UsageMark {
        key_id: used.key_id,
        version: used.version,
        items: used.items,
        at: at.time,
    };
    facts.uses().map(mark).collect()
}

fn append(lane: &Lane, space: Space, leaf: Result<Vec<u8>, EncodeError>) {
    match leaf {
        Ok(leaf) => drop(lane.audit.append(Submission {
            leaves: vec![leaf],
            usage: Vec::new(),
            space,
        })),
        Err(error) => tracing::error!(%error, "an introduction cannot be encoded"),
    }
}
