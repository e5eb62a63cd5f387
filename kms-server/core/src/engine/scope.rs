//! From a scope as a request spells it to the scope that names one secret: defaults filled in, policy held.

use super::Refusal;
use crate::key::record::DatasetPolicy;
use crate::name::{AccountName, RetentionClass, SecretId, SecretKind, ShredScope, SubjectName};
use crate::time::Timestamp;

/// A scope as the request spells it.
#[derive(Debug, Clone, Copy)]
pub struct ScopeRequest<'a> {
    /// What the secret stands for.
    pub kind: SecretKind,
    /// Account; may be empty.
    pub account: &'a str,
    /// Name; empty for ACCOUNT, and for PERIOD where the current month is meant.
    pub name: &'a str,
    /// Retention class; empty for the dataset's first.
    pub class: &'a str,
}

/// A shred secret that a wrap is to take part in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretUse {
    /// Which, from [`resolve_scope`].
    pub scope: ShredScope,
    /// Make it when there is none.
    pub create_if_absent: bool,
    /// The destroyed secret that a new one may succeed.
    pub succeeds: Option<SecretId>,
}

/// Fills in defaults and checks the rules of the kind. With a dataset's `policy`: an empty class is its
/// first, and others must be among its classes; without (`ShredService`) the class must be given.
/// Paths of violations begin with `scope.`.
///
/// # Errors
/// INVALID_ARGUMENT.
pub fn resolve_scope(
    policy: Option<&DatasetPolicy>,
    request: ScopeRequest<'_>,
    now: Timestamp,
) -> Result<ShredScope, Refusal> {
    let account = AccountName::parse(request.account)
        .map_err(|invalid| Refusal::field("scope.account", invalid.0))?;
    let class = resolve_class(policy, request.class)?;
    let month;
    let name = if request.kind == SecretKind::Period && request.name.is_empty() {
        month = now.month_name();
        &month
    } else {
        request.name
    };
    let account_is_wrong = match request.kind {
        SecretKind::Subject => false,
        SecretKind::Account => account.as_str().is_empty(),
        SecretKind::Period => !account.as_str().is_empty(),
    };
    let field = if account_is_wrong {
        "scope.account"
    } else {
        "scope.name"
    };
    if request.kind == SecretKind::Subject {
        SubjectName::parse(name).map_err(|invalid| Refusal::field(field, invalid.0))?;
    }
    ShredScope::new(request.kind, account, name, class)
        .map_err(|invalid| Refusal::field(field, invalid.0))
}

fn resolve_class(policy: Option<&DatasetPolicy>, class: &str) -> Result<RetentionClass, Refusal> {
    const FIELD: &str = "scope.retention_class";
    let Some(policy) = policy else {
        return RetentionClass::parse(class).map_err(|invalid| Refusal::field(FIELD, invalid.0));
    };
    let allowed = &policy.retention_classes;
    let found = if class.is_empty() {
        allowed.first()
    } else {
        allowed.iter().find(|allowed| allowed.as_str() == class)
    };
    found
        .cloned()
        .ok_or_else(|| Refusal::field(FIELD, "one of the dataset's retention classes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::rotation::PERIOD_DEFAULT;

    fn policy(classes: &[&str]) -> DatasetPolicy {
        DatasetPolicy {
            rotation_period: PERIOD_DEFAULT,
            required_secrets: Vec::new(),
            retention_classes: classes
                .iter()
                .map(|class| RetentionClass::parse(class).unwrap())
                .collect(),
            lasting_context_keys: Vec::new(),
        }
    }

    fn resolve(
        policy: Option<&DatasetPolicy>,
        kind: SecretKind,
        account: &str,
        name: &str,
        class: &str,
    ) -> Result<ShredScope, String> {
        let request = ScopeRequest {
            kind,
            account,
            name,
            class,
        };
        let now = Timestamp::from_micros(1_795_392_000_000_000);
        resolve_scope(policy, request, now)
            .map_err(|refusal| refusal.violations.first().unwrap().field.clone())
    }

    #[test]
    fn defaults_are_the_first_class_and_the_current_month() {
        let policy = policy(&["communication", "customer"]);
        let scope = resolve(Some(&policy), SecretKind::Period, "", "", "").unwrap();
        assert_eq!(
            (&*scope.name, scope.class.as_str()),
            ("2026-11", "communication")
        );
        let scope = resolve(Some(&policy), SecretKind::Subject, "acme", "j", "customer").unwrap();
        assert_eq!((&*scope.name, scope.class.as_str()), ("j", "customer"));
    }

    #[test]
    fn violations_name_the_field() {
        let policy = policy(&["customer"]);
        let field = |kind, account: &str, name: &str, class: &str| {
            resolve(Some(&policy), kind, account, name, class).unwrap_err()
        };
        let long = "x".repeat(129);
        assert_eq!(field(SecretKind::Subject, &long, "j", ""), "scope.account");
        assert_eq!(field(SecretKind::Subject, "a", "", ""), "scope.name");
        assert_eq!(field(SecretKind::Account, "", "", ""), "scope.account");
        assert_eq!(field(SecretKind::Account, "a", "j", ""), "scope.name");
        assert_eq!(field(SecretKind::Period, "a", "", ""), "scope.account");
        assert_eq!(field(SecretKind::Period, "", "2026", ""), "scope.name");
        assert_eq!(
            field(SecretKind::Subject, "a", "j", "financial"),
            "scope.retention_class"
        );
        assert_eq!(
            resolve(None, SecretKind::Subject, "a", "j", "").unwrap_err(),
            "scope.retention_class"
        );
    }
}
