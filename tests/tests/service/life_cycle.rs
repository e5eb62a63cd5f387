//! What time does: scheduled rotation, due destruction, pauses when the clock is not to be trusted. The clock is moved;
//! nothing waits for real days.

use bytes::Bytes;
use kms_core::time::Timestamp;
use kms_proto::v1::{
    ConfirmClockRequest, DatasetPolicy, DisableVersionRequest, GetDatasetRequest,
    RestoreVersionRequest, ScheduleVersionDestructionRequest, VersionState,
};
use kms_tests::caller::{Caller, Context, context, dataset_name, reason};
use kms_tests::certificate::Authority;
use kms_tests::credentials::Credentials;
use kms_tests::daemon::Role;
use kms_tests::in_process::{DAY, InProcess};
use kms_tests::wire::Wire;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
/// Jobs run beside calls: a change that a job owes is asked for until it is there. So many answers without it mean
/// that it does not come.
const PATIENCE: usize = 3_000;

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

async fn state(operator: &Caller, dataset: &str, version: usize) -> VersionState {
    operator.versions(dataset).await.unwrap()[version - 1].state()
}

/// Asks until the version is in `wanted`.
async fn until_state(operator: &Caller, dataset: &str, version: usize, wanted: VersionState) {
    for _ in 0..PATIENCE {
        if state(operator, dataset, version).await == wanted {
            return;
        }
    }
    panic!("version {version} of {dataset} does not become {wanted:?}");
}

/// Asks until there are `wanted` versions, and a little longer: there are not more.
async fn until_versions(operator: &Caller, dataset: &str, wanted: usize) {
    for _ in 0..PATIENCE {
        if operator.versions(dataset).await.unwrap().len() >= wanted {
            break;
        }
    }
    for _ in 0..50 {
        assert_eq!(
            operator.versions(dataset).await.unwrap().len(),
            wanted,
            "{dataset}"
        );
    }
}

async fn next_rotation(operator: &Caller, dataset: &str) -> i64 {
    let request = GetDatasetRequest {
        name: dataset_name(dataset),
    };
    let answer = operator.datasets().get_dataset(request).await.unwrap();
    answer
        .into_inner()
        .dataset
        .unwrap()
        .next_rotation_at
        .unwrap()
        .seconds
}

