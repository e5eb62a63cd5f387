//! What the store keeps, typed and unencrypted. The writer encrypts it; nothing here knows how.
//!
//! Key material lies only in secret types: of versions, shred secrets, operators, and the service's own keys.

mod approval;
mod encoding;
mod operator;
mod policies;
mod service;
mod trust;
mod write;

pub use crate::format::place::{RecordKey, Revision, Tree};
pub use approval::{
    ApprovalRecord, ApprovalState, ApproverRecord, EnrolledKey, KEYS_MAX, RosterRecord, VOTES_MAX,
    Vote,
};
pub use operator::{
    AttemptsRecord, Enrolment, OperatorRecord, OperatorState, Pending, RECOVERY_CODES,
    StoredPassword,
};
pub use policies::{PolicyGeneration, PolicyText};
pub use service::{AuthorityRecord, Certified, ServiceRecord, ServiceState, ServiceToken};
pub use trust::{DOCUMENT_MAX, TrustRecord};
pub use write::{Expect, Write};

use crate::name::{
    DatasetName, KeyId, Labels, PrincipalName, ReasonText, RetentionClass, SecretId, SecretKind,
    ShredScope, VersionNumber,
};
use crate::secret::{
    AuditMonthKey, IndexKey, InstanceSeed, IntakeKey, LogSeed, SetHashKey, ShredSecret, VersionKey,
};
use crate::time::Timestamp;
use std::time::Duration;

/// What a dataset demands and allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetPolicy {
    /// 1 to 3,650 days.
    pub rotation_period: Duration,
    /// Kinds that every wrap names at least once; distinct.
    pub required_secrets: Vec<SecretKind>,
    /// Classes that shred secrets may name, at most 8; the first is the default.
    pub retention_classes: Vec<RetentionClass>,
    /// Context keys whose values are logged for good, at most 8.
    pub lasting_context_keys: Vec<Box<str>>,
}

/// A dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetRecord {
    /// Names the key in blobs.
    pub key_id: KeyId,
    /// Its name.
    pub name: DatasetName,
    /// What it demands and allows.
    pub policy: DatasetPolicy,
    /// What access policies may ask for.
    pub labels: Labels,
    /// No version can be scheduled for destruction.
    pub deletion_protection: bool,
    /// Number that the next version gets.
    pub next_version: VersionNumber,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the schedule rotates next.
    pub next_rotation_at: Timestamp,
}

/// State of a version (NIST SP 800-57 part 1, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VersionState {
    /// Made, not yet used.
    PreActive,
    /// Wraps and unwraps.
    Active,
    /// Unwraps only.
    DecryptOnly,
    /// Refuses everything until enabled.
    Disabled,
    /// Refuses everything; destroyed at `at` unless restored.
    DestroyScheduled {
        /// When destruction falls due.
        at: Timestamp,
    },
    /// Gone. Final.
    Destroyed {
        /// Since when.
        at: Timestamp,
    },
}

/// Why a version counts as compromised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compromise {
    /// The operator's words.
    pub reason: ReasonText,
    /// Since when.
    pub at: Timestamp,
    /// Who said so.
    pub principal: PrincipalName,
}

/// One version of a dataset key. A destroyed one has no key: the record is its tombstone.
#[derive(Debug)]
pub struct VersionRecord {
    /// The dataset's key.
    pub key_id: KeyId,
    /// Its number.
    pub number: VersionNumber,
    /// Its state.
    pub state: VersionState,
    /// The mark beside the state.
    pub compromised: Option<Compromise>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The key; `None` exactly when destroyed.
    pub key: Option<VersionKey>,
}

/// State of a shred secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShredState {
    /// In use.
    Active,
    /// Refuses every use.
    Blocked {
        /// Since when.
        at: Timestamp,
    },
    /// Gone. Final.
    Destroyed {
        /// Since when.
        at: Timestamp,
    },
}

/// A shred secret. A destroyed one has no secret: the record is its tombstone.
#[derive(Debug)]
pub struct ShredRecord {
    /// Stands in blobs.
    pub id: SecretId,
    /// What it is for.
    pub scope: ShredScope,
    /// Its state.
    pub state: ShredState,
    /// When it was made.
    pub created_at: Timestamp,
    /// The destroyed secret of the same scope before it.
    pub succeeds: Option<SecretId>,
    /// The secret; `None` exactly when destroyed.
    pub secret: Option<ShredSecret>,
}

