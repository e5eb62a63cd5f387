//! ListEntries: the log as its readers see it. Reading is logged like everything else. Personal groups are
//! opened where their key still exists; nothing here is a proof.

use super::lane::Lane;
use super::operation::{At, Refused};
use super::render;
use super::road::Incoming;
use super::ticket::Ticket;
use super::{Service, parse};
use crate::audit_log::{Filter, Logged, Query};
use crate::live::Live;
use kms_core::audit::leaf::{Body, Entry, Introduction, Personal, PersonalKey, PrincipalId};
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::codec::hex;
use kms_core::engine::{Refusal, Snapshot};
use kms_core::name::PrincipalName;
use kms_core::policy::{Action, act};
use kms_core::reason::Reason;
use kms_proto::v1;
use std::collections::BTreeMap;

fn outcome(text: &str) -> Result<Outcome, Refusal> {
    if text == "OK" {
        return Ok(Outcome::Ok);
    }
    let known = Reason::ALL.iter().find(|reason| reason.as_str() == text);
    let known = known.ok_or_else(|| Refusal::field("outcome", "OK or a reason"))?;
    Ok(Outcome::Refused(*known))
}

fn outcome_text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Ok => "OK".to_owned(),
        Outcome::Refused(reason) => reason.as_str().to_owned(),
    }
}

/// `None`: nothing can pass, because the log cannot know the name.
fn query(
    message: &v1::ListEntriesRequest,
    at: &At<'_>,
    live: &Live,
) -> Result<Option<Query>, Refusal> {
    let mut filter = Filter::default();
    if !message.principal.is_empty() {
        let name = PrincipalName::parse(&message.principal);
        let name = name.map_err(|e| Refusal::field("principal", e.0))?;
        filter.principal = Some(live.keys.directory.principal_id(&name));
    }
    if !message.dataset.is_empty() {
        let name = parse::dataset(&message.dataset, "dataset")?;
        let Some(dataset) = at.snapshot.by_name(&name) else {
            return Ok(None);
        };
        filter.dataset = Some(dataset.record.key_id);
    }
    if !message.action.is_empty() {
        let known = Action::ALL
            .iter()
            .find(|action| action.as_str() == message.action);
        let known = known.ok_or_else(|| Refusal::field("action", "an action's name"))?;
        filter.action = Some(*known);
    }
    if !message.outcome.is_empty() {
        filter.outcome = Some(outcome(&message.outcome)?);
    }
    let time = |time: &Option<prost_types::Timestamp>, field| {
        time.as_ref()
            .map(|time| parse::timestamp(time, field))
            .transpose()
    };
    filter.from_time = time(&message.from_time, "from_time")?;
    filter.to_time = time(&message.to_time, "to_time")?;
    let position = at.pager.position(&message.page_token)?;
    let bad = || Refusal::field("page_token", "a token from the last answer, unchanged");
    let from_sequence = match position {
        Some(bytes) => u64::from_be_bytes(bytes.try_into().map_err(|_| bad())?),
        None if message.newest_first && message.from_sequence == 0 => u64::MAX,
        None => message.from_sequence,
    };
    Ok(Some(Query {
        from_sequence,
        newest_first: message.newest_first,
        filter,
        limit: parse::page_size(message.page_size)?,
    }))
}

