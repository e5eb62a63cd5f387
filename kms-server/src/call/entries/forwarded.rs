//! What receivers of copies get of the log, and the mark of how far each is. Copies outlive months' keys, so nothing
//! of personal groups is ever in them; what stands for a person is given with the name.

use super::blocking;
use super::shown::left_closed;
use crate::audit_log::{Filter, Logged, Query};
use crate::call::lane::Lane;
use crate::call::{Service, render};
use crate::forward::{Destination, Event, Weight};
use crate::live::Live;
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::index::forward_key;
use kms_core::engine::{Change, Decision, Refusal};
use kms_core::key::record::{Expect, ForwardMark, Record, Write};
use kms_core::policy::{ActionKind as _, act};
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use kms_proto::v1;
use std::ops::Range;

/// Most entries of a batch.
const BATCH: usize = 500;

/// Entries to be sent, in order.
#[derive(Debug)]
pub struct Batch {
    /// One for each entry, and one for each gap in its place.
    pub events: Vec<Event>,
    /// The first entry behind it.
    pub next: u64,
    /// Entries that cannot be read.
    pub gaps: Vec<Range<u64>>,
}

impl Service {
    /// Where the log is forwarded to.
    #[must_use]
    pub fn forwards(&self) -> &[Destination] {
        &self.forwards
    }

    /// Where a receiver is: the mark in the store, or the first one, made now. An entry says that copies go there.
    ///
    /// # Errors
    /// As [`Service::internal`]; STORE_UNAVAILABLE.
    pub async fn begin_forwarding(
        &self,
        lane: &Lane,
        destination: &Destination,
    ) -> Result<u64, Refusal> {
        let live = self.gate.live().ok_or(Reason::Sealed)?;
        let next = self.place_of(&live, destination).await?;
        let name = destination.name();
        let write = || self.mark_write(&live, destination, next);
        self.internal::<act::ForwardEntries, _>(lane, None, &[], |_, _, _| {
            Ok(Decision {
                reply: next,
                facts: noted(format!("{name}: from entry {next} on")),
                change: Some(Change {
                    writes: vec![write()],
                    restricts: false,
                }),
            })
        })
        .await
    }

    async fn place_of(&self, live: &Live, destination: &Destination) -> Result<u64, Reason> {
        let (records, key) = (
            live.records.clone(),
            forward_key(&live.keys.index, destination.name()),
        );
        let kept = tokio::task::spawn_blocking(move || records.get(&key)).await;
        let kept = kept.map_err(|_| Reason::Internal)?;
        let kept = kept.map_err(|_| Reason::StoreUnavailable)?;
        let end = self.audit.len();
        Ok(match kept.and_then(|stored| stored.record) {
            // a log that was put back is told by its checkpoints; here its entries are new
            Some(Record::ForwardMark(mark)) if *mark.origin == *self.audit.origin() => {
                mark.next.min(end)
            }
            // another life of the log
            Some(_) => 0,
            None if destination.from_start() => 0,
            None => end,
        })
    }

    fn mark_write(&self, live: &Live, destination: &Destination, next: u64) -> Write {
        Write {
            key: forward_key(&live.keys.index, destination.name()),
            // its job is the only writer
            expect: Expect::Anything,
            record: Some(Record::ForwardMark(ForwardMark {
                origin: self.audit.origin().into(),
                next,
            })),
        }
    }

    /// Keeps how far a receiver is; `false` when it was not kept.
    pub async fn mark_forwarded(&self, destination: &Destination, next: u64) -> bool {
        let Some(live) = self.gate.live() else {
            return false;
        };
        let writes = vec![self.mark_write(&live, destination, next)];
        let change = Change {
            writes,
            restricts: false,
        };
        self.housekeep(&live, change).await.is_ok()
    }

    /// Says in the log what a receiver never gets.
    pub async fn note_gap(&self, lane: &Lane, destination: &Destination, gap: &Range<u64>) {
        let (name, last) = (destination.name(), gap.end.saturating_sub(1));
        let note = format!("{name}: entries {} to {last} cannot be read", gap.start);
        let said = self.internal::<act::ForwardEntries, ()>(lane, None, &[], |_, _, _| {
            Ok(Decision {
                reply: (),
                facts: noted(note.clone()),
                change: None,
            })
        });
        if let Err(refusal) = said.await {
            tracing::error!(name, %note, %refusal, "a gap is not in the log");
        }
    }

