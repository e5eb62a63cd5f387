//! Reads what a report says, by the calls that an auditor may make.

mod log;
mod people;

use super::controls;
use super::facts::{Dataset, Day, Facts, ROTATION_DAYS, Service, Span, Tally, Version};
use crate::command::audit::exposure::count::{Counted, Row};
use crate::command::clock::proto_time;
use crate::command::every;
use crate::command::status;
use crate::exit::Failure;
use crate::output::{optional_time, time};
use crate::session::Session;
use jiff::Timestamp;
use jiff::civil::Date;
use kms_client::proto::v1;
use std::collections::BTreeMap;
use tlog::VerifierKey;

const DAY: i64 = 86_400;
/// Most rows of refusals.
const DENIALS_MAX: usize = 100;
/// Most days of a report: three years and a little.
const DAYS_MAX: usize = 1_200;

/// Everything.
///
/// # Errors
/// The service's.
pub(super) async fn facts(
    session: &Session,
    key: VerifierKey,
    span: Span,
    made_at: Timestamp,
) -> Result<Facts, Failure> {
    let status = status::get(session).await?;
    let datasets = datasets(session, made_at).await?;
    let counted = counted(session, span).await?;
    let accounts = people::events(session, span, &counted, people::is_of_people).await?;
    let approvals = people::events(session, span, &counted, people::is_of_approvals).await?;
    let destruction = people::events(session, span, &counted, people::is_of_destruction).await?;
    let operators = people::operators(session, &counted).await?;
    let events = [&destruction, &accounts, &approvals];
    let worth = log::worth_proving(&events);
    let read = log::read(session, key.clone(), worth).await?;
    let mut facts = Facts {
        made_at: made_at.to_string(),
        from: span.from.to_string(),
        to: span.to.to_string(),
        service: service(status),
        verdict: read.verdict,
        datasets,
        days: days(&counted),
        actions: actions(&counted),
        denials: denials(&counted),
        operators,
        sessions: people::sessions(&counted),
        people: accounts,
        approvals,
        destruction,
        checkpoints: read.checkpoints,
        controls: Vec::new(),
        proofs: read.proofs,
        public_key: key.to_string(),
    };
    facts.controls = controls::with_evidence(&facts);
    Ok(facts)
}

fn service(status: v1::GetStatusResponse) -> Service {
    Service {
        started: optional_time(status.started_at.as_ref()),
        version: status.version,
        origin: status.audit_origin,
        development: status.dev_mode,
        weakest_seal: status.weakest_seal,
        key_durability: status.key_durability,
        entries: status.audit_entries,
        timers_paused: status.timers_paused,
        alarms: status.alarms,
    }
}

async fn counted(session: &Session, span: Span) -> Result<Counted, Failure> {
    let request = v1::SummarizeEntriesRequest {
        from_time: Some(proto_time(span.from)),
        to_time: Some(proto_time(span.to)),
        span: Some(prost_types::Duration {
            seconds: DAY,
            nanos: 0,
        }),
        ..Default::default()
    };
    super::super::exposure::count(session, request).await
}

async fn datasets(session: &Session, now: Timestamp) -> Result<Vec<Dataset>, Failure> {
    let request = v1::ListDatasetsRequest::default();
    let listed = every!(
        session,
        dataset_service_client::DatasetServiceClient.list_datasets,
        request,
        datasets
    )?;
    let mut datasets = Vec::new();
    for one in listed {
        let versions = versions(session, &one.name, now).await?;
        datasets.push(dataset(&one, versions));
    }
    Ok(datasets)
}

async fn versions(
    session: &Session,
    parent: &str,
    now: Timestamp,
) -> Result<Vec<Version>, Failure> {
    let request = v1::ListVersionsRequest {
        parent: parent.to_owned(),
        ..Default::default()
    };
    let versions = every!(
        session,
        dataset_service_client::DatasetServiceClient.list_versions,
        request,
        versions
    )?;
    Ok(versions.iter().map(|one| version(one, now)).collect())
}

