//! `kms audit access`: who could do what at a time, and what was changed of that within the day after it.

use crate::args::{Form, value};
use crate::command::call;
use crate::command::clock::proto_time;
use crate::exit::{Failure, printable};
use crate::output::{self, Report, Table, brief, optional_time};
use crate::session::Session;
use clap::Args;
use jiff::Timestamp;
use kms_client::proto::v1;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Say who could do what at a time: from the policies kept and the rosters as the log tells them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms audit access --at 2026-11-24
  kms audit access --at 2026-11-24T06:00:00Z --principal operators/alice
  kms audit access --at 90d --output json")]
pub(crate) struct Access {
    /// Then: 2026-11-24 (its beginning, UTC), 2026-11-24T06:00:00Z, or 2h (that long ago).
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    at: Timestamp,
    /// Only this one: a service's canonical name, or operators/NAME.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
}

impl Access {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let mut request = v1::GetAccessRequest {
            at_time: Some(proto_time(self.at)),
            principal: self.principal.unwrap_or_default(),
            ..Default::default()
        };
        let mut report = AccessReport {
            at: self.at.to_string(),
            ..Default::default()
        };
        loop {
            let page = call!(session, repeat audit_service_client::AuditServiceClient.get_access, request)?;
            request.page_token.clone_from(&page.next_page_token);
            report.take(page);
            if request.page_token.is_empty() {
                break;
            }
        }
        session.show(&report)?;
        match session.form() {
            Form::Table => output::write(&report.words()),
            Form::Json => Ok(()),
        }
    }
}

#[derive(Debug, Default, Serialize)]
struct AccessReport {
    at: String,
    /// 1 is the table of roles.
    policy_generation: u64,
    policy_fingerprint: String,
    /// Empty: no roster was declared.
    approval_rules: String,
    principals: Vec<Principal>,
    /// Of the 24 hours from then on.
    changes: Vec<Change>,
    not_known: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Principal {
    principal: String,
    kind: String,
    state: String,
    roles: Vec<String>,
    approver_keys: u32,
    allowed: Vec<Allowed>,
}

#[derive(Debug, Serialize)]
struct Allowed {
    action: String,
    /// `session`, `recent` or `each`; empty for services.
    asks: String,
    /// Empty: on all, or about none.
    datasets: Vec<String>,
    /// Another answer may be had under other circumstances.
    depends: bool,
}

#[derive(Debug, Serialize)]
struct Change {
    sequence: u64,
    time: Option<String>,
    principal: String,
    action: String,
    about: String,
    detail: String,
}

impl From<v1::PrincipalAccess> for Principal {
    fn from(one: v1::PrincipalAccess) -> Self {
        let allowed = |one: v1::AllowedAction| Allowed {
            action: one.action,
            asks: one.asks,
            datasets: one.datasets.iter().map(|name| bare(name)).collect(),
            depends: one.depends,
        };
        Self {
            principal: one.principal,
            kind: one.kind,
            state: one.state,
            roles: one.roles,
            approver_keys: one.approver_keys,
            allowed: one.allowed.into_iter().map(allowed).collect(),
        }
    }
}

fn bare(dataset: &str) -> String {
    dataset.trim_start_matches("datasets/").to_owned()
}

impl From<v1::AccessChange> for Change {
    fn from(one: v1::AccessChange) -> Self {
        Self {
            sequence: one.sequence,
            time: optional_time(one.time.as_ref()),
            principal: one.principal,
            action: one.action,
            about: one.about,
            detail: one.detail,
        }
    }
}

impl AccessReport {
    fn take(&mut self, page: v1::GetAccessResponse) {
        self.policy_generation = page.policy_generation;
        self.policy_fingerprint = page.policy_fingerprint;
        self.approval_rules = page.approval_rules;
        self.not_known = page.not_known;
        let principals = page.principals.into_iter().map(Principal::from);
        self.principals.extend(principals);
        self.changes
            .extend(page.changes.into_iter().map(Change::from));
    }

    /// What stands below the table.
    fn words(&self) -> String {
        let mut text = String::new();
        for one in self.principals.iter().filter(|one| !one.allowed.is_empty()) {
            one.write(&mut text);
        }
        let rules = match self.approval_rules.as_str() {
            "" => "none: no roster was declared, or nothing tells its rules",
            rules => rules,
        };
        let _ = write!(
            text,
            "\nPolicies: generation {} ({}).\nApprovers asked for: {}.\n",
            self.policy_generation,
            printable(&self.policy_fingerprint),
            printable(rules)
        );
        text.push_str("Changed within 24 hours:\n");
        for change in &self.changes {
            let time = brief(change.time.as_ref());
            let (by, action) = (printable(&change.principal), printable(&change.action));
            let (about, detail) = (printable(&change.about), printable(&change.detail));
            let line = format!(
                "- {time} #{} {by}: {action} {about} {detail}",
                change.sequence
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        if self.changes.is_empty() {
            text.push_str("- nothing\n");
        }
        text.push_str("Not known:\n");
        for open in &self.not_known {
            let _ = writeln!(text, "- {}", printable(open));
        }
        text
    }
}

impl Principal {
    /// Its actions, by what they asked for.
    fn write(&self, text: &mut String) {
        let mut groups: BTreeMap<(&str, &[String]), Vec<String>> = BTreeMap::new();
        for allowed in &self.allowed {
            let mark = if allowed.depends { "*" } else { "" };
            let group = groups.entry((&allowed.asks, &allowed.datasets));
            group
                .or_default()
                .push(format!("{}{mark}", printable(&allowed.action)));
        }
        let _ = writeln!(text, "\n{}", printable(&self.principal));
        for ((asks, datasets), actions) in groups {
            let asks = match asks {
                "session" => "in a session",
                "recent" => "with a code of the last 5 minutes",
                "each" => "with a new code",
                _ => "by itself",
            };
            let on = match datasets {
                [] => String::new(),
                some => format!(" on {}", printable(&some.join(", "))),
            };
            let _ = writeln!(text, "  {asks}{on}: {}", actions.join(", "));
        }
        if self.allowed.iter().any(|allowed| allowed.depends) {
            text.push_str("  * another answer may be had from another address, with another context, or at another time\n");
        }
    }
}

impl Report for AccessReport {
    fn table(&self) -> Table {
        let header = [
            "principal",
            "kind",
            "state",
            "roles",
            "approver keys",
            "actions",
        ];
        let mut table = Table::list(&header);
        for one in &self.principals {
            table.row([
                one.principal.clone(),
                one.kind.clone(),
                one.state.clone(),
                one.roles.join(", "),
                one.approver_keys.to_string(),
                one.allowed.len().to_string(),
            ]);
        }
        table
    }
}