    /// The entries from `from` on, as many as go together; `None` when there is none yet.
    ///
    /// # Errors
    /// Why they cannot be had now, in words for the daemon's own messages.
    pub async fn batch(&self, from: u64) -> Result<Option<Batch>, String> {
        if from >= self.audit.len() {
            return Ok(None);
        }
        let words = |reason: Reason| reason.to_string();
        let live = self.gate.live().ok_or_else(|| words(Reason::Sealed))?;
        let audit = self.audit.clone();
        let query = Query {
            from_sequence: from,
            newest_first: false,
            filter: Filter::default(),
            limit: BATCH,
        };
        let page = blocking(move || audit.read(&query)).await.map_err(words)?;
        let logged = page.entries;
        let entries = logged.iter().filter_map(|logged| logged.entry.as_ref());
        for entry in entries.clone() {
            self.scribe.names.learn(entry, Some(&live.keys.directory));
        }
        let ids = entries.filter_map(kms_core::audit::leaf::Entry::principal);
        self.learn_principals(ids, &live).await;
        Ok(self.as_batch(logged, from, &live))
    }

    fn as_batch(&self, logged: Vec<Logged>, from: u64, live: &Live) -> Option<Batch> {
        let held = live.state.hold();
        let origin = self.audit.origin();
        let mut batch = Batch {
            events: Vec::with_capacity(logged.len()),
            next: from,
            gaps: Vec::new(),
        };
        for logged in logged {
            let sequence = logged.sequence;
            let at = logged.entry.as_ref().map(|entry| entry.prefix.at.time);
            let at = at.unwrap_or_else(|| self.clock.now());
            // an entry behind them is there, so they are not still to come
            if sequence > batch.next {
                let gap = batch.next..sequence;
                batch.events.push(gap_event(&gap, at, origin));
                batch.gaps.push(gap);
            }
            let entry = self.entry(logged, &held.snapshot, left_closed);
            batch.events.push(event(&entry, at, origin));
            batch.next = sequence + 1;
        }
        (!batch.events.is_empty()).then_some(batch)
    }
}

fn noted(note: String) -> Facts {
    let mut detail = Detail::new(Outcome::Ok);
    detail.note = note.into();
    Facts::single(act::ForwardEntries::ACTION, detail)
}

fn event(entry: &v1::AuditEntry, at: Timestamp, origin: &str) -> Event {
    Event {
        at,
        sequence: entry.sequence,
        kind: entry.kind.clone(),
        weight: match entry.outcome.as_str() {
            "OK" | "" => Weight::Informational,
            _ => Weight::Notice,
        },
        json: kms_ocsf::event(entry, origin).to_string(),
    }
}

fn gap_event(gap: &Range<u64>, at: Timestamp, origin: &str) -> Event {
    let time = render::timestamp(at);
    Event {
        at,
        sequence: gap.start,
        kind: "gap".to_owned(),
        weight: Weight::Warning,
        json: kms_ocsf::gap(gap, &time, origin).to_string(),
    }
}

impl Service {
    /// What the status says of receivers.
    pub(in crate::call) fn forward_status(&self, status: &mut v1::GetStatusResponse) {
        let end = self.audit.len();
        for destination in &self.forwards {
            let standing = destination.standing().clone();
            status.alarms.extend(standing.alarm(destination.name()));
            let next = standing.next.unwrap_or(0);
            status.audit_forwards.push(v1::AuditForward {
                name: destination.name().to_owned(),
                kind: destination.kind().to_owned(),
                next_sequence: next,
                behind: standing.next.map_or(0, |next| end.saturating_sub(next)),
                failures: standing.failures,
                problem: standing.problem.unwrap_or_default(),
                taken_at: standing.taken_at.map(render::timestamp),
                skipped: standing.skipped,
            });
        }
    }
}
