//! What a command needs of its surroundings: the service, the terminal, the person at it. Connects only
//! when a command asks for the service.

use crate::args::{Confirmation, Form, Global};
use crate::exit::{Failure, printable};
use crate::output::{self, Report};
use crate::person::{Person, SessionFile};
use kms_client::operator::{AnswersFromFiles, Operator};
use kms_client::proto::DryRun;
use kms_client::{Client, Profile};
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

/// Time for one call with all its tries.
const DEADLINE: Duration = Duration::from_secs(30);

/// One run of the program.
pub(crate) struct Session {
    global: Global,
    client: OnceCell<Client>,
    login: Mutex<Login>,
    file: OnceLock<SessionFile>,
}

/// What `kms login` was told beside the profile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Login {
    /// Instead of the profile's.
    pub user: Option<String>,
    /// Where the password stands.
    pub password_file: Option<PathBuf>,
}

impl Session {
    /// Not connected yet.
    pub(crate) fn new(global: Global) -> Self {
        Self {
            global,
            client: OnceCell::new(),
            login: Mutex::default(),
            file: OnceLock::new(),
        }
    }

    /// The service; connects the first time.
    ///
    /// # Errors
    /// Usage, when there is no profile or it is malformed; else why the service is not to be reached.
    pub(crate) async fn client(&self) -> Result<&Client, Failure> {
        let connect = || async {
            let mut profile = Profile::load(self.profile()?)?;
            // one command, one connection: each is logged
            profile.connections = 1;
            // a command that ends early must not leave a renewal half done
            profile.renew = false;
            let operator = self.operator(&profile);
            let client = Client::connect(&profile).await?.with_operator(operator);
            Ok::<_, Failure>(client.with_deadline(DEADLINE))
        };
        self.client.get_or_try_init(connect).await
    }

    /// Makes a dry run of a request, where the command line asks for that and there is one.
    pub(crate) fn only_validates(&self, request: &mut impl DryRun) -> bool {
        self.global.dry_run && request.only_validate()
    }

    /// For commands that do more than the service would, or read only.
    ///
    /// # Errors
    /// Usage, where the command line asks for a dry run.
    pub(crate) fn has_no_dry_run(&self) -> Result<(), Failure> {
        if self.global.dry_run {
            return Err(Failure::usage("this command has no --dry-run"));
        }
        Ok(())
    }

    /// Says who logs in; before the first call.
    pub(crate) fn log_in_as(&self, login: Login) {
        *self.login.lock().unwrap_or_else(PoisonError::into_inner) = login;
    }

    /// Whom the profile, or `kms login`, names; with the session that an earlier command left.
    fn operator(&self, profile: &Profile) -> Option<Operator> {
        let login = self.login.lock().unwrap_or_else(PoisonError::into_inner);
        let named = profile.operator.as_ref();
        let given = login.user.clone();
        let user = given.or_else(|| named.map(|operator| operator.user.clone()))?;
        let files = named
            .filter(|operator| operator.user == user && profile.dev_mode && !self.global.no_input);
        let answers = Person {
            files: files.and_then(AnswersFromFiles::of),
            password_file: login.password_file.clone(),
            code: Mutex::new(self.global.totp.clone().map(Zeroizing::new)),
            can_ask: self.can_ask(),
        };
        let bare = |name: &String| format!("approvals/{}", bare_approval(name));
        let approval = self.global.approval.as_ref().map(bare);
        let operator = Operator::using(user, Box::new(answers), approval);
        let file = SessionFile::of(profile, operator.user());
        operator.set_token(file.read());
        let _ = self.file.set(file);
        Some(operator)
    }

    /// Leaves the operator's session to the next command, or takes a closed one away.
    pub(crate) fn keep_operator_session(&self) {
        let operator = self.client.get().and_then(Client::operator);
        let (Some(operator), Some(file)) = (operator, self.file.get()) else {
            return;
        };
        if let Err(failure) = file.keep(operator.token().as_ref()) {
            self.error(&failure);
        }
    }

    /// Asks for a secret, or takes it from the file that `option` names.
    ///
    /// # Errors
    /// Nobody to ask; the file cannot be read; two that are not the same where `twice`.
    pub(crate) fn secret(
        &self,
        what: &str,
        (option, file): (&str, Option<&PathBuf>),
        twice: bool,
    ) -> Result<Zeroizing<String>, Failure> {
        if let Some(path) = file {
            let text = std::fs::read_to_string(path);
            let text = Zeroizing::new(text.map_err(|error| Failure::file(path, error))?);
            return Ok(Zeroizing::new(
                text.trim_end_matches(['\r', '\n']).to_owned(),
            ));
        }
        if !self.can_ask() {
            return Err(Failure::usage(format!("nobody to ask for the {what}"))
                .next(format!("give {option} FILE")));
        }
        let first = Zeroizing::new(rpassword::prompt_password(format!("The {what}: "))?);
        if twice && *first != rpassword::prompt_password("Again: ")? {
            return Err(Failure::usage("the two are not the same"));
        }
        Ok(first)
    }

