//! What time does: scheduled rotation, due destruction, pauses when the clock is not to be trusted. The clock is moved;
//! nothing waits for real days.

use bytes::Bytes;
use kms_core::time::Timestamp;
use kms_proto::v1::{
    ConfirmClockRequest, DatasetPolicy, DisableVersionRequest, EnableVersionRequest,
    GetDatasetRequest, RestoreVersionRequest, ScheduleVersionDestructionRequest, VersionState,
};
use kms_server::jobs;
use kms_server::serve::Running;
use kms_tests::caller::{Caller, Context, context, dataset_name, reason, using};
use kms_tests::certificate::Authority;
use kms_tests::credentials::Credentials;
use kms_tests::daemon::Role;
use kms_tests::in_process::{DAY, InProcess};
use kms_tests::wire::Wire;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
/// Passes of the jobs (one a minute) that may go by before something due is done.
const PATIENCE: usize = 200;
/// The version that the tests below destroy.
const DOOMED: &str = "datasets/letters/versions/1";

fn duration(time: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(time.as_secs()).unwrap(),
        nanos: 0,
    }
}

fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.as_micros().div_euclid(1_000_000),
        nanos: 0,
    }
}

/// A daemon and two callers. Moving the clock ends idle connections, so callers connect anew after each move.
struct Scene {
    daemon: InProcess,
    running: Running,
    operator: Caller,
    service: Caller,
}

impl Scene {
    async fn new() -> Self {
        Self::serve(InProcess::new()).await
    }

    async fn serve(daemon: InProcess) -> Self {
        let running = daemon.serve().await;
        Self {
            operator: daemon.caller(&running, Role::Operator).await,
            service: daemon.caller(&running, Role::Service).await,
            daemon,
            running,
        }
    }

    /// Stops, lets `time` pass unserved, serves again.
    async fn restart_after(self, time: Duration) -> Self {
        let mut daemon = self.daemon;
        self.running.stop().await;
        daemon.pass_unserved(time);
        Self::serve(daemon).await
    }

    /// Moves both clocks, and waits until the jobs have gone through everything under the new time: the first pass
    /// to end may have begun before, the second did not.
    async fn advance(&mut self, time: Duration) {
        self.daemon.clock.advance(time);
        self.pass().await;
        self.pass().await;
        self.connect().await;
    }

    /// Lets the jobs run once.
    async fn pass(&self) {
        let mut passes = self.running.passes();
        passes.borrow_and_update();
        self.daemon.clock.advance(jobs::PASS_EVERY * 2);
        passes.changed().await.unwrap();
    }

    /// Only wall time leaps.
    async fn step(&mut self, to: Timestamp) {
        self.daemon.clock.step_wall(to);
        self.connect().await;
    }

    async fn connect(&mut self) {
        self.operator = self.daemon.caller(&self.running, Role::Operator).await;
        self.service = self.daemon.caller(&self.running, Role::Service).await;
    }

    async fn state(&self, version: usize) -> VersionState {
        self.operator.versions("letters").await.unwrap()[version - 1].state()
    }

    /// Version 1 comes to be in `wanted`.
    async fn until_state(&self, wanted: VersionState) {
        for _ in 0..PATIENCE {
            if self.state(1).await == wanted {
                return;
            }
            self.pass().await;
        }
        panic!("version 1 does not become {wanted:?}");
    }

    /// It is so, and stays so while jobs have time to do wrong.
    async fn assert_stays(&self, wanted: VersionState) {
        for _ in 0..5 {
            assert_eq!(self.state(1).await, wanted);
            self.pass().await;
        }
    }

    /// There come to be `wanted` versions, and no more.
    async fn until_versions(&self, wanted: usize) {
        let count = async || self.operator.versions("letters").await.unwrap().len();
        for _ in 0..PATIENCE {
            if count().await >= wanted {
                break;
            }
            self.pass().await;
        }
        for _ in 0..5 {
            assert_eq!(count().await, wanted);
            self.pass().await;
        }
    }

    async fn until_paused(&self, wanted: bool) {
        for _ in 0..PATIENCE {
            let status = self.operator.status().await.unwrap();
            if status.timers_paused == wanted {
                assert_eq!(status.timers_paused_reason.is_empty(), !wanted);
                return;
            }
            self.pass().await;
        }
        panic!("timers do not become paused = {wanted}");
    }

