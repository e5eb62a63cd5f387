//! The daemon inside the test's own process, over real sockets, with a clock that the test moves.
//!
//! The installation is made by the real program first; only the clock is not the system's.

use crate::caller::{Caller, approval, reason};
use crate::daemon::{Installation, Role};
use crate::operator::Person;
use crate::wire::Wire;
use kms_core::cipher::system_entropy::SystemEntropy;
use kms_core::time::Timestamp;
use kms_server::config::Config;
use kms_server::serve::{Running, Start, serve};
use kms_server::system::clock::{Clock, ManualClock, SystemClock};
use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::Status;

/// Of the small team of a development installation.
pub const SMALL_TEAM_DELAY: Duration = Duration::from_secs(1);
/// A day.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An installation that is served inside this process when it is served.
#[derive(Debug)]
pub struct InProcess {
    /// Files, profiles, certificates.
    pub installation: Installation,
    /// Moves when it is told.
    pub clock: Arc<ManualClock>,
    /// Sessions outlive connections, so persons do too; the daemon's end ends them.
    people: Mutex<HashMap<&'static str, Person>>,
}

impl Default for InProcess {
    fn default() -> Self {
        Self::new()
    }
}

impl InProcess {
    /// A fresh installation; the clock begins at the system's time.
    ///
    /// # Panics
    /// When the real daemon does not start or stop.
    #[must_use]
    pub fn new() -> Self {
        let installation = Installation::new();
        assert!(installation.start().terminate().success());
        let now = SystemClock::new().now();
        Self {
            installation,
            clock: Arc::new(ManualClock::new(now)),
            people: Mutex::default(),
        }
    }

    /// Wall time as the daemon sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A machine that was off for `time`: wall time goes on, monotonic time begins anew. Only while not served.
    pub fn pass_unserved(&mut self, time: Duration) {
        self.clock = Arc::new(ManualClock::new(self.now().saturating_add(time)));
    }

    /// Serves on a free port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn serve(&self) -> Running {
        self.serve_with(|_| {}).await
    }

    /// The configuration that the installation was made with.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn config(&self) -> Config {
        let config = Config::load(&self.installation.dir().join("kms.toml"));
        config.expect("the configuration that dev wrote")
    }

    /// Serves on a free port, configured otherwise: also as no file may say.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn serve_with(&self, change: impl FnOnce(&mut Config)) -> Running {
        self.people.lock().expect("no poison").clear();
        let mut config = self.config();
        change(&mut config);
        let start = Start {
            config,
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy::new()),
            listener: TcpListener::bind("127.0.0.1:0").expect("a free port"),
            datasets: Vec::new(),
        };
        let started = tokio::task::spawn_blocking(move || serve(start)).await;
        started
            .expect("the start does not panic")
            .unwrap_or_else(|failure| panic!("no start: {failure}"))
    }

    /// Makes a marked call as the small team of a development installation does: asks, lets the delay pass, asks
    /// again with the approval. What needs none is asked once.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn insist<T>(
        &self,
        call: impl AsyncFn(Option<&String>) -> Result<T, Status>,
    ) -> Result<T, Status> {
        match call(None).await {
            Err(status) if reason(&status) == "APPROVAL_REQUIRED" => {
                let pending = approval(&status);
                self.clock.advance(SMALL_TEAM_DELAY);
                call(pending.as_ref()).await
            }
            other => other,
        }
    }

    /// A connection as `role`.
    ///
    /// # Panics
    /// When there is none.
    pub async fn caller(&self, running: &Running, role: Role) -> Caller {
        let credentials = self.installation.credentials(role);
        let wire = Wire::connect(running.address(), &credentials).await;
        let profile = self.installation.profile(role);
        let mut people = self.people.lock().expect("no poison");
        let known = people.get(role.name()).cloned();
        let person = known.or_else(|| Person::of(&profile, self.clock.clone()));
        if let Some(person) = &person {
            people.insert(role.name(), person.clone());
        }
        Caller::new(wire.expect("a connection").with_person(person))
    }
}
