//! `kms audit show`: everything that one entry says.

use super::entry::EntryReport;
use super::list::page;
use crate::exit::{Exit, Failure};
use crate::output::{Report, Table};
use crate::session::Session;
use clap::Args;
use kms_client::proto::v1;
use serde::Serialize;

/// Show everything that one entry says.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its sequence number.
    #[arg(value_name = "SEQUENCE")]
    sequence: u64,
}

/// One entry, all of it.
#[derive(Debug, Serialize)]
struct Whole(EntryReport);

impl Show {
    /// Runs it.
    ///
    /// # Errors
    /// The service's; not found.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let request = v1::ListEntriesRequest {
            from_sequence: self.sequence,
            page_size: 1,
            ..Default::default()
        };
        let page = page(session, &request).await?;
        let found = page.entries.first();
        let entry = found.filter(|entry| entry.sequence == self.sequence);
        let missing = || Failure::new(Exit::Denied, format!("there is no entry {}", self.sequence));
        session.show(&Whole(EntryReport::from(entry.ok_or_else(missing)?)))
    }
}

impl Report for Whole {
    fn table(&self) -> Table {
        let mut table = Table::facts();
        for (name, value) in self.0.facts() {
            table.fact(name, value);
        }
        table
    }
}
