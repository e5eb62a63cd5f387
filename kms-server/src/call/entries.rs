//! The RPCs of `AuditService`: the log as its readers see it. Reading is logged like everything else, one entry a page.
//! Personal groups are opened where their key still exists; nothing that is shown here is a proof.

mod access;
pub(super) mod anonymise;
mod export;
mod files;
mod filter;
pub(super) mod forwarded;
mod shown;
mod summary;

use super::lane::Lane;
use super::operation::Refused;
use super::page::bad_token;
use super::road::Incoming;
use super::ticket::Ticket;
use super::{Service, parse};
use crate::audit_log::{Logged, Query};
use crate::live::Live;
use crate::live::state::Held;
use filter::Wanted;
use kms_core::audit::leaf::{Body, PrincipalId};
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::Refusal;
use kms_core::policy::{Action, ActionKind, act};
use kms_core::reason::Reason;
use kms_proto::v1;
use shown::personal;
use std::collections::BTreeSet;
use std::time::Duration;

/// The longest that a call waits for news.
const WAIT_MAX: Duration = Duration::from_secs(25);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Most names that are looked for in older entries for one answer.
const NAMES_MAX: usize = 64;

/// What was found for a page.
struct Found {
    answer: v1::ListEntriesResponse,
    /// There is an entry that is no reading of the log: of one's own reading nobody waits to hear.
    news: bool,
    wait: Option<Duration>,
}

