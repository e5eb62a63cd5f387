//! `kms operator`: the people who administer the service.

use super::{call, every, present};
use crate::args::Confirmation;
use crate::exit::Failure;
use crate::output::{Report, Table, brief, optional_time};
use crate::session::{Login, Session};
use clap::{Args, Subcommand, ValueEnum};
use kms_client::proto::v1;
use serde::Serialize;
use std::path::PathBuf;

/// Operators: the people who administer the service.
#[derive(Debug, Subcommand)]
pub(crate) enum Operator {
    /// Make an operator; prints a token with which the person enrols within 24 hours.
    Add(Add),
    /// List operators.
    List,
    /// Take away the right to act, at once.
    Disable(Named),
    /// Give it back.
    Enable(Named),
    /// Take a lost authenticator away; prints a token for a new enrolment with the same password.
    ResetMfa(Named),
    /// Remove for ever; the name stays taken.
    Remove(Remove),
    /// Make failed attempts no longer count.
    Unlock(Named),
    /// Change what an operator is there for.
    SetRoles(Add),
    /// When nobody can log in: with the recovery passphrase, let one operator enrol anew, a day later (three after a no).
    Recover(Recover),
}

/// What an operator is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Administers operators and the daemon.
    SecurityAdmin,
    /// Administers datasets, versions and shred secrets.
    KeyAdmin,
    /// Reads, and changes nothing.
    Auditor,
    /// Approves what others ask for.
    Approver,
    /// Opens data keys and decrypts in an emergency.
    BreakGlass,
}

/// An operator with roles.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name: a-z, then a-z, 0-9, '.' and '-'.
    name: String,
    /// What the person is there for; may stand several times.
    #[arg(long = "role", value_enum, value_name = "ROLE", required = true)]
    roles: Vec<Role>,
}

/// One operator.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Name.
    name: String,
}

/// `kms operator remove`.
#[derive(Debug, Args)]
pub(crate) struct Remove {
    /// Name.
    name: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// `kms operator recover`.
#[derive(Debug, Args)]
pub(crate) struct Recover {
    /// Who is to come back, or a new name.
    name: String,
    /// File that holds the recovery passphrase and nothing else. Without it you are asked.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl Role {
    fn words(roles: &[Self]) -> Vec<String> {
        let word = |role: &Self| role.to_possible_value().map(|it| it.get_name().to_owned());
        roles.iter().filter_map(word).collect()
    }
}

fn resource(name: &str) -> String {
    let bare = name.strip_prefix("operators/").unwrap_or(name);
    format!("operators/{bare}")
}

/// Calls a method that takes a name and answers an operator.
macro_rules! change {
    ($session:expr, $method:ident, $request:ident { $($field:ident: $value:expr),+ }) => {{
        let request = v1::$request { $($field: $value,)+ ..Default::default() };
        call!($session, once auth_service_client::AuthServiceClient.$method, request)?
    }};
}

impl Operator {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; not confirmed.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let operator = match self {
            Self::List => return list(session).await,
            Self::Add(add) => return add.run(session).await,
            Self::Recover(recover) => return recover.run(session).await,
            Self::ResetMfa(named) => return reset_mfa(session, &named).await,
            Self::Disable(named) => {
                change!(
                    session,
                    disable_operator,
                    DisableOperatorRequest {
                        name: resource(&named.name)
                    }
                )
                .operator
            }
            Self::Enable(named) => {
                change!(
                    session,
                    enable_operator,
                    EnableOperatorRequest {
                        name: resource(&named.name)
                    }
                )
                .operator
            }
            Self::Unlock(named) => {
                change!(
                    session,
                    unlock_operator,
                    UnlockOperatorRequest {
                        name: resource(&named.name)
                    }
                )
                .operator
            }
            Self::SetRoles(given) => {
                change!(
                    session,
                    set_operator_roles,
                    SetOperatorRolesRequest {
                        name: resource(&given.name),
                        roles: Role::words(&given.roles)
                    }
                )
                .operator
            }
            Self::Remove(remove) => {
                let what = format!("operator {} is removed for ever", remove.name);
                session.confirm(&what, &remove.name, &remove.confirmation)?;
                change!(
                    session,
                    remove_operator,
                    RemoveOperatorRequest {
                        name: resource(&remove.name)
                    }
                )
                .operator
            }
        };
        session.show(&Shown::from(present(operator)?))
    }
}

impl Add {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let id = self.name.strip_prefix("operators/").unwrap_or(&self.name);
        let answer = change!(
            session,
            add_operator,
            AddOperatorRequest {
                operator_id: id.to_owned(),
                roles: Role::words(&self.roles)
            }
        );
        token(session, answer.operator, answer.enrolment_token)
    }
}

impl Recover {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let bare = self.name.strip_prefix("operators/").unwrap_or(&self.name);
        let file = ("--passphrase-file", self.passphrase_file.as_ref());
        let passphrase = session.secret("recovery passphrase", file, false)?;
        // nobody logs in; it says for whom an approval is brought
        session.log_in_as(Login {
            user: Some(bare.to_owned()),
            ..Login::default()
        });
        let answer = change!(
            session,
            recover_operator,
            RecoverOperatorRequest {
                user: bare.to_owned(),
                passphrase: passphrase.as_bytes().to_vec().into()
            }
        );
        token(session, answer.operator, answer.enrolment_token)
    }
}

async fn reset_mfa(session: &Session, named: &Named) -> Result<(), Failure> {
    let answer = change!(
        session,
        reset_operator_mfa,
        ResetOperatorMfaRequest {
            name: resource(&named.name)
        }
    );
    token(session, answer.operator, answer.enrolment_token)
}

fn token(
    session: &Session,
    operator: Option<v1::Operator>,
    enrolment_token: String,
) -> Result<(), Failure> {
    let mut shown = Shown::from(present(operator)?);
    shown.enrolment_token = Some(enrolment_token);
    session.note("give the token to the person, who runs `kms mfa enroll` within 24 hours");
    session.show(&shown)
}

async fn list(session: &Session) -> Result<(), Failure> {
    let request = v1::ListOperatorsRequest::default();
    let all = every!(
        session,
        auth_service_client::AuthServiceClient.list_operators,
        request,
        operators
    )?;
    session.show(&All(all.into_iter().map(Shown::from).collect()))
}

/// What is shown of an operator.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    roles: Vec<String>,
    state: String,
    created_at: Option<String>,
    recovery_codes_left: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    enrolment_token: Option<String>,
}

impl From<v1::Operator> for Shown {
    fn from(operator: v1::Operator) -> Self {
        let state = operator.state().as_str_name();
        Self {
            state: state.trim_start_matches("OPERATOR_STATE_").to_owned(),
            name: operator.name,
            roles: operator.roles,
            created_at: optional_time(operator.created_at.as_ref()),
            recovery_codes_left: operator.recovery_codes_left,
            enrolment_token: None,
        }
    }
}

impl Report for Shown {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("operator", &self.name);
        table.fact("roles", self.roles.join(", "));
        table.fact("state", &self.state);
        table.time("made", self.created_at.as_ref());
        table.fact(
            "enrolment token",
            self.enrolment_token.clone().unwrap_or_default(),
        );
        table
    }
}

/// Operators by name.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct All(Vec<Shown>);

impl Report for All {
    fn table(&self) -> Table {
        let mut table = Table::list(&["operator", "state", "roles", "made"]);
        for one in &self.0 {
            let made = brief(one.created_at.as_ref());
            table.row([
                one.name.clone(),
                one.state.clone(),
                one.roles.join(", "),
                made,
            ]);
        }
        table
    }
}