    async fn next_rotation(&self) -> i64 {
        let request = GetDatasetRequest {
            name: dataset_name("letters"),
        };
        let answer = self.operator.datasets().get_dataset(request).await;
        let dataset = answer.unwrap().into_inner().dataset.unwrap();
        dataset.next_rotation_at.unwrap().seconds
    }

    async fn make_letters(&self, period: Duration) {
        let policy = DatasetPolicy {
            rotation_period: Some(duration(period)),
            ..DatasetPolicy::default()
        };
        self.operator
            .create_dataset("letters", policy)
            .await
            .unwrap();
    }

    /// Version 1 of `letters`, disabled and due in seven days.
    async fn doom(&self) -> Doomed {
        self.make_letters(DAY * 3_650).await;
        let context = context("tenant", "acme");
        let made = self.service.generate("letters", &context, &[]).await;
        self.operator.rotate("letters").await.unwrap();
        let mut datasets = self.operator.datasets();
        let name = DOOMED.to_owned();
        datasets
            .disable_version(DisableVersionRequest {
                name,
                validate_only: false,
            })
            .await
            .unwrap();
        let request = ScheduleVersionDestructionRequest {
            name: DOOMED.into(),
            waiting_time: Some(duration(DAY * 7)),
            validate_only: false,
        };
        let schedule = async |approval: Option<&String>| {
            let request = using(request.clone(), approval);
            let mut datasets = self.operator.datasets();
            datasets.schedule_version_destruction(request).await
        };
        let answer = self.daemon.insist(schedule).await.unwrap();
        let version = answer.into_inner().version.unwrap();
        let waits = version.destroy_at.unwrap().seconds - timestamp(self.daemon.now()).seconds;
        assert!((waits - 7 * 24 * 3_600).abs() <= 1, "{waits}");
        Doomed {
            wrapped: made.unwrap().into_inner().wrapped_data_key,
            context,
        }
    }

    async fn refusal(&self, doomed: &Doomed) -> String {
        let answer = self.service.unwrap(&doomed.wrapped, &doomed.context).await;
        reason(&answer.unwrap_err())
    }

    async fn restore(&self) -> Result<(), tonic::Status> {
        let name = DOOMED.to_owned();
        let request = RestoreVersionRequest {
            name,
            validate_only: false,
        };
        self.operator
            .datasets()
            .restore_version(request)
            .await
            .map(drop)
    }

    async fn confirm(&self, now: Timestamp) -> Result<(), tonic::Status> {
        let now = Some(timestamp(now));
        let request = ConfirmClockRequest {
            now,
            validate_only: false,
        };
        self.operator
            .system()
            .confirm_clock(request)
            .await
            .map(drop)
    }
}

