//! `kms config`: what of the service's configuration says who is who, and the roster's word on it.

use super::call;
use crate::args::Confirmation;
use crate::exit::Failure;
use crate::output::{Report, Table, optional_time};
use crate::session::Session;
use clap::{Args, Subcommand};
use kms_client::proto::v1;
use serde::Serialize;

/// What of the configuration says who is who: authorities, principals, issuers.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show what is in force, and what differs from it in the configuration.
    Show,
    /// Take what is configured into force. Others must approve it; asks for a new code.
    Approve(Approve),
}

/// `kms config approve`.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Config {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; not confirmed.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = v1::GetTrustRequest {};
        let trust =
            call!(session, repeat system_service_client::SystemServiceClient.get_trust, request)?;
        match self {
            Self::Show => session.show(&Shown::from(trust)),
            Self::Approve(approve) => approve.run(session, trust).await,
        }
    }
}

impl Approve {
    async fn run(self, session: &Session, trust: v1::GetTrustResponse) -> Result<(), Failure> {
        let document = trust.configured_document.clone();
        session.tell(&Shown::from(trust).table().text());
        session.agree_to("Take this into force?", "config", &self.confirmation)?;
        let request = v1::ApproveTrustRequest {
            document,
            validate_only: false,
        };
        let answer =
            call!(session, once system_service_client::SystemServiceClient.approve_trust, request)?;
        session.show(&Approved {
            fingerprint: answer.fingerprint,
        })
    }
}

#[derive(Debug, Serialize)]
struct Approved {
    fingerprint: String,
}

impl Report for Approved {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("in force", &self.fingerprint);
        table
    }
}

#[derive(Debug, Serialize)]
struct Shown {
    in_force: bool,
    approved_by: String,
    approved_at: Option<String>,
    /// Lines that only what was approved has, and those that only the configuration has.
    removed: Vec<String>,
    added: Vec<String>,
    document: String,
}

/// Lines of `text` that `other` lacks.
fn lines_beyond(text: &str, other: &str) -> Vec<String> {
    let known: std::collections::BTreeSet<&str> = other.lines().collect();
    let new = text.lines().filter(|line| !known.contains(line));
    new.map(str::to_owned).collect()
}

impl From<v1::GetTrustResponse> for Shown {
    fn from(trust: v1::GetTrustResponse) -> Self {
        let (approved, configured) = (&trust.approved_document, &trust.configured_document);
        Self {
            in_force: trust.is_approved,
            approved_by: trust.approved_by,
            approved_at: optional_time(trust.approved_at.as_ref()),
            removed: lines_beyond(approved, configured),
            added: lines_beyond(configured, approved),
            document: configured.clone(),
        }
    }
}

impl Report for Shown {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        let word = if self.in_force {
            "in force"
        } else {
            "NOT in force"
        };
        table.fact("configuration", word);
        table.fact("approved by", &self.approved_by);
        table.time("approved", self.approved_at.as_ref());
        for line in &self.removed {
            table.fact("only approved", line.trim());
        }
        for line in &self.added {
            table.fact("only configured", line.trim());
        }
        table
    }
}
