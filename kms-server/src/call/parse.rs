//! From messages to types that cannot be wrong. Every limit that a proto comment states is held here or in
//! the type that is made. Never looks at state.

use kms_core::engine::Refusal;
use kms_core::key::record::{DatasetPolicy, Revision};
use kms_core::key::rotation::PERIOD_DEFAULT;
use kms_core::name::{
    DatasetName, KeyContext, ReasonText, RequestId, RetentionClass, SecretId, SecretKind,
    VersionNumber,
};
use kms_core::time::Timestamp;
use kms_proto::v1;
use std::collections::BTreeMap;
use std::time::Duration;

/// `datasets/{dataset}`.
///
/// # Errors
/// INVALID_ARGUMENT naming `field`; so with every function here.
pub(super) fn dataset(text: &str, field: &str) -> Result<DatasetName, Refusal> {
    DatasetName::parse_resource(text).map_err(|e| Refusal::field(field, e.0))
}

/// `datasets/{dataset}/versions/{number}`.
pub(super) fn version(text: &str, field: &str) -> Result<(DatasetName, VersionNumber), Refusal> {
    const FORM: &str = "a resource name of the form datasets/{dataset}/versions/{number}";
    let bad = || Refusal::field(field, FORM);
    let (name, number) = text.split_once("/versions/").ok_or_else(bad)?;
    let plain = number.len() <= 10 && number.bytes().all(|b| b.is_ascii_digit());
    if !plain || number.starts_with('0') {
        return Err(bad());
    }
    let number = number.parse().ok().and_then(VersionNumber::new);
    Ok((dataset(name, field)?, number.ok_or_else(bad)?))
}

/// A key context.
pub(super) fn context(map: &BTreeMap<String, String>, field: &str) -> Result<KeyContext, Refusal> {
    KeyContext::new(map.clone()).map_err(|e| Refusal::field(field, e.0))
}

/// The caller's idempotency key; empty means none.
pub(super) fn request_id(bytes: &[u8]) -> Result<Option<RequestId>, Refusal> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let id = bytes.try_into().map(RequestId);
    id.map(Some)
        .map_err(|_| Refusal::field("request_id", "16 bytes, or empty"))
}

/// A secret's id.
pub(super) fn secret_id(bytes: &[u8], field: &str) -> Result<SecretId, Refusal> {
    let id = bytes.try_into().map(SecretId);
    id.map_err(|_| Refusal::field(field, "16 bytes"))
}

/// A secret's id, or empty for none.
pub(super) fn optional_secret_id(bytes: &[u8], field: &str) -> Result<Option<SecretId>, Refusal> {
    if bytes.is_empty() {
        return Ok(None);
    }
    secret_id(bytes, field).map(Some)
}

/// A reason in an operator's words.
pub(super) fn reason(text: &str, field: &str) -> Result<ReasonText, Refusal> {
    ReasonText::parse(text).map_err(|e| Refusal::field(field, e.0))
}

/// A kind of shred secret.
pub(super) fn secret_kind(number: i32, field: &str) -> Result<SecretKind, Refusal> {
    let kind = u8::try_from(number).ok().and_then(SecretKind::from_number);
    kind.ok_or_else(|| Refusal::field(field, "SUBJECT, ACCOUNT or PERIOD"))
}

/// A checksum that the caller sent beside a key-bearing field.
pub(super) fn checksum(given: Option<u32>, bytes: &[u8]) -> Result<(), Refusal> {
    match given {
        Some(sum) if sum != kms_core::codec::crc32c(bytes) => {
            Err(kms_core::reason::Reason::ChecksumMismatch.into())
        }
        _ => Ok(()),
    }
}

/// A page's size: 0 means 100, more than 1,000 is taken as 1,000.
pub(super) fn page_size(size: i32) -> Result<usize, Refusal> {
    match usize::try_from(size) {
        Ok(0) => Ok(100),
        Ok(size) => Ok(size.min(1_000)),
        Err(_) => Err(Refusal::field("page_size", "0 to 1,000")),
    }
}

/// An etag, as `render::etag` writes it; `None` when it is not one of ours.
pub(super) fn etag(text: &str) -> Option<Revision> {
    let plain = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let number = plain.then(|| u64::from_str_radix(text, 16).ok())??;
    Some(Revision(number))
}

/// A span of time in whole seconds and nanoseconds, not negative.
pub(super) fn duration(value: &prost_types::Duration, field: &str) -> Result<Duration, Refusal> {
    let bad = || Refusal::field(field, "a duration that is not negative");
    let seconds = u64::try_from(value.seconds).map_err(|_| bad())?;
    let nanos = u32::try_from(value.nanos).map_err(|_| bad())?;
    if nanos >= 1_000_000_000 {
        return Err(bad());
    }
    Ok(Duration::new(seconds, nanos))
}

