//! The one place that reads a clock. Tests hand in a [`ManualClock`] and move it; nothing sleeps.

use kms_core::time::Timestamp;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// A boxed future, so that the clock can be a trait object.
pub type Wait<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Wall time, monotonic time and waiting.
pub trait Clock: Send + Sync + 'static {
    /// Wall time.
    fn now(&self) -> Timestamp;
    /// Time since some point in the process's life; never goes back.
    fn monotonic(&self) -> Duration;
    /// Ends when [`Clock::monotonic`] has reached `at`.
    fn wait_until(&self, at: Duration) -> Wait<'_>;
}

/// The operating system's clocks.
#[derive(Debug)]
pub struct SystemClock(Instant);

impl SystemClock {
    /// Monotonic time starts now.
    #[must_use]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
        };
        Timestamp::from_micros(micros)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    fn wait_until(&self, at: Duration) -> Wait<'_> {
        let left = at.saturating_sub(self.monotonic());
        Box::pin(tokio::time::sleep(left))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    time: Mutex<(Timestamp, Duration)>,
    moved: watch::Sender<()>,
}

impl ManualClock {
    /// Stands at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            time: Mutex::new((now, Duration::ZERO)),
            moved: watch::Sender::new(()),
        }
    }

    /// Both clocks move on by `by`.
    pub fn advance(&self, by: Duration) {
        self.set(|(wall, monotonic)| (wall.saturating_add(by), monotonic.saturating_add(by)));
    }

    /// Only wall time is set, as by a wrong time server.
    pub fn step_wall(&self, to: Timestamp) {
        self.set(|(_, monotonic)| (to, monotonic));
    }

    fn read(&self) -> (Timestamp, Duration) {
        *self
            .time
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn set(&self, change: impl FnOnce((Timestamp, Duration)) -> (Timestamp, Duration)) {
        {
            let mut time = self
                .time
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            *time = change(*time);
        }
        self.moved.send_replace(());
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.read().0
    }

    fn monotonic(&self) -> Duration {
        self.read().1
    }

    fn wait_until(&self, at: Duration) -> Wait<'_> {
        let mut moved = self.moved.subscribe();
        Box::pin(async move {
            while self.monotonic() < at {
                if moved.changed().await.is_err() {
                    return;
                }
            }
        })
    }
}
