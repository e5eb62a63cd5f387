//! Sealing and stopping forget every key and wait for nobody, least of all for a log that cannot be written. A change
//! that was committed meanwhile is in the log once, whoever brings it there.

use crate::access::passphrase;
use bytes::Bytes;
use kms_proto::v1::shred_secret_selector::By;
use kms_proto::v1::{
    GetShredSecretRequest, SealRequest, SecretKind, ShredSecretScope, ShredSecretSelector,
    ShredSecretUse, UnsealRequest,
};
use kms_server::seal::passphrase::Passphrase;
use kms_server::serve::Running;
use kms_tests::caller::{Caller, context, reason, request_id, subject};
use kms_tests::daemon::Role;
use kms_tests::in_process::InProcess;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

const CLASS: &str = "customer";
/// The smallest segment.
const SEGMENT: u64 = 64 * 1024;

/// What `customers` demands: the person's secret, which is made by the call, and the account's.
fn secrets(name: &str) -> Vec<ShredSecretUse> {
    let account = ShredSecretScope {
        kind: SecretKind::Account.into(),
        account: "acme".into(),
        name: String::new(),
        retention_class: CLASS.into(),
    };
    let account = ShredSecretUse {
        scope: Some(account),
        create_if_absent: true,
        succeeds_id: Bytes::new(),
    };
    vec![subject("acme", name, CLASS), account]
}

/// A call that is a change: request id and `OK` or the reason.
async fn meet(service: &Caller, name: &str) -> (String, String) {
    let made = service
        .generate("customers", &context("tenant", "acme"), &secrets(name))
        .await;
    match made {
        Ok(made) => (request_id(made.metadata()), "OK".into()),
        Err(status) => (request_id(status.metadata()), reason(&status)),
    }
}

/// Ends soon; nobody moves the daemon's clock meanwhile.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let limit = tokio::time::timeout(Duration::from_secs(60), future).await;
    limit.unwrap_or_else(|_| panic!("{what} does not end"))
}

struct Scene {
    process: InProcess,
    running: Running,
    service: Caller,
    operator: Caller,
}

impl Scene {
    /// The log in small segments. Operator and service are known, codes fresh, accounts made.
    async fn new() -> Self {
        let process = InProcess::new();
        let log = process.config().data.audit();
        for file in fs::read_dir(log).unwrap().map(Result::unwrap) {
            if file.file_name().to_string_lossy().starts_with("segment-") {
                let segment = fs::OpenOptions::new().write(true).open(file.path());
                segment.unwrap().set_len(SEGMENT).unwrap();
            }
        }
        Self::serve(process).await
    }

    async fn serve(process: InProcess) -> Self {
        let small = |config: &mut kms_server::config::Config| config.audit.segment_bytes = SEGMENT;
        let running = process.serve_with(small).await;
        let scene = Self {
            service: process.caller(&running, Role::Service).await,
            operator: process.caller(&running, Role::Operator).await,
            process,
            running,
        };
        scene.operator.rotate("files").await.unwrap();
        assert_eq!(meet(&scene.service, "somebody").await.1, "OK");
        scene
    }

    /// Lets the log run full, with no way to a next segment while what is returned is there.
    async fn obstruct(&self) -> PathBuf {
        let log = self.process.config().data.audit();
        let newest = fs::read_dir(&log).unwrap().map(Result::unwrap);
        let newest = newest.filter(|file| file.file_name().to_string_lossy().starts_with("seg"));
        let obstacle = log.join(format!("prepared-{:08}", newest.count() + 1));
        fs::create_dir(&obstacle).unwrap();
        let context = context("tenant", "acme");
        let refused = loop {
            if let Err(status) = self.service.generate("files", &context, &[]).await {
                break reason(&status);
            }
        };
        assert_eq!(refused, "AUDIT_UNAVAILABLE");
        obstacle
    }

