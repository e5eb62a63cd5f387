//! `kms policy check`: what the service would say of policies, offline.

use crate::exit::Failure;
use crate::output::{Report, Table};
use crate::session::Session;
use clap::Args;
use kms_policies::{Policies, PolicyText, fingerprint, read};
use serde::Serialize;
use std::path::PathBuf;

/// All that policies know.
const ROLES: [&str; 7] = [
    "service",
    "security-admin",
    "key-admin",
    "auditor",
    "approver",
    "break-glass",
    "operator",
];

/// Read policies as the service would: syntax, schema, what reads the circumstances. Works offline.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms policy check policies
  kms policy check policies/*.cedar --output json")]
pub(crate) struct Check {
    /// All files, or a directory of them.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::failed(error.to_string())
}

/// Texts that the service would read.
///
/// # Errors
/// The first that is broken, with file and line; those of the file system.
pub(super) fn read_checked(files: &[PathBuf]) -> Result<Vec<PolicyText>, Failure> {
    let texts = read(files).map_err(|error| failed(&error))?;
    Policies::load(&texts).map_err(|error| failed(&error))?;
    Ok(texts)
}

impl Check {
    pub(super) fn run(self, session: &Session) -> Result<(), Failure> {
        session.show(&self.report()?)
    }

    fn report(&self) -> Result<CheckReport, Failure> {
        let texts = read(&self.files).map_err(|error| failed(&error))?;
        let policies = Policies::load(&texts).map_err(|error| failed(&error))?;
        let reads = |action: &&str| policies.reads_context(action, &ROLES);
        let mut slow: Vec<String> = policies
            .actions()
            .filter(reads)
            .map(str::to_owned)
            .collect();
        slow.sort_unstable();
        Ok(CheckReport {
            files: texts.len(),
            fingerprint: fingerprint(&texts),
            evaluated_each_time: slow,
        })
    }
}

#[derive(Debug, Serialize)]
struct CheckReport {
    files: usize,
    /// What stands for these texts in the audit log.
    fingerprint: String,
    /// Actions whose answers are not remembered for everybody, because a policy reads the circumstances.
    evaluated_each_time: Vec<String>,
}

impl Report for CheckReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("files", format!("{} in order", self.files));
        table.fact("fingerprint", &self.fingerprint);
        for action in &self.evaluated_each_time {
            table.fact("evaluated at each call", action);
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<CheckReport, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.cedar");
        std::fs::write(&file, text).unwrap();
        Check { files: vec![file] }.report()
    }

    #[test]
    fn a_check_names_what_is_evaluated_each_time_and_what_is_broken() {
        let fine = check("permit (principal, action == Action::\"Seal\", resource);").unwrap();
        assert!(fine.evaluated_each_time.is_empty());
        assert!(fine.fingerprint.starts_with("sha256:"));
        let slow = check(
            "permit (principal, action == Action::\"Seal\", resource) when { context has source };",
        );
        assert_eq!(slow.unwrap().evaluated_each_time, ["Seal"]);
        let broken =
            check("permit (principal, action == Action::\"Sael\", resource);").unwrap_err();
        assert!(broken.to_string().contains("own.cedar:1: "), "{broken}");
    }
}
