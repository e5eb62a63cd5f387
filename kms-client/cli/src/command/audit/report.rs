//! An audit entry as it is shown.

use crate::output::{Report, Table, brief, hex, optional_time};
use kms_client::proto::v1;
use serde::Serialize;
use std::collections::BTreeMap;

/// One entry.
#[derive(Debug, Serialize)]
pub(crate) struct EntryReport {
    sequence: u64,
    time: Option<String>,
    kind: String,
    request_id: String,
    principal: String,
    action: String,
    dataset: String,
    version: u32,
    outcome: String,
    lasting_context: BTreeMap<String, String>,
    shred_secrets: Vec<String>,
    count: u32,
    detail: String,
    personal: BTreeMap<String, String>,
    /// The exact bytes, in hex.
    leaf: String,
}

impl From<&v1::AuditEntry> for EntryReport {
    fn from(entry: &v1::AuditEntry) -> Self {
        Self {
            sequence: entry.sequence,
            time: optional_time(entry.time.as_ref()),
            kind: entry.kind.clone(),
            request_id: entry.request_id.clone(),
            principal: entry.principal.clone(),
            action: entry.action.clone(),
            dataset: entry.dataset.trim_start_matches("datasets/").to_owned(),
            version: entry.version,
            outcome: entry.outcome.clone(),
            lasting_context: entry.lasting_context.clone(),
            shred_secrets: entry.shred_secrets.clone(),
            count: entry.count,
            detail: entry.detail.clone(),
            personal: entry.personal.clone(),
            leaf: hex(&entry.leaf),
        }
    }
}

impl EntryReport {
    /// What is particular to it, in words.
    fn remarks(&self) -> String {
        let mut remarks = Vec::new();
        if self.version > 0 {
            remarks.push(format!("version {}", self.version));
        }
        if self.count > 1 {
            remarks.push(format!("count {}", self.count));
        }
        let pairs = self.lasting_context.iter().chain(&self.personal);
        remarks.extend(pairs.map(|(key, value)| format!("{key}={value}")));
        if !self.detail.is_empty() {
            remarks.push(self.detail.clone());
        }
        remarks.join(", ")
    }
}

impl Report for Vec<EntryReport> {
    fn table(&self) -> Table {
        let mut table = Table::list(&[
            "sequence",
            "time",
            "principal",
            "action",
            "dataset",
            "outcome",
            "request",
            "remarks",
        ]);
        for entry in self {
            let action = if entry.action.is_empty() {
                &entry.kind
            } else {
                &entry.action
            };
            table.row([
                entry.sequence.to_string(),
                brief(entry.time.as_ref()),
                entry.principal.clone(),
                action.clone(),
                entry.dataset.clone(),
                entry.outcome.clone(),
                entry.request_id.clone(),
                entry.remarks(),
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
        let entry = v1::AuditEntry {
            sequence: 7,
            kind: "call".into(),
            action: "Rewrap".into(),
            dataset: "datasets/customers".into(),
            version: 3,
            outcome: "OK".into(),
            lasting_context: [("tenant".to_owned(), "acme".to_owned())].into(),
            leaf: vec![1, 2].into(),
            ..v1::AuditEntry::default()
        };
        let report = EntryReport::from(&entry);
        assert_eq!(report.remarks(), "version 3, tenant=acme");
        let json = serde_json::to_value(report).unwrap();
        assert_eq!(json.get("dataset"), Some(&"customers".into()));
        assert_eq!(json.get("leaf"), Some(&"0102".into()));
        assert_eq!(
            json.get("lasting_context"),
            Some(&serde_json::json!({"tenant": "acme"}))
        );
    }
}
