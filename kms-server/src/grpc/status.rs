//! The one place that makes gRPC statuses: code, fixed message, `ErrorInfo`, `BadRequest`,
//! `RetryInfo`, request id. Never a word that came from the caller, from the system or from a library.

use crate::call::code::{code, retry_after};
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderValue};
use kms_core::engine::view::Refusal;
use kms_core::name::CallId;
use kms_core::reason::Reason;
use std::collections::HashMap;
use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// Most field violations of one status: its headers must stay far below any peer's limit.
const VIOLATIONS_MAX: usize = 16;

/// The request id as a metadata value: hex of 16 bytes.
#[must_use]
pub fn request_id_value(id: CallId) -> HeaderValue {
    let mut hex = [0; 32];
    HEXLOWER.encode_mut(&id.0, &mut hex);
    HeaderValue::from_bytes(&hex).unwrap_or(HeaderValue::from_static(""))
}

/// The status of a refused call, as the headers or trailers that carry it.
#[must_use]
pub fn refusal_headers(id: CallId, refusal: &Refusal) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(6);
    // cannot fail: the message is fixed text and the details are bytes
    let _ = refusal_status(id, refusal).add_header(&mut headers);
    headers.insert(kms_proto::REQUEST_ID_METADATA, request_id_value(id));
    headers
}

/// Trailers of a call that went well.
#[must_use]
pub fn ok_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

fn refusal_status(id: CallId, refusal: &Refusal) -> Status {
    let reason = refusal.reason;
    let mut metadata = HashMap::from([("request_id".to_owned(), id.to_string())]);
    if let Some(approval) = refusal.approval {
        metadata.insert(
            kms_proto::APPROVAL_INFO.to_owned(),
            format!("approvals/{approval}"),
        );
    }
    let mut details =
        ErrorDetails::with_error_info(reason.as_str(), kms_proto::ERROR_DOMAIN, metadata);
    if !refusal.violations.is_empty() {
        let violations: Vec<FieldViolation> = refusal
            .violations
            .iter()
            .take(VIOLATIONS_MAX)
            .map(|violation| FieldViolation::new(&violation.field, violation.description))
            .collect();
        details.set_bad_request(violations);
    }
    if let Some(delay) = retry_after(reason) {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code(reason), reason.to_string(), details)
}

/// A refusal that names no field.
#[must_use]
pub fn plain(reason: Reason) -> Refusal {
    Refusal::from(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    const DOCS: &str = include_str!("../../../docs/errors.md");
    const PROTO: &str = include_str!("../../../proto/kms/v1/error.proto");

    fn constant_name(code: Code) -> String {
        let camel = format!("{code:?}");
        let mut name = String::new();
        for (at, letter) in camel.char_indices() {
            if at > 0 && letter.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        name
    }

    #[test]
    fn every_reason_stands_in_the_docs_with_its_code() {
        for reason in Reason::ALL {
            let start = format!(
                "| `{}` | `{}` |",
                reason.as_str(),
                constant_name(code(*reason))
            );
            let rows = DOCS.lines().filter(|line| line.starts_with(&start));
            assert_eq!(rows.count(), 1, "docs/errors.md needs one row {start}");
        }
        let rows = DOCS.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, Reason::ALL.len(), "docs/errors.md has a row too many");
    }

    #[test]
    fn every_reason_stands_in_the_proto_with_its_number() {
        for reason in Reason::ALL {
            let line = format!("  REASON_{} = {};", reason.as_str(), reason.number());
            assert!(PROTO.lines().any(|l| l == line), "{line}");
        }
        let lines = PROTO.lines().filter(|l| l.starts_with("  REASON_")).count();
        assert_eq!(lines, Reason::ALL.len() + 1);
    }

    #[test]
    fn a_status_carries_reason_request_id_fields_and_delay() {
        let id = CallId([0xA5; 16]);
        let mut refusal = Refusal::field("items[3].dataset", "must be a resource name");
        let headers = refusal_headers(id, &refusal);
        let status = Status::from_header_map(&headers).unwrap();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(headers["kms-request-id"], "a5".repeat(16));
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("INVALID_ARGUMENT", "kms.v1")
        );
        assert_eq!(info.metadata["request_id"], "a5".repeat(16));
        let fields = &details.bad_request().unwrap().field_violations;
        assert_eq!(fields[0].field, "items[3].dataset");
        assert!(details.retry_info().is_none());

        refusal = plain(Reason::ResourceExhausted);
        let headers = refusal_headers(id, &refusal);
        let status = Status::from_header_map(&headers).unwrap();
        let delay = status.get_error_details().retry_info().unwrap().retry_delay;
        assert_eq!(delay, Some(std::time::Duration::from_secs(1)));
    }

    #[test]
    fn many_violations_do_not_make_endless_headers() {
        let mut refusal = Refusal::field("items[0].dataset", "must be a resource name");
        refusal.violations = vec![refusal.violations[0].clone(); 1_000];
        let bytes: usize = refusal_headers(CallId([1; 16]), &refusal)
            .values()
            .map(HeaderValue::len)
            .sum();
        assert!(bytes < 4_096, "{bytes}");
    }
}
