//! `kms password`: one's own.

use super::call;
use crate::exit::Failure;
use crate::session::Session;
use clap::{Args, Subcommand};
use kms_client::proto::v1;
use std::path::PathBuf;

/// Your password.
#[derive(Debug, Subcommand)]
pub(crate) enum Password {
    /// Change it; every session of yours ends.
    Change(Change),
}

/// `kms password change`.
#[derive(Debug, Args)]
pub(crate) struct Change {
    /// File that holds the present password and nothing else. Without it you are asked.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// File that holds the new one and nothing else. Without it you are asked.
    #[arg(long, value_name = "FILE")]
    new_password_file: Option<PathBuf>,
}

impl Password {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; nobody answers.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self::Change(change) = self;
        let old = session.secret(
            "present password",
            ("--password-file", change.password_file.as_ref()),
            false,
        )?;
        let new = session.secret(
            "new password",
            ("--new-password-file", change.new_password_file.as_ref()),
            true,
        )?;
        let request = v1::ChangePasswordRequest {
            old_password: old.to_string(),
            new_password: new.to_string(),
            validate_only: false,
        };
        call!(session, once auth_service_client::AuthServiceClient.change_password, request)?;
        if let Some(operator) = session.client().await?.operator() {
            operator.set_token(None);
        }
        session.note("changed; your sessions are over: `kms login`");
        Ok(())
    }
}
