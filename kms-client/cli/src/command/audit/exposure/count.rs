//! Counts of entries as they add up over pages.

use crate::output::optional_time;
use kms_client::proto::v1;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Rows that say the same are one.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) rows: Vec<Row>,
    places: BTreeMap<Key, usize>,
    /// `key=value` of lasting context.
    pub(crate) lasting: BTreeSet<String>,
    /// Hashes of shred secrets.
    pub(crate) secrets: BTreeSet<Vec<u8>>,
    /// Months in which no secret can be found.
    pub(crate) months_without_key: BTreeSet<String>,
}

type Key = (String, String, u32, String, String, Option<String>);

/// One row.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Row {
    pub(crate) principal: String,
    pub(crate) dataset: String,
    pub(crate) version: u32,
    pub(crate) action: String,
    pub(crate) outcome: String,
    /// Begin of its span of time.
    pub(crate) span: Option<String>,
    pub(crate) entries: u64,
    pub(crate) items: u64,
    pub(crate) first: Option<String>,
    pub(crate) last: Option<String>,
}

impl Row {
    fn key(&self) -> Key {
        (
            self.principal.clone(),
            self.dataset.clone(),
            self.version,
            self.action.clone(),
            self.outcome.clone(),
            self.span.clone(),
        )
    }
}

impl From<v1::EntryCount> for Row {
    fn from(row: v1::EntryCount) -> Self {
        Self {
            dataset: row.dataset.trim_start_matches("datasets/").to_owned(),
            principal: row.principal,
            version: row.version,
            action: row.action,
            outcome: row.outcome,
            span: optional_time(row.span_start.as_ref()),
            entries: row.entries,
            items: row.items,
            first: optional_time(row.first_time.as_ref()),
            last: optional_time(row.last_time.as_ref()),
        }
    }
}

impl Counted {
    /// Takes a page in.
    pub(crate) fn take(&mut self, page: v1::SummarizeEntriesResponse) {
        page.rows
            .into_iter()
            .map(Row::from)
            .for_each(|row| self.put(row));
        self.lasting.extend(page.lasting_context);
        self.secrets
            .extend(page.shred_secrets.iter().map(|hash| hash.to_vec()));
        self.months_without_key.extend(page.months_without_key);
    }

    /// Adds what was counted elsewhere.
    pub(crate) fn add(&mut self, other: Self) {
        other.rows.into_iter().for_each(|row| self.put(row));
        self.lasting.extend(other.lasting);
        self.secrets.extend(other.secrets);
        self.months_without_key.extend(other.months_without_key);
    }

    /// Takes one row in.
    pub(crate) fn put(&mut self, row: Row) {
        let end = self.rows.len();
        let place = *self.places.entry(row.key()).or_insert(end);
        match self.rows.get_mut(place) {
            Some(same) => {
                same.entries += row.entries;
                same.items += row.items;
                same.first = earliest(same.first.take(), row.first);
                same.last = same.last.take().max(row.last);
            }
            None => self.rows.push(row),
        }
    }

    /// Items in all.
    pub(crate) fn items(&self) -> u64 {
        self.rows.iter().map(|row| row.items).sum()
    }

    /// Time of the first.
    pub(crate) fn first(&self) -> Option<String> {
        self.rows.iter().filter_map(|row| row.first.clone()).min()
    }

    /// Time of the last.
    pub(crate) fn last(&self) -> Option<String> {
        self.rows.iter().filter_map(|row| row.last.clone()).max()
    }
}

/// RFC 3339 in UTC with the same offset: the order of texts is the order of times, to the second.
fn earliest(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: u64, at: i64) -> v1::SummarizeEntriesResponse {
        let time = Some(prost_types::Timestamp {
            seconds: at,
            nanos: 0,
        });
        v1::SummarizeEntriesResponse {
            rows: vec![v1::EntryCount {
                principal: "web".into(),
                dataset: "datasets/files".into(),
                entries: 1,
                items,
                first_time: time,
                last_time: time,
                ..Default::default()
            }],
            lasting_context: vec!["tenant=acme".into()],
            ..Default::default()
        }
    }

    #[test]
    fn pages_add_up() {
        let mut counted = Counted::default();
        counted.take(page(3, 2_000_000_000));
        counted.take(page(4, 1_000_000_000));
        assert_eq!((counted.rows.len(), counted.items()), (1, 7));
        assert_eq!(counted.first().unwrap(), "2001-09-09T01:46:40Z");
        assert_eq!(counted.last().unwrap(), "2033-05-18T03:33:20Z");
        assert_eq!(counted.lasting.len(), 1);
    }
}
