//! `kms audit override`: the text by which approvers overrule the anchors of the log, to be signed by each.

use crate::command::status;
use crate::exit::{Exit, Failure};
use crate::session::Session;
use clap::Args;
use jiff::Timestamp;
use std::path::PathBuf;

/// Most days that it may be worth something.
const DAYS_MAX: i64 = 7;

/// Write down what approvers sign to unseal a service whose log's anchors do not vouch for it. Read what they say first:
/// a log that was changed or put back looks just like this.
#[derive(Debug, Args)]
pub(crate) struct Override {
    /// Why the anchors are wrong, or not needed.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// For how many days it may be used.
    #[arg(long, value_name = "DAYS", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=DAYS_MAX))]
    days: i64,
    /// Where the text goes; replaced.
    #[arg(long, short, value_name = "PATH")]
    output_file: PathBuf,
}

impl Override {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; nothing keeps it sealed that could be overruled.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let status = status::get(session).await?;
        let begin = &status.override_statement;
        if begin.is_empty() {
            return Err(Failure::new(
                Exit::Precondition,
                "no anchors keep the service sealed, or nobody has tried to unseal it yet",
            ));
        }
        let reason = &self.reason;
        if reason.is_empty()
            || reason.len() > 200
            || reason.contains(|c: char| !(' '..='~').contains(&c))
        {
            return Err(Failure::usage("the reason is 1 to 200 characters of ASCII"));
        }
        // by the service's own clock
        let now = status
            .now
            .map_or(Timestamp::now().as_second(), |now| now.seconds);
        let until = now.saturating_add(self.days * 24 * 60 * 60);
        let text = format!("{begin}reason {reason}\nuntil {until}\n");
        session.tell(&text);
        let to = &self.output_file;
        std::fs::write(to, text).map_err(|error| Failure::file(to, error))?;
        session.note(
            "have approvers sign it: kms approval sign, or ssh-keygen -Y sign -n kms.v1.approval",
        );
        Ok(())
    }
}