/// A point in time.
pub(super) fn timestamp(value: &prost_types::Timestamp, field: &str) -> Result<Timestamp, Refusal> {
    let bad = || Refusal::field(field, "a point in time between the years 0001 and 9999");
    if !(-62_135_596_800..=253_402_300_799).contains(&value.seconds) {
        return Err(bad());
    }
    if !(0..1_000_000_000).contains(&value.nanos) {
        return Err(bad());
    }
    let micros = value.seconds * 1_000_000 + i64::from(value.nanos / 1_000);
    Ok(Timestamp::from_micros(micros))
}

/// A dataset's policy; what is absent takes its default. The engine holds its limits.
pub(super) fn policy(policy: Option<&v1::DatasetPolicy>) -> Result<DatasetPolicy, Refusal> {
    let default = v1::DatasetPolicy::default();
    let policy = policy.unwrap_or(&default);
    let period = rotation_period(policy)?;
    Ok(DatasetPolicy {
        rotation_period: period.unwrap_or(PERIOD_DEFAULT),
        required_secrets: required_secrets(policy)?,
        retention_classes: retention_classes(policy)?,
        lasting_context_keys: lasting_context_keys(policy),
    })
}

/// `None` when it was not given.
pub(super) fn rotation_period(policy: &v1::DatasetPolicy) -> Result<Option<Duration>, Refusal> {
    let given = policy.rotation_period.as_ref();
    given
        .map(|period| duration(period, "policy.rotation_period"))
        .transpose()
}

/// Kinds that every wrap names.
pub(super) fn required_secrets(policy: &v1::DatasetPolicy) -> Result<Vec<SecretKind>, Refusal> {
    let kinds = policy.required_secrets.iter();
    kinds
        .map(|kind| secret_kind(*kind, "policy.required_secrets"))
        .collect()
}

/// The order is kept: the first is the default.
pub(super) fn retention_classes(
    policy: &v1::DatasetPolicy,
) -> Result<Vec<RetentionClass>, Refusal> {
    let bad = |e: kms_core::name::InvalidName| Refusal::field("policy.retention_classes", e.0);
    let classes = policy.retention_classes.iter();
    classes
        .map(|class| RetentionClass::parse(class).map_err(bad))
        .collect()
}

/// Keys of the context whose values are logged for good.
pub(super) fn lasting_context_keys(policy: &v1::DatasetPolicy) -> Vec<Box<str>> {
    policy
        .lasting_context_keys
        .iter()
        .map(|key| key.as_str().into())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_names() {
        let (name, number) = version("datasets/customers/versions/12", "name").unwrap();
        assert_eq!((name.as_str(), number.get()), ("customers", 12));
        for bad in [
            "",
            "datasets/customers",
            "datasets/customers/versions/",
            "datasets/customers/versions/0",
            "datasets/customers/versions/01",
            "datasets/customers/versions/+1",
            "datasets/customers/versions/4294967296",
            "datasets/customers/versions/1/",
            "customers/versions/1",
        ] {
            assert!(version(bad, "name").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_policy_that_says_nothing_rotates_every_90_days() {
        let policy = policy(None).unwrap();
        assert_eq!(policy.rotation_period, kms_core::time::DAY * 90);
        assert!(policy.required_secrets.is_empty());
    }

    #[test]
    fn a_policy_of_unknown_kinds_and_classes_is_refused() {
        let refused = |message: v1::DatasetPolicy| {
            policy(Some(&message)).unwrap_err().violations[0]
                .field
                .clone()
        };
        let kinds = v1::DatasetPolicy {
            required_secrets: vec![0],
            ..Default::default()
        };
        assert_eq!(refused(kinds), "policy.required_secrets");
        let classes = v1::DatasetPolicy {
            retention_classes: vec!["Customer".into()],
            ..Default::default()
        };
        assert_eq!(refused(classes), "policy.retention_classes");
        let period = Some(prost_types::Duration {
            seconds: -1,
            nanos: 0,
        });
        let period = v1::DatasetPolicy {
            rotation_period: period,
            ..Default::default()
        };
        assert_eq!(refused(period), "policy.rotation_period");
    }

    #[test]
    fn times_outside_the_calendar_are_refused() {
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000)] {
            let value = prost_types::Timestamp { seconds, nanos };
            assert!(timestamp(&value, "now").is_err());
        }
    }
}
