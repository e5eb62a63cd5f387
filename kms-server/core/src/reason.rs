//! The closed list of refusal reasons; the same list stands in `proto/kms/v1/error.proto` and docs/errors.md.
//!
//! A reason never changes its meaning and never carries key bytes, paths or whether a user exists.

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The caller's request is wrong.
    Caller,
    /// The caller may not, or there is no such thing.
    Denied,
    /// The state of the thing does not allow it.
    State,
    /// Try again later.
    Unavailable,
    /// Bytes are damaged or do not belong together.
    Damaged,
    /// A defect or a broken invariant.
    Bug,
}

macro_rules! reasons {
    ($($number:literal $name:ident $text:literal $kind:ident $message:literal),+ $(,)?) => {
        /// Why a call was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
        #[repr(u8)]
        pub enum Reason {$(
            #[doc = $message]
            #[error($message)]
            $name = $number,
        )+}

        impl Reason {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The stable name, as in `ErrorInfo.reason`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {$(Self::$name => $text,)+}
            }

            /// Whose move it is.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self {$(Self::$name => Kind::$kind,)+}
            }

            /// From its number in the proto and in audit leaves.
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Self> {
                match number {$($number => Some(Self::$name),)+ _ => None}
            }

            /// Its number in the proto and in audit leaves.
            #[must_use]
            pub const fn number(self) -> u8 {
                self as u8
            }
        }
    };
}

reasons! {
    1 InvalidArgument "INVALID_ARGUMENT" Caller "the request breaks a stated limit or form",
    2 Unauthenticated "UNAUTHENTICATED" Denied "no acceptable identity was presented",
    3 Denied "DENIED" Denied "not allowed, or no such thing",
    4 AlreadyExists "ALREADY_EXISTS" State "the name exists already",
    5 RequestIdReused "REQUEST_ID_REUSED" Caller "the request id was used before with another request",
    6 EtagMismatch "ETAG_MISMATCH" State "the etag is not the current one: read again",
    7 VersionState "VERSION_STATE" State "the version's state does not allow this",
    8 VersionDisabled "VERSION_DISABLED" State "the key version is disabled or scheduled for destruction",
    9 VersionDestroyed "VERSION_DESTROYED" State "the key version was destroyed",
    10 DeletionProtected "DELETION_PROTECTED" State "lift the dataset's deletion protection first",
    11 Undecryptable "UNDECRYPTABLE" Damaged "wrong context, wrong key or damaged bytes",
    12 SubjectErased "SUBJECT_ERASED" State "a shred secret that takes part is blocked or destroyed",
    13 ShredSecretMissing "SHRED_SECRET_MISSING" State "no such shred secret, and the call did not ask to create it",
    14 ShredSecretRequired "SHRED_SECRET_REQUIRED" Caller "the dataset demands a kind of shred secret that the call did not name",
    15 CompromisedVersion "COMPROMISED_VERSION" State "the data key was wrapped under a compromised version: encrypt again under a new data key, or say why it may stay",
    16 Sealed "SEALED" Unavailable "the service is sealed",
    17 UnsealFailed "UNSEAL_FAILED" Denied "the passphrase opens no seal",
    18 AuditUnavailable "AUDIT_UNAVAILABLE" Unavailable "the audit log cannot be written, so nothing is handed out",
    19 StoreUnavailable "STORE_UNAVAILABLE" Unavailable "the store cannot be read or written",
    20 OutcomeUnknown "OUTCOME_UNKNOWN" Unavailable "the change may or may not have been made: ask again with the same request_id",
    21 Conflict "CONFLICT" State "too many conflicting changes: try again",
    22 ResourceExhausted "RESOURCE_EXHAUSTED" Unavailable "a limit of rate or concurrency is reached",
    23 DeadlineExceeded "DEADLINE_EXCEEDED" Unavailable "the deadline passed",
    24 ShuttingDown "SHUTTING_DOWN" Unavailable "the service is stopping",
    25 TimersPaused "TIMERS_PAUSED" State "irreversible timers wait until an operator confirms the clock",
    26 Internal "INTERNAL" Bug "a self test failed or an invariant broke: tell the operator the request id",
    27 Unimplemented "UNIMPLEMENTED" Caller "no such method",
    28 Quarantined "QUARANTINED" Damaged "a stored record of this dataset is damaged: the operator must restore it",
    29 ChecksumMismatch "CHECKSUM_MISMATCH" Caller "a key-bearing field was damaged on the way: send it again",
    30 SessionRequired "SESSION_REQUIRED" Denied "log in first: this certificate acts only with an operator's session",
    31 RecentCodeRequired "RECENT_CODE_REQUIRED" Denied "give a code of the authenticator: the last one is older than 5 minutes",
    32 NewCodeRequired "NEW_CODE_REQUIRED" Denied "give a new code of the authenticator with this very request",
    33 CodeRefused "CODE_REFUSED" Denied "the code is wrong or was used before",
    34 LoginFailed "LOGIN_FAILED" Denied "user, password, code or token are not right",
    35 LockedOut "LOCKED_OUT" Denied "too many failed attempts: wait, or have another operator unlock the account",
    36 LastAdministrator "LAST_ADMINISTRATOR" State "nobody would be left who can administer operators or policies",
    37 ApprovalRequired "APPROVAL_REQUIRED" State "others must approve this first: a pending approval waits for them",
    38 ApprovalMismatch "APPROVAL_MISMATCH" State "the approval is for another request, or what it was about has changed: ask anew",
    39 ApprovalOver "APPROVAL_OVER" State "the approval was used, rejected or cancelled, or has expired",
    40 VoteRefused "VOTE_REFUSED" Denied "this vote does not count: one's own request, a second vote, or a key that does not count (yet)",
    41 SignatureRefused "SIGNATURE_REFUSED" Denied "the signature is not one of this key over this approval",
    42 QuorumUnreachable "QUORUM_UNREACHABLE" State "fewer people can approve than the rules ask for",
    60 NotAnchored "NOT_ANCHORED" State "the anchors of the audit log do not vouch for it: it stays sealed",
    61 AnonymisationHeld "ANONYMISATION_HELD" State "a configured hold keeps the audit log from being anonymised",
    70 DryRun "DRY_RUN" State "a dry run: it would have been done, and nothing was",
}

impl From<crate::entropy::EntropyUnavailable> for Reason {
    fn from(_: crate::entropy::EntropyUnavailable) -> Self {
        Self::Internal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_lead_back() {
        assert!(Reason::ALL.is_sorted_by_key(|reason| reason.number()));
        for reason in Reason::ALL {
            assert_eq!(Reason::from_number(reason.number()), Some(*reason));
        }
        assert_eq!(Reason::from_number(0), None);
        assert_eq!(Reason::from_number(255), None);
    }
}
