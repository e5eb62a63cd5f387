//! Which shred secret is meant: whose it is, or its id.

use crate::args::value::{self, SecretKind};
use crate::output::hex;
use clap::{ArgGroup, Args};
use kms_client::proto::v1;
use std::fmt;

/// Whose secret it is.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("whose").required(true).multiple(true).args(["account", "subject", "period"]))]
pub(crate) struct Scope {
    /// The account itself, or with --subject the account that the person belongs to.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The person.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// The month, YYYY-MM.
    #[arg(long, value_name = "MONTH", value_parser = value::month, conflicts_with_all = ["account", "subject"])]
    period: Option<String>,
    /// Retention class.
    #[arg(long, value_name = "CLASS", value_parser = value::retention_class)]
    class: String,
}

/// Whose secret it is, or its id.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["account", "subject", "period", "id"]))]
pub(crate) struct Selector {
    /// The account itself, or with --subject the account that the person belongs to.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// The person.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// The month, YYYY-MM.
    #[arg(long, value_name = "MONTH", value_parser = value::month, conflicts_with_all = ["account", "subject"])]
    period: Option<String>,
    /// Retention class.
    #[arg(long, value_name = "CLASS", value_parser = value::retention_class, required_unless_present = "id")]
    class: Option<String>,
    /// The secret's id, as `kms inspect` shows it.
    #[arg(long, value_name = "ID", value_parser = value::id, conflicts_with_all = ["account", "subject", "period", "class"])]
    id: Option<[u8; 16]>,
}

impl Scope {
    /// As the service wants it.
    pub(crate) fn proto(&self) -> v1::ShredSecretScope {
        let kind = match (&self.subject, &self.period) {
            (Some(_), _) => SecretKind::Subject,
            (None, Some(_)) => SecretKind::Period,
            (None, None) => SecretKind::Account,
        };
        v1::ShredSecretScope {
            kind: kind.proto().into(),
            account: self.account.clone().unwrap_or_default(),
            name: self
                .subject
                .as_ref()
                .or(self.period.as_ref())
                .cloned()
                .unwrap_or_default(),
            retention_class: self.class.clone(),
        }
    }
}

impl Selector {
    fn scope(&self) -> Scope {
        Scope {
            account: self.account.clone(),
            subject: self.subject.clone(),
            period: self.period.clone(),
            class: self.class.clone().unwrap_or_default(),
        }
    }

    /// As the service wants it.
    pub(crate) fn proto(&self) -> v1::ShredSecretSelector {
        let by = match self.id {
            Some(id) => v1::shred_secret_selector::By::Id(id.to_vec().into()),
            None => v1::shred_secret_selector::By::Scope(self.scope().proto()),
        };
        v1::ShredSecretSelector { by: Some(by) }
    }

    /// What is typed to confirm: the innermost name.
    pub(crate) fn name(&self) -> String {
        let scope = self.scope();
        let name = scope.subject.or(scope.period).or(scope.account);
        name.unwrap_or_else(|| self.id.map(|id| hex(&id)).unwrap_or_default())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.account, &self.subject, &self.period) {
            (Some(account), Some(subject), _) => write!(f, "{subject} in account {account}"),
            (None, Some(subject), _) => write!(f, "{subject}"),
            (Some(account), None, _) => write!(f, "the whole account {account}"),
            (None, None, Some(period)) => write!(f, "the month {period}"),
            (None, None, None) => write!(f, "id {}", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use crate::command::shred::Shred;
    use clap::Parser as _;

    fn selector(line: &str) -> Selector {
        let line = format!("kms shred show {line}");
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Shred(Shred::Show { selector }) => selector,
            _ => panic!("not a show"),
        }
    }

    #[test]
    fn the_kind_follows_from_what_is_named() {
        for (line, kind, account, name, typed) in [
            (
                "--account acme --subject jane",
                v1::SecretKind::Subject,
                "acme",
                "jane",
                "jane",
            ),
            (
                "--subject jane",
                v1::SecretKind::Subject,
                "",
                "jane",
                "jane",
            ),
            (
                "--account acme",
                v1::SecretKind::Account,
                "acme",
                "",
                "acme",
            ),
            (
                "--period 2026-11",
                v1::SecretKind::Period,
                "",
                "2026-11",
                "2026-11",
            ),
        ] {
            let selector = selector(&format!("{line} --class customer"));
            assert_eq!(selector.name(), typed);
            let Some(v1::shred_secret_selector::By::Scope(scope)) = selector.proto().by else {
                panic!("not a scope");
            };
            assert_eq!(scope.kind(), kind);
            assert_eq!(
                (scope.account.as_str(), scope.name.as_str()),
                (account, name)
            );
            assert_eq!(scope.retention_class, "customer");
        }
    }

    #[test]
    fn an_id_stands_alone() {
        let selector = selector("--id 000102030405060708090a0b0c0d0e0f");
        assert_eq!(selector.name(), "000102030405060708090a0b0c0d0e0f");
        assert!(matches!(
            selector.proto().by,
            Some(v1::shred_secret_selector::By::Id(_))
        ));
    }
}