    /// The profile's file.
    ///
    /// # Errors
    /// Usage, when none is named.
    pub(crate) fn profile(&self) -> Result<PathBuf, Failure> {
        let named = self.global.profile.clone();
        let named = named.or_else(|| std::env::var_os("KMS_PROFILE").map(PathBuf::from));
        named.filter(|path| !path.as_os_str().is_empty()).ok_or_else(|| {
            Failure::usage("no profile").next(
                "give --profile FILE or set KMS_PROFILE; `kms-server dev` makes service.toml and operator.toml",
            )
        })
    }

    /// Form of the results.
    pub(crate) const fn form(&self) -> Form {
        self.global.output
    }

    /// Writes the result to stdout.
    ///
    /// # Errors
    /// Those of stdout.
    pub(crate) fn show(&self, report: &impl Report) -> Result<(), Failure> {
        output::show(self.global.output, report)
    }

    /// Says something that nobody needs to know, on stderr, unless told to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.global.quiet {
            self.line("", text);
        }
    }

    /// Says something that somebody should act on, on stderr.
    pub(crate) fn warn(&self, text: &str) {
        self.line("warning: ", text);
    }

    /// Says that one of several things failed, on stderr.
    pub(crate) fn error(&self, failure: &Failure) {
        self.line("", &failure.to_string());
    }

    /// Shows a person something of several lines, on stderr.
    pub(crate) fn tell(&self, text: &str) {
        // there is nobody to tell when stderr is gone
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    fn line(&self, prefix: &str, text: &str) {
        // there is nobody to tell when stderr is gone
        let _ = writeln!(anstream::stderr(), "kms: {prefix}{}", printable(text));
    }

    /// Whether progress is to be shown.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.global.quiet && io::stderr().is_terminal()
    }

    /// Whether there is someone to ask.
    pub(crate) fn can_ask(&self) -> bool {
        !self.global.no_input && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Has the person type `name` before something that cannot be taken back; `what` says what it is.
    ///
    /// # Errors
    /// Usage, when nobody can be asked and it was not confirmed ahead; another name.
    pub(crate) fn confirm(
        &self,
        what: &str,
        name: &str,
        ahead: &Confirmation,
    ) -> Result<(), Failure> {
        if self.global.dry_run {
            return Ok(());
        }
        let typed = match (&ahead.confirm, ahead.yes) {
            (_, true) => return Ok(()),
            (Some(typed), false) => typed.clone(),
            (None, false) if self.can_ask() => ask(&format!("{what}. Type {name} to go on: "))?,
            (None, false) => {
                return Err(Failure::usage(format!("{what}: not confirmed"))
                    .next(format!("add --confirm '{name}'")));
            }
        };
        if typed == name {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "nothing was done: '{typed}' is not '{name}'"
        )))
    }

    /// Has the person agree to what was just shown; `name` is what is typed ahead instead.
    ///
    /// # Errors
    /// As [`Session::confirm`]; the answer is no.
    pub(crate) fn agree_to(
        &self,
        question: &str,
        name: &str,
        ahead: &Confirmation,
    ) -> Result<(), Failure> {
        if self.global.dry_run || ahead.confirm.is_some() || ahead.yes || !self.can_ask() {
            return self.confirm(question, name, ahead);
        }
        if self.agrees(question)? {
            return Ok(());
        }
        Err(Failure::usage("nothing was done"))
    }

    /// Asks a question to be answered with y or n.
    ///
    /// # Errors
    /// Those of the terminal.
    pub(crate) fn agrees(&self, question: &str) -> Result<bool, Failure> {
        let answer = ask(&format!("{question} [y/N] "))?;
        Ok(matches!(answer.as_str(), "y" | "Y" | "yes"))
    }
}

/// An approval's id, with or without its collection.
pub(crate) fn bare_approval(name: &str) -> &str {
    name.strip_prefix("approvals/").unwrap_or(name)
}

/// Asks for one line.
///
/// # Errors
/// Those of the terminal.
pub(crate) fn ask(question: &str) -> Result<String, Failure> {
    let mut stderr = anstream::stderr();
    write!(stderr, "{}", printable(question))?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim_end_matches(['\r', '\n']).to_owned())
}
