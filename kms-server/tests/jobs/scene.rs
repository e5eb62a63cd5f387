//! A daemon on a development installation, with a clock that stands still until it is moved.

use kms_core::cipher::system_entropy::SystemEntropy;
use kms_core::engine::NewDataset;
use kms_core::key::record::{
    DatasetPolicy, Expect, Record, RecordKey, TimeMark, VersionRecord, VersionState, Write,
};
use kms_core::key::rotation::PERIOD_DEFAULT;
use kms_core::name::{CallId, DatasetName, Labels, RetentionClass, SecretKind, VersionNumber};
use kms_core::time::Timestamp;
use kms_server::audit_log::AuditLog;
use kms_server::config::SynchronisedProbe;
use kms_server::dev::{Options, prepare};
use kms_server::live::{Live, Submitted};
use kms_server::serve::{Running, Start, serve};
use kms_server::system::clock::{Clock, ManualClock};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

pub(crate) struct Scene {
    pub(crate) clock: Arc<ManualClock>,
    place: TempDir,
    runtime: Runtime,
    running: Option<Running>,
    probe: Option<PathBuf>,
    passes: u64,
}

pub(crate) fn dataset(name: &str, required: &[SecretKind]) -> NewDataset {
    NewDataset {
        name: DatasetName::parse(name).unwrap(),
        policy: DatasetPolicy {
            rotation_period: PERIOD_DEFAULT,
            required_secrets: required.to_vec(),
            retention_classes: vec![RetentionClass::parse("customer").unwrap()],
            lasting_context_keys: Vec::new(),
        },
        labels: Labels::default(),
        deletion_protection: false,
    }
}

impl Scene {
    /// A new installation on 2026-11-24, with these datasets, its jobs' first pass behind it.
    pub(crate) fn new(datasets: Vec<NewDataset>) -> Self {
        let now = Timestamp::from_micros(1_795_478_400_000_000);
        let mut scene = Self {
            clock: Arc::new(ManualClock::new(now)),
            place: tempfile::tempdir().unwrap(),
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            running: None,
            probe: None,
            passes: 0,
        };
        scene.start(datasets);
        scene
    }

    pub(crate) fn start(&mut self, datasets: Vec<NewDataset>) {
        let options = Options {
            directory: self.place.path().join("dev"),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            tree: true,
        };
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as _;
        let entropy = Arc::new(SystemEntropy::new());
        let prepared = prepare(&options, &clock, &*entropy).unwrap();
        let mut config = prepared.config;
        config.clock.synchronised = self.probe.clone().map(SynchronisedProbe::File);
        let running = serve(Start {
            config,
            clock,
            entropy,
            listener: prepared.listener,
            datasets,
        });
        self.running = Some(running.unwrap());
        self.passes = 0;
        self.pass();
    }

    /// Stops in good order.
    pub(crate) fn stop(&mut self) {
        let running = self.running.take().unwrap();
        self.runtime.block_on(running.stop());
    }

    /// From the next start on the clock counts as synchronised while this file of the place exists.
    pub(crate) fn ask_file(&mut self) -> PathBuf {
        let file = self.place.path().join("synchronised");
        self.probe = Some(file.clone());
        file
    }

    pub(crate) fn live(&self) -> Arc<Live> {
        self.running.as_ref().unwrap().gate().live().unwrap()
    }

    pub(crate) fn audit(&self) -> &AuditLog {
        self.running.as_ref().unwrap().audit()
    }

    /// Waits for the end of the next pass.
    pub(crate) fn pass(&mut self) {
        let mut passes = self.running.as_ref().unwrap().passes();
        let wanted = self.passes + 1;
        let reached = self.runtime.block_on(passes.wait_for(|n| *n >= wanted));
        self.passes = *reached.unwrap();
    }

    /// Both clocks move on; a pass follows.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.clock.advance(by);
        self.pass();
    }

    pub(crate) fn mark(&self) -> TimeMark {
        self.live().state.time_mark().0
    }

    /// As an operator who confirms the clock.
    pub(crate) fn confirm(&self) {
        let mark = TimeMark {
            high_water: self.clock.now(),
            paused: false,
        };
        self.write(Write {
            key: RecordKey::time_mark(),
            expect: Expect::Anything,
            record: Some(Record::TimeMark(mark)),
        });
    }

    pub(crate) fn write(&self, write: Write) {
        let live = self.live();
        let submitted = live.submit(Submitted {
            id: CallId([7; 16]),
            writes: vec![write],
            leaves: Vec::new(),
            generation: live.state.generation(),
            restricts: false,
            usage: Vec::new(),
        });
        self.runtime.block_on(submitted).unwrap();
    }

    pub(crate) fn state(&self, name: &str, number: u32) -> Option<VersionState> {
        let name = DatasetName::parse(name).unwrap();
        let held = self.live().state.hold();
        let dataset = held.snapshot.by_name(&name).unwrap();
        let number = VersionNumber::new(number).unwrap();
        Some(dataset.versions.get(&number)?.record.state)
    }

    pub(crate) fn next_rotation(&self, name: &str) -> Timestamp {
        let name = DatasetName::parse(name).unwrap();
        let held = self.live().state.hold();
        let dataset = held.snapshot.by_name(&name).unwrap();
        dataset.record.next_rotation_at
    }

    /// A version beside the ACTIVE one, its destruction scheduled.
    pub(crate) fn doom(&self, name: &str, number: u32, at: Timestamp) {
        let held = self.live().state.hold();
        let dataset = held.snapshot.by_name(&DatasetName::parse(name).unwrap());
        let key_id = dataset.unwrap().record.key_id;
        let number = VersionNumber::new(number).unwrap();
        let record = VersionRecord {
            key_id,
            number,
            state: VersionState::DestroyScheduled { at },
            compromised: None,
            created_at: self.clock.now(),
            key: Some(kms_core::secret::VersionKey::take_bytes(&mut [7; 32])),
        };
        drop(held);
        self.write(Write {
            key: RecordKey::version(key_id, number),
            expect: Expect::Absent,
            record: Some(Record::Version(record)),
        });
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if self.running.is_some() && !std::thread::panicking() {
            self.stop();
        }
    }
}
