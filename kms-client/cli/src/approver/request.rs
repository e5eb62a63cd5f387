//! The requests that can wait for approval, field by field. Each message is taken apart whole: a field that is not
//! shown does not compile.

use crate::exit::printable;
use crate::output::{duration, hex, time};
use kms_client::proto::{DryRun, v1};
use prost::Message;
use std::collections::BTreeMap;

/// A request as people read it, and encoded again from what was read.
pub(crate) struct Shown {
    pub fields: Vec<(String, String)>,
    pub encoded: Vec<u8>,
}

type Fields = Vec<(String, String)>;

fn field(name: &str, value: impl Into<String>) -> (String, String) {
    (name.to_owned(), value.into())
}

fn read<M>(bytes: &[u8], show: impl FnOnce(M) -> Fields) -> Option<Shown>
where
    M: Message + Default + Clone + PartialEq + DryRun,
{
    let message = M::decode(bytes).ok()?;
    // what waits is never a dry run: the flag is no part of what is approved
    let mut flagged = message.clone();
    if !flagged.only_validate() || flagged == message {
        return None;
    }
    let encoded = message.encode_to_vec();
    Some(Shown {
        fields: show(message),
        encoded,
    })
}

/// A field's value as people read it.
trait Face {
    fn face(&self) -> String;
}

impl Face for String {
    fn face(&self) -> String {
        self.clone()
    }
}

impl Face for Vec<String> {
    fn face(&self) -> String {
        self.join(", ")
    }
}

impl Face for BTreeMap<String, String> {
    fn face(&self) -> String {
        let pairs: Vec<_> = self.iter().map(|(k, v)| format!("{k}={v}")).collect();
        pairs.join(", ")
    }
}

/// A message whose fields are shown as they are. A dry run waits for nobody.
macro_rules! plain {
    ($bytes:expr, $message:ident { $($name:ident),+ }) => {
        read($bytes, |v1::$message { $($name,)+ validate_only: _ }| {
            vec![$(field(stringify!($name), $name.face())),+]
        })
    };
}

/// Reads the request of `method`; `None` for what this version does not know.
pub(crate) fn shown(method: &str, bytes: &[u8]) -> Option<Shown> {
    match method {
        "ScheduleVersionDestruction" => read(bytes, schedule),
        "UpdateDataset" => read(bytes, update),
        "LabelDataset" => plain!(bytes, LabelDatasetRequest { name, etag, labels }),
        "DestroyShredSecret" => read(bytes, destroy),
        "AnonymiseMonth" => plain!(bytes, AnonymiseMonthRequest { month }),
        "AddOperator" => plain!(bytes, AddOperatorRequest { operator_id, roles }),
        "SetOperatorRoles" => plain!(bytes, SetOperatorRolesRequest { name, roles }),
        "EnableOperator" => plain!(bytes, EnableOperatorRequest { name }),
        "ResetOperatorMfa" => plain!(bytes, ResetOperatorMfaRequest { name }),
        "RemoveOperator" => plain!(bytes, RemoveOperatorRequest { name }),
        "AddApproverKey" => plain!(bytes, AddApproverKeyRequest { public_key }),
        "DeclareRoster" => read(bytes, declare),
        "ApplyPolicies" => read(bytes, apply),
        "ApproveTrust" => read(bytes, |message| {
            let v1::ApproveTrustRequest {
                document,
                validate_only: _,
            } = message;
            lines("document", &document)
        }),
        "RecoverOperator" => read(bytes, recover),
        _ => None,
    }
}

fn recover(message: v1::RecoverOperatorRequest) -> Fields {
    // shown or kept it has no passphrase
    let v1::RecoverOperatorRequest {
        user,
        passphrase,
        validate_only: _,
    } = message;
    let proof = format!("the service saw one; {} bytes here", passphrase.len());
    vec![field("user", user), field("proof", proof)]
}

fn optional(value: Option<&prost_types::Duration>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |it| match (u64::try_from(it.seconds), it.nanos) {
            (Ok(_), 0) => duration(it.seconds),
            _ => format!("{} s {} ns", it.seconds, it.nanos),
        },
    )
}

fn schedule(message: v1::ScheduleVersionDestructionRequest) -> Fields {
    let v1::ScheduleVersionDestructionRequest {
        name,
        waiting_time,
        validate_only: _,
    } = message;
    let waiting = waiting_time.as_ref();
    let waiting = waiting.map_or_else(
        || "the default, 30 days".to_owned(),
        |it| optional(Some(it)),
    );
    vec![field("name", name), field("waiting_time", waiting)]
}

