//! A dataset as it is shown.

use crate::output::{Report, Table, brief, duration, hex, optional_time};
use kms_client::proto::v1;
use serde::Serialize;
use std::collections::BTreeMap;

/// One dataset.
#[derive(Debug, Serialize)]
pub(crate) struct DatasetReport {
    name: String,
    key_id: String,
    /// 0 when none is.
    active_version: u32,
    version_count: u32,
    rotation_period_seconds: i64,
    required_secrets: Vec<&'static str>,
    retention_classes: Vec<String>,
    lasting_context_keys: Vec<String>,
    labels: BTreeMap<String, String>,
    deletion_protection: bool,
    created_at: Option<String>,
    next_rotation_at: Option<String>,
    etag: String,
}

impl From<&v1::Dataset> for DatasetReport {
    fn from(dataset: &v1::Dataset) -> Self {
        let policy = dataset.policy.clone().unwrap_or_default();
        Self {
            name: dataset.name.trim_start_matches("datasets/").to_owned(),
            key_id: hex(&dataset.key_id),
            active_version: dataset.active_version,
            version_count: dataset.version_count,
            rotation_period_seconds: policy.rotation_period.map_or(0, |period| period.seconds),
            required_secrets: policy.required_secrets().map(kind_name).collect(),
            retention_classes: policy.retention_classes.clone(),
            lasting_context_keys: policy.lasting_context_keys.clone(),
            labels: dataset.labels.clone().into_iter().collect(),
            deletion_protection: dataset.deletion_protection,
            created_at: optional_time(dataset.created_at.as_ref()),
            next_rotation_at: optional_time(dataset.next_rotation_at.as_ref()),
            etag: dataset.etag.clone(),
        }
    }
}

/// The word for a kind of shred secret.
pub(crate) const fn kind_name(kind: v1::SecretKind) -> &'static str {
    match kind {
        v1::SecretKind::Subject => "subject",
        v1::SecretKind::Account => "account",
        v1::SecretKind::Period => "period",
        v1::SecretKind::Unspecified => "unknown",
    }
}

const fn on_off(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

impl Report for DatasetReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("dataset", &self.name);
        table.fact("key id", &self.key_id);
        table.fact("active version", self.active_version.to_string());
        table.fact("versions", self.version_count.to_string());
        table.fact("rotates every", duration(self.rotation_period_seconds));
        table.fact("next rotation", brief(self.next_rotation_at.as_ref()));
        table.fact("demands", self.required_secrets.join(", "));
        table.fact("retention classes", self.retention_classes.join(", "));
        table.fact("lasting context", self.lasting_context_keys.join(", "));
        let labels: Vec<_> = self
            .labels
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        table.fact("labels", labels.join(", "));
        table.fact("deletion protection", on_off(self.deletion_protection));
        table.fact("created", brief(self.created_at.as_ref()));
        table
    }
}

impl Report for Vec<DatasetReport> {
    fn table(&self) -> Table {
        let mut table = Table::list(&[
            "dataset",
            "active",
            "versions",
            "rotates every",
            "next rotation",
            "demands",
            "protected",
        ]);
        for dataset in self {
            table.row([
                dataset.name.clone(),
                dataset.active_version.to_string(),
                dataset.version_count.to_string(),
                duration(dataset.rotation_period_seconds),
                brief(dataset.next_rotation_at.as_ref()),
                dataset.required_secrets.join(", "),
                on_off(dataset.deletion_protection).to_owned(),
            ]);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_stands() {
        let dataset = v1::Dataset {
            name: "datasets/customers".into(),
            key_id: vec![1; 16].into(),
            policy: Some(v1::DatasetPolicy {
                rotation_period: Some(prost_types::Duration {
                    seconds: 7_776_000,
                    nanos: 0,
                }),
                required_secrets: vec![v1::SecretKind::Subject.into()],
                retention_classes: vec!["customer".into()],
                lasting_context_keys: vec!["tenant".into()],
            }),
            deletion_protection: true,
            active_version: 3,
            version_count: 3,
            created_at: Some(prost_types::Timestamp::default()),
            next_rotation_at: None,
            etag: "7".into(),
            labels: [("team".to_owned(), "billing".to_owned())].into(),
        };
        let json = serde_json::to_value(vec![DatasetReport::from(&dataset)]).unwrap();
        let expected = serde_json::json!([{
            "name": "customers",
            "key_id": "01010101010101010101010101010101",
            "active_version": 3,
            "version_count": 3,
            "rotation_period_seconds": 7_776_000,
            "required_secrets": ["subject"],
            "retention_classes": ["customer"],
            "lasting_context_keys": ["tenant"],
            "labels": { "team": "billing" },
            "deletion_protection": true,
            "created_at": "1970-01-01T00:00:00Z",
            "next_rotation_at": null,
            "etag": "7",
        }]);
        assert_eq!(json, expected);
    }
}
