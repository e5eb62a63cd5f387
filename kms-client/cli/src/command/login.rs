//! `kms login`, `logout`, `whoami`: an operator's session, kept for the commands that follow.

use super::call;
use crate::exit::{Exit, Failure};
use crate::output::{Report, Table, optional_time};
use crate::session::{Login as As, Session};
use clap::Args;
use kms_client::proto::v1;
use serde::Serialize;
use std::path::PathBuf;

/// Log in as an operator; the commands that follow use the session.
#[derive(Debug, Args)]
pub(crate) struct Login {
    /// Who [default: the profile's].
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// File that holds the password and nothing else. Without it you are asked.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// End the session.
#[derive(Debug, Args)]
pub(crate) struct Logout {}

/// Show who is logged in, and until when.
#[derive(Debug, Args)]
pub(crate) struct WhoAmI {}

impl Login {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; nobody answers.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        session.log_in_as(As {
            user: self.user,
            password_file: self.password_file,
        });
        let client = session.client().await?;
        let Some(operator) = client.operator() else {
            return Err(Failure::usage("the profile names no operator").next("give --user USER"));
        };
        operator.set_token(None);
        let answer = client.log_in().await?;
        if let Some(left) = answer.recovery_codes_left {
            session.warn(&format!("that recovery code is used up; {left} are left"));
        }
        session.note(&format!("logged in as {}", answer.operator));
        Ok(())
    }
}

impl Logout {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let client = session.client().await?;
        let Some(operator) = client
            .operator()
            .filter(|operator| operator.token().is_some())
        else {
            session.note("nobody was logged in");
            return Ok(());
        };
        let request = v1::LogoutRequest {
            validate_only: false,
        };
        let ended: Result<v1::LogoutResponse, Failure> =
            call!(session, once auth_service_client::AuthServiceClient.logout, request);
        operator.set_token(None);
        match ended {
            // over already: that is what was wanted
            Err(failure) if failure.exit() == Exit::Authentication => {}
            ended => drop(ended?),
        }
        session.note("logged out");
        Ok(())
    }
}

impl WhoAmI {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        session.show(&Me::from(get(session).await?))
    }
}

/// The session, as the service sees it.
///
/// # Errors
/// The service's.
pub(crate) async fn get(session: &Session) -> Result<v1::WhoAmIResponse, Failure> {
    let request = v1::WhoAmIRequest {};
    call!(session, repeat auth_service_client::AuthServiceClient.who_am_i, request)
}

/// What is shown of a session.
#[derive(Debug, Serialize)]
pub(crate) struct Me {
    operator: String,
    roles: Vec<String>,
    session_expires_at: Option<String>,
    code_accepted_at: Option<String>,
    recovery_codes_left: u32,
}

impl From<v1::WhoAmIResponse> for Me {
    fn from(me: v1::WhoAmIResponse) -> Self {
        Self {
            operator: me.operator,
            roles: me.roles,
            session_expires_at: optional_time(me.session_expires_at.as_ref()),
            code_accepted_at: optional_time(me.code_accepted_at.as_ref()),
            recovery_codes_left: me.recovery_codes_left,
        }
    }
}

impl Report for Me {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("operator", &self.operator);
        table.fact("roles", self.roles.join(", "));
        table.time("session until", self.session_expires_at.as_ref());
        table.time("last code", self.code_accepted_at.as_ref());
        table.fact("recovery codes left", self.recovery_codes_left.to_string());
        table
    }
}
