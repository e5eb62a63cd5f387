//! `kms clock`: lets irreversible timers run again after the service's clock stepped.

use super::{call, present, status};
use crate::args::value;
use crate::exit::Failure;
use crate::output::{brief, time};
use crate::session::Session;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kms_client::proto::v1;

/// Confirm the service's clock.
#[derive(Debug, Subcommand)]
pub(crate) enum Clock {
    /// Confirm that the service's clock is right, so that irreversible timers run again.
    Confirm(Confirm),
}

/// `kms clock confirm`.
#[derive(Debug, Args)]
pub(crate) struct Confirm {
    /// The true time; the service's clock must be within 5 minutes of it [default: this machine's].
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    now: Option<Timestamp>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

impl Clock {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; when nobody confirms.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        let Self::Confirm(confirm) = self;
        if !confirm.yes && confirm.now.is_none() {
            if !session.can_ask() {
                return Err(Failure::usage("nobody to ask whether the clock is right")
                    .next("give the true time with --now, or --yes to trust this machine's"));
            }
            let theirs = present(status::get(session).await?.now.as_ref().and_then(time))?;
            let question = format!(
                "The service's clock says {}, this machine's {:.0}. Is that right?",
                brief(Some(&theirs)),
                Timestamp::now()
            );
            if !session.agrees(&question)? {
                return Err(Failure::failed("nothing was done"));
            }
        }
        let request = v1::ConfirmClockRequest {
            now: Some(proto_time(confirm.now.unwrap_or_else(Timestamp::now))),
            validate_only: false,
        };
        call!(session, once system_service_client::SystemServiceClient.confirm_clock, request)?;
        session.note("confirmed: irreversible timers run");
        Ok(())
    }
}

/// As protobuf has it.
pub(crate) fn proto_time(at: Timestamp) -> prost_types::Timestamp {
    // protobuf counts nanoseconds forward, also before 1970
    let nanos = at.as_nanosecond();
    prost_types::Timestamp {
        seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(i64::MAX),
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        for text in ["2026-11-24T06:00:00.5Z", "1969-12-31T23:59:59.25Z"] {
            assert_eq!(time(&proto_time(text.parse().unwrap())).unwrap(), text);
        }
    }
}
