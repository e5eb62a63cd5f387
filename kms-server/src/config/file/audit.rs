//! `[audit]`: the log, who remembers its checkpoints outside, and how many of them must.

use super::super::bounds::{Places, Problem, number, required};
use super::super::{Audit, WitnessSettings};
use super::forwards::{ForwardTable, forwards};
use super::{GIB, MIB};
use kms_core::engine::anonymise::KEPT_MONTHS_MAX;
use serde::Deserialize;
use std::collections::BTreeSet;
use tlog::VerifierKey;

/// More witnesses than any log needs.
const WITNESSES_MAX: usize = 16;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuditTable {
    name: Option<String>,
    segment_bytes: Option<u64>,
    reserve_bytes: Option<u64>,
    min_anchors: Option<u64>,
    witnesses: Option<Vec<WitnessTable>>,
    anonymise_after_months: Option<u64>,
    anonymisation_hold: Option<String>,
    forward: Option<Vec<ForwardTable>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WitnessTable {
    url: Option<String>,
    key: Option<String>,
    ca: Option<String>,
}

pub(super) fn section(table: AuditTable, places: Places<'_>) -> Result<Audit, Problem> {
    let name = table.name.unwrap_or_else(|| "kms".to_owned());
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte)
        });
    if !fits {
        let problem = format!("is {name:?}, must be 1 to 64 of a-z, 0-9, '.' and '-'");
        return Err(Problem::new("audit.name", problem));
    }
    Ok(Audit {
        name,
        segment_bytes: number(
            "audit.segment_bytes",
            table.segment_bytes,
            64 * MIB,
            MIB..=GIB,
        )?,
        reserve_bytes: number(
            "audit.reserve_bytes",
            table.reserve_bytes,
            256 * MIB,
            MIB..=1024 * GIB,
        )?,
        forwards: forwards(table.forward.unwrap_or_default(), places)?,
        tree: true,
        anonymise_after_months: months(table.anonymise_after_months)?,
        anonymisation_hold: hold(table.anonymisation_hold)?,
        min_anchors: min_anchors(table.min_anchors, table.witnesses.as_deref())?,
        witnesses: witnesses(table.witnesses.unwrap_or_default(), places)?,
    })
}

fn months(given: Option<u64>) -> Result<u16, Problem> {
    let most = u64::from(KEPT_MONTHS_MAX);
    number("audit.anonymise_after_months", given, most, 1..=most)
}

fn hold(reason: Option<String>) -> Result<Option<String>, Problem> {
    let fits =
        |reason: &str| (1..=200).contains(&reason.len()) && !reason.contains(char::is_control);
    match reason {
        Some(reason) if !fits(&reason) => {
            let problem = "must be the reason, in 1 to 200 bytes";
            Err(Problem::new("audit.anonymisation_hold", problem))
        }
        reason => Ok(reason),
    }
}

fn witnesses(
    tables: Vec<WitnessTable>,
    places: Places<'_>,
) -> Result<Vec<WitnessSettings>, Problem> {
    if tables.len() > WITNESSES_MAX {
        let problem = format!("are {}, must be at most {WITNESSES_MAX}", tables.len());
        return Err(Problem::new("audit.witnesses", problem));
    }
    let mut names = BTreeSet::new();
    let mut witnesses = Vec::new();
    for table in tables {
        let witness = witness(table, places)?;
        if !names.insert(witness.key.name().to_owned()) {
            let problem = format!("{} stands twice", witness.key.name());
            return Err(Problem::new("audit.witnesses.key", problem));
        }
        witnesses.push(witness);
    }
    Ok(witnesses)
}

fn witness(table: WitnessTable, places: Places<'_>) -> Result<WitnessSettings, Problem> {
    let key = required("audit.witnesses.key", table.key)?;
    let key = VerifierKey::parse(&key).map_err(|_| {
        let problem = "must be a witness's public key, as `kms witness key` prints it";
        Problem::new("audit.witnesses.key", problem)
    })?;
    let url = required("audit.witnesses.url", table.url)?;
    let is_secure = table.ca.is_some();
    let scheme = if is_secure { "https://" } else { "http://" };
    if !url.starts_with(scheme) || url.len() == scheme.len() || url.contains(['?', '#', '@']) {
        let problem = format!(
            "is {url:?}, must be http://HOST[:PORT][/PATH], or https:// with audit.witnesses.ca"
        );
        return Err(Problem::new("audit.witnesses.url", problem));
    }
    let ca = table
        .ca
        .map(|ca| places.path("audit.witnesses.ca", &ca))
        .transpose()?;
    Ok(WitnessSettings { url, key, ca })
}

/// One, unless there are none.
fn min_anchors(given: Option<u64>, witnesses: Option<&[WitnessTable]>) -> Result<usize, Problem> {
    let configured = witnesses.map_or(0, <[_]>::len) as u64;
    let key = "audit.min_anchors";
    number(key, given, 1.min(configured), 0..=configured)
}
