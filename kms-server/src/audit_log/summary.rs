//! Counts over the log: who did what to which dataset, when first and last, and which tenants and shred secrets it
//! touched. One call does a bounded piece; whoever asks adds the pieces up.

use super::Shared;
use super::reading::{LOOKED_AT_MAX, Query, walk};
use kms_core::audit::Outcome;
use kms_core::audit::leaf::{Body, Entry, PrincipalId, decode};
use kms_core::name::{KeyId, VersionNumber};
use kms_core::policy::Action;
use kms_core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

/// Most rows of one piece.
const ROWS_MAX: usize = 4_000;
/// Most values of lasting context, and most hashes of shred secrets, of one piece.
const TOUCHED_MAX: usize = 10_000;

/// What one row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// Who; `None` for strangers that were only counted.
    pub principal: Option<PrincipalId>,
    /// The dataset's key.
    pub dataset: Option<KeyId>,
    /// The version.
    pub version: Option<VersionNumber>,
    /// What.
    pub action: Action,
    /// The reason's number, 0 for OK.
    outcome: u8,
    /// Begin of its span of time.
    pub span: Timestamp,
}

/// What a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Entries.
    pub entries: u64,
    /// Items of batches one by one; calls of a counted entry.
    pub items: u64,
    /// Time of the first.
    pub first: Timestamp,
    /// Time of the last.
    pub last: Timestamp,
}

/// One piece.
#[derive(Debug, Default)]
pub struct Summary {
    /// Counts.
    pub rows: BTreeMap<Row, Told>,
    /// Lasting context, `key=value`.
    pub lasting: BTreeSet<String>,
    /// What stands for shred secrets.
    pub secrets: BTreeSet<[u8; 16]>,
    /// Entries counted.
    pub entries: u64,
    /// Where the next piece begins.
    pub next: Option<u64>,
}

impl Row {
    /// How it ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        kms_core::reason::Reason::from_number(self.outcome).map_or(Outcome::Ok, Outcome::Refused)
    }

    fn of(entry: &Entry, span: Option<Duration>) -> Option<Self> {
        // a batch counts by its details
        if matches!(&entry.body, Body::Head(head) if head.details.is_some()) {
            return None;
        }
        let item = entry.item();
        Some(Self {
            principal: entry.principal(),
            dataset: entry.dataset(),
            version: item.and_then(|item| item.version),
            action: entry.action()?,
            outcome: match entry.outcome()? {
                Outcome::Ok => 0,
                Outcome::Refused(reason) => reason.number(),
            },
            span: begin(entry.prefix.at.time, span),
        })
    }
}

/// The begin of the span that `time` lies in; 1970 for one span over all.
fn begin(time: Timestamp, span: Option<Duration>) -> Timestamp {
    let span = span.and_then(|span| i64::try_from(span.as_micros()).ok());
    let begin = span.map_or(0, |span| {
        let span = span.max(1);
        time.as_micros().div_euclid(span).saturating_mul(span)
    });
    Timestamp::from_micros(begin)
}

fn items(entry: &Entry) -> u64 {
    match &entry.body {
        Body::Counted(counted) => counted.count,
        _ => entry.item().map_or(1, |item| item.count.into()),
    }
}

impl Summary {
    fn is_full(&self) -> bool {
        self.rows.len() >= ROWS_MAX || self.lasting.len().max(self.secrets.len()) >= TOUCHED_MAX
    }

    fn add(&mut self, entry: &Entry, span: Option<Duration>) {
        let Some(row) = Row::of(entry, span) else {
            return;
        };
        if let Some(item) = entry.item() {
            self.secrets.extend(&item.secrets);
            let lasting = item.lasting.iter();
            self.lasting
                .extend(lasting.map(|(key, value)| format!("{key}={value}")));
        }
        let items = items(entry);
        // a detail that only carries on the list of secrets before it
        if items == 0 {
            return;
        }
        let time = entry.prefix.at.time;
        let told = self.rows.entry(row).or_insert(Told {
            entries: 0,
            items: 0,
            first: time,
            last: time,
        });
        told.entries += 1;
        told.items = told.items.saturating_add(items);
        told.first = told.first.min(time);
        told.last = told.last.max(time);
        self.entries += 1;
    }
}

pub(super) fn summarize(
    shared: &Shared,
    query: &Query,
    span: Option<Duration>,
) -> io::Result<Summary> {
    let mut summary = Summary::default();
    let mut looked_at = 0;
    walk(shared, query, |sequence, leaf| {
        if looked_at >= LOOKED_AT_MAX || summary.is_full() {
            summary.next = Some(sequence);
            return ControlFlow::Break(());
        }
        looked_at += 1;
        if let Ok(entry) = decode(leaf)
            && query.filter.passes(Some(&entry))
        {
            summary.add(&entry, span);
        }
        ControlFlow::Continue(())
    })?;
    Ok(summary)
}
