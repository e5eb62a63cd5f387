//! `[approvals]` and `[notices]`: what needs the word of others, and who tells people of it.

use super::issuers::is_https;
use crate::config::bounds::Places;
use crate::config::bounds::{Problem, duration, number};
use crate::config::{Notices, WebhookSettings};
use kms_core::policy::ApprovalRules;
use kms_core::policy::approval::{LIFE_DEFAULT, LIFE_MAX, LIFE_MIN};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ApprovalsTable {
    life: Option<String>,
    small_team_delay: Option<String>,
    required: Option<BTreeMap<String, u64>>,
}

/// Shortest delay of a small team; in development it may be a second, never nothing.
const DELAY_MIN: Duration = Duration::from_hours(1);

pub(super) fn rules(
    table: &ApprovalsTable,
    dev_mode: bool,
    tells: bool,
) -> Result<ApprovalRules, Problem> {
    let life = table.life.as_deref();
    let life = duration("approvals.life", life, LIFE_DEFAULT, LIFE_MIN..=LIFE_MAX)?;
    let key = "approvals.small_team_delay";
    let least = if dev_mode {
        Duration::from_secs(1)
    } else {
        DELAY_MIN
    };
    let delay = table.small_team_delay.as_deref();
    let delay = delay
        .map(|text| duration(key, Some(text), DELAY_MIN, least..=LIFE_MAX))
        .transpose()?;
    if delay.is_some() && !tells && !dev_mode {
        let problem = "needs notices.command or notices.webhook: a delay that nobody hears of protects nobody";
        return Err(Problem::new(key, problem));
    }
    let mut rules = ApprovalRules {
        life,
        delay,
        ..ApprovalRules::default()
    };
    for (action, approvers) in table.required.iter().flatten() {
        let key = format!("approvals.required.{action}");
        let approvers = number(&key, Some(*approvers), 1, 1..=16)?;
        let marked = rules.mark(action, approvers);
        marked.map_err(|problem| Problem::new(&key, problem))?;
    }
    Ok(rules)
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NoticesTable {
    command: Option<Vec<String>>,
    webhook: Option<String>,
    webhook_ca: Option<String>,
    webhook_bearer_file: Option<String>,
}

impl NoticesTable {
    /// Whether anybody is told.
    pub(super) const fn tells(&self) -> bool {
        self.command.is_some() || self.webhook.is_some()
    }
}

pub(super) fn notices(table: NoticesTable, places: Places<'_>) -> Result<Notices, Problem> {
    let absolute = |words: &Vec<String>| words.first().is_some_and(|it| it.starts_with('/'));
    if table.command.as_ref().is_some_and(|words| !absolute(words)) {
        let problem = "must begin with the absolute path of a program";
        return Err(Problem::new("notices.command", problem));
    }
    let (ca, bearer) = (
        table.webhook_ca.as_deref(),
        table.webhook_bearer_file.as_deref(),
    );
    let webhook = match table.webhook {
        Some(url) if !is_https(&url) => {
            let problem = format!("is {url:?}, must be https://HOST[:PORT]/PATH");
            return Err(Problem::new("notices.webhook", problem));
        }
        Some(url) => Some(WebhookSettings {
            url,
            ca: places.required("notices.webhook_ca", ca)?,
            bearer_file: places.required("notices.webhook_bearer_file", bearer)?,
        }),
        None if ca.is_some() || bearer.is_some() => {
            return Err(Problem::new(
                "notices.webhook",
                "is missing, and the rest of it is there",
            ));
        }
        None => None,
    };
    Ok(Notices {
        command: table.command,
        webhook,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, dev_mode: bool, tells: bool) -> Result<ApprovalRules, String> {
        let table: ApprovalsTable = toml::from_str(text).unwrap();
        rules(&table, dev_mode, tells).map_err(|problem| problem.key)
    }

    #[test]
    fn a_small_team_is_declared_and_told() {
        assert_eq!(read("", false, false), Ok(ApprovalRules::default()));
        let delay = "small_team_delay = \"24h\"";
        let key = Err("approvals.small_team_delay".to_owned());
        assert_eq!(read(delay, false, false), key, "nobody is told");
        let day = Some(Duration::from_hours(24));
        assert_eq!(read(delay, false, true).unwrap().delay, day);
        let second = "small_team_delay = \"1s\"";
        assert_eq!(read(second, false, true), key);
        assert!(read(second, true, false).is_ok());
        assert_eq!(read("small_team_delay = \"0s\"", true, true), key);
    }

    #[test]
    fn a_webhook_is_whole_or_not_there() {
        let places = Places {
            directory: std::path::Path::new("/etc/kms"),
            credentials: None,
        };
        let read = |text: &str| {
            let table: NoticesTable = toml::from_str(text).unwrap();
            notices(table, places).map_err(|problem| problem.key)
        };
        let whole = "webhook = \"https://crm.example/kms\"\nwebhook_ca = \"ca.pem\"\nwebhook_bearer_file = \"token\"";
        let webhook = read(whole).unwrap().webhook.unwrap();
        assert_eq!(webhook.bearer_file, std::path::Path::new("/etc/kms/token"));
        for (text, key) in [
            (whole.replace("https", "http"), "notices.webhook"),
            (whole.replace("webhook_ca", "#"), "notices.webhook_ca"),
            (
                whole.replace("webhook_bearer_file", "#"),
                "notices.webhook_bearer_file",
            ),
            (whole.replace("webhook =", "#"), "notices.webhook"),
            ("command = [\"mail\"]".to_owned(), "notices.command"),
        ] {
            assert_eq!(read(&text), Err(key.to_owned()), "{text}");
        }
    }

    #[test]
    fn marks_are_of_known_actions_and_of_somebody() {
        let two = read("required.DestroyShredSecret = 2", false, false).unwrap();
        assert_eq!(two.most(), 2);
        for (text, key) in [
            (
                "required.DestroyShredSecret = 0",
                "approvals.required.DestroyShredSecret",
            ),
            ("required.Decrypt = 1", "approvals.required.Decrypt"),
            ("life = \"1m\"", "approvals.life"),
        ] {
            assert_eq!(read(text, false, false), Err(key.to_owned()), "{text}");
        }
    }
}
