//! The promises of the CRM, from docs/controls.md as it was when this program was built: each with its mechanism and its
//! test, or whose duty it is.

use super::facts::Facts;
use serde::Serialize;

const TABLE: &str = include_str!("../../../../../../docs/controls.md");

/// One promise.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Control {
    pub(super) id: String,
    pub(super) promise: String,
    pub(super) mechanism: String,
    /// Tests by name, or whose duty it is, or what is not built yet.
    pub(super) shown_by: String,
    /// What this very report says of it.
    pub(super) evidence: String,
}

/// All rows of the table.
pub(super) fn controls() -> Vec<Control> {
    let rows = TABLE.lines().filter_map(|line| {
        let cells: Vec<_> = line
            .strip_prefix("| R")?
            .split(" |")
            .map(str::trim)
            .collect();
        let [number, promise, mechanism, shown_by, ..] = cells[..] else {
            return None;
        };
        number
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(())?;
        let text = |cell: &str| cell.trim_start_matches('|').trim().to_owned();
        Some(Control {
            id: format!("R{number}"),
            promise: text(promise),
            mechanism: text(mechanism),
            shown_by: text(shown_by),
            evidence: String::new(),
        })
    });
    rows.collect()
}

/// Fills in what the report itself can say.
pub(super) fn with_evidence(facts: &Facts) -> Vec<Control> {
    let mut controls = controls();
    for control in &mut controls {
        control.evidence = evidence(&control.id, facts);
    }
    controls
}

fn evidence(id: &str, facts: &Facts) -> String {
    let datasets = facts.datasets.len();
    match id {
        "R1" | "R10" => format!("{datasets} datasets, each with keys of its own"),
        "R2" => format!("weakest way in: {}", facts.service.weakest_seal),
        "R11" => {
            let logins = facts
                .sessions
                .iter()
                .filter(|row| row.action == "Login" && row.outcome == "OK");
            let logins: u64 = logins.map(|row| row.items).sum();
            let entries = facts.service.entries;
            format!("{entries} entries in the log; {logins} logins with a second factor")
        }
        "R12" => {
            let complying = facts.datasets.iter().filter(|one| one.complies).count();
            format!("{complying} of {datasets} datasets within 90 days")
        }
        "R16" => format!(
            "{} acts of blocking and destroying",
            facts.destruction.count
        ),
        "R25" => facts.verdict.words.clone(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_promise_is_there_with_a_word_on_who_keeps_it() {
        let controls = controls();
        let ids: Vec<_> = controls.iter().map(|control| control.id.clone()).collect();
        let expected: Vec<_> = (1..=29).map(|n| format!("R{n}")).collect();
        assert_eq!(ids, expected);
        for control in &controls {
            assert!(!control.promise.is_empty(), "{control:?}");
            assert!(!control.shown_by.is_empty(), "{control:?}");
        }
    }
}