/// A record as it stands in the store, read back and opened.
#[derive(Debug)]
pub struct Stored {
    /// Where.
    pub key: RecordKey,
    /// The revision that it was written at.
    pub revision: Revision,
    /// What; `None` when it was removed.
    pub record: Option<Record>,
}

/// What a repeated request id answers: enough to find the outcome, never a plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    /// Fingerprint of the request.
    pub fingerprint: [u8; 32],
    /// When it was answered; forgotten 24 h later.
    pub at: Timestamp,
    /// The dataset it changed, if one.
    pub key_id: Option<KeyId>,
    /// The version it made, if one.
    pub version: Option<VersionNumber>,
    /// Versions it marked compromised.
    pub marked: Vec<VersionNumber>,
}

/// The service's own random keys. Random records, never derived.
#[derive(Debug)]
pub struct SystemKeys {
    /// Finds records by keyed hash.
    pub index: IndexKey,
    /// Keys the root record's set hash.
    pub set_hash: SetHashKey,
    /// Makes principals' ids in the audit log.
    pub directory: IndexKey,
    /// Seed of the installation's Ed25519 key (RFC 8032).
    pub instance: InstanceSeed,
    /// X25519 private key to which personal groups are encrypted while sealed.
    pub intake: IntakeKey,
}

/// A key that signs the audit log's checkpoints.
#[derive(Debug)]
pub struct LogKeyRecord {
    /// 1, 2, 3, ...
    pub number: u32,
    /// Its seed.
    pub seed: LogSeed,
    /// The note by which the instance key (and the log key before) certifies it; public.
    pub certificate: Box<str>,
}

/// Marks that must survive a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeMark {
    /// The latest wall time ever acted on.
    pub high_water: Timestamp,
    /// Irreversible timers wait for an operator.
    pub paused: bool,
}

/// The newest signed root of the audit log, as far as the store knows: whatever is signed next extends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHead {
    /// Name of the log's life.
    pub origin: Box<str>,
    /// Leaves.
    pub size: u64,
    /// Root over them (RFC 6962).
    pub root: [u8; 32],
}

/// How far the audit log was forwarded to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardMark {
    /// Name of the log's life.
    pub origin: Box<str>,
    /// The first entry that it may not have.
    pub next: u64,
}

/// A log key that handed over to the next: its certificate is kept, its seed is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastLogKey {
    /// 1, 2, 3, ...
    pub number: u32,
    /// As it was certified; public.
    pub certificate: Box<str>,
}

/// Uses of one version, as of an audit sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageRecord {
    /// Items.
    pub uses: u64,
    /// Last one.
    pub last_used_at: Timestamp,
    /// Counted up to this sequence number, exclusive.
    pub through_sequence: u64,
}

/// Leaves that a change wrote beside itself, until they are known to be logged; at most
/// [`OUTBOX_PART_MAX`] bytes in one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRecord {
    /// Dense number of the change.
    pub change: u64,
    /// Which part of the change's leaves, from 0.
    pub part: u16,
    /// The leaves' final bytes but for their sequence numbers, in order.
    pub leaves: Vec<Vec<u8>>,
}

/// Most bytes of leaves in one outbox record; the store wants small values.
pub const OUTBOX_PART_MAX: usize = 48 * 1024;

/// Any record.
#[derive(Debug)]
#[expect(missing_docs, reason = "each variant is its type's name")]
pub enum Record {
    Dataset(DatasetRecord),
    Version(VersionRecord),
    Shred(ShredRecord),
    ShredName(SecretId),
    DatasetName(KeyId),
    Request(RequestRecord),
    AuditKey(AuditMonthKey),
    /// Where a month's audit key was: destroyed then.
    AuditTombstone(Timestamp),
    SystemKeys(SystemKeys),
    TimeMark(TimeMark),
    Usage(UsageRecord),
    Outbox(OutboxRecord),
    LogKey(LogKeyRecord),
    LogHead(LogHead),
    PastLogKey(PastLogKey),
    ForwardMark(ForwardMark),
    Operator(OperatorRecord),
    Attempts(AttemptsRecord),
    Approval(ApprovalRecord),
    Approver(ApproverRecord),
    Roster(RosterRecord),
    Policies(PolicyGeneration),
    Trust(TrustRecord),
    Service(ServiceRecord),
    Authority(AuthorityRecord),
}
