//! A shred secret as it is shown: its public face, never itself.

use crate::command::dataset::kind_name;
use crate::output::{Report, Table, hex, optional_time};
use kms_client::proto::v1;
use serde::Serialize;

/// One shred secret.
#[derive(Debug, Serialize)]
pub(crate) struct SecretReport {
    id: String,
    kind: &'static str,
    account: String,
    name: String,
    retention_class: String,
    state: &'static str,
    created_at: Option<String>,
    blocked_at: Option<String>,
    destroyed_at: Option<String>,
    succeeds_id: Option<String>,
    /// Whether this command made it; only of `create`.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
}

impl SecretReport {
    /// As the service answered it.
    pub(crate) fn new(secret: &v1::ShredSecret) -> Self {
        let scope = secret.scope.clone().unwrap_or_default();
        let state = secret.state().as_str_name();
        Self {
            id: hex(&secret.id),
            kind: kind_name(scope.kind()),
            state: state.strip_prefix("SECRET_STATE_").unwrap_or(state),
            account: scope.account,
            name: scope.name,
            retention_class: scope.retention_class,
            created_at: optional_time(secret.created_at.as_ref()),
            blocked_at: optional_time(secret.blocked_at.as_ref()),
            destroyed_at: optional_time(secret.destroyed_at.as_ref()),
            succeeds_id: Some(hex(&secret.succeeds_id)).filter(|id| !id.is_empty()),
            created: None,
        }
    }

    /// Says whether it is new.
    #[must_use]
    pub(crate) fn created(mut self, created: bool) -> Self {
        self.created = Some(created);
        self
    }
}

impl Report for SecretReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("id", &self.id);
        table.fact("kind", self.kind);
        table.fact("account", &self.account);
        table.fact("name", &self.name);
        table.fact("retention class", &self.retention_class);
        table.fact("state", self.state);
        table.time("created", self.created_at.as_ref());
        table.time("blocked", self.blocked_at.as_ref());
        table.time("destroyed", self.destroyed_at.as_ref());
        table.fact("succeeds", self.succeeds_id.clone().unwrap_or_default());
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_stands() {
        let secret = v1::ShredSecret {
            id: vec![2; 16].into(),
            scope: Some(v1::ShredSecretScope {
                kind: v1::SecretKind::Subject.into(),
                account: "acme".into(),
                name: "jane".into(),
                retention_class: "customer".into(),
            }),
            state: v1::SecretState::Blocked.into(),
            ..v1::ShredSecret::default()
        };
        let expected = serde_json::json!({
            "id": "02020202020202020202020202020202",
            "kind": "subject",
            "account": "acme",
            "name": "jane",
            "retention_class": "customer",
            "state": "BLOCKED",
            "created_at": null,
            "blocked_at": null,
            "destroyed_at": null,
            "succeeds_id": null,
        });
        assert_eq!(
            serde_json::to_value(SecretReport::new(&secret)).unwrap(),
            expected
        );
        let created = serde_json::to_value(SecretReport::new(&secret).created(true)).unwrap();
        assert_eq!(created.get("created"), Some(&true.into()));
    }
}
