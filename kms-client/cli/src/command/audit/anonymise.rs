//! `kms audit anonymise`: closes the personal values of a month of the log, for ever.

use crate::args::Confirmation;
use crate::command::{call, present};
use crate::exit::Failure;
use crate::output::{Report, Table, time};
use crate::session::Session;
use clap::Args;
use kms_client::proto::v1;
use serde::Serialize;

/// Destroy the key of a month that is over: addresses and other personal values of its entries are then closed for
/// everybody, in every copy of the log. No entry changes, and every proof still holds.
#[derive(Debug, Args)]
pub(crate) struct Anonymise {
    /// The month, in UTC.
    #[arg(long, value_name = "YYYY-MM")]
    month: String,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Debug, Serialize)]
struct Anonymised {
    month: String,
    anonymise_time: Option<String>,
}

impl Anonymise {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; when nobody confirms.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let month = self.month;
        let what = format!(
            "nobody will read addresses and other personal values of {month} in the audit log again, in whatever copy"
        );
        session.confirm(&what, &month, &self.confirmation)?;
        let request = v1::AnonymiseMonthRequest {
            month: month.clone(),
            validate_only: false,
        };
        let answer =
            call!(session, once audit_service_client::AuditServiceClient.anonymise_month, request)?;
        let anonymise_time = present(answer.anonymise_time)?;
        session.show(&Anonymised {
            month,
            anonymise_time: time(&anonymise_time),
        })
    }
}

impl Report for Anonymised {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        table.fact("month", &self.month);
        table.fact(
            "anonymised",
            self.anonymise_time.as_deref().unwrap_or_default(),
        );
        table
    }
}