fn version(version: &v1::Version, now: Timestamp) -> Version {
    let made = version
        .created_at
        .as_ref()
        .map_or(now.as_second(), |at| at.seconds);
    let state = version.state().as_str_name();
    Version {
        number: version.number,
        state: state.trim_start_matches("VERSION_STATE_").to_owned(),
        created: optional_time(version.created_at.as_ref()),
        days: (now.as_second() - made) / DAY,
        uses: version.uses,
        last_used: optional_time(version.last_used_at.as_ref()),
        compromised: version.compromised.as_ref().map(|mark| mark.reason.clone()),
    }
}

fn dataset(dataset: &v1::Dataset, versions: Vec<Version>) -> Dataset {
    let policy = dataset.policy.clone().unwrap_or_default();
    let period = policy.rotation_period.map_or(0, |period| period.seconds);
    let active = versions.iter().find(|version| version.state == "ACTIVE");
    let active_days = active.map(|version| version.days);
    let kinds = policy.required_secrets();
    let rotation_days = period.div_euclid(DAY) + i64::from(period.rem_euclid(DAY) > 0);
    Dataset {
        name: dataset.name.trim_start_matches("datasets/").to_owned(),
        rotation_days,
        next_rotation: dataset.next_rotation_at.as_ref().and_then(time),
        required_secrets: kinds
            .map(|kind| crate::command::dataset::kind_name(kind).to_owned())
            .collect(),
        deletion_protection: dataset.deletion_protection,
        active_days,
        complies: rotation_days <= ROTATION_DAYS
            && active_days.is_none_or(|days| days <= ROTATION_DAYS),
        versions,
    }
}

fn split(row: &Row) -> (u64, u64) {
    match row.outcome.as_str() {
        "OK" => (row.items, 0),
        _ => (0, row.items),
    }
}

fn days(counted: &Counted) -> Vec<Day> {
    let mut days: BTreeMap<Date, (u64, u64)> = BTreeMap::new();
    for row in &counted.rows {
        let span = row.span.as_deref().unwrap_or_default();
        let Some(Ok(date)) = span.get(..10).map(str::parse::<Date>) else {
            continue;
        };
        let day = days.entry(date).or_default();
        let (done, refused) = split(row);
        *day = (day.0 + done, day.1 + refused);
    }
    let (Some(first), Some(last)) = (days.keys().next(), days.keys().next_back()) else {
        return Vec::new();
    };
    let all = first
        .series(jiff::Span::new().days(1))
        .take_while(|date| date <= last);
    let all: Vec<_> = all.take(DAYS_MAX).collect();
    let day = |date: Date| {
        let (done, refused) = days.get(&date).copied().unwrap_or_default();
        Day {
            day: date.to_string(),
            done,
            refused,
        }
    };
    all.into_iter().map(day).collect()
}

fn actions(counted: &Counted) -> Vec<Tally> {
    let mut actions: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for row in &counted.rows {
        let action = actions.entry(&row.action).or_default();
        let (done, refused) = split(row);
        *action = (action.0 + done, action.1 + refused);
    }
    let tally = |(name, (done, refused)): (&str, _)| Tally {
        name: name.to_owned(),
        done,
        refused,
    };
    let mut actions: Vec<_> = actions.into_iter().map(tally).collect();
    actions.sort_by_key(|tally| std::cmp::Reverse(tally.done + tally.refused));
    actions
}

fn denials(counted: &Counted) -> Vec<Row> {
    let refused = counted.rows.iter().filter(|row| row.outcome != "OK");
    let mut rows = people::over_all_days(refused);
    rows.truncate(DENIALS_MAX);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_anything_stand_between_the_others() {
        let on = |day: &str| Row {
            span: Some(format!("{day}T00:00:00Z")),
            outcome: "OK".to_owned(),
            items: 2,
            ..Row::default()
        };
        let mut counted = Counted::default();
        for day in ["2026-02-27", "2026-03-02", "2026-03-02"] {
            counted.put(on(day));
        }
        let days: Vec<_> = days(&counted)
            .into_iter()
            .map(|day| (day.day, day.done))
            .collect();
        let expected = [
            ("2026-02-27", 2),
            ("2026-02-28", 0),
            ("2026-03-01", 0),
            ("2026-03-02", 4),
        ];
        assert_eq!(days, expected.map(|(day, done)| (day.to_owned(), done)));
    }
}