impl Service {
    /// The RPC. While it waits it holds neither keys nor a snapshot.
    pub(super) async fn list_entries(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::ListEntriesResponse, Refusal> {
        ticket.action = Action::ListEntries;
        let begun = self.clock.monotonic();
        loop {
            let Some(live) = self.gate.live() else {
                return Err(self.refuse(lane, ticket, None, Reason::Sealed.into()).await);
            };
            self.ensure_month(lane, &live).await;
            let seen = self.audit.len();
            let found = match self.read_entries(ticket, call, &live).await {
                Ok(found) => found,
                Err(refused) => return Err(self.refuse(lane, ticket, Some(&live), refused).await),
            };
            let until = begun + found.wait.unwrap_or_default();
            if found.news || found.wait.is_none() || self.clock.monotonic() >= until {
                let facts = Facts::single(ticket.action, Detail::new(Outcome::Ok));
                self.log(lane, ticket, Some(&live), &facts).await?;
                return Ok(found.answer);
            }
            drop(live);
            self.wait_for_entries(seen, until).await;
        }
    }

    async fn wait_for_entries(&self, seen: u64, until: Duration) {
        while self.audit.len() == seen && self.clock.monotonic() < until {
            let next = self.clock.monotonic() + LOOK_EVERY;
            self.clock.wait_until(next.min(until)).await;
        }
    }

    async fn read_entries(
        &self,
        ticket: &Ticket<'_>,
        call: &Incoming,
        live: &Live,
    ) -> Result<Found, Refused> {
        let message: v1::ListEntriesRequest =
            self.allowed_to_read::<act::ListEntries, _>(ticket, call)?;
        let wait = message.wait.as_ref();
        let wait = wait.map(|wait| parse::duration(wait, "wait")).transpose()?;
        if wait.is_some_and(|wait| wait > WAIT_MAX || message.newest_first) {
            return Err(Refusal::field("wait", "at most 25 s, and not newest first").into());
        }
        let held = live.state.hold();
        let filter = Box::pin(self.filter(&Wanted::listed(&message), live, &held)).await?;
        let from_sequence = self.begin(ticket, live, &message)?;
        let limit = parse::page_size(message.page_size)?;
        // reading takes its time, and a restriction waits for whoever holds the snapshot
        drop(held);
        let mut next = None;
        let mut logged = Vec::new();
        let end = self.audit.len();
        if let Some(filter) = filter {
            let query = Query {
                from_sequence,
                newest_first: message.newest_first,
                filter,
                limit,
            };
            let audit = self.audit.clone();
            let page = blocking(move || audit.read(&query)).await?;
            (logged, next) = (page.entries, page.next);
        }
        if wait.is_some() {
            let behind = logged.last().map_or(0, |last| last.sequence + 1);
            next = next.or(Some(end.max(behind).max(from_sequence)));
        }
        let news = !logged.iter().all(is_reading);
        let pager = self.pager(live, ticket);
        let next_page_token = next.map(|next| pager.token(&next.to_be_bytes()));
        Ok(Found {
            answer: v1::ListEntriesResponse {
                entries: self.shown(logged, live).await,
                next_page_token: next_page_token.unwrap_or_default(),
            },
            news,
            wait,
        })
    }

    fn begin(
        &self,
        ticket: &Ticket<'_>,
        live: &Live,
        message: &v1::ListEntriesRequest,
    ) -> Result<u64, Refusal> {
        Ok(match self.position(ticket, live, &message.page_token)? {
            Some(position) => position,
            None if message.newest_first && message.from_sequence == 0 => u64::MAX,
            None => message.from_sequence,
        })
    }

    /// The sequence in a page token.
    fn position(
        &self,
        ticket: &Ticket<'_>,
        live: &Live,
        token: &str,
    ) -> Result<Option<u64>, Refusal> {
        let position = self.pager(live, ticket).position(token)?;
        let number = |bytes: Vec<u8>| bytes.try_into().map(u64::from_be_bytes);
        position.map(number).transpose().map_err(|_| bad_token())
    }

    /// Asks whether `A` is allowed, then decodes: in that order.
    fn allowed_to_read<A: ActionKind, M: prost::Message + Default>(
        &self,
        ticket: &Ticket<'_>,
        call: &Incoming,
    ) -> Result<M, Refused> {
        self.proof::<A>(ticket)?;
        Ok(self.decode(call.method, call.body.clone())?)
    }

    /// A call that reads the log, from what it found to its entry and its answer.
    async fn reading<A: ActionKind, T>(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        read: impl AsyncFnOnce(&Ticket<'_>, &Live) -> Result<T, Refused>,
    ) -> Result<T, Refusal> {
        ticket.action = A::ACTION;
        let Some(live) = self.gate.live() else {
            return Err(self.refuse(lane, ticket, None, Reason::Sealed.into()).await);
        };
        self.ensure_month(lane, &live).await;
        match read(ticket, &live).await {
            Ok(answer) => {
                let facts = Facts::single(ticket.action, Detail::new(Outcome::Ok));
                self.log(lane, ticket, Some(&live), &facts).await?;
                Ok(answer)
            }
            Err(refused) => Err(self.refuse(lane, ticket, Some(&live), refused).await),
        }
    }

    async fn shown(&self, logged: Vec<Logged>, live: &Live) -> Vec<v1::AuditEntry> {
        for entry in logged.iter().filter_map(|logged| logged.entry.as_ref()) {
            self.scribe.names.learn(entry, Some(&live.keys.directory));
        }
        let ids = logged
            .iter()
            .filter_map(|one| one.entry.as_ref()?.principal());
        self.learn_principals(ids, live).await;
        let held = live.state.hold();
        let shown = logged.into_iter();
        shown
            .map(|logged| self.entry(logged, &held.snapshot, |entry| personal(entry, live)))
            .collect()
    }

    /// Looks for the introductions of those whose names are not known; who is not found is shown by id.
    async fn learn_principals(&self, ids: impl Iterator<Item = PrincipalId>, live: &Live) {
        let names = &self.scribe.names;
        let strange =
            |id: &PrincipalId| *id != PrincipalId::default() && names.principal(*id).is_none();
        let unknown: BTreeSet<_> = ids.filter(strange).take(NAMES_MAX).collect();
        if unknown.is_empty() {
            return;
        }
        let audit = self.audit.clone();
        let search = move || -> std::io::Result<Vec<_>> {
            let found = unknown.into_iter().map(|id| audit.introduction_of(id));
            found.filter_map(Result::transpose).collect()
        };
        for entry in blocking(search).await.unwrap_or_default() {
            names.learn(&entry, Some(&live.keys.directory));
        }
    }
}

/// Of one's own looking into the log.
fn is_reading(logged: &Logged) -> bool {
    let Some(Body::Head(head)) = logged.entry.as_ref().map(|entry| &entry.body) else {
        return false;
    };
    matches!(
        head.action,
        Action::ListEntries
            | Action::GetLogFiles
            | Action::SignExport
            | Action::SummarizeEntries
            | Action::GetAccess
    )
}

/// Work on the log's files.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Reason> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Reason::Internal)?.map_err(|error| {
        tracing::error!(%error, "the audit log cannot be read");
        Reason::AuditUnavailable
    })
}
