//! kill -9 at random points of a mixed load. The acknowledgements lie in this process, outside the daemon's reach:
//! what was acknowledged must be there after each restart, and in the audit log exactly once.

use crate::scale;
use kms_tests::caller::{Caller, Context, context, request_id, subject};
use kms_tests::daemon::{Daemon, Installation, Role};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;

/// All that the service acknowledged.
#[derive(Default)]
pub(crate) struct Acknowledged {
    /// Request ids of every answer, good or bad.
    pub(crate) calls: Vec<String>,
    /// Wrapped, context, plaintext.
    pub(crate) data_keys: Vec<(bytes::Bytes, Context, bytes::Bytes)>,
    /// Dataset -> version numbers made by rotation.
    pub(crate) rotations: BTreeMap<String, Vec<u32>>,
    pub(crate) datasets: BTreeSet<String>,
}

pub(crate) type Shared = Arc<Mutex<Acknowledged>>;

/// Calls until the connection breaks.
async fn service_loop(caller: Caller, acknowledged: Shared, seed: u64) {
    let mut random = SmallRng::seed_from_u64(seed);
    loop {
        let person = format!("p{}", random.random_range(0..200));
        let context = context("tenant", &person);
        let (dataset, secrets) = if random.random_bool(0.3) {
            (
                "customers",
                vec![subject("acme", &person, "customer"), account("acme")],
            )
        } else {
            ("files", vec![])
        };
        match caller.generate(dataset, &context, &secrets).await {
            Ok(answer) => {
                let mut all = acknowledged.lock().unwrap();
                all.calls.push(request_id(answer.metadata()));
                let made = answer.into_inner();
                all.data_keys
                    .push((made.wrapped_data_key, context, made.plaintext));
            }
            Err(status) => {
                let id = request_id(status.metadata());
                if id.is_empty() {
                    return;
                }
                acknowledged.lock().unwrap().calls.push(id);
            }
        }
    }
}

fn account(name: &str) -> kms_proto::v1::ShredSecretUse {
    let mut used = subject(name, "", "customer");
    used.scope.as_mut().unwrap().kind = kms_proto::v1::SecretKind::Account.into();
    used
}

async fn operator_loop(caller: Caller, acknowledged: Shared, seed: u64) {
    for n in 0_u64.. {
        let name = if n % 5 == 4 {
            format!("made-{seed}-{n}")
        } else {
            "files".to_owned()
        };
        if n % 5 == 4 {
            match caller
                .create_dataset(&name, kms_proto::v1::DatasetPolicy::default())
                .await
            {
                Ok(_) => drop(acknowledged.lock().unwrap().datasets.insert(name)),
                Err(status) if request_id(status.metadata()).is_empty() => return,
                Err(_) => {}
            }
            continue;
        }
        match caller.rotate(&name).await {
            Ok(answer) => {
                let mut all = acknowledged.lock().unwrap();
                all.calls.push(request_id(answer.metadata()));
                let number = answer.into_inner().version.unwrap().number;
                all.rotations.entry(name).or_default().push(number);
            }
            Err(status) if request_id(status.metadata()).is_empty() => return,
            Err(_) => {}
        }
    }
}

