//! `kms policy check`: what the service would say of policies, offline; and, asked about its roster, whether enough people
//! could approve what the rules ask for.

use crate::command::call;
use crate::exit::{Exit, Failure};
use crate::output::{Report, Table};
use crate::session::Session;
use clap::Args;
use kms_client::proto::v1;
use kms_policies::{Caller, Policies, PolicyText, Question, fingerprint, read};
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

/// Read policies as the service would: syntax, schema, what reads the circumstances, whether anybody could approve. Works
/// offline. With --roster, exit code 4 when a quorum cannot be reached.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms policy check policies
  kms policy check policies/*.cedar --output json
  kms policy check policies --roster")]
pub(crate) struct Check {
    /// All files, or a directory of them.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Also ask the service whether its rules can be met by its roster: who has a key, and how many must sign.
    #[arg(long)]
    roster: bool,
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
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut report = self.report()?;
        if self.roster {
            let request = v1::GetRosterRequest {};
            let answer = call!(session, repeat approval_service_client::ApprovalServiceClient.get_roster, request)?;
            report.unreachable.extend(unreachable(&answer));
        }
        session.show(&report)?;
        if report.unreachable.is_empty() || !self.roster {
            return Ok(());
        }
        Err(
            Failure::new(Exit::Precondition, "a quorum cannot be reached")
                .next("let more people approve, or ask for fewer"),
        )
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
            unreachable: if can_approve(&policies) {
                Vec::new()
            } else {
                vec!["every approval: an approver may not sign".to_owned()]
            },
        })
    }
}

/// Whether a person with the role `approver`, a code just given, may sign an approval.
fn can_approve(policies: &Policies) -> bool {
    let action = "Approve";
    let question = Question {
        caller: Caller {
            name: "operators/approver",
            is_person: true,
            roles: &["approver"],
            attributes: None,
        },
        action,
        dataset: None,
        classes: &[],
        labels: &[],
        key_context: None,
        source: None,
        now: "2026-01-01T00:00:00Z",
        mfa_age: Some(0),
    };
    // what depends on the circumstances may go well in others
    policies.reads_context(action, &["approver"]) || policies.decide(&question).allowed
}

/// Rules that the roster cannot meet. In a small team a delay stands in.
fn unreachable(roster: &v1::GetRosterResponse) -> Vec<String> {
    if roster.mode() != v1::RosterMode::Quorum {
        return Vec::new();
    }
    let rules = roster.rules.iter().flat_map(|rules| &rules.rules);
    let short = rules.filter(|rule| rule.reachable < rule.approvers);
    short
        .map(|rule| {
            let (action, asked, can) = (&rule.action, rule.approvers, rule.reachable);
            format!("{action}: asks for {asked}, and {can} others could sign for you")
        })
        .collect()
}

#[derive(Debug, Serialize)]
struct CheckReport {
    files: usize,
    /// What stands for these texts in the audit log.
    fingerprint: String,
    /// Actions whose answers are not remembered for everybody, because a policy reads the circumstances.
    evaluated_each_time: Vec<String>,
    /// What asks for more people than can approve.
    unreachable: Vec<String>,
}

impl Report for CheckReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("files", format!("{} in order", self.files));
        table.fact("fingerprint", &self.fingerprint);
        for action in &self.evaluated_each_time {
            table.fact("evaluated at each call", action);
        }
        for rule in &self.unreachable {
            table.fact("unreachable quorum", rule);
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
        let check = Check {
            files: vec![file],
            roster: false,
        };
        check.report()
    }

    #[test]
    fn a_quorum_that_nobody_could_reach_is_reported() {
        let shipped = include_str!("../../../../../policies/roles/approver.cedar");
        assert!(check(shipped).unwrap().unreachable.is_empty());
        let mute =
            format!("{shipped}\nforbid (principal, action == Action::\"Approve\", resource);");
        assert_eq!(check(&mute).unwrap().unreachable.len(), 1);
        let elsewhere = format!(
            "{shipped}\nforbid (principal, action == Action::\"Approve\", resource) unless {{ context has source }};"
        );
        assert!(
            check(&elsewhere).unwrap().unreachable.is_empty(),
            "it depends"
        );
        let rule = |approvers, reachable| v1::ApprovalRule {
            action: "RemoveOperator".into(),
            approvers,
            reachable,
        };
        let mut roster = v1::GetRosterResponse::default();
        roster.set_mode(v1::RosterMode::Quorum);
        roster.rules = Some(v1::ApprovalRules {
            rules: vec![rule(1, 1), rule(2, 1)],
            ..Default::default()
        });
        assert_eq!(unreachable(&roster).len(), 1);
        roster.set_mode(v1::RosterMode::SmallTeam);
        assert!(unreachable(&roster).is_empty(), "a delay stands in");
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
