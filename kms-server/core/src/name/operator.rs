//! Names of the people who administer the service. One spelling each: what is typed is brought to it before
//! anything is looked up or counted.

use super::{InvalidName, PrincipalName, is_short_name};

/// An operator's name: `[a-z][a-z0-9.-]{0,62}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorName(Box<str>);

impl OperatorName {
    /// The exact form only.
    ///
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if is_short_name(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(
                "an operator's name of the form [a-z][a-z0-9.-]{0,62}",
            ))
        }
    }

    /// As a person may type it: letters of either case, spaces around it.
    ///
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn canonical(typed: &str) -> Result<Self, InvalidName> {
        Self::parse(&typed.trim_matches(' ').to_ascii_lowercase())
    }

    /// From the resource name `operators/{operator}`.
    ///
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse_resource(text: &str) -> Result<Self, InvalidName> {
        let name = text.strip_prefix("operators/").ok_or(InvalidName(
            "a resource name of the form operators/{operator}",
        ))?;
        Self::parse(name)
    }

    /// The bare name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The principal that acts with a session of this operator: `operators/{operator}`. No certificate can
    /// carry it: it is neither a SPIFFE id nor a DNS name.
    #[must_use]
    pub fn principal(&self) -> PrincipalName {
        PrincipalName(format!("operators/{}", self.0).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_has_one_spelling() {
        for typed in ["alice", "ALICE", " Alice ", "aLiCe"] {
            assert_eq!(OperatorName::canonical(typed).unwrap().as_str(), "alice");
        }
        for bad in [
            "",
            " ",
            "al ice",
            "alice\0",
            "alice\n",
            "ａｌｉｃｅ",
            "alice\u{200b}",
            "1a",
            "-a",
            "a_b",
        ] {
            assert!(OperatorName::canonical(bad).is_err(), "{bad:?}");
        }
        assert!(OperatorName::parse("Alice").is_err());
        assert!(OperatorName::parse(&"a".repeat(64)).is_err());
        let alice = OperatorName::parse_resource("operators/alice").unwrap();
        assert_eq!(alice.principal().as_str(), "operators/alice");
        assert!(OperatorName::parse_resource("alice").is_err());
    }
}
