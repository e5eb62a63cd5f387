//! `kms approval approve`: shows what would be done, field by field, and signs just that.

use super::report::ApprovalReport;
use super::{One, approval, get};
use crate::approver::ssh_signature::Signed;
use crate::approver::statement::{Statement, Understood};
use crate::approver::{key_file, ssh_signature};
use crate::args::Confirmation;
use crate::command::{call, present};
use crate::exit::Failure;
use crate::output::hex;
use crate::session::Session;
use clap::Args;
use kms_client::proto::v1;
use std::path::PathBuf;

/// With which key.
#[derive(Debug, Args)]
pub(crate) struct WithKey {
    /// Your approver's key [default: $XDG_CONFIG_HOME/kms/approver.key].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// File that holds the key's passphrase and nothing else. Without it you are asked.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl WithKey {
    /// Where the key lies.
    ///
    /// # Errors
    /// Nobody says where.
    pub(crate) fn path(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.file {
            return Ok(path.clone());
        }
        let set = |name| std::env::var_os(name).map(PathBuf::from);
        let home = || set("HOME").map(|home| home.join(".config"));
        let folder = set("XDG_CONFIG_HOME").or_else(home);
        let folder = folder.filter(|path| path.is_absolute());
        folder
            .map(|folder| folder.join("kms/approver.key"))
            .ok_or_else(|| Failure::usage("no place for the key").next("give --file FILE"))
    }

    /// The passphrase.
    ///
    /// # Errors
    /// Nobody answers.
    pub(crate) fn passphrase(
        &self,
        session: &Session,
        twice: bool,
    ) -> Result<zeroize::Zeroizing<String>, Failure> {
        let what = "passphrase of your approver's key";
        let file = ("--passphrase-file", self.passphrase_file.as_ref());
        session.secret(what, file, twice)
    }
}

/// `kms approval approve`.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    #[command(flatten)]
    which: One,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// With a key of our own or of OpenSSH.
#[derive(Debug, Args)]
struct Signer {
    #[command(flatten)]
    key: WithKey,
    /// Have ssh-keygen sign with this OpenSSH key instead: a file, or the public half of one in an agent or on a
    /// device.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "passphrase_file"])]
    ssh_key: Option<PathBuf>,
}

impl Signer {
    fn sign(&self, session: &Session, message: &[u8]) -> Result<Signed, Failure> {
        if let Some(key) = &self.ssh_key {
            return ssh_signature::sign_with_openssh(key, message);
        }
        let path = self.key.path()?;
        let passphrase = self.key.passphrase(session, false)?;
        Ok(ssh_signature::sign(
            &key_file::open(&path, &passphrase)?,
            message,
        ))
    }
}

/// `kms approval sign`.
#[derive(Debug, Args)]
pub(crate) struct Sign {
    /// The statement, as you got it from whoever asks.
    #[arg(value_name = "STATEMENT")]
    statement: PathBuf,
    /// Where the signature goes; replaced.
    #[arg(long, short, value_name = "PATH")]
    output_file: PathBuf,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    confirmation: Confirmation,
}

impl Sign {
    /// Runs it.
    ///
    /// # Errors
    /// It is no override; not confirmed; no signature.
    pub(crate) fn run(self, session: &Session) -> Result<(), Failure> {
        let path = &self.statement;
        let text = std::fs::read_to_string(path).map_err(|error| Failure::file(path, error))?;
        // anything else is signed by `approve`, which takes it apart
        if !text.starts_with("kms-override/1\n") || !text.is_ascii() {
            return Err(Failure::file(path, "is no override of anchors"));
        }
        session.tell(&text);
        session.agree_to("Sign exactly this?", "override", &self.confirmation)?;
        let signed = self.signer.sign(session, text.as_bytes())?;
        let armoured = ssh_signature::armoured(&signed.signature);
        let to = &self.output_file;
        std::fs::write(to, armoured).map_err(|error| Failure::file(to, error))
    }
}

/// Takes the statement apart and checks that it is the one that was asked for.
///
/// # Errors
/// It cannot be shown whole, or is another one's.
pub(crate) fn understand(which: &One, shown: &v1::Approval) -> Result<Understood, Failure> {
    let understood = Statement::understand(&shown.statement)?;
    if format!("approvals/{}", hex(&understood.statement.id)) != which.name() {
        return Err(Failure::failed("the service showed another approval"));
    }
    Ok(understood)
}

impl Approve {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; not confirmed; no signature.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let shown = get(session, &self.which).await?;
        let understood = understand(&self.which, &shown)?;
        session.tell(&ApprovalReport::new(&shown, Some(&understood)).text());
        session.agree_to(
            "Sign exactly this?",
            &hex(&understood.statement.id),
            &self.confirmation,
        )?;
        let message = understood.hash();
        let signed = self.signer.sign(session, &message)?;
        let request = v1::ApproveRequest {
            name: self.which.name(),
            public_key: signed.public_key.into(),
            signature: signed.signature.into(),
            validate_only: false,
        };
        let now = approval!(session, approve, request);
        session.show(&ApprovalReport::new(&now, None))
    }
}
