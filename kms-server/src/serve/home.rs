//! The daemon's own thread: publishing, jobs, counted entries, reloading. Never answers a call.

use super::assembly::other;
use crate::call::road::Road;
use crate::call::{Lane, Service};
use crate::config::SynchronisedProbe;
use crate::identity::Identity;
use crate::jobs;
use crate::live::gate::{Gate, NotUnsealed};
use crate::live::opening::OpenError;
use crate::seal::UnsealError;
use crate::seal::passphrase::Passphrase;
use crate::store::{LoadError, StoreError};
use crate::system::clock::Clock;
use crate::system::failure::{Failure, FailureKind};
use crate::system::private_file;
use kms_core::engine::NewDataset;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, LocalOptions};
use tokio::sync::{Notify, oneshot, watch};

/// Datasets that are made if they do not exist.
pub type NewDatasets = Vec<NewDataset>;

/// What is to be read again on request.
#[derive(Debug, Clone)]
pub(super) struct Reload {
    files: Arc<Notify>,
    policies: Arc<Notify>,
    directory: Option<PathBuf>,
}

impl Reload {
    /// Policies lie in `directory`.
    pub(super) fn new(directory: Option<PathBuf>) -> Self {
        Self {
            files: Arc::default(),
            policies: Arc::default(),
            directory,
        }
    }

    /// Asks for it.
    pub(super) fn notify(&self) {
        self.files.notify_one();
        self.policies.notify_one();
    }
}

/// Reads policies whenever asked; never ends.
async fn reload_policies(service: &Service, lane: &Lane, asked: &Notify, directory: Option<&Path>) {
    loop {
        asked.notified().await;
        if let Some(directory) = directory {
            service.reload_policies(lane, directory).await;
        }
    }
}

struct Work {
    service: Arc<Service>,
    identity: Arc<Identity>,
    reload: Reload,
    datasets: NewDatasets,
    probe: Option<SynchronisedProbe>,
    passes: watch::Sender<u64>,
    ready: mpsc::Sender<Result<(), Failure>>,
}

/// See the module.
pub(super) struct Home {
    handle: Handle,
    work: mpsc::Sender<Work>,
    begin: Arc<Notify>,
    stage: watch::Sender<Stage>,
    jobs_ended: Option<oneshot::Receiver<()>>,
    thread: JoinHandle<()>,
}

/// Unseals by itself as soon as enough anchors vouch for the log, or until somebody else has.
pub(super) struct UnsealAgain {
    /// Of the passphrase.
    file: PathBuf,
    clock: Arc<dyn Clock>,
    /// Of the next try, on the monotonic clock.
    next: Duration,
}

impl UnsealAgain {
    /// Between two tries.
    const EVERY: Duration = Duration::from_secs(10);

    /// The first try comes that long after now.
    pub(super) fn new(file: PathBuf, clock: Arc<dyn Clock>) -> Self {
        let next = clock.monotonic().saturating_add(Self::EVERY);
        Self { file, clock, next }
    }

