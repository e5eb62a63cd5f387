//! Audit entries in the words of others: an OCSF API Activity (class 6003, schema 1.3.0) in a CloudEvents 1.0 envelope.
//! What OCSF has no place for stands in `unmapped`; the entry's bytes in `raw_data`. Knows messages, and no log.

use kms_proto::v1;
use serde_json::{Value, json};
use std::ops::Range;

/// OCSF's numbers of category and class.
const CATEGORY: u32 = 6;
const CLASS: u32 = 6003;
const SCHEMA: &str = "1.3.0";

/// What kind of activity an action is, in OCSF's terms.
fn activity(action: &str) -> (u32, &'static str) {
    let begins = |words: &[&str]| words.iter().any(|word| action.starts_with(word));
    if begins(&["Create", "Generate", "Add", "Encrypt", "BeginEnrolment"]) {
        (1, "Create")
    } else if begins(&["Get", "List", "Unwrap", "Decrypt", "WhoAmI", "Summarize"]) {
        (2, "Read")
    } else if begins(&[
        "Destroy",
        "DueDestruction",
        "ScheduleVersionDestruction",
        "Remove",
        "Anonymise",
        "DueAnonymisation",
    ]) {
        (4, "Delete")
    } else if begins(&[
        "Update",
        "Lift",
        "Rotate",
        "Emergency",
        "Scheduled",
        "Disable",
        "Enable",
        "Restore",
        "Block",
        "Unblock",
        "Rewrap",
        "Set",
        "Reset",
        "Unlock",
        "Change",
        "Confirm",
    ]) {
        (3, "Update")
    } else {
        (99, "Other")
    }
}

fn text(time: &prost_types::Timestamp) -> Option<String> {
    let time = jiff::Timestamp::new(time.seconds, time.nanos).ok()?;
    Some(time.to_string())
}

fn milliseconds(time: &prost_types::Timestamp) -> i64 {
    time.seconds
        .saturating_mul(1_000)
        .saturating_add(i64::from(time.nanos) / 1_000_000)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The event of an entry of the log `origin`.
#[must_use]
pub fn event(entry: &v1::AuditEntry, origin: &str) -> Value {
    let time = entry.time.as_ref().and_then(text).unwrap_or_default();
    json!({
        "specversion": "1.0",
        "id": format!("{origin}#{}", entry.sequence),
        "source": format!("urn:kms:{origin}"),
        "type": format!("kms.v1.audit.{}", entry.kind),
        "time": time,
        "subject": entry.dataset,
        "datacontenttype": "application/json",
        "dataschema": format!("https://schema.ocsf.io/{SCHEMA}/classes/api_activity"),
        "data": data(entry, &time, origin),
    })
}

/// What stands in the place of entries that are missing in a stream of events; no OCSF class, so that nothing takes it
/// for a call.
#[must_use]
pub fn gap(missing: &Range<u64>, time: &prost_types::Timestamp, origin: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": format!("{origin}#{}-gap", missing.start),
        "source": format!("urn:kms:{origin}"),
        "type": "kms.v1.audit.gap",
        "time": text(time).unwrap_or_default(),
        "datacontenttype": "application/json",
        "data": { "first": missing.start, "end": missing.end, "why": "the entries cannot be read" },
    })
}

fn data(entry: &v1::AuditEntry, original_time: &str, origin: &str) -> Value {
    let operation = match entry.action.as_str() {
        "" => &entry.kind,
        action => action,
    };
    let (activity_id, activity_name) = activity(&entry.action);
    let refused = !matches!(entry.outcome.as_str(), "OK" | "");
    let (status_id, status) = match entry.outcome.as_str() {
        "OK" => (1, "Success"),
        "" => (0, "Unknown"),
        _ => (2, "Failure"),
    };
    json!({
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "activity_id": activity_id,
        "activity_name": activity_name,
        "type_uid": CLASS * 100 + activity_id,
        "type_name": format!("API Activity: {activity_name}"),
        "severity_id": if refused { 2 } else { 1 },
        "severity": if refused { "Low" } else { "Informational" },
        "status_id": status_id,
        "status": status,
        "status_code": entry.outcome,
        "time": entry.time.as_ref().map_or(0, milliseconds),
        "count": entry.count.max(1),
        "metadata": {
            "version": SCHEMA,
            "uid": format!("{origin}#{}", entry.sequence),
            "sequence": entry.sequence,
            "event_code": operation,
            "log_name": origin,
            "original_time": original_time,
            "correlation_uid": entry.request_id,
            "product": { "name": "kms", "vendor_name": "kms" },
        },
        "actor": actor(entry),
        "api": {
            "operation": operation,
            "service": { "name": "kms.v1" },
            "request": { "uid": entry.request_id },
            "response": response(entry, refused),
        },
        "src_endpoint": endpoint(entry),
        "resources": resources(entry),
        "raw_data": hex(&entry.leaf),
        "unmapped": unmapped(entry),
    })
}

