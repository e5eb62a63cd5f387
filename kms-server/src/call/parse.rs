//! From messages to types that cannot be wrong. Every limit that a proto comment states is held here or in
//! the type that is made. Never looks at state.

use kms_core::engine::Refusal;
use kms_core::key::record::{DatasetPolicy, Revision};
use kms_core::name::{
    DatasetName, KeyContext, ReasonText, RequestId, RetentionClass, SecretId, SecretKind,
    VersionNumber,
};
use kms_core::time::{DAY, Timestamp};
use kms_proto::v1;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most bytes of an item's reference.
const REFERENCE_MAX: usize = 128;
/// Days that a rotation period may have.
const ROTATION_DAYS: std::ops::RangeInclusive<u64> = 1..=3_650;
/// Days of a rotation period that was not given.
const ROTATION_DAYS_DEFAULT: u32 = 90;

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

/// An item's reference.
pub(super) fn reference(text: &str, field: &str) -> Result<(), Refusal> {
    if text.len() <= REFERENCE_MAX {
        Ok(())
    } else {
        Err(Refusal::field(field, "at most 128 bytes"))
    }
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

/// A dataset's policy; what is absent takes its default.
pub(super) fn policy(
    policy: Option<&v1::DatasetPolicy>,
    at: &str,
) -> Result<DatasetPolicy, Refusal> {
    let default = v1::DatasetPolicy::default();
    let policy = policy.unwrap_or(&default);
    Ok(DatasetPolicy {
        rotation_period: rotation_period(policy, at)?,
        required_secrets: required_secrets(policy, at)?,
        retention_classes: retention_classes(policy, at)?,
        lasting_context_keys: lasting_context_keys(policy, at)?,
    })
}

fn rotation_period(policy: &v1::DatasetPolicy, at: &str) -> Result<Duration, Refusal> {
    let Some(period) = &policy.rotation_period else {
        return Ok(DAY * ROTATION_DAYS_DEFAULT);
    };
    let field = format!("{at}.rotation_period");
    let period = duration(period, &field)?;
    let most = Duration::from_secs(ROTATION_DAYS.end() * DAY.as_secs());
    if period < DAY || period > most {
        return Err(Refusal::field(field, "1 to 3,650 days"));
    }
    Ok(Duration::from_secs(period.as_secs()))
}

fn required_secrets(policy: &v1::DatasetPolicy, at: &str) -> Result<Vec<SecretKind>, Refusal> {
    let field = || format!("{at}.required_secrets");
    let kinds = policy.required_secrets.iter();
    let mut kinds: Vec<_> = kinds
        .map(|kind| secret_kind(*kind, &field()))
        .collect::<Result<_, _>>()?;
    kinds.sort_unstable();
    if kinds.len() > 3 || !all_distinct(&kinds) {
        return Err(Refusal::field(field(), "at most 3 distinct kinds"));
    }
    Ok(kinds)
}

/// The order is kept: the first is the default.
fn retention_classes(policy: &v1::DatasetPolicy, at: &str) -> Result<Vec<RetentionClass>, Refusal> {
    let field = || format!("{at}.retention_classes");
    let classes: Vec<_> = policy
        .retention_classes
        .iter()
        .map(|class| RetentionClass::parse(class).map_err(|e| Refusal::field(field(), e.0)))
        .collect::<Result<_, _>>()?;
    let mut sorted = classes.clone();
    sorted.sort_unstable();
    if classes.len() > 8 || !all_distinct(&sorted) {
        return Err(Refusal::field(field(), "at most 8 distinct classes"));
    }
    Ok(classes)
}

fn lasting_context_keys(policy: &v1::DatasetPolicy, at: &str) -> Result<Vec<Box<str>>, Refusal> {
    let mut keys: Vec<Box<str>> = policy
        .lasting_context_keys
        .iter()
        .map(|key| key.as_str().into())
        .collect();
    keys.sort_unstable();
    let formed = keys
        .iter()
        .all(|key| kms_core::audit::facts::is_lasting_value(key));
    if keys.len() > 8 || !formed || !all_distinct(&keys) {
        let field = format!("{at}.lasting_context_keys");
        return Err(Refusal::field(
            field,
            "at most 8 distinct keys of the form [a-z0-9._-]{1,64}",
        ));
    }
    Ok(keys)
}

fn all_distinct<T: PartialEq>(sorted: &[T]) -> bool {
    sorted
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a != b))
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
        let policy = policy(None, "policy").unwrap();
        assert_eq!(policy.rotation_period, DAY * 90);
        assert!(policy.required_secrets.is_empty());
    }

    #[test]
    fn policies_hold_their_limits() {
        let refused = |change: fn(&mut v1::DatasetPolicy)| {
            let mut message = v1::DatasetPolicy::default();
            change(&mut message);
            policy(Some(&message), "policy").unwrap_err().violations[0]
                .field
                .clone()
        };
        assert_eq!(
            refused(|p| p.rotation_period = Some(prost_types::Duration {
                seconds: 86_399,
                nanos: 0
            })),
            "policy.rotation_period"
        );
        assert_eq!(
            refused(|p| p.required_secrets = vec![1, 1]),
            "policy.required_secrets"
        );
        assert_eq!(
            refused(|p| p.required_secrets = vec![0]),
            "policy.required_secrets"
        );
        assert_eq!(
            refused(|p| p.retention_classes = vec!["a".into(), "a".into()]),
            "policy.retention_classes"
        );
        assert_eq!(
            refused(|p| p.lasting_context_keys = vec!["Tenant".into()]),
            "policy.lasting_context_keys"
        );
    }

    #[test]
    fn times_outside_the_calendar_are_refused() {
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (0, -1), (0, 1_000_000_000)] {
            let value = prost_types::Timestamp { seconds, nanos };
            assert!(timestamp(&value, "now").is_err());
        }
    }
}
