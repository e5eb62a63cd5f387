//! Rotation without interruption: thousands of calls in flight while the key rotates, rotates in an emergency, and
//! the server's certificate is exchanged. None fails.

use crate::scale;
use kms_tests::caller::{Caller, context};
use kms_tests::certificate::Authority;
use kms_tests::credentials::Credentials;
use kms_tests::daemon::{Daemon, Installation, Role};
use kms_tests::wire::shown_by;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_across_rotations_and_a_certificate_reload() {
    let in_flight = scale(2_000, 10_000);
    let installation = Installation::new();
    let daemon = installation.start();
    let operator = daemon.caller(&installation, Role::Operator).await;
    let mut callers = Vec::new();
    for _ in 0..32 {
        callers.push(daemon.caller(&installation, Role::Service).await);
    }
    let (stop, started) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut loops = JoinSet::new();
    for n in 0..in_flight {
        let caller: Caller = callers[n % callers.len()].clone();
        let (stop, started) = (stop.clone(), started.clone());
        loops.spawn(async move {
            let context = context("tenant", &format!("t{n}"));
            let mut calls = 0_usize;
            let mut last: Option<(bytes::Bytes, bytes::Bytes)> = None;
            while stop.load(Ordering::Relaxed) == 0 || calls == 0 {
                if let Some((wrapped, plaintext)) = last.take() {
                    let opened = caller
                        .unwrap(&wrapped, &context)
                        .await
                        .unwrap()
                        .into_inner();
                    assert!(opened.plaintext == plaintext);
                } else {
                    let made = caller
                        .generate("files", &context, &[])
                        .await
                        .unwrap()
                        .into_inner();
                    last = Some((made.wrapped_data_key, made.plaintext));
                }
                calls += 1;
                if calls == 1 {
                    started.fetch_add(1, Ordering::Relaxed);
                }
            }
            calls
        });
    }
    // Each change happens while everyone is under way.
    while started.load(Ordering::Relaxed) < in_flight {
        tokio::task::yield_now().await;
        if let Some(ended) = loops.try_join_next() {
            panic!("a loop ended early: {ended:?}");
        }
    }
    operator.rotate("files").await.unwrap();
    operator.emergency_rotate("files").await.unwrap();
    exchange_certificate(&installation, &daemon).await;
    let fresh = daemon.caller(&installation, Role::Service).await;
    fresh.status().await.unwrap();
    operator.rotate("files").await.unwrap();
    stop.store(1, Ordering::Relaxed);
    let mut calls = 0;
    while let Some(ended) = loops.join_next().await {
        calls += ended.unwrap();
    }
    assert!(calls >= in_flight, "{calls}");
    let versions = operator.versions("files").await.unwrap();
    assert_eq!(versions.len(), 4);
    let marked: Vec<bool> = versions.iter().map(|v| v.compromised.is_some()).collect();
    assert_eq!(marked, [true, true, false, false]);
    assert!(daemon.terminate().success());
}

/// Puts a new certificate with a new key in the place of the old one; ends when new connections see it.
async fn exchange_certificate(installation: &Installation, daemon: &Daemon) {
    let pki = installation.dir().join("pki");
    let leaf = Authority::of_development(&pki).server(&["localhost", "127.0.0.1"]);
    for (name, text) in [("server.key", &leaf.key), ("server.pem", &leaf.certificate)] {
        let (path, beside) = (pki.join(name), pki.join("new"));
        std::fs::write(&beside, text).unwrap();
        std::fs::set_permissions(&beside, std::fs::metadata(&path).unwrap().permissions()).unwrap();
        std::fs::rename(&beside, &path).unwrap();
    }
    let new = leaf.chain().remove(0);
    let profile = Credentials::from_profile(&installation.profile(Role::Service));
    daemon.reload();
    // each look is a handshake among thousands of calls: the daemon gets to its signal meanwhile
    let mut looks = 0;
    while shown_by(daemon.address, &profile).await.unwrap() != new {
        looks += 1;
        assert!(looks < 10_000, "the new certificate is never shown");
    }
}

#[tokio::test]
async fn replies_say_which_version_they_come_from() {
    let installation = Installation::new();
    let daemon = installation.start();
    let operator = daemon.caller(&installation, Role::Operator).await;
    let service = daemon.caller(&installation, Role::Service).await;
    let context = context("tenant", "acme");
    let made = service
        .generate("files", &context, &[])
        .await
        .unwrap()
        .into_inner();
    assert_eq!(made.version, 1);
    let opened = service
        .unwrap(&made.wrapped_data_key, &context)
        .await
        .unwrap()
        .into_inner();
    assert!(opened.version_active && !opened.version_compromised);
    operator.rotate("files").await.unwrap();
    let opened = service
        .unwrap(&made.wrapped_data_key, &context)
        .await
        .unwrap()
        .into_inner();
    assert!(!opened.version_active && !opened.version_compromised);
    operator.emergency_rotate("files").await.unwrap();
    let opened = service
        .unwrap(&made.wrapped_data_key, &context)
        .await
        .unwrap()
        .into_inner();
    assert!(!opened.version_active && opened.version_compromised);
    assert_eq!(opened.plaintext, made.plaintext);
    let made = service
        .generate("files", &context, &[])
        .await
        .unwrap()
        .into_inner();
    assert_eq!(made.version, 3);
}
