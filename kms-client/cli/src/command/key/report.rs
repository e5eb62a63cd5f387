//! Versions as they are shown.

use crate::output::{Report, Table, brief, optional_time};
use kms_client::proto::v1;
use serde::Serialize;

/// One version.
#[derive(Debug, Serialize)]
pub(crate) struct VersionReport {
    dataset: String,
    version: u32,
    state: &'static str,
    /// Whether it is marked; the rest says why, when and by whom.
    compromised: bool,
    compromised_reason: Option<String>,
    compromised_at: Option<String>,
    compromised_by: Option<String>,
    created_at: Option<String>,
    destroy_at: Option<String>,
    destroyed_at: Option<String>,
    uses: u64,
    last_used_at: Option<String>,
}

impl From<&v1::Version> for VersionReport {
    fn from(version: &v1::Version) -> Self {
        let mark = version.compromised.as_ref();
        Self {
            dataset: dataset_of(version),
            version: version.number,
            state: state_name(version.state()),
            compromised: mark.is_some(),
            compromised_reason: mark.map(|mark| mark.reason.clone()),
            compromised_at: mark.and_then(|mark| optional_time(mark.at.as_ref())),
            compromised_by: mark.map(|mark| mark.principal.clone()),
            created_at: optional_time(version.created_at.as_ref()),
            destroy_at: optional_time(version.destroy_at.as_ref()),
            destroyed_at: optional_time(version.destroyed_at.as_ref()),
            uses: version.uses,
            last_used_at: optional_time(version.last_used_at.as_ref()),
        }
    }
}

fn dataset_of(version: &v1::Version) -> String {
    let name = version.name.split('/').nth(1);
    name.unwrap_or_default().to_owned()
}

fn state_name(state: v1::VersionState) -> &'static str {
    state
        .as_str_name()
        .strip_prefix("VERSION_STATE_")
        .unwrap_or("UNSPECIFIED")
}

impl VersionReport {
    fn mark(&self) -> String {
        match &self.compromised_reason {
            Some(reason) => format!("yes: {reason}"),
            None => String::new(),
        }
    }
}

impl Report for VersionReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("dataset", &self.dataset);
        table.fact("version", self.version.to_string());
        table.fact("state", self.state);
        table.fact("compromised", self.mark());
        table.time("marked at", self.compromised_at.as_ref());
        table.fact("marked by", self.compromised_by.clone().unwrap_or_default());
        table.time("created", self.created_at.as_ref());
        table.time("destruction due", self.destroy_at.as_ref());
        table.time("destroyed", self.destroyed_at.as_ref());
        table.fact("uses", self.uses.to_string());
        table.fact("last used", brief(self.last_used_at.as_ref()));
        table
    }
}

impl Report for Vec<VersionReport> {
    fn table(&self) -> Table {
        let mut table = Table::list(&[
            "version",
            "state",
            "compromised",
            "created",
            "uses",
            "last used",
            "destruction",
        ]);
        for version in self {
            let destruction = version
                .destroyed_at
                .as_ref()
                .or(version.destroy_at.as_ref());
            table.row([
                version.version.to_string(),
                version.state.to_owned(),
                version.mark(),
                brief(version.created_at.as_ref()),
                version.uses.to_string(),
                brief(version.last_used_at.as_ref()),
                destruction.map(|at| brief(Some(at))).unwrap_or_default(),
            ]);
        }
        table
    }
}

/// How often a version was used.
#[derive(Debug, Serialize)]
pub(crate) struct UsageReport {
    version: u32,
    state: &'static str,
    uses: u64,
    last_used_at: Option<String>,
}

impl From<&v1::Version> for UsageReport {
    fn from(version: &v1::Version) -> Self {
        Self {
            version: version.number,
            state: state_name(version.state()),
            uses: version.uses,
            last_used_at: optional_time(version.last_used_at.as_ref()),
        }
    }
}

impl Report for Vec<UsageReport> {
    fn table(&self) -> Table {
        let mut table = Table::list(&["version", "state", "uses", "last used"]);
        for usage in self {
            table.row([
                usage.version.to_string(),
                usage.state.to_owned(),
                usage.uses.to_string(),
                brief(usage.last_used_at.as_ref()),
            ]);
        }
        table
    }
}

/// What a rotation did.
#[derive(Debug, Serialize)]
pub(crate) struct RotationReport {
    dataset: String,
    version: u32,
    state: &'static str,
    created_at: Option<String>,
    marked_versions: Vec<u32>,
}

impl RotationReport {
    /// `marked` are the versions that this rotation marked as compromised.
    pub(crate) fn new(version: &v1::Version, marked_versions: Vec<u32>) -> Self {
        Self {
            dataset: dataset_of(version),
            version: version.number,
            state: state_name(version.state()),
            created_at: optional_time(version.created_at.as_ref()),
            marked_versions,
        }
    }
}

impl Report for RotationReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("dataset", &self.dataset);
        table.fact("new version", self.version.to_string());
        table.fact("state", self.state);
        let marked: Vec<_> = self.marked_versions.iter().map(u32::to_string).collect();
        table.fact("marked as compromised", marked.join(", "));
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> v1::Version {
        v1::Version {
            name: "datasets/customers/versions/2".into(),
            number: 2,
            state: v1::VersionState::DecryptOnly.into(),
            compromised: Some(v1::Compromise {
                reason: "leaked".into(),
                at: Some(prost_types::Timestamp::default()),
                principal: "spiffe://crm/operator".into(),
            }),
            created_at: Some(prost_types::Timestamp::default()),
            destroy_at: None,
            destroyed_at: None,
            uses: 17,
            last_used_at: None,
        }
    }

    #[test]
    fn the_json_form_stands() {
        let json = serde_json::to_value(vec![VersionReport::from(&version())]).unwrap();
        let expected = serde_json::json!([{
            "dataset": "customers",
            "version": 2,
            "state": "DECRYPT_ONLY",
            "compromised": true,
            "compromised_reason": "leaked",
            "compromised_at": "1970-01-01T00:00:00Z",
            "compromised_by": "spiffe://crm/operator",
            "created_at": "1970-01-01T00:00:00Z",
            "destroy_at": null,
            "destroyed_at": null,
            "uses": 17,
            "last_used_at": null,
        }]);
        assert_eq!(json, expected);
        let json = serde_json::to_value(RotationReport::new(&version(), vec![1])).unwrap();
        assert_eq!(json.get("version"), Some(&2.into()));
        assert_eq!(json.get("marked_versions"), Some(&serde_json::json!([1])));
    }

    #[test]
    fn every_state_has_a_name() {
        for state in (1..=6).map(|number| v1::VersionState::try_from(number).unwrap()) {
            assert!(!state_name(state).contains("STATE"), "{state:?}");
        }
    }
}
