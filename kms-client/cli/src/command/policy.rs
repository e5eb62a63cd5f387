//! `kms policy`: access policies, judged by the very code that the daemon decides with.

use crate::exit::Failure;
use crate::output::{Report, Table};
use crate::session::Session;
use clap::{Args, Subcommand};
use kms_policies::{Policies, fingerprint, read};
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

/// Check access policies before the service reads them.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    Check(Check),
}

/// Read policies as the service would: syntax, schema, what reads the circumstances. Works offline.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms policy check policies
  kms policy check policies/*.cedar --output json")]
pub(crate) struct Check {
    /// All files, or the directory that the configuration names.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Policy {
    /// Runs it.
    ///
    /// # Errors
    /// The first text that is broken, with file and line; those of the file system.
    pub(crate) fn run(self, session: &Session) -> Result<(), Failure> {
        let Self::Check(check) = self;
        session.show(&check.report()?)
    }
}

impl Check {
    fn report(&self) -> Result<CheckReport, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::failed(error.to_string());
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
