//! `kms mfa`: how a person comes to an authenticator, and what is left of it.

use super::{call, login};
use crate::exit::Failure;
use crate::output;
use crate::session::{Session, ask};
use clap::{Args, Subcommand};
use data_encoding::BASE32_NOPAD;
use kms_client::proto::v1;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use std::fs;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Your authenticator.
#[derive(Debug, Subcommand)]
pub(crate) enum Mfa {
    /// Enrol with the one-time token that another operator gave you: a password, an authenticator, recovery codes.
    Enroll(Enroll),
    /// Show when the last code was taken and how many recovery codes are left.
    Status,
}

/// `kms mfa enroll`.
#[derive(Debug, Args)]
pub(crate) struct Enroll {
    /// Your operator's name.
    #[arg(long, value_name = "USER")]
    user: String,
    /// The enrolment token.
    #[arg(long, value_name = "TOKEN")]
    token: String,
    /// File that holds the password and nothing else. Without it you are asked.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Write the authenticator's secret (base32) to a new file instead of showing it, and take the code from stdin.
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
}

impl Mfa {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; nobody answers.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::Status => session.show(&login::Me::from(login::get(session).await?)),
            Self::Enroll(enroll) => enroll.run(session).await,
        }
    }
}

impl Enroll {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let password = self.password(session)?;
        let request = v1::BeginEnrolmentRequest {
            user: self.user.clone(),
            enrolment_token: self.token.clone(),
            password: password.to_string(),
            validate_only: false,
        };
        let began =
            call!(session, once auth_service_client::AuthServiceClient.begin_enrolment, request)?;
        let secret = Zeroizing::new(BASE32_NOPAD.encode(&began.totp_secret));
        let code = match &self.secret_file {
            Some(path) => {
                write_private(path, &secret)?;
                let mut code = String::new();
                std::io::stdin().read_line(&mut code)?;
                code.trim().to_owned()
            }
            None if session.can_ask() => {
                let shown = picture(&began.otpauth_uri)?;
                session.tell(&format!("{shown}\nOr type the secret: {}", &*secret));
                ask("Code that your authenticator shows: ")?
            }
            None => {
                return Err(
                    Failure::usage("nobody to show the authenticator's secret to")
                        .next("give --secret-file FILE, and the code on stdin"),
                );
            }
        };
        let request = v1::ConfirmEnrolmentRequest {
            user: self.user,
            enrolment_token: self.token,
            code,
            validate_only: false,
        };
        let enrolled =
            call!(session, once auth_service_client::AuthServiceClient.confirm_enrolment, request)?;
        session.note(
            "enrolled; keep these recovery codes apart, each is good once in place of a code:",
        );
        output::write(&(enrolled.recovery_codes.join("\n") + "\n"))
    }

    fn password(&self, session: &Session) -> Result<Zeroizing<String>, Failure> {
        if let Some(path) = &self.password_file {
            let text = fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
            let text = Zeroizing::new(text);
            return Ok(Zeroizing::new(
                text.trim_end_matches(['\r', '\n']).to_owned(),
            ));
        }
        if !session.can_ask() {
            return Err(
                Failure::usage("nobody to ask for the password").next("give --password-file FILE")
            );
        }
        let first = Zeroizing::new(rpassword::prompt_password("Password: ")?);
        let again = Zeroizing::new(rpassword::prompt_password("Again: ")?);
        if first == again {
            return Ok(first);
        }
        Err(Failure::usage("the two are not the same"))
    }
}

/// The URI as a terminal can show it.
fn picture(uri: &str) -> Result<String, Failure> {
    let code = QrCode::new(uri).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(code.render::<Dense1x2>().build())
}

fn write_private(path: &std::path::Path, text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| writeln!(file, "{text}"));
    written.map_err(|error| Failure::file(path, error))
}
