//! Calls that were shed or not authenticated: one entry for each source and reason in ten seconds, so that
//! strangers cannot fill the disk. Bounded: with too many sources at once, the rest counts without a source.

use super::{AuditLog, Space, Submission, lock};
use crate::system::clock::Clock;
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::Duration;

/// How long one entry counts.
pub const WINDOW: Duration = Duration::from_secs(10);
/// Most rows with a source in one window.
const ROWS_MAX: usize = 1_024;

/// One row of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Address; of IPv6 the /64; `None` for what was too many.
    pub source: Option<IpAddr>,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub from: Timestamp,
    /// The last of them.
    pub until: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    count: u64,
    from: Timestamp,
    until: Timestamp,
}

/// The table.
#[derive(Debug, Default)]
pub struct CountedCalls {
    rows: Mutex<HashMap<(Option<IpAddr>, Reason), Count>>,
}

impl CountedCalls {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts one call.
    pub fn note(&self, source: IpAddr, reason: Reason, now: Timestamp) {
        self.add(Row {
            source: Some(network(source)),
            reason,
            count: 1,
            from: now,
            until: now,
        });
    }

    fn add(&self, row: Row) {
        let mut rows = lock(&self.rows);
        let known = rows.contains_key(&(row.source, row.reason));
        let source = row.source.filter(|_| known || rows.len() < ROWS_MAX);
        let count = rows.entry((source, row.reason)).or_insert(Count {
            count: 0,
            from: row.from,
            until: row.until,
        });
        count.count = count.count.saturating_add(row.count);
        count.from = count.from.min(row.from);
        count.until = count.until.max(row.until);
    }

    /// Takes all rows out, in no order.
    #[must_use]
    pub fn take(&self) -> Vec<Row> {
        let keys: Vec<_> = lock(&self.rows).keys().copied().collect();
        keys.into_iter()
            .filter_map(|key| self.take_row(key))
            .collect()
    }

    fn take_row(&self, key: (Option<IpAddr>, Reason)) -> Option<Row> {
        let count = lock(&self.rows).remove(&key)?;
        let (source, reason) = key;
        Some(Row {
            source,
            reason,
            count: count.count,
            from: count.from,
            until: count.until,
        })
    }

    /// Writes what was counted: one leaf a row, made by `encode`. What cannot be written stays counted, and so does
    /// what has not had its turn when the future is dropped.
    pub async fn flush(&self, log: &AuditLog, encode: impl Fn(&Row) -> Option<Vec<u8>>) {
        let keys: Vec<_> = lock(&self.rows).keys().copied().collect();
        for key in keys {
            let Some(row) = self.take_row(key) else {
                continue;
            };
            let Some(leaf) = encode(&row) else {
                self.add(row);
                continue;
            };
            let submission = Submission {
                leaves: vec![leaf],
                usage: Vec::new(),
                space: Space::Data,
            };
            if log.append(submission).await.is_err() {
                self.add(row);
            }
        }
    }

    /// Flushes every [`WINDOW`] of the clock's monotonic time, for ever; run it as a task and drop it.
    pub async fn run(
        &self,
        clock: &dyn Clock,
        log: &AuditLog,
        encode: impl Fn(&Row) -> Option<Vec<u8>>,
    ) {
        let mut next = clock.monotonic() + WINDOW;
        loop {
            clock.wait_until(next).await;
            // after a long pause the next window is a whole one again
            next = clock.monotonic() + WINDOW;
            self.flush(log, &encode).await;
        }
    }
}

/// What one host can make up at will counts as one: the lower 64 bits of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => {
            let bits = u128::from(six) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(bits))
        }
        other => other,
    }
}
