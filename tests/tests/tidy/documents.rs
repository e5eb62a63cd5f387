//! Documents that say what the code says: labels, reasons, RPCs, controls and their tests, links.

use crate::none;
use crate::source::{document, files, root};
use kms_core::cipher::label;
use kms_core::reason::Reason;
use std::collections::BTreeSet;

/// Names of gRPC codes, as docs/errors.md spells them.
const CODES: [&str; 16] = [
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[test]
fn labels_are_documented() {
    let formats = document("docs/formats.md");
    let missing: Vec<String> = label::ALL
        .iter()
        .map(|(_, text)| String::from_utf8(text.to_vec()).unwrap())
        .filter(|text| !formats.contains(&format!("`{text}`")))
        .collect();
    none("labels that docs/formats.md does not name", &missing);
}

#[test]
fn reasons_are_documented() {
    let errors = document("docs/errors.md");
    let mut breaches = Vec::new();
    for reason in Reason::ALL {
        let begin = format!("| `{}` |", reason.as_str());
        let rows: Vec<&str> = errors.lines().filter(|l| l.starts_with(&begin)).collect();
        let [row] = rows[..] else {
            breaches.push(format!("{}: {} rows", reason.as_str(), rows.len()));
            continue;
        };
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let code = cells.get(1).copied().unwrap_or_default();
        if cells.len() < 5 || cells.iter().any(|cell| cell.is_empty()) {
            breaches.push(format!(
                "{}: code, whose fault, caller, operator",
                reason.as_str()
            ));
        } else if !CODES.contains(&code.trim_matches('`')) {
            breaches.push(format!("{}: no gRPC code {code}", reason.as_str()));
        }
    }
    none("docs/errors.md", &breaches);
}

#[test]
fn reasons_are_the_same_in_the_proto() {
    let proto = document("proto/kms/v1/error.proto");
    let listed: BTreeSet<(String, String)> = proto
        .lines()
        .filter_map(|line| line.trim().strip_prefix("REASON_")?.strip_suffix(';'))
        .filter_map(|line| line.split_once(" = "))
        .filter(|(name, _)| *name != "UNSPECIFIED")
        .map(|(name, number)| (name.to_owned(), number.to_owned()))
        .collect();
    let known = Reason::ALL
        .iter()
        .map(|reason| (reason.as_str().to_owned(), reason.number().to_string()));
    assert_eq!(listed, known.collect());
}

#[test]
fn every_rpc_is_commented() {
    let mut breaches = Vec::new();
    for (path, text) in files(&[".proto"]) {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            let before = number.checked_sub(1).map_or("", |at| lines[at]);
            if line.starts_with("rpc ") && !before.starts_with("// ") {
                breaches.push(format!("{path}:{}: {line}", number + 1));
            }
        }
    }
    none("an RPC without a comment", &breaches);
}

/// Tests that the table names, as `path/of/file.rs::function`.
fn named_tests(controls: &str) -> Vec<(String, String)> {
    controls
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|code| code.split_once(".rs::"))
        .filter(|(_, function)| *function != "FUNCTION")
        .map(|(path, function)| (format!("{path}.rs"), function.to_owned()))
        .collect()
}

#[test]
fn controls_name_tests_that_exist() {
    let controls = document("docs/controls.md");
    let mut breaches = Vec::new();
    for (path, function) in named_tests(&controls) {
        let text = std::fs::read_to_string(root().join(&path)).unwrap_or_default();
        if !text.contains(&format!("fn {function}(")) {
            breaches.push(format!("{path}::{function}"));
        }
    }
    for number in 1..=29 {
        let begin = format!("| R{number} |");
        if !controls.lines().any(|line| line.starts_with(&begin)) {
            breaches.push(format!("R{number} has no row"));
        }
    }
    let rows = controls.lines().filter(|line| line.starts_with("| R"));
    for row in rows.filter(|line| line[3..].starts_with(|c: char| c.is_ascii_digit())) {
        let proof = row.trim_end_matches('|').rsplit('|').next().unwrap_or("");
        let says = proof.contains(".rs::")
            || proof.contains("not built yet")
            || proof.contains("the CRM's own duty");
        if !says {
            breaches.push(format!("neither a test nor a word why not: {row}"));
        }
    }
    none("docs/controls.md", &breaches);
}

#[test]
fn links_lead_somewhere() {
    let mut breaches = Vec::new();
    for (path, text) in files(&[".md"]) {
        let folder = root().join(&path).parent().unwrap().to_path_buf();
        for link in text.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.starts_with("mailto:") {
                continue;
            }
            if !folder.join(file).exists() {
                breaches.push(format!("{path}: {target}"));
            }
        }
    }
    none("links", &breaches);
}