struct Doomed {
    wrapped: Bytes,
    context: Context,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_keeps_its_schedule() {
    let mut scene = Scene::new().await;
    scene.make_letters(DAY * 30).await;
    let planned = scene.next_rotation().await;
    scene.advance(DAY * 10).await;
    scene.operator.rotate("letters").await.unwrap();
    let unmoved = scene.next_rotation().await;
    assert_eq!(unmoved, planned, "a rotation by hand moves no schedule");
    // Jitter is over a tenth of the period after it.
    scene.advance(DAY * 24).await;
    scene.until_versions(3).await;
    assert!(scene.next_rotation().await > planned);
    // Half a year off: one rotation is caught up, not six.
    let mut scene = scene.restart_after(DAY * 180).await;
    scene.advance(DAY).await;
    scene.until_versions(4).await;
    assert_eq!(scene.state(4).await, VersionState::Active);
    assert_eq!(scene.operator.status().await.unwrap().rotations_overdue, 0);
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_destroyed_when_due_and_not_before() {
    let mut scene = Scene::new().await;
    let doomed = scene.doom().await;
    assert_eq!(scene.refusal(&doomed).await, "VERSION_DISABLED");
    scene.advance(DAY * 6).await;
    scene.assert_stays(VersionState::DestroyScheduled).await;
    scene.advance(DAY * 2).await;
    scene.until_state(VersionState::Destroyed).await;
    assert_eq!(scene.refusal(&doomed).await, "VERSION_DESTROYED");
    // Final, also after a restart.
    assert!(scene.restore().await.is_err());
    let scene = scene.restart_after(HOUR).await;
    assert_eq!(scene.refusal(&doomed).await, "VERSION_DESTROYED");
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_version_is_not_destroyed() {
    let mut scene = Scene::new().await;
    let doomed = scene.doom().await;
    scene.restore().await.unwrap();
    scene.advance(DAY * 30).await;
    scene.assert_stays(VersionState::Disabled).await;
    let name = DOOMED.to_owned();
    let request = EnableVersionRequest {
        name,
        validate_only: false,
    };
    scene
        .operator
        .datasets()
        .enable_version(request)
        .await
        .unwrap();
    scene
        .service
        .unwrap(&doomed.wrapped, &doomed.context)
        .await
        .unwrap();
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_destroys_nothing_until_confirmed() {
    let mut scene = Scene::new().await;
    scene.doom().await;
    // A wrong time server: the wall clock leaps, the machine has lived for no time at all.
    let truth = scene.daemon.now();
    scene.step(truth.saturating_add(DAY * 60)).await;
    scene.advance(HOUR * 3).await;
    scene.until_paused(true).await;
    scene.assert_stays(VersionState::DestroyScheduled).await;
    // Who confirms must know the time.
    assert!(scene.confirm(truth).await.is_err());
    scene.confirm(scene.daemon.now()).await.unwrap();
    scene.advance(HOUR * 3).await;
    scene.until_paused(false).await;
    scene.until_state(VersionState::Destroyed).await;
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_years_forward_and_back_destroy_nothing() {
    let mut scene = Scene::new().await;
    scene.doom().await;
    let truth = scene.daemon.now();
    scene
        .daemon
        .clock
        .step_wall(truth.saturating_add(DAY * 3_652));
    scene.daemon.clock.advance(HOUR * 3);
    // Certificates are out of date by now, so nobody can ask until the clock is right again.
    scene.step(truth.saturating_add(HOUR * 3)).await;
    scene.assert_stays(VersionState::DestroyScheduled).await;
    scene.advance(HOUR * 3).await;
    scene.assert_stays(VersionState::DestroyScheduled).await;
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_long_after_the_mark_pauses_timers() {
    let scene = Scene::new().await;
    scene.doom().await;
    let mut scene = scene.restart_after(DAY * 20).await;
    scene.until_paused(true).await;
    scene.advance(HOUR * 3).await;
    scene.assert_stays(VersionState::DestroyScheduled).await;
    scene.confirm(scene.daemon.now()).await.unwrap();
    scene.advance(HOUR * 3).await;
    scene.until_state(VersionState::Destroyed).await;
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_cost_one_entry_in_ten_seconds() {
    let scene = Scene::new().await;
    let profile = scene.daemon.installation.profile(Role::Operator);
    let stranger = Authority::new("stranger").client("spiffe://crm.example/operator/alice");
    let credentials = Credentials::presenting(&profile, &stranger);
    for _ in 0..20 {
        // TLS 1.3 tells a client of its refusal with the first answer; tonic then tries again.
        if let Ok(wire) = Wire::connect(scene.running.address(), &credentials).await {
            let path = "/kms.v1.SystemService/GetStatus";
            wire.raw(path, Bytes::new()).await.unwrap_err();
        }
    }
    let before = scene.operator.entries(0).await.unwrap();
    assert!(before.iter().all(|entry| entry.kind != "counted"));
    scene.daemon.clock.advance(Duration::from_secs(11));
    loop {
        let entries = scene.operator.entries(0).await.unwrap();
        let counted = entries.iter().filter(|entry| entry.kind == "counted");
        let counted: Vec<u32> = counted.map(|entry| entry.count).collect();
        if let [count] = counted[..] {
            assert!(count >= 20, "{count}");
            scene.running.stop().await;
            return;
        }
        assert!(counted.is_empty(), "{counted:?}");
        scene.pass().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_calls_costs_one_sync() {
    let scene = Scene::new().await;
    let before = scene.running.audit().figures();
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..64 {
        let service = scene.service.clone();
        calls.spawn(async move {
            for _ in 0..50 {
                let context = context("tenant", &format!("t{n}"));
                service.generate("files", &context, &[]).await.unwrap();
            }
        });
    }
    while let Some(ended) = calls.join_next().await {
        ended.unwrap();
    }
    let after = scene.running.audit().figures();
    let (groups, syncs) = (after.groups - before.groups, after.syncs - before.syncs);
    let entries = after.entries - before.entries;
    println!("{entries} entries, {groups} groups, {syncs} syncs");
    assert!(entries >= 64 * 50);
    assert!(syncs <= groups, "{syncs} syncs for {groups} groups");
    // how many calls share a group is the disk's affair: the log's own tests hold the committer still
    assert!(groups <= entries);
    scene.running.stop().await;
}
