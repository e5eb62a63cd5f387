//! `kms dataset`: datasets, their policies and labels.

mod report;

use super::{call, every, present};
use crate::args::value::{self, SecretKind, Switch};
use crate::exit::Failure;
use crate::session::Session;
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use kms_client::proto::v1;
use kms_client::{DatasetName, make_request_id};
pub(crate) use report::{DatasetReport, kind_name};
use std::collections::BTreeMap;
use std::time::Duration;

/// Create, list, show and change datasets.
#[derive(Debug, Subcommand)]
pub(crate) enum Dataset {
    /// Make a dataset with version 1 of its key.
    Create(Create),
    /// List all datasets.
    List,
    /// Show one dataset.
    Show {
        /// The dataset.
        #[arg(value_parser = value::dataset)]
        dataset: DatasetName,
    },
    /// Change policy or deletion protection; what is not named stays.
    Update(Update),
    /// Change labels, which access policies may ask for; what is not named stays.
    Label(Label),
}

/// `kms dataset create`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms dataset create crm-files
  kms dataset create customers --required-secret subject --retention-class customer")]
pub(crate) struct Create {
    /// The new dataset: a-z, 0-9 and '-', at most 63, beginning with a letter.
    #[arg(value_name = "NAME", value_parser = value::dataset)]
    dataset: DatasetName,
    #[command(flatten)]
    policy: Policy,
    /// Whether versions are safe from destruction [default: on].
    #[arg(long, value_name = "SWITCH")]
    deletion_protection: Option<Switch>,
    /// Label that access policies may ask for; may be given 16 times.
    #[arg(long = "label", value_name = "K=V", value_parser = value::pair)]
    labels: Vec<(String, String)>,
}

/// `kms dataset label`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("labelling").required(true).multiple(true).args(["set", "remove"]))]
pub(crate) struct Label {
    /// The dataset.
    #[arg(value_parser = value::dataset)]
    dataset: DatasetName,
    /// Label to be there from now on.
    #[arg(long, value_name = "K=V", value_parser = value::pair)]
    set: Vec<(String, String)>,
    /// Key of a label to be taken away.
    #[arg(long, value_name = "KEY")]
    remove: Vec<String>,
}

/// `kms dataset update`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).multiple(true).args([
    "rotation_period", "required_secret", "retention_class", "lasting_key", "deletion_protection", "clear",
]))]
pub(crate) struct Update {
    /// The dataset.
    #[arg(value_parser = value::dataset)]
    dataset: DatasetName,
    #[command(flatten)]
    policy: Policy,
    /// Whether versions are safe from destruction.
    #[arg(long, value_name = "SWITCH")]
    deletion_protection: Option<Switch>,
    /// Make a list of the policy empty.
    #[arg(long, value_name = "LIST")]
    clear: Vec<Clearable>,
}

/// Lists of a policy that can be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Clearable {
    RequiredSecrets,
    RetentionClasses,
    LastingKeys,
}

/// What a dataset demands and allows.
#[derive(Debug, Args)]
struct Policy {
    /// Time between scheduled rotations, 1d to 3650d [default of new datasets: 90d].
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    rotation_period: Option<Duration>,
    /// Kind of shred secret that every data key must have; may be given three times.
    #[arg(long, value_name = "KIND")]
    required_secret: Vec<SecretKind>,
    /// Retention class that shred secrets may name; the first is the default.
    #[arg(long, value_name = "CLASS", value_parser = value::retention_class)]
    retention_class: Vec<String>,
    /// Key of the key context whose values are logged for good; never one with personal data.
    #[arg(long, value_name = "KEY")]
    lasting_key: Vec<String>,
}

impl Policy {
    fn proto(&self) -> v1::DatasetPolicy {
        v1::DatasetPolicy {
            rotation_period: self.rotation_period.map(proto_duration),
            required_secrets: self
                .required_secret
                .iter()
                .map(|kind| kind.proto().into())
                .collect(),
            retention_classes: self.retention_class.clone(),
            lasting_context_keys: self.lasting_key.clone(),
        }
    }
}

/// As protobuf has it.
pub(crate) fn proto_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: 0,
    }
}

impl Dataset {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Create(create) => create.run(session).await,
            Self::List => session.show(&list(session).await?),
            Self::Show { dataset } => {
                session.show(&DatasetReport::from(&get(session, &dataset).await?))
            }
            Self::Update(update) => update.run(session).await,
            Self::Label(label) => label.run(session).await,
        }
    }
}

/// One dataset.
///
/// # Errors
/// The service's.
pub(crate) async fn get(session: &Session, dataset: &DatasetName) -> Result<v1::Dataset, Failure> {
    let name = dataset.resource();
    let request = v1::GetDatasetRequest { name };
    let answer =
        call!(session, repeat dataset_service_client::DatasetServiceClient.get_dataset, request);
    present(answer.map_err(|failure| failure.about(dataset))?.dataset)
}

