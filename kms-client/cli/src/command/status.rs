//! `kms status`: how the service is doing.

use super::call;
use crate::exit::Failure;
use crate::output::{Report, Table, bytes, duration, optional_time};
use crate::session::Session;
use clap::Args;
use kms_client::proto::v1;
use serde::Serialize;

/// Show how the service is doing: sealed or not, alarms, disk, log.
#[derive(Debug, Args)]
pub(crate) struct Status;

impl Status {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        session.show(&StatusReport::new(&get(session).await?))
    }
}

/// What the service says of itself.
///
/// # Errors
/// The service's.
pub(crate) async fn get(session: &Session) -> Result<v1::GetStatusResponse, Failure> {
    let request = v1::GetStatusRequest {};
    call!(session, repeat system_service_client::SystemServiceClient.get_status, request)
}

#[derive(Debug, Serialize)]
struct StatusReport {
    seal_state: &'static str,
    seals: Vec<SealReport>,
    weakest_seal: String,
    version: String,
    dev_mode: bool,
    started_at: Option<String>,
    now: Option<String>,
    timers_paused: bool,
    timers_paused_reason: Option<String>,
    dataset_count: u64,
    rotations_overdue: u64,
    audit_entries: u64,
    audit_origin: String,
    key_durability: String,
    disk_free_bytes: u64,
    disk_total_bytes: u64,
    disk_full_in_seconds: Option<u64>,
    alarms: Vec<String>,
    roster_mode: String,
    audit_forwards: Vec<ForwardReport>,
}

/// How a receiver of the audit log stands.
#[derive(Debug, Serialize)]
struct ForwardReport {
    name: String,
    kind: String,
    next_sequence: u64,
    behind: u64,
    failures: u32,
    problem: String,
    taken_at: Option<String>,
    skipped: u64,
}

impl From<&v1::AuditForward> for ForwardReport {
    fn from(one: &v1::AuditForward) -> Self {
        Self {
            name: one.name.clone(),
            kind: one.kind.clone(),
            next_sequence: one.next_sequence,
            behind: one.behind,
            failures: one.failures,
            problem: one.problem.clone(),
            taken_at: optional_time(one.taken_at.as_ref()),
            skipped: one.skipped,
        }
    }
}

impl ForwardReport {
    fn words(&self) -> String {
        let mut words = format!("{} ({}): {} behind", self.name, self.kind, self.behind);
        if self.skipped > 0 {
            words.push_str(&format!(", {} never sent", self.skipped));
        }
        if self.failures > 0 {
            words.push_str(&format!(", {} failures: {}", self.failures, self.problem));
        }
        words
    }
}

#[derive(Debug, Serialize)]
struct SealReport {
    method: &'static str,
    detail: String,
}

impl StatusReport {
    fn new(status: &v1::GetStatusResponse) -> Self {
        let seals = status.seals.iter().map(|seal| SealReport {
            method: bare(seal.method().as_str_name(), "SEAL_METHOD_"),
            detail: seal.detail.clone(),
        });
        Self {
            seal_state: bare(status.seal_state().as_str_name(), "SEAL_STATE_"),
            seals: seals.collect(),
            weakest_seal: status.weakest_seal.clone(),
            version: status.version.clone(),
            dev_mode: status.dev_mode,
            started_at: optional_time(status.started_at.as_ref()),
            now: optional_time(status.now.as_ref()),
            timers_paused: status.timers_paused,
            timers_paused_reason: Some(status.timers_paused_reason.clone())
                .filter(|reason| !reason.is_empty()),
            dataset_count: status.dataset_count,
            rotations_overdue: status.rotations_overdue,
            audit_entries: status.audit_entries,
            audit_origin: status.audit_origin.clone(),
            key_durability: status.key_durability.clone(),
            disk_free_bytes: status.disk_free_bytes,
            disk_total_bytes: status.disk_total_bytes,
            disk_full_in_seconds: Some(status.disk_full_in_seconds).filter(|seconds| *seconds > 0),
            alarms: status.alarms.clone(),
            roster_mode: status.roster_mode.clone(),
            audit_forwards: status.audit_forwards.iter().map(Into::into).collect(),
        }
    }
}

fn bare(name: &'static str, prefix: &str) -> &'static str {
    name.strip_prefix(prefix).unwrap_or(name)
}

impl Report for StatusReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("state", self.seal_state);
        for seal in &self.seals {
            table.fact("seal", format!("{} ({})", seal.method, seal.detail));
        }
        table.fact("weakest seal", &self.weakest_seal);
        table.fact("version", &self.version);
        if self.dev_mode {
            table.fact("mode", "development: what unseals it lies beside its data");
        }
        table.time("started", self.started_at.as_ref());
        table.time("clock", self.now.as_ref());
        if self.timers_paused {
            let reason = self.timers_paused_reason.clone().unwrap_or_default();
            table.fact("timers", format!("paused: {reason}"));
        }
        table.fact("roster", &self.roster_mode);
        table.fact("datasets", self.dataset_count.to_string());
        table.fact("rotations overdue", self.rotations_overdue.to_string());
        table.fact("audit entries", self.audit_entries.to_string());
        table.fact("audit log", &self.audit_origin);
        for forward in &self.audit_forwards {
            table.fact("forwarded to", forward.words());
        }
        table.fact("key durability", &self.key_durability);
        let (free, total) = (bytes(self.disk_free_bytes), bytes(self.disk_total_bytes));
        table.fact("disk free", format!("{free} of {total}"));
        if let Some(seconds) = self.disk_full_in_seconds {
            let lasts = i64::try_from(seconds).unwrap_or(i64::MAX);
            let unit = if lasts < 2 * 86_400 { 3_600 } else { 86_400 };
            table.fact("disk full in", duration(lasts / unit * unit));
        }
        for alarm in &self.alarms {
            table.fact("alarm", alarm);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_has_bare_names() {
        let status = v1::GetStatusResponse {
            seal_state: v1::SealState::Unsealed.into(),
            seals: vec![v1::SealInfo {
                method: v1::SealMethod::Passphrase.into(),
                detail: "file".into(),
            }],
            ..v1::GetStatusResponse::default()
        };
        let json = serde_json::to_value(StatusReport::new(&status)).unwrap();
        assert_eq!(json.get("seal_state"), Some(&"UNSEALED".into()));
        let seals = serde_json::json!([{"method": "PASSPHRASE", "detail": "file"}]);
        assert_eq!(json.get("seals"), Some(&seals));
        assert_eq!(
            json.get("timers_paused_reason"),
            Some(&serde_json::Value::Null)
        );
    }
}