fn update(message: v1::UpdateDatasetRequest) -> Fields {
    let v1::UpdateDatasetRequest {
        dataset,
        update_mask,
        validate_only: _,
    } = message;
    let mut fields = Vec::new();
    if let Some(mask) = update_mask {
        fields.push(field("update_mask", mask.paths.join(", ")));
    }
    let Some(dataset) = dataset else {
        return fields;
    };
    let v1::Dataset {
        name,
        key_id,
        policy,
        deletion_protection,
        active_version,
        version_count,
        created_at,
        next_rotation_at,
        etag,
        labels,
    } = dataset;
    fields.push(field("dataset.name", name));
    fields.push(field("dataset.etag", etag));
    let protection = if deletion_protection { "on" } else { "off" };
    fields.push(field("dataset.deletion_protection", protection));
    if let Some(policy) = policy {
        let v1::DatasetPolicy {
            rotation_period,
            required_secrets,
            retention_classes,
            lasting_context_keys,
        } = policy;
        let kinds: Vec<_> = required_secrets.iter().map(i32::to_string).collect();
        let rotation = optional(rotation_period.as_ref());
        fields.push(field("dataset.policy.rotation_period", rotation));
        fields.push(field("dataset.policy.required_secrets", kinds.join(", ")));
        let classes = retention_classes.join(", ");
        fields.push(field("dataset.policy.retention_classes", classes));
        let lasting = lasting_context_keys.join(", ");
        fields.push(field("dataset.policy.lasting_context_keys", lasting));
    }
    let at = |at: Option<prost_types::Timestamp>| {
        at.map(|at| time(&at).unwrap_or_else(|| format!("{} s {} ns", at.seconds, at.nanos)))
    };
    // what only the service sets; a caller may have left it in
    let rest = [
        (
            "dataset.key_id",
            Some(hex(&key_id)).filter(|it| !it.is_empty()),
        ),
        ("dataset.active_version", number(active_version)),
        ("dataset.version_count", number(version_count)),
        ("dataset.created_at", at(created_at)),
        ("dataset.next_rotation_at", at(next_rotation_at)),
    ];
    if !labels.is_empty() {
        fields.push(field("dataset.labels", labels.face()));
    }
    for (name, value) in rest {
        fields.extend(value.map(|value| field(name, value)));
    }
    fields
}

fn number(value: u32) -> Option<String> {
    (value != 0).then(|| value.to_string())
}

fn destroy(message: v1::DestroyShredSecretRequest) -> Fields {
    use v1::shred_secret_selector::By;
    let v1::DestroyShredSecretRequest {
        selector,
        reason,
        validate_only: _,
    } = message;
    let mut fields = vec![field("reason", reason)];
    match selector.and_then(|selector| selector.by) {
        None => {}
        Some(By::Id(id)) => fields.push(field("selector.id", hex(&id))),
        Some(By::Scope(scope)) => {
            let v1::ShredSecretScope {
                kind,
                account,
                name,
                retention_class,
            } = scope;
            let kind = v1::SecretKind::try_from(kind)
                .map_or_else(|_| kind.to_string(), |kind| kind.as_str_name().to_owned());
            fields.push(field("selector.scope.kind", kind));
            fields.push(field("selector.scope.account", account));
            fields.push(field("selector.scope.name", name));
            fields.push(field("selector.scope.retention_class", retention_class));
        }
    }
    fields
}

/// Line by line, as the texts lie in their files: nothing in them can look like a line of ours.
fn apply(message: v1::ApplyPoliciesRequest) -> Fields {
    let v1::ApplyPoliciesRequest {
        texts,
        fingerprint,
        replaces,
        validate_only: _,
    } = message;
    let mut fields = vec![field("fingerprint", fingerprint)];
    if replaces != 0 {
        fields.push(field("replaces", replaces.to_string()));
    }
    for v1::PolicyText { name, text } in texts {
        fields.extend(lines(&name, &text));
    }
    fields
}

fn lines(name: &str, text: &str) -> Fields {
    let numbered = text.split('\n').enumerate();
    numbered
        .map(|(number, line)| field(&format!("{name}:{}", number + 1), printable(line)))
        .collect()
}

fn declare(message: v1::DeclareRosterRequest) -> Fields {
    let v1::DeclareRosterRequest {
        rules,
        validate_only: _,
    } = message;
    let Some(rules) = rules else {
        return Vec::new();
    };
    let v1::ApprovalRules {
        rules,
        life,
        small_team_delay,
    } = rules;
    let mut fields = vec![
        field("rules.life", optional(life.as_ref())),
        field(
            "rules.small_team_delay",
            optional(small_team_delay.as_ref()),
        ),
    ];
    for rule in rules {
        let v1::ApprovalRule {
            action,
            approvers,
            reachable,
        } = rule;
        let count = match reachable {
            0 => format!("{approvers} approvers"),
            reachable => format!("{approvers} approvers of {reachable}"),
        };
        fields.push(field(&format!("rules.{action}"), count));
    }
    fields
}