async fn make(operator: &Caller, name: &str, period: Duration) {
    let policy = DatasetPolicy {
        rotation_period: Some(duration(period)),
        ..DatasetPolicy::default()
    };
    operator.create_dataset(name, policy).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotation_keeps_its_schedule() {
    let mut scene = InProcess::new();
    let running = scene.serve().await;
    let operator = scene.caller(&running, Role::Operator).await;
    make(&operator, "letters", DAY * 30).await;
    let planned = next_rotation(&operator, "letters").await;
    scene.clock.advance(DAY * 10);
    operator.rotate("letters").await.unwrap();
    assert_eq!(
        next_rotation(&operator, "letters").await,
        planned,
        "a rotation by hand moves no schedule"
    );
    // A day more than the period: jitter is over by then.
    scene.clock.advance(DAY * 21);
    until_versions(&operator, "letters", 3).await;
    assert!(next_rotation(&operator, "letters").await > planned);
    running.stop().await;
    // Half a year off: one rotation is caught up, not six.
    scene.pass_unserved(DAY * 180);
    let running = scene.serve().await;
    let operator = scene.caller(&running, Role::Operator).await;
    scene.clock.advance(DAY);
    until_versions(&operator, "letters", 4).await;
    assert_eq!(state(&operator, "letters", 4).await, VersionState::Active);
    let status = operator.status().await.unwrap();
    assert_eq!(status.rotations_overdue, 0);
    running.stop().await;
}

struct Doomed {
    wrapped: Bytes,
    context: Context,
}

/// Version 1 of `letters`, disabled and due in seven days.
async fn doom(scene: &InProcess, operator: &Caller, service: &Caller) -> Doomed {
    make(operator, "letters", DAY * 3_650).await;
    let context = context("tenant", "acme");
    let made = service
        .generate("letters", &context, &[])
        .await
        .unwrap()
        .into_inner();
    operator.rotate("letters").await.unwrap();
    let name = "datasets/letters/versions/1".to_owned();
    let request = DisableVersionRequest { name: name.clone() };
    operator.datasets().disable_version(request).await.unwrap();
    let request = ScheduleVersionDestructionRequest {
        name,
        waiting_time: Some(duration(DAY * 7)),
    };
    let answer = operator
        .datasets()
        .schedule_version_destruction(request)
        .await
        .unwrap();
    let at = answer
        .into_inner()
        .version
        .unwrap()
        .destroy_at
        .unwrap()
        .seconds;
    let now = timestamp(scene.now()).seconds;
    assert!((at - now - 7 * 24 * 3_600).abs() <= 1, "{at} {now}");
    Doomed {
        wrapped: made.wrapped_data_key,
        context,
    }
}

async fn refusal(service: &Caller, doomed: &Doomed) -> String {
    let answer = service.unwrap(&doomed.wrapped, &doomed.context).await;
    reason(&answer.unwrap_err())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_destroyed_when_due_and_not_before() {
    let scene = InProcess::new();
    let running = scene.serve().await;
    let operator = scene.caller(&running, Role::Operator).await;
    let service = scene.caller(&running, Role::Service).await;
    let doomed = doom(&scene, &operator, &service).await;
    assert_eq!(refusal(&service, &doomed).await, "VERSION_DISABLED");
    scene.clock.advance(DAY * 6);
    for _ in 0..50 {
        assert_eq!(
            state(&operator, "letters", 1).await,
            VersionState::DestroyScheduled
        );
    }
    scene.clock.advance(DAY * 2);
    until_state(&operator, "letters", 1, VersionState::Destroyed).await;
    assert_eq!(refusal(&service, &doomed).await, "VERSION_DESTROYED");
    // Final, also after a restart.
    let request = || RestoreVersionRequest {
        name: "datasets/letters/versions/1".into(),
    };
    assert!(
        operator
            .datasets()
            .restore_version(request())
            .await
            .is_err()
    );
    running.stop().await;
    let running = scene.serve().await;
    let service = scene.caller(&running, Role::Service).await;
    assert_eq!(refusal(&service, &doomed).await, "VERSION_DESTROYED");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_version_is_not_destroyed() {
    let scene = InProcess::new();
    let running = scene.serve().await;
    let operator = scene.caller(&running, Role::Operator).await;
    let service = scene.caller(&running, Role::Service).await;
    let doomed = doom(&scene, &operator, &service).await;
    let name = "datasets/letters/versions/1".to_owned();
    operator
        .datasets()
        .restore_version(RestoreVersionRequest { name: name.clone() })
        .await
        .unwrap();
    scene.clock.advance(DAY * 30);
    for _ in 0..50 {
        assert_eq!(state(&operator, "letters", 1).await, VersionState::Disabled);
    }
    let request = kms_proto::v1::EnableVersionRequest { name };
    operator.datasets().enable_version(request).await.unwrap();
    service
        .unwrap(&doomed.wrapped, &doomed.context)
        .await
        .unwrap();
    running.stop().await;
}

async fn until_paused(operator: &Caller, wanted: bool) {
    for _ in 0..PATIENCE {
        let status = operator.status().await.unwrap();
        if status.timers_paused == wanted {
            assert_eq!(status.timers_paused_reason.is_empty(), !wanted);
            return;
        }
    }
    panic!("timers do not become paused = {wanted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_destroys_nothing_until_confirmed() {
    let scene = InProcess::new();
    let running = scene.serve().await;
    let operator = scene.caller(&running, Role::Operator).await;
    let service = scene.caller(&running, Role::Service).await;
    doom(&scene, &operator, &service).await;
    // A wrong time server: the wall clock leaps, the machine has lived for no time at all.
    let truth = scene.now();
    scene.clock.step_wall(truth.saturating_add(DAY * 60));
    scene.clock.advance(HOUR * 3);
    until_paused(&operator, true).await;
    for _ in 0..50 {
        assert_eq!(
            state(&operator, "letters", 1).await,
            VersionState::DestroyScheduled
        );
    }
    // A confirmation must know the time.
    let request = |now| ConfirmClockRequest {
        now: Some(timestamp(now)),
    };
    let wrong = operator
        .system()
        .confirm_clock(request(truth))
        .await
        .unwrap_err();
    assert!(
        ["INVALID_ARGUMENT", "TIMERS_PAUSED"].contains(&reason(&wrong).as_str()),
        "{wrong:?}"
    );
    let confirmed = operator.system().confirm_clock(request(scene.now())).await;
    confirmed.unwrap();
    scene.clock.advance(HOUR * 3);
    until_paused(&operator, false).await;
    until_state(&operator, "letters", 1, VersionState::Destroyed).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_years_forward_and_back_destroy_nothing() {
    let scene = InProcess::new();
    let running = scene.serve().await;
    let operator = scene.caller(&running, Role::Operator).await;
    let service = scene.caller(&running, Role::Service).await;
    doom(&scene, &operator, &service).await;
    let truth = scene.now();
    scene.clock.step_wall(truth.saturating_add(DAY * 3_652));
    scene.clock.advance(HOUR * 3);
    scene.clock.step_wall(truth.saturating_add(HOUR * 3));
    scene.clock.advance(HOUR * 3);
    for _ in 0..100 {
        assert_eq!(
            state(&operator, "letters", 1).await,
            VersionState::DestroyScheduled
        );
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_long_after_the_mark_pauses_timers() {
    let mut scene = InProcess::new();
    let running = scene.serve().await;
    let operator = scene.caller(&running, Role::Operator).await;
    let service = scene.caller(&running, Role::Service).await;
    doom(&scene, &operator, &service).await;
    running.stop().await;
    scene.pass_unserved(DAY * 20);
    let running = scene.serve().await;
    let operator = scene.caller(&running, Role::Operator).await;
    until_paused(&operator, true).await;
    scene.clock.advance(HOUR * 3);
    for _ in 0..50 {
        assert_eq!(
            state(&operator, "letters", 1).await,
            VersionState::DestroyScheduled
        );
    }
    let now = Some(timestamp(scene.now()));
    operator
        .system()
        .confirm_clock(ConfirmClockRequest { now })
        .await
        .unwrap();
    scene.clock.advance(HOUR * 3);
    until_state(&operator, "letters", 1, VersionState::Destroyed).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_cost_one_entry_in_ten_seconds() {
    let scene = InProcess::new();
    let running = scene.serve().await;
    let auditor = scene.caller(&running, Role::Auditor).await;
    let profile = scene.installation.profile(Role::Operator);
    let stranger = Authority::new("stranger").client("spiffe://crm.example/operator/alice");
    let credentials = Credentials::presenting(&profile, &stranger);
    for _ in 0..20 {
        // TLS 1.3 tells a client of its refusal with the first answer.
        if let Ok(wire) = Wire::connect(running.address(), &credentials).await {
            wire.raw("/kms.v1.SystemService/GetStatus", Bytes::new())
                .await
                .unwrap_err();
        }
    }
    scene.clock.advance(Duration::from_secs(11));
    for _ in 0..PATIENCE {
        let entries = auditor.entries(0).await.unwrap();
        let counted: Vec<u32> = entries
            .iter()
            .filter(|e| e.kind == "counted")
            .map(|e| e.count)
            .collect();
        if counted.iter().sum::<u32>() >= 20 {
            assert_eq!(counted, [20]);
            running.stop().await;
            return;
        }
    }
    panic!("no counted entry");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_of_calls_costs_one_sync() {
    let scene = InProcess::new();
    let running = scene.serve().await;
    let service = scene.caller(&running, Role::Service).await;
    let before = running.audit().figures();
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..64 {
        let service = service.clone();
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
    let after = running.audit().figures();
    let (groups, syncs) = (after.groups - before.groups, after.syncs - before.syncs);
    let entries = after.entries - before.entries;
    println!("{entries} entries, {groups} groups, {syncs} syncs");
    assert!(entries >= 64 * 50);
    assert!(syncs <= groups + 1, "{syncs} syncs for {groups} groups");
    assert!(
        groups * 4 < entries,
        "{groups} groups for {entries} entries: calls do not share syncs"
    );
    running.stop().await;
}
