//! SummarizeEntries: counts over the log for exposure and reports, a bounded piece at a time.

use super::blocking;
use super::filter::Wanted;
use super::shown::outcome_text;
use crate::audit_log::{Query, Row, Told};
use crate::call::lane::Lane;
use crate::call::operation::Refused;
use crate::call::road::Incoming;
use crate::call::ticket::Ticket;
use crate::call::{Service, parse, render};
use crate::live::Live;
use kms_core::audit::leaf::Month;
use kms_core::engine::{Refusal, Snapshot};
use kms_core::policy::act;
use kms_core::time::Timestamp;
use kms_proto::v1;
use std::collections::BTreeMap;
use std::time::Duration;

/// The shortest span that rows are kept apart by.
const SPAN_MIN: Duration = Duration::from_secs(3_600);
/// Most months that are named as without a key.
const MONTHS_MAX: usize = 120;

impl Service {
    /// The RPC.
    pub(in crate::call) async fn summarize_entries(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::SummarizeEntriesResponse, Refusal> {
        self.reading::<act::SummarizeEntries, _>(lane, ticket, async |ticket, live| {
            self.summary(ticket, call, live).await
        })
        .await
    }

    async fn summary(
        &self,
        ticket: &Ticket<'_>,
        call: &Incoming,
        live: &Live,
    ) -> Result<v1::SummarizeEntriesResponse, Refused> {
        let message: v1::SummarizeEntriesRequest =
            self.allowed_to_read::<act::SummarizeEntries, _>(ticket, call)?;
        let span = message.span.as_ref();
        let span = span.map(|span| parse::duration(span, "span")).transpose()?;
        if span.is_some_and(|span| span < SPAN_MIN) {
            return Err(Refusal::field("span", "an hour or more").into());
        }
        let from_sequence = self.position(ticket, live, &message.page_token)?;
        let held = live.state.hold();
        let filter = Box::pin(self.filter(&Wanted::summarized(&message), live, &held)).await?;
        drop(held);
        let Some(filter) = filter else {
            return Ok(v1::SummarizeEntriesResponse::default());
        };
        let months_without_key = match filter.secrets {
            None => Vec::new(),
            Some(_) => months_without_key(live, filter.from_time, filter.to_time),
        };
        let query = Query {
            from_sequence: from_sequence.unwrap_or(0),
            newest_first: false,
            filter,
            limit: usize::MAX,
        };
        let audit = self.audit.clone();
        let summary = blocking(move || audit.summarize(&query, span)).await?;
        let ids = summary.rows.keys().filter_map(|row| row.principal);
        self.learn_principals(ids, live).await;
        let pager = self.pager(live, ticket);
        let next = summary.next.map(|next| pager.token(&next.to_be_bytes()));
        let held = live.state.hold();
        let mut answer = v1::SummarizeEntriesResponse {
            rows: self.rows(&summary.rows, &held.snapshot),
            next_page_token: next.unwrap_or_default(),
            entries: summary.entries,
            months_without_key,
            ..Default::default()
        };
        if message.touched {
            answer.lasting_context = summary.lasting.into_iter().collect();
            let secrets = summary.secrets.iter();
            answer.shred_secrets = secrets.map(|hash| hash.to_vec().into()).collect();
        }
        Ok(answer)
    }

    fn rows(&self, rows: &BTreeMap<Row, Told>, snapshot: &Snapshot) -> Vec<v1::EntryCount> {
        let row = |(row, told): (&Row, &Told)| v1::EntryCount {
            principal: self.principal(row.principal, &BTreeMap::new()),
            dataset: row
                .dataset
                .map(|id| self.dataset(id, snapshot))
                .unwrap_or_default(),
            version: row.version.map_or(0, kms_core::name::VersionNumber::get),
            action: row.action.as_str().to_owned(),
            outcome: outcome_text(row.outcome()),
            span_start: Some(render::timestamp(row.span)),
            entries: told.entries,
            items: told.items,
            first_time: Some(render::timestamp(told.first)),
            last_time: Some(render::timestamp(told.last)),
        };
        rows.iter().map(row).collect()
    }
}

/// Anonymised months of the time asked for: no shred secret can be found there.
fn months_without_key(live: &Live, from: Option<Timestamp>, to: Option<Timestamp>) -> Vec<String> {
    let first = from.map(Month::of);
    let last = to.map(Month::of);
    let is_asked = |month: &Month| {
        first.is_none_or(|first| *month >= first) && last.is_none_or(|last| *month <= last)
    };
    let held = live.state.hold();
    let gone = held.snapshot.months.anonymised().filter(is_asked);
    gone.take(MONTHS_MAX)
        .map(|month| month.to_string())
        .collect()
}