impl Service {
    /// The RPC.
    pub(super) async fn list_entries(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::ListEntriesResponse, Refusal> {
        ticket.action = Action::ListEntries;
        let Some(live) = self.gate.live() else {
            return Err(self.refuse(lane, ticket, None, Reason::Sealed.into()).await);
        };
        self.ensure_month(lane, &live).await;
        match self.read_entries(ticket, call, &live).await {
            Ok(answer) => {
                let facts = Facts::single(ticket.action, Detail::new(Outcome::Ok));
                self.log(lane, ticket, Some(&live), &facts).await?;
                Ok(answer)
            }
            Err(refused) => Err(self.refuse(lane, ticket, Some(&live), refused).await),
        }
    }

    async fn read_entries(
        &self,
        ticket: &Ticket<'_>,
        call: &Incoming,
        live: &Live,
    ) -> Result<v1::ListEntriesResponse, Refused> {
        let message: v1::ListEntriesRequest = self.decode(call.method, call.body.clone())?;
        let held = live.state.hold();
        let at = At {
            snapshot: &held.snapshot,
            principal: ticket.principal,
            decide: &*self.decide,
            circumstances: ticket.circumstances(),
            pager: self.pager(live, ticket),
        };
        at.authorise::<act::ListEntries>(&[])?;
        let Some(query) = query(&message, &at, live)? else {
            return Ok(v1::ListEntriesResponse::default());
        };
        // reading takes its time, and a restriction waits for whoever holds the snapshot
        drop(held);
        let audit = self.audit.clone();
        let read = tokio::task::spawn_blocking(move || audit.read(&query)).await;
        let page = read.map_err(|_| Reason::Internal)?.map_err(|error| {
            tracing::error!(%error, "the audit log cannot be read");
            Reason::AuditUnavailable
        })?;
        for logged in &page.entries {
            if let Some(entry) = &logged.entry {
                self.scribe.names.learn(entry, Some(&live.keys.directory));
            }
        }
        let entries = page.entries.into_iter();
        let pager = self.pager(live, ticket);
        let next = page
            .next
            .map(|sequence| pager.token(&sequence.to_be_bytes()));
        let held = live.state.hold();
        Ok(v1::ListEntriesResponse {
            entries: entries
                .map(|logged| self.entry(logged, live, &held.snapshot))
                .collect(),
            next_page_token: next.unwrap_or_default(),
        })
    }

    fn entry(&self, logged: Logged, live: &Live, snapshot: &Snapshot) -> v1::AuditEntry {
        let mut answer = v1::AuditEntry {
            sequence: logged.sequence,
            ..Default::default()
        };
        if let Some(entry) = &logged.entry {
            self.describe(entry, live, snapshot, &mut answer);
        } else {
            answer.kind = "unreadable".to_owned();
        }
        answer.leaf = logged.leaf.into();
        answer
    }

    fn describe(
        &self,
        entry: &Entry,
        live: &Live,
        snapshot: &Snapshot,
        answer: &mut v1::AuditEntry,
    ) {
        let prefix = &entry.prefix;
        answer.time = Some(render::timestamp(prefix.at.time));
        answer.kind = kind(&entry.body).to_owned();
        answer.request_id = prefix.id.to_string();
        answer.personal = personal(entry, live);
        answer.action = entry
            .action()
            .map(|action| action.as_str().to_owned())
            .unwrap_or_default();
        answer.principal = self.principal(entry.principal(), &answer.personal);
        if let Some(id) = entry.dataset() {
            let known = snapshot
                .by_id(id)
                .map(|dataset| dataset.record.name.clone());
            let known = known.or_else(|| self.scribe.names.dataset(id));
            answer.dataset = known.map_or_else(|| id.to_string(), |n| render::dataset_name(&n));
        }
        if let Some(item) = entry.item() {
            answer.version = item.version.map_or(0, kms_core::name::VersionNumber::get);
            answer.lasting_context = item
                .lasting
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect();
            answer.shred_secrets = item.secrets.iter().map(|hash| hex(hash)).collect();
            answer.count = item.count;
            answer.detail = item.note.to_string();
            answer.outcome = outcome_text(item.outcome);
        }
        match &entry.body {
            Body::Head(head) => {
                answer.outcome = outcome_text(head.outcome);
                answer.count = head.items;
            }
            Body::Counted(counted) => {
                answer.count = u32::try_from(counted.count).unwrap_or(u32::MAX);
                answer.outcome = counted.reason.as_str().to_owned();
            }
            Body::System(record) => {
                answer.action = record.event.as_str().to_owned();
                answer.outcome = outcome_text(record.outcome);
                answer.detail = record.text.to_string();
            }
            Body::Introduction(Introduction::Caller { connection, .. }) => {
                answer.detail = format!("connection {connection}");
            }
            Body::Detail(_) | Body::Introduction(Introduction::Dataset { .. }) => {}
        }
    }

    /// The name behind an id: known, or told by the entry itself (written while sealed), or the id.
    fn principal(&self, id: Option<PrincipalId>, personal: &BTreeMap<String, String>) -> String {
        let Some(id) = id else {
            return String::new();
        };
        let known = self.scribe.names.principal(id);
        let known = known.map(|name| name.as_str().to_owned());
        known
            .or_else(|| personal.get("principal").cloned())
            .unwrap_or_else(|| {
                if id == PrincipalId::default() {
                    String::new()
                } else {
                    id.to_string()
                }
            })
    }
}

fn kind(body: &Body) -> &'static str {
    match body {
        Body::Head(_) => "call",
        Body::Detail(_) => "detail",
        Body::Introduction(_) => "introduction",
        Body::Counted(_) => "counted",
        Body::System(_) => "system",
    }
}

fn personal(entry: &Entry, live: &Live) -> BTreeMap<String, String> {
    let opened = match &entry.personal {
        Personal::None | Personal::Withheld => return BTreeMap::new(),
        Personal::Intake { .. } => entry.open_personal(PersonalKey::Intake(&live.keys.intake)),
        Personal::Month { .. } => {
            let month = entry.prefix.month.and_then(|month| live.state.month(month));
            let Some(month) = month else {
                return BTreeMap::new();
            };
            entry.open_personal(PersonalKey::Month(&month))
        }
    };
    opened.unwrap_or_default().into_iter().collect()
}
