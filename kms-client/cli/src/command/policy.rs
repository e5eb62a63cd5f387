//! `kms policy`: access policies, judged by the very code that the daemon decides with.

mod check;
mod report;

use super::call;
use super::clock::proto_time;
use crate::args::{Context, value};
use crate::exit::Failure;
use crate::session::Session;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kms_client::DatasetName;
use kms_client::proto::v1;
use kms_policies::{PolicyText, fingerprint};
use report::{Applied, Shown, Tested};
use std::path::PathBuf;

/// Access policies: who may do what.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    Check(check::Check),
    Apply(Apply),
    Show(Show),
    Test(Test),
}

/// Put policies into force, all of them or none. Asks for a new code.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms policy apply policies
  kms policy apply policies --replaces 4")]
pub(crate) struct Apply {
    /// All files, or a directory of them.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only if this generation is in force.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    replaces: Option<u64>,
}

/// Show policies, of now or of before.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms policy show
  kms policy show --at 2026-11-24T06:00:00Z
  kms policy show --generation 1 --output json")]
pub(crate) struct Show {
    /// Those in force then: 2026-11-24, 2026-11-24T06:00:00Z, or 2h (that long ago).
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    at: Option<Timestamp>,
    /// Those of this generation; 1 is the table of roles.
    #[arg(long, value_name = "NUMBER", conflicts_with = "at", value_parser = clap::value_parser!(u64).range(1..))]
    generation: Option<u64>,
}

/// Say what would be decided for somebody now, and what decides it. Exit code 3 when it is not allowed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms policy test spiffe://crm.example/service/web Decrypt customers --context tenant=acme
  kms policy test operators/alice RotateDataset customers --mfa-age 600
  kms policy test crm-web GenerateDataKey files --role service --attribute team=billing")]
pub(crate) struct Test {
    /// A service's canonical name, or operators/NAME.
    #[arg(value_name = "PRINCIPAL")]
    principal: String,
    /// An action's name, as in the audit log.
    #[arg(value_name = "ACTION")]
    action: String,
    /// The dataset, where the action is about one.
    #[arg(value_name = "DATASET", value_parser = value::dataset)]
    dataset: Option<DatasetName>,
    #[command(flatten)]
    context: Context,
    /// Instead of the roles that it has; for principals of access tokens.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Attribute of the principal.
    #[arg(long = "attribute", value_name = "K=V", value_parser = value::pair)]
    attributes: Vec<(String, String)>,
    /// Address that it calls from.
    #[arg(long, value_name = "ADDRESS")]
    source: Option<std::net::IpAddr>,
    /// Seconds since the person's last code.
    #[arg(long, value_name = "SECONDS")]
    mfa_age: Option<u32>,
}

impl Policy {
    /// Runs it.
    ///
    /// # Errors
    /// The first text that is broken, with file and line; the service's; not allowed, for a test.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Check(check) => check.run(session).await,
            Self::Apply(apply) => apply.run(session).await,
            Self::Show(show) => show.run(session).await,
            Self::Test(test) => test.run(session).await,
        }
    }
}

impl Apply {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let texts = check::read_checked(&self.files)?;
        let fingerprint = fingerprint(&texts);
        session.note(&format!("{} files, {fingerprint}", texts.len()));
        let text = |text: PolicyText| v1::PolicyText {
            name: text.name,
            text: text.text,
        };
        let request = v1::ApplyPoliciesRequest {
            texts: texts.into_iter().map(text).collect(),
            fingerprint,
            replaces: self.replaces.unwrap_or(0),
            validate_only: false,
        };
        let answer = call!(session, once policy_service_client::PolicyServiceClient.apply_policies, request)?;
        session.show(&Applied::from(answer))
    }
}

impl Show {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = v1::GetPoliciesRequest {
            generation: self.generation.unwrap_or(0),
            at_time: self.at.map(proto_time),
        };
        let answer = call!(session, repeat policy_service_client::PolicyServiceClient.get_policies, request)?;
        Shown::from(answer).show(session)
    }
}

impl Test {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let key_context = self.context.key_context()?;
        let request = v1::TestPoliciesRequest {
            principal: self.principal,
            action: self.action,
            dataset: self
                .dataset
                .as_ref()
                .map(DatasetName::resource)
                .unwrap_or_default(),
            key_context: key_context.pairs().clone().into_iter().collect(),
            roles: self.roles,
            attributes: self.attributes.into_iter().collect(),
            source: self
                .source
                .map(|source| source.to_string())
                .unwrap_or_default(),
            mfa_age_seconds: self.mfa_age,
        };
        let answer = call!(session, repeat policy_service_client::PolicyServiceClient.test_policies, request)?;
        let tested = Tested::from(answer);
        session.show(&tested)?;
        tested.verdict()
    }
}
