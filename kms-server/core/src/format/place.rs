//! Where records lie. Keys are random ids, keyed hashes or numbers; never a name.

use crate::name::{ApprovalId, KeyId, SecretId, VersionNumber};

/// A tree of the store; its number stands in record contexts and never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Tree {
    /// Key id -> dataset.
    Dataset = 1,
    /// Key id, version number -> version with its key.
    Version = 2,
    /// Secret id -> shred secret.
    Shred = 3,
    /// Keyed hash of a scope -> id of its newest secret.
    ShredName = 4,
    /// Keyed hash of principal, action, request id -> outcome.
    Request = 5,
    /// Month -> that month's audit key.
    AuditKey = 6,
    /// Fixed ids -> the service's own random keys and marks.
    System = 7,
    /// Key id, version -> uses so far.
    Usage = 8,
    /// Change number, part -> leaves not yet known to be logged.
    Outbox = 9,
    /// Keyed hash of a dataset's name -> its key id.
    DatasetName = 10,
    /// Number -> a key that signs the audit log's checkpoints, with its certificate.
    LogKey = 48,
    /// Number of a generation -> its access policies.
    Policies = 44,
    /// Keyed hash of a name -> service or desk that the built-in authority certifies.
    Service = 40,
    /// Keyed hash of an operator's name -> operator; of account and certificate -> failed attempts.
    Operator = 32,
    /// Approval id -> approval, pending or over.
    Approval = 52,
    /// Keyed hash of an operator's name -> the keys with which that operator approves.
    Approver = 53,
    /// The one: how the roster was declared.
    Roster = 54,
    /// Keyed hash of a receiver's name -> how far the audit log was forwarded to it.
    Forward = 56,
    /// The one: what of the configuration was approved to say who is who.
    Trust = 59,
}

impl Tree {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Dataset,
        Self::Version,
        Self::Shred,
        Self::ShredName,
        Self::Request,
        Self::AuditKey,
        Self::System,
        Self::Usage,
        Self::Outbox,
        Self::DatasetName,
        Self::LogKey,
        Self::Service,
        Self::Operator,
        Self::Approval,
        Self::Approver,
        Self::Roster,
        Self::Trust,
        Self::Policies,
        Self::Forward,
    ];

    /// From its number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|tree| **tree as u8 == number)
            .copied()
    }

    /// Says who may act or approve: damage in one lets nobody of them in.
    #[must_use]
    pub const fn is_of_operators(self) -> bool {
        matches!(
            self,
            Self::Operator | Self::Approval | Self::Approver | Self::Roster | Self::Trust
        )
    }

    /// Few enough to be verified before the first answer after unseal; the others are scrubbed in
    /// the background.
    #[must_use]
    pub const fn verified_at_unseal(self) -> bool {
        matches!(
            self,
            Self::Dataset
                | Self::DatasetName
                | Self::Version
                | Self::AuditKey
                | Self::System
                | Self::Usage
                | Self::Outbox
                | Self::LogKey
                | Self::Service
                | Self::Operator
                | Self::Approval
                | Self::Approver
                | Self::Roster
                | Self::Trust
                | Self::Policies
                | Self::Forward
        )
    }
}

/// Where a record lies: its tree and its key, at most 64 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// The tree.
    pub tree: Tree,
    /// Unique in the tree.
    pub key: Box<[u8]>,
}

/// Our own store counter after the transaction that wrote a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl RecordKey {
    fn new(tree: Tree, key: &[u8]) -> Self {
        Self {
            tree,
            key: key.into(),
        }
    }

    /// A dataset's.
    #[must_use]
    pub fn dataset(key_id: KeyId) -> Self {
        Self::new(Tree::Dataset, &key_id.0)
    }

    /// A version's.
    #[must_use]
    pub fn version(key_id: KeyId, number: VersionNumber) -> Self {
        Self::new(
            Tree::Version,
            &[&key_id.0[..], &number.get().to_be_bytes()].concat(),
        )
    }

    /// A shred secret's, by id.
    #[must_use]
    pub fn shred(id: SecretId) -> Self {
        Self::new(Tree::Shred, &id.0)
    }

    /// A shred secret's, by the keyed hash of its scope.
    #[must_use]
    pub fn shred_name(hash: [u8; 32]) -> Self {
        Self::new(Tree::ShredName, &hash)
    }

    /// An idempotency record's, by keyed hash.
    #[must_use]
    pub fn request(hash: [u8; 32]) -> Self {
        Self::new(Tree::Request, &hash)
    }

    /// An audit month key's: `YYYY-MM`.
    #[must_use]
    pub fn audit_key(month: &str) -> Self {
        Self::new(Tree::AuditKey, month.as_bytes())
    }

    /// The system keys'.
    #[must_use]
    pub fn system_keys() -> Self {
        Self::new(Tree::System, b"keys")
    }

    /// The time mark's.
    #[must_use]
    pub fn time_mark() -> Self {
        Self::new(Tree::System, b"time")
    }

    /// That of the newest signed root of the audit log.
    #[must_use]
    pub fn log_head() -> Self {
        Self::new(Tree::System, b"log")
    }

    /// The built-in certificate authority's.
    #[must_use]
    pub fn authority() -> Self {
        Self::new(Tree::System, b"authority")
    }

    /// A usage record's.
    #[must_use]
    pub fn usage(key_id: KeyId, number: VersionNumber) -> Self {
        Self {
            tree: Tree::Usage,
            key: Self::version(key_id, number).key,
        }
    }

    /// A dataset name's, by keyed hash.
    #[must_use]
    pub fn dataset_name(hash: [u8; 32]) -> Self {
        Self::new(Tree::DatasetName, &hash)
    }

    /// A log key's, by its number from 1.
    #[must_use]
    pub fn log_key(number: u32) -> Self {
        Self::new(Tree::LogKey, &number.to_be_bytes())
    }

    /// An operator's, or that of attempts to be one: by keyed hash.
    #[must_use]
    pub fn operator(hash: [u8; 32]) -> Self {
        Self::new(Tree::Operator, &hash)
    }

    /// An approval's.
    #[must_use]
    pub fn approval(id: ApprovalId) -> Self {
        Self::new(Tree::Approval, &id.0)
    }

    /// An approver's keys', by keyed hash.
    #[must_use]
    pub fn approver(hash: [u8; 32]) -> Self {
        Self::new(Tree::Approver, &hash)
    }

    /// The roster's.
    #[must_use]
    pub fn roster() -> Self {
        Self::new(Tree::Roster, b"roster")
    }

    /// What was approved to say who is who.
    #[must_use]
    pub fn trust() -> Self {
        Self::new(Tree::Trust, b"trust")
    }

    /// That of a generation of access policies.
    #[must_use]
    pub fn policies(generation: u64) -> Self {
        Self::new(Tree::Policies, &generation.to_be_bytes())
    }

    /// A service's or desk's, by keyed hash.
    #[must_use]
    pub fn service(hash: [u8; 32]) -> Self {
        Self::new(Tree::Service, &hash)
    }

    /// That of a receiver of the audit log, by keyed hash.
    #[must_use]
    pub fn forward(hash: [u8; 32]) -> Self {
        Self::new(Tree::Forward, &hash)
    }

    /// An outbox record's.
    #[must_use]
    pub fn outbox(change: u64, part: u16) -> Self {
        Self::new(
            Tree::Outbox,
            &[&change.to_be_bytes()[..], &part.to_be_bytes()].concat(),
        )
    }
}