    async fn run(mut self, gate: Arc<Gate>) {
        while gate.live().is_none() {
            self.clock.wait_until(self.next).await;
            self.next = self.clock.monotonic().saturating_add(Self::EVERY);
            let Ok(passphrase) = private_file::read_secret(&self.file) else {
                continue;
            };
            match gate.unseal(Passphrase::new(passphrase)).await {
                Err(NotUnsealed::NotAnchored(_)) => {}
                Err(error) => return tracing::error!(%error, "not unsealed, and not tried again"),
                Ok(()) => return tracing::info!("unsealed: the anchors vouch for the log"),
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Jobs and publishing.
    Working,
    /// Publishing alone.
    JobsOver,
    /// Nothing.
    Over,
}

async fn reached(stage: &mut watch::Receiver<Stage>, wanted: Stage) {
    // an error means that the other end is gone: everything is over
    let _ = stage.wait_for(|stage| *stage >= wanted).await;
}

impl Home {
    /// Starts the thread; its runtime runs what is spawned on [`Home::handle`].
    pub(super) fn new() -> io::Result<Self> {
        let (told, handle) = mpsc::channel();
        let (work, waiting) = mpsc::channel();
        let (over, jobs_ended) = oneshot::channel();
        let begin = Arc::new(Notify::new());
        let begun = Arc::clone(&begin);
        let stage = watch::Sender::new(Stage::Working);
        let mut at = stage.subscribe();
        let thread = std::thread::Builder::new()
            .name("kms-home".to_owned())
            .spawn(move || {
                let runtime = Builder::new_current_thread()
                    .enable_all()
                    .build_local(LocalOptions::default());
                let runtime = match runtime {
                    Ok(runtime) => runtime,
                    Err(error) => return drop(told.send(Err(error))),
                };
                let _ = told.send(Ok(runtime.handle().clone()));
                runtime.block_on(async {
                    tokio::select! {
                        () = run(&waiting, &begun) => {}
                        () = reached(&mut at, Stage::JobsOver) => {}
                    }
                });
                let _ = over.send(());
                // publishing goes on until the store's writer has ended
                runtime.block_on(reached(&mut at, Stage::Over));
            })?;
        let handle = handle
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("it did not start")))?;
        Ok(Self {
            handle,
            work,
            begin,
            stage,
            jobs_ended: Some(jobs_ended),
            thread,
        })
    }

    /// Where publishing lives.
    pub(super) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Unseals and waits for it. While anchors do not vouch for the log it stays sealed, and is tried again.
    pub(super) fn unseal(
        &self,
        gate: &Arc<Gate>,
        passphrase: Passphrase,
        again: UnsealAgain,
    ) -> Result<(), Failure> {
        let (gate, gate_too) = (Arc::clone(gate), Arc::clone(gate));
        let (told, end) = mpsc::channel();
        self.handle.spawn(async move {
            let _ = told.send(gate.unseal(passphrase).await);
        });
        let end = end
            .recv()
            .map_err(|error| other("unsealing ended early", &error))?;
        match end {
            Err(NotUnsealed::NotAnchored(refused)) => {
                tracing::error!(%refused, "stays sealed");
                self.handle.spawn(again.run(gate_too));
                Ok(())
            }
            end => end.map_err(failure),
        }
    }

    /// Starts the jobs; returns when the datasets are there, with the count of the jobs' passes.
    pub(super) fn start(
        &self,
        service: Arc<Service>,
        identity: Arc<Identity>,
        reload: Reload,
        datasets: NewDatasets,
        probe: Option<SynchronisedProbe>,
    ) -> Result<watch::Receiver<u64>, Failure> {
        let passes = watch::Sender::new(0);
        let counted = passes.subscribe();
        let (ready, made) = mpsc::channel();
        let work = Work {
            service,
            identity,
            reload,
            datasets,
            probe,
            passes,
            ready,
        };
        let sent = self.work.send(work);
        sent.map_err(|error| other("the jobs do not start", &error))?;
        self.begin.notify_one();
        made.recv()
            .map_err(|error| other("the jobs ended early", &error))??;
        Ok(counted)
    }

    /// Ends the jobs; publishing goes on.
    pub(super) async fn stop_jobs(&mut self) {
        self.stage.send_replace(Stage::JobsOver);
        if let Some(ended) = self.jobs_ended.take() {
            // an error says the same: they are over
            let _ = ended.await;
        }
    }

    /// Ends the thread.
    pub(super) async fn finish(self) {
        self.stage.send_replace(Stage::Over);
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        if !matches!(joined, Ok(Ok(()))) {
            tracing::error!("the daemon's own thread panicked");
        }
    }
}

async fn run(waiting: &mpsc::Receiver<Work>, begun: &Notify) {
    begun.notified().await;
    let Ok(work) = waiting.try_recv() else {
        return std::future::pending().await;
    };
    let lane = work.service.lane();
    let mut made = Ok(());
    // sealed, because the anchors do not vouch for the log, it makes none
    let unsealed = work.service.gate().live().is_some();
    for dataset in work.datasets.into_iter().filter(|_| unsealed) {
        if let Err(refusal) = work.service.make_dataset(&lane, dataset).await {
            made = Err(other("a sample dataset cannot be made", &refusal));
        }
    }
    let _ = work.ready.send(made);
    let service = &*work.service;
    tokio::join!(
        jobs::run(service, &lane, work.probe, &work.passes),
        service.count_strangers(),
        service.keep_checkpoints(),
        service.keep_log_head(),
        service.gate().anchors().run(service.audit()),
        work.identity.keep_fresh(work.reload.files),
        reload_policies(
            service,
            &lane,
            &work.reload.policies,
            work.reload.directory.as_deref()
        ),
    );
}

fn failure(error: NotUnsealed) -> Failure {
    let kind = match &error {
        NotUnsealed::Seal(UnsealError::WrongPassphrase | UnsealError::NoSuchSeal) => {
            FailureKind::WrongPassphrase
        }
        NotUnsealed::Seal(UnsealError::Altered)
        | NotUnsealed::OtherInstance(_)
        | NotUnsealed::Open(
            OpenError::SealsExchanged
            | OpenError::OtherInstance
            | OpenError::StoreBehindLog { .. }
            | OpenError::Load(
                LoadError::NotCreated
                | LoadError::RootDamaged
                | LoadError::SystemKeysDamaged
                | LoadError::Store(StoreError::Corrupted),
            ),
        ) => FailureKind::Corrupted,
        NotUnsealed::Open(OpenError::Load(LoadError::Store(StoreError::Full))) => {
            FailureKind::DiskFull
        }
        NotUnsealed::Seal(_)
        | NotUnsealed::Open(_)
        | NotUnsealed::NotAnchored(_)
        | NotUnsealed::NotOverridden(_) => FailureKind::Other,
    };
    Failure::new(kind, error.to_string())
}
