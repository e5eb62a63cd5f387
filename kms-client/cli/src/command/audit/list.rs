//! `kms audit list`: entries by who, what, how and when; `--tail` goes on with what comes.

use super::entry::EntryReport;
use super::tail;
use crate::args::value;
use crate::command::call;
use crate::command::clock::proto_time;
use crate::exit::Failure;
use crate::session::Session;
use clap::Args;
use jiff::Timestamp;
use kms_client::DatasetName;
use kms_client::proto::v1;

/// Most entries of one page.
const PAGE_MAX: u32 = 1_000;
/// Entries listed unless told otherwise, and before a tail begins.
const LIMIT: u32 = 100;
const LIMIT_BEFORE_TAIL: u32 = 10;

/// List entries, oldest first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kms audit list --calls --newest-first --limit 20
  kms audit list --dataset customers --outcome DENIED --from 24h
  kms audit list --tail --principal spiffe://crm.example/service/web")]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// Only from this sequence number on.
    #[arg(long, value_name = "NUMBER")]
    from_sequence: Option<u64>,
    /// Only calls: no introductions of who called, no details of batches, no counts of strangers.
    #[arg(long)]
    calls: bool,
    /// Newest entries first.
    #[arg(long, conflicts_with = "tail")]
    newest_first: bool,
    /// Go on with what comes, until you stop it; begins with the last few entries, or where --from or --from-sequence say.
    #[arg(long)]
    tail: bool,
    /// Most entries to list [default: 100; before a tail 10].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
}

/// Which entries.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Filter {
    /// Only calls by this principal, exactly.
    #[arg(long, value_name = "NAME")]
    pub(super) principal: Option<String>,
    /// Only calls on this dataset.
    #[arg(long, value_parser = value::dataset)]
    pub(super) dataset: Option<DatasetName>,
    /// Only this version of the dataset's key.
    #[arg(long, value_name = "NUMBER", requires = "dataset", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) version: Option<u32>,
    /// Only this method, for example GenerateDataKey.
    #[arg(long, value_name = "METHOD")]
    pub(super) action: Option<String>,
    /// Only this outcome: OK, or a reason like DENIED.
    #[arg(long, value_name = "REASON")]
    pub(super) outcome: Option<String>,
    /// Only from this time on: 2026-11-24, 2026-11-24T06:00:00Z, or 2h (that long ago).
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    pub(super) from: Option<Timestamp>,
    /// Only until this time.
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    pub(super) to: Option<Timestamp>,
}

impl Filter {
    /// The request for its first page.
    pub(super) fn request(&self) -> v1::ListEntriesRequest {
        v1::ListEntriesRequest {
            page_size: i32::try_from(PAGE_MAX).unwrap_or(0),
            principal: self.principal.clone().unwrap_or_default(),
            dataset: self
                .dataset
                .as_ref()
                .map(DatasetName::resource)
                .unwrap_or_default(),
            version: self.version.unwrap_or_default(),
            action: self.action.clone().unwrap_or_default(),
            outcome: self.outcome.clone().unwrap_or_default(),
            from_time: self.from.map(proto_time),
            to_time: self.to.map(proto_time),
            ..Default::default()
        }
    }
}

/// One page.
///
/// # Errors
/// The service's.
pub(super) async fn page(
    session: &Session,
    request: &v1::ListEntriesRequest,
) -> Result<v1::ListEntriesResponse, Failure> {
    let request = request.clone();
    call!(session, repeat audit_service_client::AuditServiceClient.list_entries, request)
}

/// So many entries at most, and whether there may be more.
///
/// # Errors
/// The service's.
pub(super) async fn entries(
    session: &Session,
    mut request: v1::ListEntriesRequest,
    limit: usize,
    wanted: impl Fn(&v1::AuditEntry) -> bool,
) -> Result<(Vec<v1::AuditEntry>, bool), Failure> {
    let page_size = u32::try_from(limit).unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    request.page_size = i32::try_from(page_size).unwrap_or(0);
    let mut entries = Vec::new();
    loop {
        let page = page(session, &request).await?;
        let room = limit.saturating_sub(entries.len());
        entries.extend(page.entries.into_iter().filter(&wanted).take(room));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok((entries, false));
        }
        if entries.len() >= limit {
            return Ok((entries, true));
        }
    }
}

impl List {
    /// Runs it.
    ///
    /// # Errors
    /// The service's.
    pub(super) async fn run(self, session: &Session) -> Result<(), Failure> {
        let calls = self.calls;
        let wanted = move |entry: &v1::AuditEntry| !calls || entry.kind == "call";
        let mut request = self.filter.request();
        request.from_sequence = self.from_sequence.unwrap_or(0);
        if self.tail {
            let from_start = self.from_sequence.is_some() || self.filter.from.is_some();
            let before = self.limit.unwrap_or(LIMIT_BEFORE_TAIL);
            let before = (!from_start).then_some(before);
            return tail::follow(session, request, before, wanted).await;
        }
        request.newest_first = self.newest_first;
        let limit = usize::try_from(self.limit.unwrap_or(LIMIT)).unwrap_or(usize::MAX);
        let (entries, more) = entries(session, request, limit, wanted).await?;
        if more {
            session.note("there may be more; see --limit");
        }
        let entries: Vec<_> = entries.iter().map(EntryReport::from).collect();
        session.show(&entries)
    }
}
