//! The daemon's clock as TLS wants it: validity of certificates is judged by the same time as everything else.

use super::clock::Clock;
use kms_core::time::Timestamp;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;
use std::sync::Arc;
use std::time::Duration;

/// The daemon's clock for rustls.
#[must_use]
pub fn clock_time(clock: &Arc<dyn Clock>) -> Arc<dyn TimeProvider> {
    Arc::new(ClockTime(Arc::clone(clock)))
}

/// A time for rustls; what lies before 1970 is 1970.
#[must_use]
pub fn unix_time(time: Timestamp) -> UnixTime {
    let seconds = u64::try_from(time.as_micros() / 1_000_000).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}

struct ClockTime(Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.0.now()))
    }
}

impl std::fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClockTime")
    }
}
