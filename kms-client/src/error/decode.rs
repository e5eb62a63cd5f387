//! From what the wire and the transport say to an [`Error`]. Never guesses a reason that the service
//! did not give.

use super::{Error, ErrorKind, Violation};
use crate::connect::DialError;
use kms_proto::{APPROVAL_INFO, ERROR_DOMAIN, REQUEST_ID_METADATA, v1};
use std::error::Error as StdError;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// What tonic's own deadline layer says; it uses the code CANCELLED.
const TONIC_TIMEOUT: &str = "Timeout expired";

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        if let Some(error) = dial_error(&status) {
            return error;
        }
        let details = status.get_error_details();
        let info = details.error_info();
        let info = info.filter(|info| info.domain == ERROR_DOMAIN);
        let reason = info.map(|info| info.reason.clone());
        let approval = info.and_then(|info| info.metadata.get(APPROVAL_INFO).cloned());
        let kind = kind_of(reason.as_deref(), status.code(), status.message());
        let violations = details.bad_request().into_iter().flat_map(|bad| {
            bad.field_violations.iter().map(|violation| Violation {
                field: violation.field.clone(),
                description: violation.description.clone(),
            })
        });
        let id = status.metadata().get(REQUEST_ID_METADATA);
        let message = match status.message() {
            "" => status.code().description(),
            message => message,
        };
        Self::new(kind, message)
            .adding(|inner| {
                inner.reason = reason;
                inner.approval = approval;
                inner.retry_after = details.retry_info().and_then(|info| info.retry_delay);
                inner.violations = violations.collect();
                inner.request_id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
            })
            .with_source(status)
    }
}

impl From<tonic::transport::Error> for Error {
    fn from(error: tonic::transport::Error) -> Self {
        dial_error(&error).unwrap_or_else(|| {
            Self::new(ErrorKind::Unavailable, "the service cannot be reached").with_source(error)
        })
    }
}

impl From<v1::ItemError> for Error {
    fn from(item: v1::ItemError) -> Self {
        let reason = Some(item.reason).filter(|reason| !reason.is_empty());
        let kind = kind_of(reason.as_deref(), Code::from_i32(item.code), &item.message);
        Self::new(kind, item.message).adding(|inner| inner.reason = reason)
    }
}

/// Our own connector's failure, wherever it hides in the chain.
fn dial_error(error: &(dyn StdError + 'static)) -> Option<Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(dial) = error.downcast_ref::<DialError>() {
            return Some(Error::new(dial.kind(), dial.to_string()));
        }
        next = error.source();
    }
    None
}

fn kind_of(reason: Option<&str>, code: Code, message: &str) -> ErrorKind {
    match reason {
        Some("INVALID_ARGUMENT" | "REQUEST_ID_REUSED" | "SHRED_SECRET_REQUIRED") => {
            ErrorKind::InvalidArgument
        }
        Some(
            "UNAUTHENTICATED"
            | "UNSEAL_FAILED"
            | "SESSION_REQUIRED"
            | "RECENT_CODE_REQUIRED"
            | "NEW_CODE_REQUIRED"
            | "CODE_REFUSED"
            | "LOGIN_FAILED"
            | "LOCKED_OUT",
        ) => ErrorKind::Unauthenticated,
        Some("DENIED" | "VOTE_REFUSED" | "SIGNATURE_REFUSED") => ErrorKind::Denied,
        Some("ALREADY_EXISTS") => ErrorKind::AlreadyExists,
        Some("VERSION_DISABLED") => ErrorKind::Disabled,
        Some("VERSION_DESTROYED") => ErrorKind::Destroyed,
        Some("SUBJECT_ERASED") => ErrorKind::Erased,
        Some("UNDECRYPTABLE") => ErrorKind::Undecryptable,
        Some(
            "ETAG_MISMATCH"
            | "VERSION_STATE"
            | "DELETION_PROTECTED"
            | "SHRED_SECRET_MISSING"
            | "COMPROMISED_VERSION"
            | "CONFLICT"
            | "TIMERS_PAUSED"
            | "LAST_ADMINISTRATOR"
            | "APPROVAL_REQUIRED"
            | "APPROVAL_MISMATCH"
            | "APPROVAL_OVER"
            | "QUORUM_UNREACHABLE"
            | "NOT_ANCHORED"
            | "ANONYMISATION_HELD"
            | "DRY_RUN",
        ) => ErrorKind::Precondition,
        Some(
            "SEALED" | "AUDIT_UNAVAILABLE" | "STORE_UNAVAILABLE" | "SHUTTING_DOWN" | "QUARANTINED",
        ) => ErrorKind::Unavailable,
        Some("OUTCOME_UNKNOWN") => ErrorKind::OutcomeUnknown,
        Some("RESOURCE_EXHAUSTED") => ErrorKind::Throttled,
        Some("DEADLINE_EXCEEDED") => ErrorKind::DeadlineExceeded,
        Some("CHECKSUM_MISMATCH") => ErrorKind::Corrupted,
        Some("INTERNAL" | "UNIMPLEMENTED") => ErrorKind::Internal,
        _ => kind_of_code(code, message),
    }
}

