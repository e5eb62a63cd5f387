//! Approvals and the roster as they are shown.

use crate::approver::statement::Understood;
use crate::output::{Report, Table, brief, duration, hex, optional_time, time};
use kms_client::proto::v1;
use serde::Serialize;

/// One approval; with `statement` and `request` where it was taken apart.
#[derive(Debug, Serialize)]
pub(crate) struct ApprovalReport {
    name: String,
    state: String,
    action: String,
    requester: String,
    required: u32,
    votes: Vec<VoteReport>,
    requested_at: Option<String>,
    ready_at: Option<String>,
    expires_at: Option<String>,
    ended: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<StatementReport>,
}

#[derive(Debug, Serialize)]
struct VoteReport {
    operator: String,
    key: String,
    at: Option<String>,
}

/// What is signed, by its parts: from the bytes, never from what the service says beside them.
#[derive(Debug, Serialize)]
struct StatementReport {
    action: String,
    method: String,
    request: Vec<(String, String)>,
    target: String,
    requester: String,
    policy_generation: u64,
    requested_at: String,
    expires_at: String,
    origin: String,
    instance: String,
    sha256: String,
}

fn micros(micros: i64) -> String {
    let at = prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0),
    };
    time(&at).unwrap_or_else(|| format!("{micros} us"))
}

impl From<&Understood> for StatementReport {
    fn from(understood: &Understood) -> Self {
        let statement = &understood.statement;
        Self {
            action: statement.action.clone(),
            method: statement.method.clone(),
            request: understood.fields.clone(),
            target: hex(&statement.etag),
            requester: statement.requester.clone(),
            policy_generation: statement.policy,
            requested_at: micros(statement.requested_at),
            expires_at: micros(statement.expires_at),
            origin: statement.origin.clone(),
            instance: format!("sha256:{}", hex(&statement.instance)),
            sha256: hex(&understood.hash()),
        }
    }
}

impl ApprovalReport {
    pub(crate) fn new(approval: &v1::Approval, understood: Option<&Understood>) -> Self {
        let state = approval.state().as_str_name();
        let vote = |vote: &v1::Vote| VoteReport {
            operator: vote.operator.clone(),
            key: vote.key_fingerprint.clone(),
            at: optional_time(vote.voted_at.as_ref()),
        };
        Self {
            name: approval.name.clone(),
            state: state.trim_start_matches("APPROVAL_STATE_").to_owned(),
            action: approval.action.clone(),
            requester: approval.requester.clone(),
            required: approval.required,
            votes: approval.votes.iter().map(vote).collect(),
            requested_at: optional_time(approval.requested_at.as_ref()),
            ready_at: optional_time(approval.ready_at.as_ref()),
            expires_at: optional_time(approval.expires_at.as_ref()),
            ended: approval.ended.clone(),
            statement: understood.map(StatementReport::from),
        }
    }

    /// For a person who is about to sign.
    pub(crate) fn text(&self) -> String {
        self.table().text()
    }
}

impl Report for ApprovalReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("approval", &self.name);
        table.fact("state", &self.state);
        table.fact(
            "approved by",
            format!("{} of {}", self.votes.len(), self.required),
        );
        for vote in &self.votes {
            let at = brief(vote.at.as_ref());
            table.fact("signed", format!("{} {} {at}", vote.operator, vote.key));
        }
        table.time("a small team's delay ends", self.ready_at.as_ref());
        table.fact("ended by", &self.ended);
        match &self.statement {
            None => {
                table.fact("action", &self.action);
                table.fact("requester", &self.requester);
                table.time("requested", self.requested_at.as_ref());
                table.time("expires", self.expires_at.as_ref());
            }
            Some(signed) => {
                table.fact("action", &signed.action);
                table.fact("requester", &signed.requester);
                table.fact("method", &signed.method);
                for (name, value) in &signed.request {
                    table.row([format!("  {name}"), value.clone()]);
                }
                table.fact("target as it is", &signed.target);
                table.fact("policy generation", signed.policy_generation.to_string());
                table.fact("requested", &signed.requested_at);
                table.fact("expires", &signed.expires_at);
                table.fact("log", &signed.origin);
                table.fact("instance", &signed.instance);
                table.fact("to be signed", format!("sha256:{}", signed.sha256));
            }
        }
        table
    }
}

