//! The one table from a reason to its gRPC code and to whether asking again helps. docs/errors.md
//! shows the same table; a test compares the two.

use kms_core::reason::Reason;
use std::time::Duration;
use tonic::Code;

/// The canonical code (google.rpc.Code) of a reason.
#[must_use]
pub const fn code(reason: Reason) -> Code {
    match reason {
        Reason::InvalidArgument
        | Reason::Undecryptable
        | Reason::ShredSecretRequired
        | Reason::ChecksumMismatch => Code::InvalidArgument,
        Reason::Unauthenticated
        | Reason::SessionRequired
        | Reason::RecentCodeRequired
        | Reason::NewCodeRequired
        | Reason::CodeRefused
        | Reason::LoginFailed
        | Reason::LockedOut => Code::Unauthenticated,
        Reason::Denied | Reason::UnsealFailed | Reason::VoteRefused | Reason::SignatureRefused => {
            Code::PermissionDenied
        }
        Reason::AlreadyExists | Reason::RequestIdReused => Code::AlreadyExists,
        Reason::EtagMismatch | Reason::Conflict => Code::Aborted,
        Reason::VersionState
        | Reason::VersionDisabled
        | Reason::VersionDestroyed
        | Reason::DeletionProtected
        | Reason::SubjectErased
        | Reason::ShredSecretMissing
        | Reason::CompromisedVersion
        | Reason::TimersPaused
        | Reason::LastAdministrator
        | Reason::NotAnchored
        | Reason::AnonymisationHeld
        | Reason::ApprovalRequired
        | Reason::ApprovalMismatch
        | Reason::ApprovalOver
        | Reason::DryRun
        | Reason::QuorumUnreachable => Code::FailedPrecondition,
        Reason::Sealed
        | Reason::AuditUnavailable
        | Reason::StoreUnavailable
        | Reason::ShuttingDown => Code::Unavailable,
        // not UNAVAILABLE: a retry without the same request_id could do it twice
        Reason::OutcomeUnknown => Code::Unknown,
        Reason::ResourceExhausted => Code::ResourceExhausted,
        Reason::DeadlineExceeded => Code::DeadlineExceeded,
        Reason::Internal => Code::Internal,
        Reason::Unimplemented => Code::Unimplemented,
        Reason::Quarantined => Code::DataLoss,
    }
}

/// How long to wait before asking again; `None` where that does not help by itself.
#[must_use]
pub const fn retry_after(reason: Reason) -> Option<Duration> {
    match reason {
        Reason::Conflict => Some(Duration::from_millis(100)),
        Reason::AuditUnavailable
        | Reason::StoreUnavailable
        | Reason::OutcomeUnknown
        | Reason::ShuttingDown
        | Reason::ResourceExhausted => Some(Duration::from_secs(1)),
        _ => None,
    }
}
