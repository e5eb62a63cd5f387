//! What names a shred secret: kind, account, name and retention class. Names stand only encrypted in the store.

use super::{InvalidName, is_label};
use std::fmt;

/// What a shred secret stands for; the number stands in wrapped data keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SecretKind {
    /// One natural person.
    Subject = 1,
    /// One tenant of the CRM.
    Account = 2,
    /// One calendar month of one retention class.
    Period = 3,
}

impl SecretKind {
    /// From its number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Subject),
            2 => Some(Self::Account),
            3 => Some(Self::Period),
            _ => None,
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Account => "account",
            Self::Period => "period",
        }
    }
}

/// 16 random bytes that stand for a shred secret in blobs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId(pub [u8; 16]);

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretId({self})")
    }
}

macro_rules! text_name {
    ($(#[$doc:meta] $name:ident $min:literal..=$max:literal $form:literal),+ $(,)?) => {$(
        #[$doc]
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// # Errors
            /// [`InvalidName`] with the form.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                let fits = ($min..=$max).contains(&text.len());
                if fits && !text.chars().any(char::is_control) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidName($form))
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(<personal>)"))
            }
        }
    )+};
}

text_name! {
    /// A tenant's name: 0..128 bytes of UTF-8 without control characters; empty where no tenant is meant.
    AccountName 0..=128 "at most 128 bytes of text without control characters",
    /// A subject's name or id: 1..256 bytes of UTF-8 without control characters.
    SubjectName 1..=256 "1 to 256 bytes of text without control characters",
}

/// How long data of one sort lives, by name: `[a-z][a-z0-9-]{0,31}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetentionClass(Box<str>);

impl RetentionClass {
    /// # Errors
    /// [`InvalidName`] with the form.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if is_label(text, 32) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(
                "a retention class of the form [a-z][a-z0-9-]{0,31}",
            ))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which secret: one of each (account, kind, name, class) at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShredScope {
    /// Account it belongs to; empty for PERIOD and where no tenant is meant.
    pub account: AccountName,
    /// What it stands for.
    pub kind: SecretKind,
    /// Subject's name, `YYYY-MM` of a period, empty for ACCOUNT.
    pub name: Box<str>,
    /// Retention class.
    pub class: RetentionClass,
}

impl ShredScope {
    /// Puts the parts together by the rules of the kind; a period's name is `YYYY-MM`.
    ///
    /// # Errors
    /// [`InvalidName`] naming the rule that was broken.
    pub fn new(
        kind: SecretKind,
        account: AccountName,
        name: &str,
        class: RetentionClass,
    ) -> Result<Self, InvalidName> {
        match kind {
            SecretKind::Subject => {
                SubjectName::parse(name)?;
            }
            SecretKind::Account if account.as_str().is_empty() => {
                return Err(InvalidName("a scope with an account, for the kind ACCOUNT"));
            }
            SecretKind::Account if !name.is_empty() => {
                return Err(InvalidName(
                    "a scope with an empty name, for the kind ACCOUNT",
                ));
            }
            SecretKind::Account => {}
            SecretKind::Period if !account.as_str().is_empty() => {
                return Err(InvalidName(
                    "a scope without an account, for the kind PERIOD",
                ));
            }
            SecretKind::Period if !is_month(name) => {
                return Err(InvalidName(
                    "a month of the form YYYY-MM, for the kind PERIOD",
                ));
            }
            SecretKind::Period => {}
        }
        Ok(Self {
            account,
            kind,
            name: name.into(),
            class,
        })
    }
}

fn is_month(text: &str) -> bool {
    let Some((year, month)) = text.split_once('-') else {
        return false;
    };
    let digits = |part: &str, len| part.len() == len && part.bytes().all(|b| b.is_ascii_digit());
    digits(year, 4) && digits(month, 2) && month.parse::<u8>().is_ok_and(|m| (1..=12).contains(&m))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_follow_their_kind() {
        let class = || RetentionClass::parse("customer").unwrap();
        let account = |text: &str| AccountName::parse(text).unwrap();
        let ok = |kind, a: &str, n: &str| ShredScope::new(kind, account(a), n, class()).is_ok();
        assert!(ok(SecretKind::Subject, "acme", "jane@example.com"));
        assert!(ok(SecretKind::Subject, "", "jane@example.com"));
        assert!(!ok(SecretKind::Subject, "acme", ""));
        assert!(ok(SecretKind::Account, "acme", ""));
        assert!(!ok(SecretKind::Account, "", ""));
        assert!(!ok(SecretKind::Account, "acme", "jane"));
        assert!(ok(SecretKind::Period, "", "2026-11"));
        for bad in [
            "",
            "2026",
            "2026-13",
            "2026-00",
            "26-01",
            "2026-1",
            "2026-11-01",
        ] {
            assert!(!ok(SecretKind::Period, "", bad), "{bad}");
        }
        assert!(!ok(SecretKind::Period, "acme", "2026-11"));
    }

    #[test]
    fn debug_hides_personal_names() {
        let subject = SubjectName::parse("jane@example.com").unwrap();
        assert!(!format!("{subject:?}").contains("jane"));
    }
}
