//! `kms service`: services and desks that the built-in authority certifies, and the files of one's own identity.

use super::{call, every, present};
use crate::args::Confirmation;
use crate::exit::Failure;
use crate::output::{Report, Table, brief, optional_time};
use crate::session::Session;
use clap::{Args, Subcommand};
use kms_client::identity::{self, Invitation, Validity};
use kms_client::proto::v1;
use kms_client::{Client, Profile};
use serde::Serialize;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use zeroize::Zeroizing;

/// More than any token has.
const TOKEN_MAX: u64 = 8 * 1_024;

/// Services: programs with a certificate of the built-in authority.
#[derive(Debug, Subcommand)]
pub(crate) enum Service {
    /// Permit a service to enrol; prints a token that is good once, within 24 hours.
    Add(Add),
    /// List services and desks.
    List,
    /// End every certificate of a service at once.
    Revoke(Revoke),
    /// Enrol here, with a token of `kms service add`: makes the key, gets its certificate, writes a profile.
    Enroll(Enroll),
    /// Renew the profile's certificate, under a new key.
    Renew(Renew),
}

/// `kms service add`.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name: a-z, then a-z, 0-9, '.' and '-'.
    name: String,
    /// A machine from which operators log in, instead of a service.
    #[arg(long)]
    desk: bool,
    /// It is there already, revoked or with its key lost: its next enrolment ends the certificates that it has.
    #[arg(long)]
    again: bool,
    /// Where the service reaches the server, if not where you do.
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
}

/// `kms service revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Name.
    name: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// `kms service enroll`.
#[derive(Debug, Args)]
pub(crate) struct Enroll {
    /// The token.
    #[arg(long, value_name = "TOKEN", required_unless_present = "token_file")]
    token: Option<String>,
    /// File that holds the token; `-` is stdin. Other users of this machine see what stands on a command line.
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Directory for the profile and for key and certificate.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

/// `kms service renew`.
#[derive(Debug, Args)]
pub(crate) struct Renew {
    /// Do nothing before two thirds of the certificate's life are over.
    #[arg(long)]
    if_due: bool,
}

fn resource(name: &str) -> String {
    let bare = name.strip_prefix("services/").unwrap_or(name);
    format!("services/{bare}")
}

impl Service {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; files that cannot be written; not confirmed.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(session).await,
            Self::List => list(session).await,
            Self::Revoke(revoke) => revoke.run(session).await,
            Self::Enroll(enroll) => {
                session.has_no_dry_run()?;
                enroll.run(session).await
            }
            Self::Renew(renew) => {
                session.has_no_dry_run()?;
                renew.run(session).await
            }
        }
    }
}

impl Add {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let purpose = if self.desk {
            v1::ServicePurpose::Desk
        } else {
            v1::ServicePurpose::Service
        };
        let id = self.name.strip_prefix("services/").unwrap_or(&self.name);
        let request = v1::AddServiceRequest {
            service_id: id.to_owned(),
            purpose: purpose.into(),
            again: self.again,
            validate_only: false,
        };
        let answer = call!(session, once identity_service_client::IdentityServiceClient.add_service, request)?;
        let profile = Profile::load(session.profile()?)?;
        let invitation = Invitation {
            address: self.address.unwrap_or(profile.address),
            server_name: profile.server_name,
            pins: profile.pins,
            token: Zeroizing::new(answer.enrolment_token),
        };
        let mut shown = Shown::from(present(answer.service)?);
        shown.token = Some(invitation.to_string());
        session.note(
            "within 24 hours, where the service runs: kms service enroll --token TOKEN --dir DIR",
        );
        session.show(&shown)
    }
}

impl Revoke {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let what = format!("every certificate of {} ends at once", self.name);
        session.confirm(&what, &self.name, &self.confirmation)?;
        let request = v1::RevokeServiceRequest {
            name: resource(&self.name),
            validate_only: false,
        };
        let answer = call!(session, once identity_service_client::IdentityServiceClient.revoke_service, request)?;
        session.show(&Shown::from(present(answer.service)?))
    }
}

