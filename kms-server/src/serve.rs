//! Puts the daemon together from a configuration, a clock, a random source and a listener, and takes it
//! apart again in order. Tests start it here with a clock of their own.

mod assembly;
mod home;

pub use home::NewDatasets;

use crate::audit_log::AuditLog;
use crate::call::Service;
use crate::config::Config;
use crate::grpc;
use crate::live::gate::Gate;
use crate::seal::passphrase::Passphrase;
use crate::system::clock::Clock;
use crate::system::failure::Failure;
use crate::system::lock::DirectoryLock;
use crate::system::private_file;
use assembly::Assembled;
use home::{Home, Reload, UnsealAgain};
use kms_core::audit::leaf::SystemEvent;
use kms_core::entropy::Entropy;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::sync::watch;

/// What a daemon is made from.
pub struct Start {
    /// How it is to be.
    pub config: Config,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Bound already.
    pub listener: TcpListener,
    /// Datasets to be made if they do not exist; only the development command has any.
    pub datasets: NewDatasets,
}

/// A daemon that serves.
pub struct Running {
    network: grpc::Running,
    service: Arc<Service>,
    gate: Arc<Gate>,
    audit: AuditLog,
    home: Home,
    passes: watch::Receiver<u64>,
    reload: Reload,
    // held to the last
    _lock: DirectoryLock,
}

/// Starts a daemon; calls are answered when this returns. Blocks for a moment: never call it on a runtime's
/// own thread.
///
/// # Errors
/// [`Failure`] in one line; nothing is left running.
pub fn serve(start: Start) -> Result<Running, Failure> {
    let file = start.config.seal.passphrase_file.clone();
    let passphrase = match &file {
        None => None,
        Some(path) => Some((Passphrase::new(private_file::read_secret(path)?), path)),
    };
    let Assembled {
        lock,
        service,
        gate,
        audit,
        identity,
        home,
    } = assembly::assemble(&start)?;
    service.record(SystemEvent::Start, env!("CARGO_PKG_VERSION"));
    if let Some((passphrase, path)) = passphrase.filter(|_| !service.only_reports()) {
        let again = UnsealAgain::new(path.clone(), Arc::clone(&start.clock));
        home.unseal(&gate, passphrase, again)
            .map_err(|failure| failure.beside(path))?;
    }
    // before anybody can connect: what was approved may be another authority's than the files'
    service.enforce_trust();
    let reload = Reload::new(start.config.policies.clone());
    let passes = home.start(
        Arc::clone(&service),
        Arc::clone(&identity),
        reload.clone(),
        start.datasets,
        start.config.clock.synchronised.clone(),
    )?;
    let settings = grpc::Settings {
        identity,
        clock: Arc::clone(&start.clock),
        limits: assembly::limits(&start.config),
        web_origins: start.config.server.web_origins.clone(),
        reflection: start.config.server.reflection,
        sealed: gate.sealed(),
    };
    let network = grpc::start(start.listener, Arc::clone(&service), settings)
        .map_err(|error| assembly::other("the network cannot be served", &error))?;
    Ok(Running {
        network,
        service,
        gate,
        audit,
        home,
        passes,
        reload,
        _lock: lock,
    })
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.network.address()
    }

    /// Reads certificates, revocation lists and policies again.
    pub fn reload(&self) {
        self.reload.notify();
    }

    /// What the network side is busy with.
    #[must_use]
    pub fn counts(&self) -> grpc::Counts {
        self.network.counts()
    }

    /// Passwords hashed so far, for tests of what a guess costs.
    #[must_use]
    pub fn passwords_hashed(&self) -> u64 {
        self.service.passwords_hashed()
    }

    /// Counts the passes that the jobs have ended.
    #[must_use]
    pub fn passes(&self) -> watch::Receiver<u64> {
        self.passes.clone()
    }

    /// The log, for its figures.
    #[must_use]
    pub const fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// Sealed or not, and the store behind it, for its figures.
    #[must_use]
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Stops accepting, finishes what is in flight (at most ten seconds), ends the jobs, flushes and closes
    /// store and log.
    pub async fn stop(mut self) {
        self.network.stop().await;
        self.home.stop_jobs().await;
        self.service.write_counted().await;
        self.gate.seal().await;
        self.home.finish().await;
        self.service.record(SystemEvent::Stop, "");
        let audit = self.audit;
        let closed = tokio::task::spawn_blocking(move || {
            audit.close();
            audit.figures()
        });
        // an error would say that closing panicked: there is nothing left to do about it
        if let Ok(figures) = closed.await {
            let (entries, groups, syncs) = (figures.entries, figures.groups, figures.syncs);
            tracing::info!(entries, groups, syncs, "audit log closed");
        }
    }
}
