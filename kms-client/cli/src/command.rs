//! The commands, a file for each noun. Each takes what was typed and a session, and either shows its
//! result or fails; none exits by itself.

pub(crate) mod approval;
pub(crate) mod audit;
pub(crate) mod clock;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod data_key;
pub(crate) mod dataset;
pub(crate) mod decrypt;
pub(crate) mod encrypt;
pub(crate) mod inspect;
pub(crate) mod key;
pub(crate) mod login;
pub(crate) mod man;
pub(crate) mod mfa;
pub(crate) mod operator;
pub(crate) mod password;
pub(crate) mod policy;
pub(crate) mod reencrypt;
pub(crate) mod rewrap;
pub(crate) mod seal;
pub(crate) mod service;
pub(crate) mod shred;
pub(crate) mod status;
pub(crate) mod unseal;
pub(crate) mod witness;

use crate::args::Command;
use crate::exit::Failure;
use crate::session::Session;

/// Makes a call to `$service` of `kms.v1`: `repeat` for what reads or bears a request id, `once` for the rest.
macro_rules! call {
    ($session:expr, repeat $module:ident :: $service:ident . $method:ident, $request:expr) => {{
        use kms_client::proto::v1::$module::$service;
        let (client, mut request) = ($session.client().await?, Clone::clone(&$request));
        let dry_run = $session.only_validates(&mut request);
        let answer = client.repeat(&request, |channel, request| async move {
            $service::new(channel).$method(request).await
        });
        $crate::command::answered(dry_run, answer.await)
    }};
    ($session:expr, once $module:ident :: $service:ident . $method:ident, $request:expr) => {{
        use kms_client::proto::v1::$module::$service;
        let (client, mut request) = ($session.client().await?, $request);
        let dry_run = $session.only_validates(&mut request);
        let answer = client.once(request, |channel, request| async move {
            $service::new(channel).$method(request).await
        });
        $crate::command::answered(dry_run, answer.await)
    }};
}
pub(crate) use call;

/// Everything that a method lists, page after page. The request's own page size and token do not count.
macro_rules! every {
    ($session:expr, $module:ident :: $service:ident . $method:ident, $request:expr, $field:ident) => {{
        let mut request = $request;
        request.page_size = 1_000;
        let mut all = Vec::new();
        loop {
            let page = $crate::command::call!($session, repeat $module::$service.$method, request);
            let page = match page {
                Ok(page) => page,
                Err(failure) => break Err(failure),
            };
            all.extend(page.$field);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break Ok(all);
            }
        }
    }};
}
pub(crate) use every;

/// What was answered; of a dry run there is nothing to show, so that it ends the command, well.
///
/// # Errors
/// The service's; [`Failure::dry_run`].
fn answered<T>(dry_run: bool, answer: Result<T, kms_client::Error>) -> Result<T, Failure> {
    let answer = answer?;
    if dry_run {
        return Err(Failure::dry_run());
    }
    Ok(answer)
}

/// Runs one command.
///
/// # Errors
/// Why it failed.
pub(crate) async fn run(command: Command, session: &Session) -> Result<(), Failure> {
    let administers = matches!(
        command,
        Command::Dataset(_)
            | Command::Key(_)
            | Command::Shred(_)
            | Command::Operator(_)
            | Command::Approval(_)
            | Command::Policy(_)
            | Command::Config(_)
            | Command::Service(_)
            | Command::Seal(_)
            | Command::Clock(_)
            | Command::Audit(audit::Audit::Anonymise(_))
    );
    if !administers {
        session.has_no_dry_run()?;
    }
    match command {
        Command::Encrypt(command) => command.run(session).await,
        Command::Decrypt(command) => command.run(session).await,
        Command::Inspect(command) => command.run(session),
        Command::Rewrap(command) => command.run(session).await,
        Command::DataKey(command) => command.run(session).await,
        Command::Dataset(command) => command.run(session).await,
        Command::Key(command) => command.run(session).await,
        Command::Shred(command) => command.run(session).await,
        Command::Audit(command) => command.run(session).await,
        Command::Login(command) => command.run(session).await,
        Command::Logout(command) => command.run(session).await,
        Command::WhoAmI(command) => command.run(session).await,
        Command::Mfa(command) => command.run(session).await,
        Command::Password(command) => command.run(session).await,
        Command::Operator(command) => command.run(session).await,
        Command::Approval(command) => command.run(session).await,
        Command::Policy(command) => command.run(session).await,
        Command::Config(command) => command.run(session).await,
        Command::Service(command) => command.run(session).await,
        Command::Status(command) => command.run(session).await,
        Command::Seal(command) => command.run(session).await,
        Command::Unseal(command) => command.run(session).await,
        Command::Clock(command) => command.run(session).await,
        Command::Witness(command) => command.run(session).await,
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}

/// The message that an answer must hold.
///
/// # Errors
/// When the service left it out.
fn present<T>(part: Option<T>) -> Result<T, Failure> {
    part.ok_or_else(|| Failure::failed("the service's answer lacks a part"))
}
