//! The RPCs of `KeyService`: envelope encryption.

pub(super) mod cached_use;
pub(super) mod direct;
pub(super) mod generate;
pub(super) mod rewrap;
pub(super) mod unwrap;

use super::operation::{At, Target};
use super::parse;
use kms_core::engine::{Refusal, ScopeRequest, SecretUse, resolve_scope};
use kms_core::format::wrapped::Header;
use kms_core::key::record::DatasetPolicy;
use kms_core::name::{KeyContext, ShredScope};
use kms_proto::v1;
use std::collections::BTreeMap;

/// The dataset of this resource name; a malformed name is INVALID_ARGUMENT for everybody.
fn named<'a>(at: &At<'a>, name: &str) -> Result<Target<'a>, Refusal> {
    let name = parse::dataset(name, "dataset")?;
    Ok(Target(at.snapshot.by_name(&name)))
}

/// The dataset whose key a blob names.
fn blamed<'a>(at: &At<'a>, header: &Header) -> Target<'a> {
    Target(at.snapshot.by_id(header.key_id))
}

fn key_context(map: &BTreeMap<String, String>) -> Result<KeyContext, Refusal> {
    parse::context(map, "key_context")
}

/// The shred secrets of a wrap, at most four: more cannot stand in a blob. Without a dataset there are no
/// defaults to fill in, and the call is denied anyway.
fn secret_uses(
    at: &At<'_>,
    target: Target<'_>,
    uses: &[v1::ShredSecretUse],
) -> Result<Vec<SecretUse>, Refusal> {
    let Some(dataset) = target.0 else {
        return Ok(Vec::new());
    };
    let policy = &dataset.record.policy;
    if uses.len() > kms_core::format::wrapped::SECRETS_MAX {
        return Err(Refusal::field("shred_secrets", "at most 4"));
    }
    let parsed = uses.iter().enumerate().map(|(index, used)| {
        secret_use(at, policy, used).map_err(|r| r.within(&format!("shred_secrets[{index}]")))
    });
    parsed.collect()
}

/// The scopes of these uses, for the decision.
fn scopes(uses: &Result<Vec<SecretUse>, Refusal>) -> Vec<ShredScope> {
    let uses = uses.as_ref().map(Vec::as_slice).unwrap_or_default();
    uses.iter().map(|used| used.scope.clone()).collect()
}

fn secret_use(
    at: &At<'_>,
    policy: &DatasetPolicy,
    used: &v1::ShredSecretUse,
) -> Result<SecretUse, Refusal> {
    let missing = || Refusal::field("scope", "is required");
    let scope = used.scope.as_ref().ok_or_else(missing)?;
    let request = ScopeRequest {
        kind: parse::secret_kind(scope.kind, "scope.kind")?,
        account: &scope.account,
        name: &scope.name,
        class: &scope.retention_class,
    };
    Ok(SecretUse {
        scope: resolve_scope(Some(policy), request, at.circumstances.now)?,
        create_if_absent: used.create_if_absent,
        succeeds: parse::optional_secret_id(&used.succeeds_id, "succeeds_id")?,
    })
}
