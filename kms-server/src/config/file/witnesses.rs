//! `[[audit.witnesses]]` and `audit.min_anchors`: who remembers the log's checkpoints, and how many must.

use super::super::WitnessSettings;
use super::super::bounds::{Places, Problem, number, required};
use serde::Deserialize;
use std::collections::BTreeSet;
use tlog::VerifierKey;

/// More witnesses than any log needs.
const WITNESSES_MAX: usize = 16;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WitnessTable {
    url: Option<String>,
    key: Option<String>,
    ca: Option<String>,
}

pub(super) fn witnesses(
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
pub(super) fn min_anchors(
    given: Option<u64>,
    witnesses: Option<&[WitnessTable]>,
) -> Result<usize, Problem> {
    let configured = witnesses.map_or(0, <[_]>::len) as u64;
    let key = "audit.min_anchors";
    number(key, given, 1.min(configured), 0..=configured)
}
