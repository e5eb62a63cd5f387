//! `kms approval key`: the keys with which people approve.

use super::report::ApproverReport;
use super::sign::WithKey;
use crate::approver::{key_file, ssh_signature};
use crate::command::{call, present};
use crate::exit::Failure;
use crate::output;
use crate::session::Session;
use clap::{Args, Subcommand};
use kms_client::proto::v1;
use std::path::PathBuf;

/// The keys with which people approve.
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make an Ed25519 key under a passphrase of its own; prints its public half.
    Make(WithKey),
    /// Enrol a key of yours; it counts 24 hours later.
    Add(Add),
    /// Take a key away from an approver, at once.
    Remove(Remove),
}

/// `kms approval key add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    #[command(flatten)]
    key: WithKey,
    /// The public half of an OpenSSH key instead (`.pub`).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "passphrase_file"])]
    ssh_key: Option<PathBuf>,
}

/// `kms approval key remove`.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Whose.
    operator: String,
    /// `SHA256:...`, as `kms approval roster` shows it.
    fingerprint: String,
}

impl Key {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; files.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Make(make) => {
                session.has_no_dry_run()?;
                let path = make.path()?;
                let passphrase = make.passphrase(session, true)?;
                let pair = key_file::make(&path, &passphrase)?;
                session.note(&format!(
                    "made {}; now `kms approval key add`",
                    path.display()
                ));
                let line = ssh_signature::line(&ssh_signature::public_key(&pair));
                output::write(&(line + "\n"))
            }
            Self::Add(add) => add.run(session).await,
            Self::Remove(remove) => {
                let bare = remove.operator.strip_prefix("operators/");
                let request = v1::RemoveApproverKeyRequest {
                    operator: format!("operators/{}", bare.unwrap_or(&remove.operator)),
                    key_fingerprint: remove.fingerprint,
                    validate_only: false,
                };
                let answer = call!(session, once approval_service_client::ApprovalServiceClient.remove_approver_key, request)?;
                session.show(&ApproverReport::from(present(answer.approver)?))
            }
        }
    }
}

impl Add {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let public_key = match &self.ssh_key {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| Failure::file(path, error))?;
                text.trim().to_owned()
            }
            None => {
                let path = self.key.path()?;
                let passphrase = self.key.passphrase(session, false)?;
                let pair = key_file::open(&path, &passphrase)?;
                ssh_signature::line(&ssh_signature::public_key(&pair))
            }
        };
        let request = v1::AddApproverKeyRequest {
            public_key,
            validate_only: false,
        };
        let answer = call!(session, once approval_service_client::ApprovalServiceClient.add_approver_key, request)?;
        session.show(&ApproverReport::from(present(answer.approver)?))
    }
}