async fn list(session: &Session) -> Result<Vec<DatasetReport>, Failure> {
    let request = v1::ListDatasetsRequest::default();
    let datasets = every!(
        session,
        dataset_service_client::DatasetServiceClient.list_datasets,
        request,
        datasets
    )?;
    Ok(datasets.iter().map(DatasetReport::from).collect())
}

impl Create {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = v1::CreateDatasetRequest {
            dataset_id: self.dataset.as_str().to_owned(),
            policy: Some(self.policy.proto()),
            request_id: make_request_id()?.to_vec().into(),
            deletion_protection: self.deletion_protection.map(|switch| switch == Switch::On),
            validate_only: false,
            labels: distinct(self.labels)?,
        };
        let answer = call!(session, repeat dataset_service_client::DatasetServiceClient.create_dataset, request);
        let answer = answer.map_err(|failure| failure.about(&self.dataset))?;
        session.show(&DatasetReport::from(&present(answer.dataset)?))
    }
}

/// Labels as a map.
fn distinct(given: Vec<(String, String)>) -> Result<BTreeMap<String, String>, Failure> {
    let count = given.len();
    let labels: BTreeMap<_, _> = given.into_iter().collect();
    if labels.len() < count {
        return Err(Failure::usage("a label is given twice"));
    }
    Ok(labels)
}

impl Label {
    /// Reads first: the etag makes sure that nothing changed between.
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let set = distinct(self.set)?;
        let current = get(session, &self.dataset).await?;
        let mut labels: BTreeMap<_, _> = current.labels.into_iter().collect();
        for key in &self.remove {
            if labels.remove(key).is_none() {
                return Err(Failure::usage(format!("there is no label {key:?}")));
            }
        }
        labels.extend(set);
        let request = v1::LabelDatasetRequest {
            name: current.name,
            etag: current.etag,
            labels,
            validate_only: false,
        };
        let answer = call!(session, once dataset_service_client::DatasetServiceClient.label_dataset, request);
        let answer = answer.map_err(|failure| failure.about(&self.dataset))?;
        session.show(&DatasetReport::from(&present(answer.dataset)?))
    }
}

impl Update {
    /// Reads first: the etag makes sure that nothing changed between.
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let current = get(session, &self.dataset).await?;
        let request = v1::UpdateDatasetRequest {
            update_mask: Some(prost_types::FieldMask {
                paths: self.paths().map(str::to_owned).collect(),
            }),
            dataset: Some(v1::Dataset {
                name: current.name,
                etag: current.etag,
                policy: Some(self.policy.proto()),
                deletion_protection: self.deletion_protection == Some(Switch::On),
                ..v1::Dataset::default()
            }),
            validate_only: false,
        };
        let answer = call!(session, once dataset_service_client::DatasetServiceClient.update_dataset, request);
        let answer = answer.map_err(|failure| failure.about(&self.dataset))?;
        session.show(&DatasetReport::from(&present(answer.dataset)?))
    }

    /// What changes.
    fn paths(&self) -> impl Iterator<Item = &'static str> {
        let policy = &self.policy;
        let clears = |list| self.clear.contains(&list);
        let paths = [
            (policy.rotation_period.is_some(), "policy.rotation_period"),
            (
                !policy.required_secret.is_empty() || clears(Clearable::RequiredSecrets),
                "policy.required_secrets",
            ),
            (
                !policy.retention_class.is_empty() || clears(Clearable::RetentionClasses),
                "policy.retention_classes",
            ),
            (
                !policy.lasting_key.is_empty() || clears(Clearable::LastingKeys),
                "policy.lasting_context_keys",
            ),
            (self.deletion_protection.is_some(), "deletion_protection"),
        ];
        paths.into_iter().filter(|path| path.0).map(|path| path.1)
    }
}

#[cfg(test)]
mod tests {
    use crate::args::{Cli, Command};
    use clap::Parser as _;

    #[test]
    fn only_what_was_named_changes() {
        let paths = |line: &str| {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            match cli.command {
                Command::Dataset(super::Dataset::Update(update)) => {
                    update.paths().collect::<Vec<_>>()
                }
                _ => panic!("not an update"),
            }
        };
        assert_eq!(
            paths("kms dataset update a --deletion-protection off"),
            ["deletion_protection"]
        );
        assert_eq!(
            paths(
                "kms dataset update a --rotation-period 30d --clear required-secrets --lasting-key k"
            ),
            [
                "policy.rotation_period",
                "policy.required_secrets",
                "policy.lasting_context_keys"
            ]
        );
    }
}