    /// How often each call is in the log.
    async fn logged(&self) -> BTreeMap<String, usize> {
        let mut heads = BTreeMap::new();
        for entry in self.operator.entries(0).await.unwrap() {
            if entry.kind == "call" {
                *heads.entry(entry.request_id).or_default() += 1;
            }
        }
        heads
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sealed_is_forgotten() {
    let scene = Scene::new().await;
    let gate = scene.running.gate();
    for round in 0..5 {
        let state = Arc::downgrade(&gate.live().unwrap().state);
        assert_eq!(meet(&scene.service, &format!("r{round}")).await.1, "OK");
        assert!(soon("sealing", gate.seal()).await);
        let forgotten = async {
            // jobs let go on a thread of their own
            while state.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        soon("forgetting", forgotten).await;
        let passphrase = passphrase(&scene.process.installation).to_vec();
        let unsealed = gate.unseal(Passphrase::new(passphrase.into())).await;
        unsealed.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sealing_does_not_wait_for_a_log_that_cannot_be_written() {
    let scene = Scene::new().await;
    let obstacle = scene.obstruct().await;
    let (id, end) = meet(&scene.service, "jane").await;
    assert_eq!(end, "OUTCOME_UNKNOWN");
    let mut system = scene.operator.system();
    // what is said of it depends on the log; that it happens does not
    let _ = soon("sealing", system.seal(SealRequest::default())).await;
    assert!(scene.running.gate().live().is_none());
    fs::remove_dir(obstacle).unwrap();
    let unseal = UnsealRequest {
        passphrase: passphrase(&scene.process.installation),
        ..UnsealRequest::default()
    };
    soon("unsealing", system.unseal(unseal)).await.unwrap();
    let logged = scene.logged().await;
    assert_eq!(logged.get(&id), Some(&1));
    assert!(logged.values().all(|times| *times == 1), "{logged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_does_not_wait_for_a_log_that_cannot_be_written() {
    let scene = Scene::new().await;
    let obstacle = scene.obstruct().await;
    let (id, end) = meet(&scene.service, "jane").await;
    assert_eq!(end, "OUTCOME_UNKNOWN");
    soon("stopping", scene.running.stop()).await;
    fs::remove_dir(obstacle).unwrap();
    let scene = Scene::serve(scene.process).await;
    let logged = scene.logged().await;
    assert_eq!(logged.get(&id), Some(&1));
    assert!(logged.values().all(|times| *times == 1), "{logged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_in_flight_when_the_log_fails_are_logged_once() {
    let scene = Scene::new().await;
    let obstacle = scene.obstruct().await;
    let mut calls = JoinSet::new();
    for n in 0..64 {
        let service = scene.service.clone();
        calls.spawn(async move { meet(&service, &format!("s{n}")).await });
    }
    let mut heard = vec![calls.join_next().await.unwrap().unwrap()];
    fs::remove_dir(obstacle).unwrap();
    let mut tries = 0;
    while meet(&scene.service, "later").await.1 != "OK" {
        tries += 1;
        assert!(tries < 1_000, "changes stay held");
        // no call that is in flight comes near its deadline
        if tries % 200 == 1 {
            scene.process.clock.advance(Duration::from_secs(1));
        }
    }
    heard.extend(calls.join_all().await);
    let unknown = heard.iter().filter(|(_, end)| end == "OUTCOME_UNKNOWN");
    let unknown: Vec<_> = unknown.map(|(id, _)| id).collect();
    assert!(!unknown.is_empty(), "{heard:?}");
    let logged = scene.logged().await;
    for id in unknown {
        assert_eq!(logged.get(id), Some(&1), "request {id}");
    }
    assert!(logged.values().all(|times| *times == 1), "{logged:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_for_its_entry_a_change_is_not_begun() {
    let process = InProcess::new();
    let running = process
        .serve_with(|config| config.audit.reserve_bytes = u64::MAX)
        .await;
    let service = process.caller(&running, Role::Service).await;
    assert_eq!(meet(&service, "jane").await.1, "AUDIT_UNAVAILABLE");
    // the operators' reserve is not touched, so they can look
    let operator = process.caller(&running, Role::Operator).await;
    let request = GetShredSecretRequest {
        selector: Some(ShredSecretSelector {
            by: Some(By::Scope(subject("acme", "jane", CLASS).scope.unwrap())),
        }),
    };
    let found = operator.shred().get_shred_secret(request).await;
    assert_eq!(reason(&found.unwrap_err()), "SHRED_SECRET_MISSING");
}