impl Report for Vec<ApprovalReport> {
    fn table(&self) -> Table {
        let mut table = Table::list(&[
            "approval",
            "state",
            "action",
            "requester",
            "votes",
            "expires",
        ]);
        for one in self {
            table.row([
                one.name.trim_start_matches("approvals/").to_owned(),
                one.state.clone(),
                one.action.clone(),
                one.requester.clone(),
                format!("{} of {}", one.votes.len(), one.required),
                brief(one.expires_at.as_ref()),
            ]);
        }
        table
    }
}

/// Somebody's keys.
#[derive(Debug, Serialize)]
pub(crate) struct ApproverReport {
    operator: String,
    keys: Vec<KeyReport>,
}

#[derive(Debug, Serialize)]
struct KeyReport {
    fingerprint: String,
    kind: String,
    added_at: Option<String>,
    counts_from: Option<String>,
}

impl From<v1::Approver> for ApproverReport {
    fn from(approver: v1::Approver) -> Self {
        let key = |key: v1::ApproverKey| KeyReport {
            added_at: optional_time(key.added_at.as_ref()),
            counts_from: optional_time(key.counts_from.as_ref()),
            fingerprint: key.fingerprint,
            kind: key.kind,
        };
        Self {
            operator: approver.operator,
            keys: approver.keys.into_iter().map(key).collect(),
        }
    }
}

fn keys(table: &mut Table, approver: &ApproverReport) {
    table.fact("approver", &approver.operator);
    for key in &approver.keys {
        let from = brief(key.counts_from.as_ref());
        let text = format!("{} {}, counts from {from}", key.kind, key.fingerprint);
        table.fact("  key", text);
    }
}

impl Report for ApproverReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        keys(&mut table, self);
        table
    }
}

/// A table of rules.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RulesReport {
    rules: Vec<RuleReport>,
    /// Seconds.
    life: Option<i64>,
    /// Seconds.
    small_team_delay: Option<i64>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct RuleReport {
    action: String,
    approvers: u32,
    reachable: u32,
}

fn seconds(duration: Option<&prost_types::Duration>) -> Option<i64> {
    duration.map(|it| it.seconds)
}

impl RulesReport {
    pub(crate) fn new(rules: &v1::ApprovalRules) -> Self {
        let rule = |rule: &v1::ApprovalRule| RuleReport {
            action: rule.action.clone(),
            approvers: rule.approvers,
            reachable: rule.reachable,
        };
        Self {
            rules: rules.rules.iter().map(rule).collect(),
            life: seconds(rules.life.as_ref()),
            small_team_delay: seconds(rules.small_team_delay.as_ref()),
        }
    }

    fn rows(&self, table: &mut Table, small: bool) {
        for rule in &self.rules {
            let missing = rule.reachable < rule.approvers && !small;
            let unreachable = if missing { ", UNREACHABLE" } else { "" };
            let text = format!(
                "{} of {} who could for you{unreachable}",
                rule.approvers, rule.reachable
            );
            table.fact(&rule.action, text);
        }
        table.fact(
            "an approval lives",
            self.life.map(duration).unwrap_or_default(),
        );
        let delay = self.small_team_delay.map(duration);
        table.fact("a small team waits", delay.unwrap_or_default());
    }
}

impl Report for RulesReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        self.rows(&mut table, true);
        table
    }
}

/// All of the roster.
#[derive(Debug, Serialize)]
pub(crate) struct RosterReport {
    mode: String,
    declared_at: Option<String>,
    approvers: Vec<ApproverReport>,
    in_force: RulesReport,
    configured: RulesReport,
}

/// Its word.
pub(crate) fn mode(mode: v1::RosterMode) -> String {
    let name = mode.as_str_name().trim_start_matches("ROSTER_MODE_");
    name.to_ascii_lowercase().replace('_', " ")
}

impl RosterReport {
    pub(crate) fn new(roster: v1::GetRosterResponse) -> Self {
        Self {
            mode: mode(roster.mode()),
            declared_at: optional_time(roster.declared_at.as_ref()),
            approvers: roster.approvers.into_iter().map(Into::into).collect(),
            in_force: RulesReport::new(&roster.rules.unwrap_or_default()),
            configured: RulesReport::new(&roster.configured.unwrap_or_default()),
        }
    }
}

impl Report for RosterReport {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("mode", &self.mode);
        table.time("declared", self.declared_at.as_ref());
        self.approvers.iter().for_each(|one| keys(&mut table, one));
        self.in_force.rows(&mut table, self.mode == "small team");
        if self.in_force != self.configured {
            table.fact(
                "configured",
                "other rules, in force after `kms approval declare`",
            );
        }
        table
    }
}
