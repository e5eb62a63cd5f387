//! The sample datasets of `policies/`, parsed and checked.

use kms_core::engine::NewDataset;
use kms_core::key::record::DatasetPolicy;
use kms_core::name::{DatasetName, Labels, RetentionClass, SecretKind};
use kms_core::time::DAY;
use serde::Deserialize;
use std::collections::BTreeMap;

const DATASETS: &str = include_str!("../../../policies/datasets.toml");
const RETENTION: &str = include_str!("../../../policies/retention.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Retention {
    classes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dataset {
    rotation_days: u32,
    required_secrets: Vec<String>,
    retention_classes: Vec<String>,
    lasting_context: Vec<String>,
}

/// The sample datasets, by name.
///
/// # Errors
/// One line that names file and dataset; the files are part of the program, so a test has seen them.
pub(super) fn datasets() -> Result<Vec<NewDataset>, String> {
    parse(DATASETS, RETENTION)
}

fn parse(datasets: &str, retention: &str) -> Result<Vec<NewDataset>, String> {
    let retention: Retention =
        toml::from_str(retention).map_err(|error| format!("retention.toml: {error}"))?;
    let datasets: BTreeMap<String, Dataset> =
        toml::from_str(datasets).map_err(|error| format!("datasets.toml: {error}"))?;
    datasets
        .into_iter()
        .map(|(name, dataset)| {
            sample(&name, dataset, &retention).map_err(|problem| format!("{name}: {problem}"))
        })
        .collect()
}

fn sample(name: &str, dataset: Dataset, retention: &Retention) -> Result<NewDataset, String> {
    let kinds = [SecretKind::Subject, SecretKind::Account, SecretKind::Period];
    let kind = |word: &String| {
        let found = kinds.into_iter().find(|kind| kind.as_str() == word);
        found.ok_or_else(|| format!("{word:?} is no kind of shred secret"))
    };
    let class = |word: &String| {
        if !retention.classes.contains_key(word) {
            return Err(format!("{word:?} is not in retention.toml"));
        }
        RetentionClass::parse(word).map_err(|error| error.to_string())
    };
    if !(1..=3_650).contains(&dataset.rotation_days) {
        return Err("rotation_days must be 1 to 3650".to_owned());
    }
    let required = dataset.required_secrets.iter().map(kind);
    let classes = dataset.retention_classes.iter().map(class);
    Ok(NewDataset {
        name: DatasetName::parse(name).map_err(|error| error.to_string())?,
        policy: DatasetPolicy {
            rotation_period: DAY * dataset.rotation_days,
            required_secrets: required.collect::<Result<_, _>>()?,
            retention_classes: classes.collect::<Result<_, _>>()?,
            lasting_context_keys: dataset
                .lasting_context
                .into_iter()
                .map(String::into_boxed_str)
                .collect(),
        },
        labels: Labels::default(),
        deletion_protection: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_demand_what_the_design_says() {
        let samples = datasets().unwrap();
        let demands: Vec<_> = samples
            .iter()
            .map(|sample| {
                let kinds = sample.policy.required_secrets.iter().map(|it| it.as_str());
                (sample.name.as_str(), kinds.collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            demands,
            [
                ("backups", vec!["period"]),
                ("call-logs", vec!["subject", "period"]),
                ("customers", vec!["subject", "account"]),
                ("files", vec![]),
                ("invoices", vec!["account", "period"]),
                ("system-logs", vec!["period"]),
            ]
        );
    }

    #[test]
    fn unknown_words_are_refused_by_name() {
        let with = |line: &str| {
            let text = "[x]\nrotation_days = 1\nrequired_secrets = []\nretention_classes = []\n\
                 lasting_context = []\n";
            let key = line.split(' ').next().unwrap();
            let kept: String = text
                .lines()
                .filter(|old| !old.starts_with(key))
                .map(|old| format!("{old}\n"))
                .collect();
            parse(&format!("{kept}{line}\n"), RETENTION).map(|_| ())
        };
        assert_eq!(with("rotation_days = 1"), Ok(()));
        for (line, told) in [
            ("required_secrets = [\"person\"]", "x: \"person\""),
            ("retention_classes = [\"ever\"]", "x: \"ever\""),
            ("rotation_days = 0", "x: rotation_days"),
            ("rotations = 1", "rotations"),
        ] {
            let problem = with(line).unwrap_err();
            assert!(problem.contains(told), "{problem}");
        }
    }
}
