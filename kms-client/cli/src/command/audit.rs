//! `kms audit`: the log of every call.

mod report;
mod verify;
mod witness;

use super::call;
use super::clock::proto_time;
use crate::args::value;
use crate::exit::Failure;
use crate::session::Session;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use kms_client::DatasetName;
use kms_client::proto::v1;
use report::EntryReport;

/// Most entries of one page.
const PAGE_MAX: u32 = 1_000;

/// Read the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List entries, oldest first. Reading the log is logged.
    List(List),
    Verify(verify::Verify),
    Witness(witness::Witness),
}

/// `kms audit list`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms audit list --calls --newest-first --limit 20
  kms audit list --dataset customers --outcome DENIED --from 24h")]
pub(crate) struct List {
    /// Only calls by this principal, exactly.
    #[arg(long, value_name = "NAME")]
    principal: Option<String>,
    /// Only calls on this dataset.
    #[arg(long, value_parser = value::dataset)]
    dataset: Option<DatasetName>,
    /// Only this method, for example GenerateDataKey.
    #[arg(long, value_name = "METHOD")]
    action: Option<String>,
    /// Only this outcome: OK, or a reason like DENIED.
    #[arg(long, value_name = "REASON")]
    outcome: Option<String>,
    /// Only from this time on: 2026-11-24, 2026-11-24T06:00:00Z, or 2h (that long ago).
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    from: Option<Timestamp>,
    /// Only until this time.
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    to: Option<Timestamp>,
    /// Only from this sequence number on.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    from_sequence: u64,
    /// Only calls: no introductions of who called, no details of batches, no counts of strangers.
    #[arg(long)]
    calls: bool,
    /// Newest entries first.
    #[arg(long)]
    newest_first: bool,
    /// Most entries to list.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

impl Audit {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(crate) async fn run(self, session: &Session) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(session).await,
            Self::Verify(verify) => verify.run(session),
            Self::Witness(witness) => witness.run(session),
        }
    }
}

impl List {
    async fn run(self, session: &Session) -> Result<(), Failure> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut request = self.request();
        let mut entries = Vec::new();
        loop {
            let page = call!(session, repeat audit_service_client::AuditServiceClient.list_entries, request)?;
            let room = limit.saturating_sub(entries.len());
            let wanted = page
                .entries
                .iter()
                .filter(|entry| !self.calls || entry.kind == "call");
            entries.extend(wanted.take(room).map(EntryReport::from));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
            if entries.len() >= limit {
                session.note("there may be more; see --limit");
                break;
            }
        }
        session.show(&entries)
    }

    fn request(&self) -> v1::ListEntriesRequest {
        v1::ListEntriesRequest {
            page_size: i32::try_from(self.limit.min(PAGE_MAX)).unwrap_or(i32::MAX),
            page_token: String::new(),
            from_sequence: self.from_sequence,
            principal: self.principal.clone().unwrap_or_default(),
            dataset: self
                .dataset
                .as_ref()
                .map(DatasetName::resource)
                .unwrap_or_default(),
            action: self.action.clone().unwrap_or_default(),
            outcome: self.outcome.clone().unwrap_or_default(),
            from_time: self.from.map(proto_time),
            to_time: self.to.map(proto_time),
            newest_first: self.newest_first,
        }
    }
}
