//! Which shred secrets take part in a wrap. Never made by accident: creation is asked for by name.

use super::is_label;
use crate::error::Error;
use kms_proto::v1;
use std::fmt;

/// What a shred secret stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKind {
    /// One natural person.
    Subject,
    /// One tenant of the CRM.
    Account,
    /// One calendar month of one retention class.
    Period,
}

impl SecretKind {
    /// From its number in wrapped data keys.
    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Subject),
            2 => Some(Self::Account),
            3 => Some(Self::Period),
            _ => None,
        }
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

    const fn proto(self) -> v1::SecretKind {
        match self {
            Self::Subject => v1::SecretKind::Subject,
            Self::Account => v1::SecretKind::Account,
            Self::Period => v1::SecretKind::Period,
        }
    }
}

/// A shred secret that takes part in a wrap: destroying it destroys what was encrypted under the data key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShredUse {
    kind: SecretKind,
    account: Box<str>,
    name: Box<str>,
    class: Box<str>,
    create_if_absent: bool,
    succeeds: Option<[u8; 16]>,
}

impl ShredUse {
    fn new(kind: SecretKind, account: &str, name: &str) -> Self {
        Self {
            kind,
            account: account.into(),
            name: name.into(),
            class: "".into(),
            create_if_absent: false,
            succeeds: None,
        }
    }

    /// One natural person, by name or id: 1 to 256 bytes without control characters.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument), as with every method here.
    pub fn subject(name: &str) -> Result<Self, Error> {
        check_text("subject", name, 1, 256)?;
        Ok(Self::new(SecretKind::Subject, "", name))
    }

    /// One tenant: 1 to 128 bytes without control characters.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn account(name: &str) -> Result<Self, Error> {
        check_text("account", name, 1, 128)?;
        Ok(Self::new(SecretKind::Account, name, ""))
    }

    /// The current month; the service picks it.
    #[must_use]
    pub fn period() -> Self {
        Self::new(SecretKind::Period, "", "")
    }

    /// The secret that `ShredService` answered, for data keys that must take the same secrets as others did.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupted`](crate::ErrorKind::Corrupted) when its kind is unknown.
    pub fn from_scope(scope: &v1::ShredSecretScope) -> Result<Self, Error> {
        let kind = match scope.kind() {
            v1::SecretKind::Subject => SecretKind::Subject,
            v1::SecretKind::Account => SecretKind::Account,
            v1::SecretKind::Period => SecretKind::Period,
            v1::SecretKind::Unspecified => {
                return Err(Error::corrupted("a shred secret of an unknown kind"));
            }
        };
        let mut secret = Self::new(kind, &scope.account, &scope.name);
        secret.class = scope.retention_class.as_str().into();
        Ok(secret)
    }

    /// The account that a subject belongs to: subjects of the same name in two accounts are two.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument), also for a period.
    pub fn of_account(mut self, account: &str) -> Result<Self, Error> {
        check_text("account", account, 1, 128)?;
        if self.kind != SecretKind::Subject {
            return Err(Error::invalid("account", "given with a subject only"));
        }
        self.account = account.into();
        Ok(self)
    }

    /// The retention class, `[a-z][a-z0-9-]{0,31}`; without one the dataset's first.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn in_class(mut self, class: &str) -> Result<Self, Error> {
        if !is_label(class, 32) {
            let form = "a name of the form [a-z][a-z0-9-]{0,31}";
            return Err(Error::invalid("retention_class", form));
        }
        self.class = class.into();
        Ok(self)
    }

    /// Makes the secret when it does not exist. An erased name stays erased.
    #[must_use]
    pub fn create_if_absent(mut self) -> Self {
        self.create_if_absent = true;
        self
    }

    /// With [`ShredUse::create_if_absent`]: makes a new secret for a name whose secret `id` was
    /// destroyed, so that only who knows of the erasure can do so.
    #[must_use]
    pub fn succeeding(mut self, id: [u8; 16]) -> Self {
        self.succeeds = Some(id);
        self
    }

    /// What it stands for.
    #[must_use]
    pub const fn kind(&self) -> SecretKind {
        self.kind
    }

    /// The same secret, but never made: for wraps after the first.
    #[must_use]
    pub(crate) fn only_if_present(&self) -> Self {
        Self {
            create_if_absent: false,
            succeeds: None,
            ..self.clone()
        }
    }

    /// Whether it names the same secret, however it is to be made.
    pub(crate) fn identity(&self) -> (SecretKind, &str, &str, &str) {
        (self.kind, &self.account, &self.name, &self.class)
    }

    /// Which secret it is, as `ShredService` wants it.
    #[must_use]
    pub fn scope(&self) -> v1::ShredSecretScope {
        v1::ShredSecretScope {
            kind: self.kind.proto().into(),
            account: self.account.to_string(),
            name: self.name.to_string(),
            retention_class: self.class.to_string(),
        }
    }

    pub(crate) fn proto(&self) -> v1::ShredSecretUse {
        v1::ShredSecretUse {
            scope: Some(self.scope()),
            create_if_absent: self.create_if_absent,
            succeeds_id: self
                .succeeds
                .map(|id| id.to_vec().into())
                .unwrap_or_default(),
        }
    }
}

/// Shows the kind; names are personal.
impl fmt::Debug for ShredUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShredUse({}, <personal>)", self.kind.as_str())
    }
}

fn check_text(field: &str, text: &str, min: usize, max: usize) -> Result<(), Error> {
    if (min..=max).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let limit = format!("{min} to {max} bytes of text without control characters");
    Err(Error::invalid(field, limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_the_services() {
        assert!(ShredUse::subject(&"n".repeat(256)).is_ok());
        for bad in ["", "a\nb", &"n".repeat(257)] {
            assert!(ShredUse::subject(bad).is_err());
        }
        assert!(ShredUse::account(&"n".repeat(128)).is_ok());
        for bad in ["", "a\0", &"n".repeat(129)] {
            assert!(ShredUse::account(bad).is_err());
            assert!(ShredUse::subject("jane").unwrap().of_account(bad).is_err());
        }
        assert!(ShredUse::period().of_account("acme").is_err());
        for bad in ["", "Customer", &"c".repeat(33)] {
            assert!(ShredUse::period().in_class(bad).is_err());
        }
    }

    #[test]
    fn creation_is_only_what_was_asked_for() {
        let plain = ShredUse::subject("jane")
            .unwrap()
            .of_account("acme")
            .unwrap();
        assert!(!plain.proto().create_if_absent);
        let made = plain.clone().create_if_absent().succeeding([7; 16]);
        assert!(made.proto().create_if_absent);
        assert_eq!(made.proto().succeeds_id.as_ref(), [7; 16]);
        assert_eq!(made.only_if_present(), plain);
    }

    #[test]
    fn a_scope_leads_back_to_its_secret() {
        let month = v1::ShredSecretScope {
            kind: v1::SecretKind::Period.into(),
            name: "2026-11".into(),
            retention_class: "communication".into(),
            ..Default::default()
        };
        assert_eq!(ShredUse::from_scope(&month).unwrap().scope(), month);
        assert!(ShredUse::from_scope(&v1::ShredSecretScope::default()).is_err());
    }

    #[test]
    fn debug_hides_personal_names() {
        let subject = ShredUse::subject("jane")
            .unwrap()
            .of_account("acme")
            .unwrap();
        let text = format!("{subject:?}");
        assert!(!text.contains("jane") && !text.contains("acme"), "{text}");
    }
}
