//! `kms.v1`: messages, client stubs and the descriptor set of the key management service.
//!
//! Nothing but generated code and redacted `Debug`: rules live in `kms-core`, never here.

/// Generated from `proto/kms/v1/*.proto`; the comments there are the reference.
#[expect(missing_docs, reason = "generated; documented in the proto files")]
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    unused_qualifications,
    unreachable_pub,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("kms.v1");
    include!(concat!(env!("OUT_DIR"), "/dry_run.rs"));
}

/// A request that can be made as a dry run, or reads only.
pub trait DryRun {
    /// Asks for a dry run; `false` where there is none, because the call changes nothing.
    fn only_validate(&mut self) -> bool;
}

mod redacted;

/// The encoded `google.protobuf.FileDescriptorSet` of every file of `kms.v1`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kms.v1.descriptors"));

/// Domain of every `google.rpc.ErrorInfo` that the service sends.
pub const ERROR_DOMAIN: &str = "kms.v1";

/// Metadata key of the answer's request id: hex of 16 bytes, the same as in its audit entry.
pub const REQUEST_ID_METADATA: &str = "kms-request-id";

/// Metadata key of a call: the token of an operator's session, base64url of 32 bytes without padding.
pub const SESSION_METADATA: &str = "kms-session";

/// Metadata key of a call: a new code of the operator's authenticator, or a recovery code.
pub const CODE_METADATA: &str = "kms-totp";

/// Metadata key of a call: the approval that it uses, as `approvals/{approval}`.
pub const APPROVAL_METADATA: &str = "kms-approval";

/// Metadata of an `ErrorInfo`: the pending approval that others must sign.
pub const APPROVAL_INFO: &str = "approval";

/// Metadata key of a call: a one-time enrolment token of the built-in authority, as it was printed.
pub const ENROLMENT_METADATA: &str = "kms-enrolment";
