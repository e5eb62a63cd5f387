//! How a receiver stands: where it is, and what went wrong last. For the status; decides nothing.

use kms_core::time::Timestamp;
use std::time::Duration;

/// The first wait after a failure; each further one doubles it.
const WAIT_FIRST: Duration = Duration::from_secs(1);
/// The longest.
const WAIT_MAX: Duration = Duration::from_mins(5);
/// From so many failures in a row on it is an alarm.
const ALARM_AFTER: u32 = 3;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The next entry to be sent; `None` before it is known.
    pub next: Option<u64>,
    /// When something was taken last.
    pub taken_at: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// Why, the last time.
    pub problem: Option<String>,
    /// Entries that it never gets because they could not be read.
    pub skipped: u64,
}

impl Standing {
    /// Everything below `next` was taken.
    pub fn taken(&mut self, next: u64, now: Timestamp) {
        self.next = Some(next);
        self.taken_at = Some(now);
        self.failures = 0;
        self.problem = None;
    }

    /// Not taken; how long to wait before the next attempt.
    pub fn failed(&mut self, problem: String) -> Duration {
        let doubled = WAIT_FIRST.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        self.problem = Some(problem);
        doubled.min(WAIT_MAX)
    }

    /// What an operator must hear.
    #[must_use]
    pub fn alarm(&self, name: &str) -> Option<String> {
        let problem = self.problem.as_deref()?;
        let next = self.next.unwrap_or(0);
        (self.failures >= ALARM_AFTER).then(|| {
            format!("the audit log is not forwarded to {name}, from entry {next} on: {problem}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_to_five_minutes_and_begin_anew_after_success() {
        let mut standing = Standing::default();
        let waits: Vec<u64> = (0..11)
            .map(|_| standing.failed("refused".into()).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert!(standing.alarm("siem").unwrap().contains("refused"));
        standing.taken(7, Timestamp::default());
        assert_eq!(standing.alarm("siem"), None);
        assert_eq!(standing.failed("refused".into()).as_secs(), 1);
        assert_eq!(standing.alarm("siem"), None, "once is no alarm");
    }
}
