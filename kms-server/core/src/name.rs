//! Names and ids, parsed once and then trusted. A value of these types cannot be malformed.

pub mod context;
pub mod labels;
pub mod operator;
mod principal;
pub mod service;
pub mod shred;

pub use context::KeyContext;
pub use labels::Labels;
pub use operator::OperatorName;
pub use service::{Purpose, ServiceName, TrustDomain};
pub use shred::{AccountName, RetentionClass, SecretId, SecretKind, ShredScope, SubjectName};

use std::fmt;

/// The text is not a name of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {0}")]
pub struct InvalidName(pub &'static str);

/// A dataset's name: `[a-z][a-z0-9-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetName(Box<str>);

impl DatasetName {
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if is_label(text, 63) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(
                "a dataset name of the form [a-z][a-z0-9-]{0,62}",
            ))
        }
    }

    /// From the resource name `datasets/{dataset}`.
    ///
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse_resource(text: &str) -> Result<Self, InvalidName> {
        let name = text.strip_prefix("datasets/").ok_or(InvalidName(
            "a resource name of the form datasets/{dataset}",
        ))?;
        Self::parse(name)
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[a-z][a-z0-9-]*`, at most `max` bytes.
pub(crate) fn is_label(text: &str, max: usize) -> bool {
    text.len() <= max
        && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// `[a-z][a-z0-9.-]{0,62}`: the one form of the names of operators and services.
fn is_short_name(text: &str) -> bool {
    text.len() <= 63
        && text.as_bytes().first().is_some_and(u8::is_ascii_lowercase)
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'))
}

/// 16 random bytes that name a dataset's key in every blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 16]);

/// Number of a dataset key version: 1, 2, 3, ...; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionNumber(u32);

impl VersionNumber {
    /// The first version.
    pub const FIRST: Self = Self(1);

    /// `None` for 0.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number == 0 {
            None
        } else {
            Some(Self(number))
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The next number; `None` after the last.
    #[must_use]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

/// Who calls, in canonical form: `spiffe://...` or a DNS name, 1..512 printable ASCII bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalName(std::sync::Arc<str>);

impl PrincipalName {
    /// The daemon's own: `kms:internal`.
    #[must_use]
    pub fn internal() -> Self {
        Self("kms:internal".into())
    }

    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if (1..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(
                "a principal name of 1 to 512 printable ASCII bytes",
            ))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Identity of one call: 16 bytes, unique over restarts. Stands in its answer and its audit entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub [u8; 16]);

/// The caller's idempotency key: 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(pub [u8; 16]);

/// Names a pending approval; also the nonce of what its approvers sign.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApprovalId(pub [u8; 16]);

impl ApprovalId {
    /// From its 32 hex digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// From the resource name `approvals/{approval}`.
    ///
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse_resource(text: &str) -> Result<Self, InvalidName> {
        let id = text.strip_prefix("approvals/").and_then(Self::parse);
        id.ok_or(InvalidName(
            "a resource name of the form approvals/{approval}",
        ))
    }
}

macro_rules! hex_id {
    ($($name:ident),+) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    )+};
}
hex_id!(KeyId, CallId, RequestId, ApprovalId);

/// Text of 1..=512 bytes that a person gave as a reason; no control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReasonText(Box<str>);

impl ReasonText {
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if (1..=512).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(
                "1 to 512 bytes of text without control characters",
            ))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dataset_names() {
        for good in ["a", "customers", "call-logs", "x1-"] {
            assert_eq!(DatasetName::parse(good).unwrap().as_str(), good);
        }
        let long = "a".repeat(64);
        for bad in [
            "",
            "A",
            "1a",
            "-a",
            "a_b",
            "a.b",
            "a/b",
            "ä",
            "a b",
            "a\0",
            long.as_str(),
        ] {
            assert!(DatasetName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(DatasetName::parse_resource("datasets/customers").is_ok());
        assert!(DatasetName::parse_resource("customers").is_err());
        assert!(DatasetName::parse_resource("datasets/customers/versions/1").is_err());
    }

    #[test]
    fn version_numbers_never_wrap() {
        assert!(VersionNumber::new(0).is_none());
        assert!(VersionNumber::new(u32::MAX).unwrap().next().is_none());
    }
}
