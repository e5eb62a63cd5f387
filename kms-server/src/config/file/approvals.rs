//! `[approvals]` and `[notices]`: what needs the word of others, and who tells people of it.

use crate::config::bounds::{Problem, duration, number};
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
        let problem = "needs notices.command: a delay that nobody hears of protects nobody";
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

pub(super) fn notice(command: Option<Vec<String>>) -> Result<Option<Vec<String>>, Problem> {
    match command {
        Some(words) if !words.first().is_some_and(|it| it.starts_with('/')) => {
            let problem = "must begin with the absolute path of a program";
            Err(Problem::new("notices.command", problem))
        }
        other => Ok(other),
    }
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
