//! Whose data it is: from `--account` and `--subject` to the shred secrets that a dataset demands.

use crate::command::dataset::kind_name;
use crate::exit::Failure;
use clap::Args;
use kms_client::ShredUse;
use kms_client::proto::v1::{self, SecretKind};

/// Whose data it is.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Owner {
    /// Tenant whose data this is; its shred secret is made when there is none.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Person (of the account, if one is named) whose data this is; the shred secret is made when there is none.
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
}

impl Owner {
    /// The shred secrets that take part: those of the named, and the current month's if the dataset
    /// demands one.
    ///
    /// # Errors
    /// Usage, when the dataset demands one that is not named, or a name breaks a limit.
    pub(crate) fn shred_uses(&self, dataset: &v1::Dataset) -> Result<Vec<ShredUse>, Failure> {
        let mut uses = Vec::new();
        if let Some(subject) = &self.subject {
            let person = ShredUse::subject(subject)?;
            uses.push(match &self.account {
                Some(account) => person.of_account(account)?,
                None => person,
            });
        }
        if let Some(account) = &self.account {
            uses.push(ShredUse::account(account)?);
        }
        let policy = dataset.policy.clone().unwrap_or_default();
        for kind in policy.required_secrets() {
            match (kind, &self.subject, &self.account) {
                (SecretKind::Period, ..) => uses.push(ShredUse::period()),
                (SecretKind::Subject, None, _) | (SecretKind::Account, _, None) => {
                    return Err(missing(dataset, kind));
                }
                _ => {}
            }
        }
        Ok(uses.into_iter().map(ShredUse::create_if_absent).collect())
    }
}

fn missing(dataset: &v1::Dataset, kind: SecretKind) -> Failure {
    let dataset = dataset.name.trim_start_matches("datasets/");
    let kind = kind_name(kind);
    Failure::usage(format!("{dataset} demands to know whose data it is"))
        .next(format!("add --{kind} NAME"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(required: &[SecretKind]) -> v1::Dataset {
        v1::Dataset {
            name: "datasets/customers".into(),
            policy: Some(v1::DatasetPolicy {
                required_secrets: required.iter().map(|kind| (*kind).into()).collect(),
                ..v1::DatasetPolicy::default()
            }),
            ..v1::Dataset::default()
        }
    }

    fn uses(
        account: Option<&str>,
        subject: Option<&str>,
        required: &[SecretKind],
    ) -> Result<Vec<(SecretKind, String, String)>, Failure> {
        let owner = Owner {
            account: account.map(str::to_owned),
            subject: subject.map(str::to_owned),
        };
        let uses = owner.shred_uses(&dataset(required))?;
        let scopes = uses.iter().map(ShredUse::scope);
        Ok(scopes
            .map(|scope| (scope.kind(), scope.account, scope.name))
            .collect())
    }

    #[test]
    fn who_is_named_takes_part_and_a_month_when_demanded() {
        let all = [SecretKind::Subject, SecretKind::Account, SecretKind::Period];
        let [subject, account, period] = all;
        let text = str::to_owned;
        assert_eq!(
            uses(Some("acme"), Some("jane"), &all).unwrap(),
            [
                (subject, text("acme"), text("jane")),
                (account, text("acme"), text("")),
                (period, text(""), text("")),
            ]
        );
        assert_eq!(uses(None, None, &[]).unwrap(), []);
        assert_eq!(
            uses(None, None, &[period]).unwrap(),
            [(period, text(""), text(""))]
        );
        assert_eq!(
            uses(None, Some("jane"), &[]).unwrap(),
            [(subject, text(""), text("jane"))]
        );
    }

    #[test]
    fn who_is_missing_is_asked_for() {
        let error = uses(Some("acme"), None, &[SecretKind::Subject]).unwrap_err();
        assert!(error.to_string().ends_with("add --subject NAME"), "{error}");
        let error = uses(None, Some("jane"), &[SecretKind::Account]).unwrap_err();
        assert!(error.to_string().ends_with("add --account NAME"), "{error}");
    }
}
