//! What the store keeps of the word of others: approvals, the keys that may give it, the roster's declaration.

use crate::name::{ApprovalId, OperatorName, PrincipalName};
use crate::policy::{Action, ApprovalRules};
use crate::time::Timestamp;

/// Most votes of one approval.
pub const VOTES_MAX: usize = 16;
/// Most keys of one approver.
pub const KEYS_MAX: usize = 4;

/// How far an approval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalState {
    /// May be signed, and used once enough have.
    Open,
    /// Somebody else said no. Final.
    Rejected {
        /// When.
        at: Timestamp,
    },
    /// Its requester took it back. Final.
    Cancelled {
        /// When.
        at: Timestamp,
    },
    /// What it is about was done. Final.
    Used {
        /// When.
        at: Timestamp,
    },
}

/// One person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// Whose.
    pub operator: OperatorName,
    /// Public key, as OpenSSH encodes it.
    pub key: Box<[u8]>,
    /// SSHSIG over SHA-256 of the statement.
    pub signature: Box<[u8]>,
    /// When it was given.
    pub at: Timestamp,
}

/// A marked call that waits for others, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRecord {
    /// Random.
    pub id: ApprovalId,
    /// What the call does.
    pub action: Action,
    /// Who made it, and nobody else may use it.
    pub requester: PrincipalName,
    /// What is signed, byte for byte.
    pub statement: Box<[u8]>,
    /// Approvers that the rules asked for when it was made.
    pub required: u8,
    /// When it was made.
    pub requested_at: Timestamp,
    /// From here on a declared small team needs no further vote.
    pub ready_at: Option<Timestamp>,
    /// Neither signed nor used from here on.
    pub expires_at: Timestamp,
    /// At most one for each person. Of a recovery, which nobody signs: who said no, without key and signature.
    pub votes: Vec<Vote>,
    /// How far it is.
    pub state: ApprovalState,
    /// Who ended it or said no, and why; empty before.
    pub ended: Box<str>,
}

/// A key that an approver signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrolledKey {
    /// As OpenSSH encodes it.
    pub blob: Box<[u8]>,
    /// When it was enrolled.
    pub added_at: Timestamp,
    /// Its signatures count from here on.
    pub counts_from: Timestamp,
}

/// The keys of one approver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApproverRecord {
    /// Whose.
    pub operator: OperatorName,
    /// At most [`KEYS_MAX`].
    pub keys: Vec<EnrolledKey>,
}

/// The roster, once it was declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterRecord {
    /// The rules in force, whatever the configuration says since.
    pub rules: ApprovalRules,
    /// When they came into force.
    pub declared_at: Timestamp,
}