/// For answers without a reason that we know: proxies, transport failures, newer services.
fn kind_of_code(code: Code, message: &str) -> ErrorKind {
    match code {
        Code::Cancelled if message == TONIC_TIMEOUT => ErrorKind::DeadlineExceeded,
        Code::DeadlineExceeded => ErrorKind::DeadlineExceeded,
        // Unknown and Cancelled without a reason come from a connection that broke
        Code::Unavailable | Code::Unknown | Code::Cancelled => ErrorKind::Unavailable,
        Code::ResourceExhausted => ErrorKind::Throttled,
        Code::Unauthenticated => ErrorKind::Unauthenticated,
        Code::PermissionDenied | Code::NotFound => ErrorKind::Denied,
        Code::InvalidArgument | Code::OutOfRange => ErrorKind::InvalidArgument,
        Code::AlreadyExists => ErrorKind::AlreadyExists,
        Code::FailedPrecondition | Code::Aborted => ErrorKind::Precondition,
        Code::DataLoss => ErrorKind::Corrupted,
        Code::Ok | Code::Internal | Code::Unimplemented => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::time::Duration;
    use tonic_types::ErrorDetails;

    fn refused(code: Code, reason: &str) -> Error {
        let details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new());
        Status::with_error_details(code, "no", details).into()
    }

    #[test]
    fn every_reason_of_the_service_has_a_kind_of_its_own_choice() {
        // a new reason must be sorted here: with this code it would else fall through to Precondition
        let unsorted = [v1::Reason::Unspecified];
        for number in 0..256 {
            let Ok(reason) = v1::Reason::try_from(number) else {
                continue;
            };
            let name = reason.as_str_name().trim_start_matches("REASON_");
            let aborted = kind_of(Some(name), Code::Aborted, "");
            let internal = kind_of(Some(name), Code::Internal, "");
            assert_eq!(aborted == internal, !unsorted.contains(&reason), "{name}");
        }
    }

    #[test]
    fn the_reason_decides_and_the_details_are_kept() {
        assert_eq!(
            refused(Code::FailedPrecondition, "VERSION_DESTROYED").kind(),
            ErrorKind::Destroyed
        );
        let mut details = ErrorDetails::with_retry_info(Some(Duration::from_millis(250)));
        details.set_error_info("RESOURCE_EXHAUSTED", ERROR_DOMAIN, HashMap::new());
        details.add_bad_request_violation("dataset", "datasets/{dataset}");
        let mut status = Status::with_error_details(Code::ResourceExhausted, "slow", details);
        let id = "00112233445566778899aabbccddeeff";
        status
            .metadata_mut()
            .insert(REQUEST_ID_METADATA, id.parse().unwrap());
        let error = Error::from(status);
        assert_eq!(error.kind(), ErrorKind::Throttled);
        assert_eq!(error.retry_after(), Some(Duration::from_millis(250)));
        assert_eq!(error.request_id(), Some(id));
        assert_eq!(error.violations()[0].field, "dataset");
        let text = error.to_string();
        assert!(
            text.contains("RESOURCE_EXHAUSTED") && text.contains(id),
            "{text}"
        );
    }

    #[test]
    fn a_reason_of_another_domain_is_not_ours() {
        let details = ErrorDetails::with_error_info("SEALED", "proxy.example", HashMap::new());
        let error = Error::from(Status::with_error_details(Code::Internal, "no", details));
        assert_eq!(error.reason(), None);
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
}