fn response(entry: &v1::AuditEntry, refused: bool) -> Value {
    if refused {
        json!({ "code": 1, "error": entry.outcome })
    } else {
        json!({ "code": 0 })
    }
}

fn actor(entry: &v1::AuditEntry) -> Value {
    // OCSF: 1 a person, 3 a service
    let person = entry.principal.starts_with("operators/");
    let session = json!({
        "uid": format!("{}/{}", entry.boot, entry.connection),
        "is_mfa": entry.mfa_age.is_some(),
    });
    if entry.principal.is_empty() {
        return json!({ "app_name": "kms", "session": session });
    }
    json!({
        "app_name": "kms",
        "session": session,
        "user": {
            "name": entry.principal,
            "uid": entry.principal,
            "type_id": if person { 1 } else { 3 },
        },
    })
}

fn endpoint(entry: &v1::AuditEntry) -> Value {
    let uid = format!("{}/{}", entry.boot, entry.connection);
    match entry
        .personal
        .get("address")
        .or_else(|| entry.personal.get("source"))
    {
        Some(address) => json!({ "uid": uid, "ip": address }),
        None => json!({ "uid": uid }),
    }
}

fn resources(entry: &v1::AuditEntry) -> Vec<Value> {
    let mut resources = Vec::new();
    if !entry.dataset.is_empty() {
        let (name, version) = (&entry.dataset, entry.version);
        resources.push(match version {
            0 => json!({ "type": "dataset", "name": name }),
            version => {
                json!({ "type": "dataset", "name": name, "version": version.to_string() })
            }
        });
    }
    let secrets = entry.shred_secrets.iter();
    resources.extend(secrets.map(|hash| json!({ "type": "shred secret", "uid": hash })));
    resources
}

/// The fields of an entry that stand nowhere else, by the names that a list gives them.
fn unmapped(entry: &v1::AuditEntry) -> Value {
    json!({
        "kind": entry.kind,
        "lasting_context": entry.lasting_context,
        "detail": entry.detail,
        "details": entry.details,
        "personal": entry.personal,
        "personal_state": entry.personal_state,
        "authentication": entry.authentication,
        "mfa_age_seconds": entry.mfa_age.as_ref().map(|age| age.seconds),
        "trace_id": entry.trace_id,
        "policy_revision": entry.policy_revision,
        "change": entry.change,
        "node": entry.node,
        "uptime_seconds": entry.uptime.as_ref().map_or(0, |uptime| uptime.seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_of_a_kind() {
        for (action, id) in [
            ("GenerateDataKey", 1),
            ("UnwrapDataKey", 2),
            ("ListEntries", 2),
            ("RotateDataset", 3),
            ("ScheduledRotation", 3),
            ("ScheduleVersionDestruction", 4),
            ("DestroyShredSecret", 4),
            ("Seal", 99),
            ("", 99),
        ] {
            assert_eq!(activity(action).0, id, "{action}");
        }
    }

    #[test]
    fn an_event_has_what_the_class_requires() {
        let entry = v1::AuditEntry {
            sequence: 7,
            kind: "call".into(),
            action: "Decrypt".into(),
            outcome: "DENIED".into(),
            dataset: "datasets/files".into(),
            ..Default::default()
        };
        let event = event(&entry, "kms/1");
        assert_eq!(event.get("specversion"), Some(&json!("1.0")));
        let data = event.get("data").unwrap();
        for required in [
            "activity_id",
            "actor",
            "api",
            "category_uid",
            "class_uid",
            "metadata",
            "severity_id",
            "src_endpoint",
            "time",
            "type_uid",
        ] {
            assert!(data.get(required).is_some(), "{required}");
        }
        assert_eq!(data.get("type_uid"), Some(&json!(600_302)));
        assert_eq!(data.get("status"), Some(&json!("Failure")));
    }
}