/// Runs a mixed load and kills the daemon in the midst of it.
async fn load_until_killed(installation: &Installation, daemon: Daemon, all: &Shared, seed: u64) {
    let operator = daemon.caller(installation, Role::Operator).await;
    // logs in: hashing a password takes longer than the load lasts
    operator.versions("files").await.unwrap();
    let mut loops = JoinSet::new();
    for n in 0..8 {
        let caller = daemon.caller(installation, Role::Service).await;
        loops.spawn(service_loop(caller, all.clone(), seed * 100 + n));
    }
    loops.spawn(operator_loop(operator, all.clone(), seed));
    // A random moment, not a wait for anything: the load runs meanwhile.
    let moment = SmallRng::seed_from_u64(seed).random_range(5..120);
    tokio::time::sleep(Duration::from_millis(moment)).await;
    daemon.strike();
    while loops.join_next().await.is_some() {}
    daemon.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_by_kills() {
    let kills = scale(60, 2_000) as u64;
    let installation = Installation::new();
    let all = Shared::default();
    let (mut restarts, mut daemon) = (Vec::new(), installation.start());
    let mut checked = 0;
    for seed in 0..kills {
        load_until_killed(&installation, daemon, &all, seed).await;
        daemon = installation.start();
        restarts.push(daemon.start_time);
        checked = check_data_keys(&installation, &daemon, &all, checked).await;
    }
    let operator = daemon.caller(&installation, Role::Operator).await;
    check_versions(&operator, &all).await;
    check_audit(&operator, &all).await;
    let acknowledged = all.lock().unwrap();
    restarts.sort();
    println!(
        "{kills} kills, {} calls acknowledged, {} data keys, restart {:?} (median), {:?} (slowest)",
        acknowledged.calls.len(),
        acknowledged.data_keys.len(),
        restarts[restarts.len() / 2],
        restarts[restarts.len() - 1],
    );
    assert!(acknowledged.data_keys.len() > 1_000);
    assert!(acknowledged.rotations["files"].len() > 20);
}

/// Every data key since the last check, and some older ones, opens to the same plaintext.
pub(crate) async fn check_data_keys(
    installation: &Installation,
    daemon: &Daemon,
    all: &Shared,
    from: usize,
) -> usize {
    let caller = daemon.caller(installation, Role::Service).await;
    let sample: Vec<_> = {
        let all = all.lock().unwrap();
        let fresh = all.data_keys.iter().skip(from.saturating_sub(20));
        let old = all.data_keys.iter().step_by(all.data_keys.len() / 20 + 1);
        fresh.chain(old).cloned().collect()
    };
    for (wrapped, context, plaintext) in sample {
        let opened = caller
            .unwrap(&wrapped, &context)
            .await
            .unwrap()
            .into_inner();
        assert!(opened.plaintext == plaintext);
    }
    all.lock().unwrap().data_keys.len()
}

/// No number given twice, none lost, none acknowledged that is not there.
pub(crate) async fn check_versions(operator: &Caller, all: &Shared) {
    let acknowledged = all.lock().unwrap().rotations["files"].clone();
    let versions = operator.versions("files").await.unwrap();
    let numbers: Vec<u32> = versions.iter().map(|version| version.number).collect();
    let dense: Vec<u32> = (1..=u32::try_from(numbers.len()).unwrap()).collect();
    assert_eq!(numbers, dense);
    let distinct: BTreeSet<u32> = acknowledged.iter().copied().collect();
    assert_eq!(
        distinct.len(),
        acknowledged.len(),
        "a number was given twice"
    );
    assert!(distinct.iter().all(|number| numbers.contains(number)));
    let active = kms_proto::v1::VersionState::Active;
    assert_eq!(versions.iter().filter(|v| v.state() == active).count(), 1);
    let names = all.lock().unwrap().datasets.clone();
    for name in names {
        assert_eq!(operator.versions(&name).await.unwrap().len(), 1, "{name}");
    }
}

/// Every acknowledged call stands in the log once; so does every committed change, acknowledged or not.
pub(crate) async fn check_audit(operator: &Caller, all: &Shared) {
    let entries = operator.entries(0).await.unwrap();
    let mut heads: BTreeMap<&str, usize> = BTreeMap::new();
    for (sequence, entry) in (0_u64..).zip(&entries) {
        assert!(
            entry.sequence == sequence,
            "a gap before {}",
            entry.sequence
        );
        if entry.kind == "call" {
            *heads.entry(&entry.request_id).or_default() += 1;
        }
    }
    for id in &all.lock().unwrap().calls {
        assert_eq!(heads.get(id.as_str()), Some(&1), "request {id}");
    }
    assert!(heads.values().all(|count| *count == 1));
    let rotated = entries.iter().filter(|e| {
        e.action == "RotateDataset" && e.outcome == "OK" && e.dataset == "datasets/files"
    });
    let versions = operator.versions("files").await.unwrap();
    assert_eq!(
        rotated.count() + 1,
        versions.len(),
        "rotations in the log and in the store"
    );
}
