//! `kms key`: the versions of a dataset's key, from rotation to destruction.

mod report;

use super::dataset::proto_duration;
use super::{call, every, present};
use crate::args::{Confirmation, value};
use crate::exit::Failure;
use crate::session::Session;
use clap::{Args, Subcommand};
use kms_client::proto::v1;
use kms_client::{DatasetName, make_request_id};
use report::{RotationReport, UsageReport, VersionReport};
use std::time::Duration;

/// Rotate a dataset's key; list, disable, destroy and restore its versions.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a new active version; older ones decrypt on. Does not move the schedule.
    Rotate(Rotate),
    /// List all versions, oldest first.
    Versions {
        /// The dataset.
        #[arg(value_parser = value::dataset)]
        dataset: DatasetName,
    },
    /// Show how often each version was used, and when last.
    Usage {
        /// The dataset.
        #[arg(value_parser = value::dataset)]
        dataset: DatasetName,
        /// Only this version.
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        version: Option<u32>,
    },
    /// Refuse every use of a version until it is enabled again.
    Disable(OneVersion),
    /// Let a disabled version decrypt again.
    Enable(OneVersion),
    /// Schedule a version's destruction. Until it falls due `kms key restore` cancels it.
    Destroy(Destroy),
    /// Cancel a scheduled destruction; the version is then disabled.
    Restore(OneVersion),
}

/// `kms key rotate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms key rotate customers
  kms key rotate customers --emergency --reason 'laptop of an administrator stolen'")]
pub(crate) struct Rotate {
    /// The dataset.
    #[arg(value_parser = value::dataset)]
    dataset: DatasetName,
    /// Mark every older version as compromised.
    #[arg(long, requires = "reason")]
    emergency: bool,
    /// Why; kept with each version that is marked.
    #[arg(long, value_name = "TEXT", requires = "emergency")]
    reason: Option<String>,
}

/// One version of a dataset's key.
#[derive(Debug, Args)]
pub(crate) struct OneVersion {
    /// The dataset.
    #[arg(value_parser = value::dataset)]
    dataset: DatasetName,
    /// The version's number.
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    version: u32,
}

/// `kms key destroy`.
#[derive(Debug, Args)]
pub(crate) struct Destroy {
    #[command(flatten)]
    which: OneVersion,
    /// Time until it falls due, 7d to 90d [default: 30d].
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl OneVersion {
    fn resource(&self) -> String {
        format!("{}/versions/{}", self.dataset.resource(), self.version)
    }

    /// `customers/3`: what is typed to confirm.
    fn short_name(&self) -> String {
        format!("{}/{}", self.dataset, self.version)
    }

    fn show(
        &self,
        session: &Session,
        answer: Result<Option<v1::Version>, Failure>,
    ) -> Result<(), Failure> {
        let version = answer.map_err(|failure| failure.about(self.short_name()))?;
        session.show(&VersionReport::from(&present(version)?))
    }
}

/// Calls a method that takes one version's name and answers the version.
macro_rules! change_version {
    ($session:expr, $which:expr, $method:ident, $request:ident) => {{
        let name = $which.resource();
        let request = v1::$request { name, ..Default::default() };
        let answer =
            call!($session, once dataset_service_client::DatasetServiceClient.$method, request);
        $which.show($session, answer.map(|answer| answer.version))
    }};
}

impl Key {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Rotate(rotate) => rotate.run(session).await,
            Self::Versions { dataset } => {
                let versions = versions(session, &dataset).await?;
                session.show(&versions.iter().map(VersionReport::from).collect::<Vec<_>>())
            }
            Self::Usage { dataset, version } => usage(session, &dataset, version).await,
            Self::Disable(which) => {
                change_version!(session, which, disable_version, DisableVersionRequest)
            }
            Self::Enable(which) => {
                change_version!(session, which, enable_version, EnableVersionRequest)
            }
            Self::Destroy(destroy) => destroy.run(session).await,
            Self::Restore(which) => {
                change_version!(session, which, restore_version, RestoreVersionRequest)
            }
        }
    }
}

async fn versions(session: &Session, dataset: &DatasetName) -> Result<Vec<v1::Version>, Failure> {
    let request = v1::ListVersionsRequest {
        parent: dataset.resource(),
        ..Default::default()
    };
    let versions = every!(
        session,
        dataset_service_client::DatasetServiceClient.list_versions,
        request,
        versions
    );
    let mut versions = versions.map_err(|failure| failure.about(dataset))?;
    versions.sort_by_key(|version: &v1::Version| version.number);
    Ok(versions)
}

async fn usage(session: &Session, dataset: &DatasetName, only: Option<u32>) -> Result<(), Failure> {
    let versions = versions(session, dataset).await?;
    let wanted = versions
        .iter()
        .filter(|version| only.is_none_or(|number| number == version.number));
    let reports: Vec<_> = wanted.map(UsageReport::from).collect();
    if let (true, Some(number)) = (reports.is_empty(), only) {
        return Err(Failure::new(
            crate::exit::Exit::Denied,
            format!("{dataset} has no version {number}"),
        ));
    }
    session.show(&reports)?;
    session.note(
        "silence is no proof of disuse: data that nobody reads never asks for its version, and backups do not either",
    );
    Ok(())
}

impl Rotate {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let name = self.dataset.resource();
        let request_id = make_request_id()?.to_vec().into();
        let report = match self.reason {
            Some(reason) => {
                let request = v1::EmergencyRotateDatasetRequest {
                    name,
                    reason,
                    request_id,
                    validate_only: false,
                };
                let answer = call!(session, repeat dataset_service_client::DatasetServiceClient.emergency_rotate_dataset, request);
                let answer = answer.map_err(|failure| failure.about(&self.dataset))?;
                session.note(
                    "encrypt what the older versions protect again: `kms rewrap --reencrypt` for files",
                );
                RotationReport::new(&present(answer.version)?, answer.marked_versions)
            }
            None => {
                let request = v1::RotateDatasetRequest {
                    name,
                    request_id,
                    validate_only: false,
                };
                let answer = call!(session, repeat dataset_service_client::DatasetServiceClient.rotate_dataset, request);
                let answer = answer.map_err(|failure| failure.about(&self.dataset))?;
                RotationReport::new(&present(answer.version)?, Vec::new())
            }
        };
        session.show(&report)
    }
}

impl Destroy {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let name = self.which.short_name();
        let what = format!(
            "{name} will be destroyed when the time is over, and everything that only it can decrypt is then gone for good"
        );
        session.confirm(&what, &name, &self.confirmation)?;
        let request = v1::ScheduleVersionDestructionRequest {
            name: self.which.resource(),
            waiting_time: self.wait.map(proto_duration),
            validate_only: false,
        };
        let answer = call!(session, once dataset_service_client::DatasetServiceClient.schedule_version_destruction, request);
        self.which
            .show(session, answer.map(|answer| answer.version))?;
        session.note(&format!(
            "`kms key restore {} {}` cancels it until then",
            self.which.dataset, self.which.version
        ));
        Ok(())
    }
}
