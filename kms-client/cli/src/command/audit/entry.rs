//! An audit entry as it is shown.

use crate::exit::printable;
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
    personal_state: String,
    authentication: String,
    mfa_age_seconds: Option<i64>,
    connection: u64,
    trace_id: String,
    policy_revision: u64,
    change: u64,
    node: u32,
    boot: String,
    uptime_seconds: i64,
    details: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<ApprovalReport>,
}

/// On whose word a call rested, or which word it gave.
#[derive(Debug, Serialize)]
struct ApprovalReport {
    approval: String,
    /// SHA-256 of what was signed, in hex.
    statement: String,
    signatures: Vec<SignatureReport>,
}

#[derive(Debug, Serialize)]
struct SignatureReport {
    /// Fingerprint.
    key: String,
    holds: bool,
    /// As OpenSSH has it, without armour, in hex.
    sshsig: String,
}

impl From<&v1::EntryApproval> for ApprovalReport {
    fn from(approval: &v1::EntryApproval) -> Self {
        let signature = |one: &v1::EntrySignature| SignatureReport {
            key: one.key.clone(),
            holds: one.holds,
            sshsig: hex(&one.sshsig),
        };
        Self {
            approval: approval.name.clone(),
            statement: hex(&approval.statement_sha256),
            signatures: approval.signatures.iter().map(signature).collect(),
        }
    }
}

impl ApprovalReport {
    fn words(&self) -> String {
        let signed = self.signatures.iter().map(|one| match one.holds {
            true => format!("signed by {}", one.key),
            false => format!("a signature that does not hold, of {}", one.key),
        });
        let signed: Vec<_> = signed.collect();
        format!("{}: {}", self.approval, signed.join(" and "))
            .trim_end_matches(": ")
            .to_owned()
    }
}

/// A column's name and its value of an entry.
type Column = (&'static str, fn(&EntryReport) -> String);

fn pairs(pairs: &BTreeMap<String, String>) -> String {
    let pairs = pairs.iter().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(", ")
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
            personal_state: entry.personal_state.clone(),
            authentication: entry.authentication.clone(),
            mfa_age_seconds: entry.mfa_age.as_ref().map(|age| age.seconds),
            connection: entry.connection,
            trace_id: entry.trace_id.clone(),
            policy_revision: entry.policy_revision,
            change: entry.change,
            node: entry.node,
            boot: entry.boot.clone(),
            uptime_seconds: entry.uptime.as_ref().map_or(0, |uptime| uptime.seconds),
            details: entry.details,
            approval: entry.approval.as_ref().map(Into::into),
        }
    }
}

impl EntryReport {
    /// When.
    pub(super) fn time(&self) -> Option<&str> {
        self.time.as_deref()
    }

    /// Its place.
    pub(super) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Who.
    pub(super) fn principal(&self) -> &str {
        &self.principal
    }

    /// On which dataset, or nothing.
    pub(super) fn dataset(&self) -> &str {
        &self.dataset
    }

    /// How it ended.
    pub(super) fn outcome(&self) -> &str {
        &self.outcome
    }

    /// Columns of a table for programs: each with its value as text. The first three and the last never have a comma.
    pub(super) fn columns() -> [Column; 26] {
        [
            ("sequence", |it| it.sequence.to_string()),
            ("time", |it| it.time.clone().unwrap_or_default()),
            ("request_id", |it| it.request_id.clone()),
            ("kind", |it| it.kind.clone()),
            ("principal", |it| it.principal.clone()),
            ("action", |it| it.action.clone()),
            ("dataset", |it| it.dataset.clone()),
            ("version", |it| it.version.to_string()),
            ("outcome", |it| it.outcome.clone()),
            ("lasting_context", |it| pairs(&it.lasting_context)),
            ("shred_secrets", |it| it.shred_secrets.join(" ")),
            ("count", |it| it.count.to_string()),
            ("detail", |it| it.detail.clone()),
            ("personal", |it| pairs(&it.personal)),
            ("personal_state", |it| it.personal_state.clone()),
            ("authentication", |it| it.authentication.clone()),
            ("mfa_age_seconds", |it| {
                it.mfa_age_seconds
                    .map(|age| age.to_string())
                    .unwrap_or_default()
            }),
            ("connection", |it| it.connection.to_string()),
            ("trace_id", |it| it.trace_id.clone()),
            ("policy_revision", |it| it.policy_revision.to_string()),
            ("change", |it| it.change.to_string()),
            ("node", |it| it.node.to_string()),
            ("boot", |it| it.boot.clone()),
            ("uptime_seconds", |it| it.uptime_seconds.to_string()),
            ("details", |it| it.details.to_string()),
            ("leaf", |it| it.leaf.clone()),
        ]
    }

    /// Its action, or what else it is.
    pub(super) fn what(&self) -> &str {
        if self.action.is_empty() {
            &self.kind
        } else {
            &self.action
        }
    }

    /// One line, as a tail shows it.
    pub(super) fn line(&self) -> String {
        let time = brief(self.time.as_ref());
        let cells = [
            &self.sequence.to_string(),
            &time,
            &self.principal,
            self.what(),
            &self.dataset,
            &self.outcome,
            &self.request_id,
            &self.remarks(),
        ];
        let cells = cells.map(|cell| if cell.is_empty() { "-" } else { cell });
        printable(&cells.join("  "))
    }

    /// Everything that it says, by name; what is empty says nothing.
    pub(super) fn facts(&self) -> Vec<(&'static str, String)> {
        let number = |number: u64| {
            if number == 0 {
                String::new()
            } else {
                number.to_string()
            }
        };
        let age = self.mfa_age_seconds.map(|age| format!("{age} s before"));
        let personal = match self.personal_state.as_str() {
            "open" => pairs(&self.personal),
            state => state.to_owned(),
        };
        vec![
            ("entry", self.sequence.to_string()),
            ("time", self.time.clone().unwrap_or_default()),
            ("kind", self.kind.clone()),
            ("action", self.action.clone()),
            ("outcome", self.outcome.clone()),
            ("principal", self.principal.clone()),
            ("authentication", self.authentication.clone()),
            ("second factor", age.unwrap_or_default()),
            ("connection", number(self.connection)),
            ("request", self.request_id.clone()),
            ("trace", self.trace_id.clone()),
            ("dataset", self.dataset.clone()),
            ("version", number(self.version.into())),
            ("lasting context", pairs(&self.lasting_context)),
            ("shred secrets", self.shred_secrets.join(", ")),
            ("count", number(self.count.into())),
            ("details", number(self.details.into())),
            ("remarks", self.detail.clone()),
            ("personal", personal),
            (
                "approval",
                self.approval
                    .as_ref()
                    .map(ApprovalReport::words)
                    .unwrap_or_default(),
            ),
            ("policy", number(self.policy_revision)),
            ("change", number(self.change)),
            ("node", number(self.node.into())),
            ("boot", self.boot.clone()),
            ("up for", format!("{} s", self.uptime_seconds)),
            ("bytes", self.leaf.clone()),
        ]
    }

    /// What is particular to it, in words.
    pub(super) fn remarks(&self) -> String {
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
        remarks.extend(self.approval.as_ref().map(ApprovalReport::words));
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
            table.row([
                entry.sequence.to_string(),
                brief(entry.time.as_ref()),
                entry.principal.clone(),
                entry.what().to_owned(),
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