impl Enroll {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let text = match (self.token, &self.token_file) {
            (Some(token), _) => Zeroizing::new(token),
            (None, Some(path)) => read(path)?,
            (None, None) => return Err(Failure::usage("no token")),
        };
        let invitation: Invitation = text
            .parse()
            .map_err(|error| Failure::usage(format!("{error}")))?;
        let enrolled = identity::enrol(&invitation, &self.dir).await?;
        let profile = enrolled.profile.display().to_string();
        session.note(&format!("enrolled; next: export KMS_PROFILE={profile}"));
        session.show(&Identity {
            principal: Some(enrolled.principal),
            profile,
            expires_at: at(enrolled.validity.until),
            renew_at: at(enrolled.validity.due()),
        })
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(TOKEN_MAX)
            .read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(TOKEN_MAX).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::file(path, error))?;
    Ok(text)
}

impl Renew {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let path = session.profile()?;
        let profile = Profile::load(&path)?;
        let validity = if self.if_due && !identity::is_due(&profile)? {
            session.note("not due yet");
            identity::validity(&profile)?
        } else {
            renew(&profile).await?
        };
        session.show(&Identity {
            principal: None,
            profile: path.display().to_string(),
            expires_at: at(validity.until),
            renew_at: at(validity.due()),
        })
    }
}

async fn renew(profile: &Profile) -> Result<Validity, Failure> {
    // the certificate speaks for itself, whoever uses it
    let alone = Profile {
        operator: None,
        renew: false,
        connections: 1,
        ..profile.clone()
    };
    let client = Client::connect(&alone).await?;
    Ok(identity::renew(&client, profile).await?)
}

fn at(time: SystemTime) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?;
    Some(time.to_string())
}

async fn list(session: &Session) -> Result<(), Failure> {
    let request = v1::ListServicesRequest::default();
    let all = every!(
        session,
        identity_service_client::IdentityServiceClient.list_services,
        request,
        services
    )?;
    session.show(&All(all.into_iter().map(Shown::from).collect()))
}

/// What is shown of a service.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    purpose: String,
    principal: String,
    state: String,
    created_at: Option<String>,
    certificate_expires_at: Option<String>,
    token_expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl From<v1::Service> for Shown {
    fn from(service: v1::Service) -> Self {
        let state = service.state().as_str_name();
        let purpose = service.purpose().as_str_name();
        Self {
            state: state.trim_start_matches("SERVICE_STATE_").to_owned(),
            purpose: purpose.trim_start_matches("SERVICE_PURPOSE_").to_owned(),
            name: service.name,
            principal: service.principal,
            created_at: optional_time(service.created_at.as_ref()),
            certificate_expires_at: optional_time(service.certificate_expires_at.as_ref()),
            token_expires_at: optional_time(service.token_expires_at.as_ref()),
            token: None,
        }
    }
}

impl Report for Shown {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("service", &self.name);
        table.fact("purpose", &self.purpose);
        table.fact("principal", &self.principal);
        table.fact("state", &self.state);
        table.time("made", self.created_at.as_ref());
        table.time("certificate until", self.certificate_expires_at.as_ref());
        table.time("may enrol until", self.token_expires_at.as_ref());
        table.fact("token", self.token.clone().unwrap_or_default());
        table
    }
}

/// Services by name.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct All(Vec<Shown>);

impl Report for All {
    fn table(&self) -> Table {
        let mut table = Table::list(&["service", "purpose", "state", "certificate until"]);
        for one in &self.0 {
            let until = brief(one.certificate_expires_at.as_ref());
            table.row([
                one.name.clone(),
                one.purpose.clone(),
                one.state.clone(),
                until,
            ]);
        }
        table
    }
}

/// One's own identity.
#[derive(Debug, Serialize)]
struct Identity {
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<String>,
    profile: String,
    expires_at: Option<String>,
    renew_at: Option<String>,
}

impl Report for Identity {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("principal", self.principal.clone().unwrap_or_default());
        table.fact("profile", &self.profile);
        table.time("certificate until", self.expires_at.as_ref());
        table.time("renew from", self.renew_at.as_ref());
        table
    }
}
