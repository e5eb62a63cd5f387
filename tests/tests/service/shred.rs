//! Shredding: one person's data is gone, at once and everywhere; the neighbours' is not.

use crate::scale;
use bytes::Bytes;
use kms_proto::v1::shred_secret_selector::By;
use kms_proto::v1::{
    BlockShredSecretRequest, CreateShredSecretItem, CreateShredSecretsRequest,
    DestroyShredSecretRequest, GetShredSecretRequest, SecretKind, SecretState, ShredSecret,
    ShredSecretScope, ShredSecretSelector, ShredSecretUse, UnblockShredSecretRequest,
};
use kms_tests::caller::{Caller, Context, context, reason, subject};
use kms_tests::daemon::{Daemon, Installation, Role};
use kms_tests::gauge::resident;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

const CLASS: &str = "customer";

fn scope(kind: SecretKind, account: &str, name: &str) -> ShredSecretScope {
    ShredSecretScope {
        kind: kind.into(),
        account: account.into(),
        name: name.into(),
        retention_class: CLASS.into(),
    }
}

fn person(name: &str) -> ShredSecretScope {
    scope(SecretKind::Subject, "acme", name)
}

/// What `customers` demands: the person's secret and the account's.
fn secrets(name: &str) -> Vec<ShredSecretUse> {
    let account = ShredSecretUse {
        scope: Some(scope(SecretKind::Account, "acme", "")),
        create_if_absent: true,
        succeeds_id: Bytes::new(),
    };
    vec![subject("acme", name, CLASS), account]
}

fn select(scope: ShredSecretScope) -> Option<ShredSecretSelector> {
    Some(ShredSecretSelector {
        by: Some(By::Scope(scope)),
    })
}

async fn get(caller: &Caller, scope: ShredSecretScope) -> ShredSecret {
    let request = GetShredSecretRequest {
        selector: select(scope),
    };
    let answer = caller.shred().get_shred_secret(request).await.unwrap();
    answer.into_inner().secret.unwrap()
}

async fn destroy(operator: &Caller, scope: ShredSecretScope) -> ShredSecret {
    let request = DestroyShredSecretRequest {
        selector: select(scope),
        reason: "erasure request 17".into(),
        validate_only: false,
    };
    let answer = operator
        .shred()
        .destroy_shred_secret(request)
        .await
        .unwrap();
    answer.into_inner().secret.unwrap()
}

struct Scene {
    installation: Installation,
    daemon: Daemon,
    service: Caller,
    operator: Caller,
    context: Context,
}

impl Scene {
    async fn new() -> Self {
        let installation = Installation::new();
        let daemon = installation.start();
        Self {
            service: daemon.caller(&installation, Role::Service).await,
            operator: daemon.caller(&installation, Role::Operator).await,
            installation,
            daemon,
            context: context("tenant", "acme"),
        }
    }

    async fn restart(mut self) -> Self {
        self.daemon.kill();
        self.daemon = self.installation.start();
        self.service = self.daemon.caller(&self.installation, Role::Service).await;
        self
    }

    async fn wrap(&self, name: &str) -> (Bytes, Bytes) {
        let made = self
            .service
            .generate("customers", &self.context, &secrets(name))
            .await;
        let made = made.unwrap().into_inner();
        (made.wrapped_data_key, made.plaintext)
    }

    /// The reason, or `OK`.
    async fn open(&self, wrapped: &Bytes) -> String {
        match self.service.unwrap(wrapped, &self.context).await {
            Ok(_) => "OK".into(),
            Err(status) => reason(&status),
        }
    }
}

#[tokio::test]
async fn a_shredded_person_is_gone_and_neighbours_are_not() {
    let mut scene = Scene::new().await;
    let (jane, _) = scene.wrap("jane").await;
    let (john, johns_key) = scene.wrap("john").await;
    let destroyed = destroy(&scene.operator, person("jane")).await;
    assert_eq!(destroyed.state(), SecretState::Destroyed);
    assert_eq!(scene.open(&jane).await, "SUBJECT_ERASED");
    assert_eq!(scene.open(&john).await, "OK");
    // The name does not come back by accident, not even after a crash.
    scene.daemon.kill();
    scene.daemon = scene.installation.start();
    scene.service = scene
        .daemon
        .caller(&scene.installation, Role::Service)
        .await;
    scene.operator = scene
        .daemon
        .caller(&scene.installation, Role::Operator)
        .await;
    assert_eq!(scene.open(&jane).await, "SUBJECT_ERASED");
    let late = scene
        .service
        .generate("customers", &scene.context, &secrets("jane"))
        .await;
    assert_eq!(reason(&late.unwrap_err()), "SUBJECT_ERASED");
    // By intent it does, as somebody new: what was erased stays erased.
    let mut again = secrets("jane");
    again[0].succeeds_id = destroyed.id.clone();
    let fresh = scene
        .service
        .generate("customers", &scene.context, &again)
        .await
        .unwrap();
    assert_eq!(scene.open(&fresh.into_inner().wrapped_data_key).await, "OK");
    assert_eq!(scene.open(&jane).await, "SUBJECT_ERASED");
    let successor = get(&scene.service, person("jane")).await;
    assert_eq!(successor.succeeds_id, destroyed.id);
    let opened = scene
        .service
        .unwrap(&john, &scene.context)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(opened.plaintext, johns_key);
}

#[tokio::test]
async fn a_block_is_lifted_and_a_destruction_is_not() {
    let scene = Scene::new().await;
    let (jane, _) = scene.wrap("jane").await;
    let request = BlockShredSecretRequest {
        selector: select(person("jane")),
        reason: "identity in doubt".into(),
        validate_only: false,
    };
    scene
        .operator
        .shred()
        .block_shred_secret(request)
        .await
        .unwrap();
    assert_eq!(scene.open(&jane).await, "SUBJECT_ERASED");
    let unblock = || UnblockShredSecretRequest {
        selector: select(person("jane")),
        reason: "identity shown".into(),
        validate_only: false,
    };
    scene
        .operator
        .shred()
        .unblock_shred_secret(unblock())
        .await
        .unwrap();
    assert_eq!(scene.open(&jane).await, "OK");
    destroy(&scene.operator, person("jane")).await;
    assert!(
        scene
            .operator
            .shred()
            .unblock_shred_secret(unblock())
            .await
            .is_err()
    );
    assert_eq!(scene.open(&jane).await, "SUBJECT_ERASED");
}

#[tokio::test]
async fn secrets_that_a_dataset_demands_must_be_named_and_exist() {
    let scene = Scene::new().await;
    let generate = async |secrets: &[ShredSecretUse]| {
        let answer = scene
            .service
            .generate("customers", &scene.context, secrets)
            .await;
        answer.map_or_else(|status| reason(&status), |_| "OK".into())
    };
    assert_eq!(generate(&[]).await, "SHRED_SECRET_REQUIRED");
    assert_eq!(
        generate(&secrets("jane")[..1]).await,
        "SHRED_SECRET_REQUIRED"
    );
    let mut absent = secrets("jane");
    absent[0].create_if_absent = false;
    assert_eq!(generate(&absent).await, "SHRED_SECRET_MISSING");
    assert_eq!(generate(&secrets("jane")).await, "OK");
    assert_eq!(generate(&absent).await, "OK");
    let mut foreign_class = secrets("jane");
    for used in &mut foreign_class {
        used.scope.as_mut().unwrap().retention_class = "no-such-class".into();
    }
    assert_ne!(generate(&foreign_class).await, "OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_that_begins_after_the_answer_succeeds() {
    let scene = Scene::new().await;
    // the operator is in before the load: a password takes long to hash beside it
    scene.operator.versions("customers").await.unwrap();
    for round in 0..scale(10, 200) {
        let name = format!("jane-{round}");
        let (wrapped, plaintext) = scene.wrap(&name).await;
        let (gone, stop) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicBool::new(false)),
        );
        let mut loops = JoinSet::new();
        for _ in 0..8 {
            let caller = scene
                .daemon
                .caller(&scene.installation, Role::Service)
                .await;
            let (gone, stop) = (gone.clone(), stop.clone());
            let (wrapped, plaintext) = (wrapped.clone(), plaintext.clone());
            let (context, name) = (scene.context.clone(), name.clone());
            loops.spawn(async move {
                let (mut opened, mut refused) = (0, 0);
                while !stop.load(Ordering::SeqCst) || refused == 0 {
                    let was_gone = gone.load(Ordering::SeqCst);
                    match caller.unwrap(&wrapped, &context).await {
                        Ok(answer) => {
                            assert!(!was_gone, "opened after the destruction was answered");
                            assert_eq!(answer.into_inner().plaintext, plaintext);
                            opened += 1;
                        }
                        Err(status) => {
                            assert_eq!(reason(&status), "SUBJECT_ERASED");
                            refused += 1;
                        }
                    }
                    let was_gone = gone.load(Ordering::SeqCst);
                    let made = caller
                        .generate("customers", &context, &secrets(&name))
                        .await;
                    assert!(
                        !was_gone || made.is_err(),
                        "wrapped after the destruction was answered"
                    );
                }
                opened
            });
        }
        destroy(&scene.operator, person(&name)).await;
        gone.store(true, Ordering::SeqCst);
        stop.store(true, Ordering::SeqCst);
        while let Some(ended) = loops.join_next().await {
            ended.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_creators_share_one_secret() {
    let scene = Scene::new().await;
    let mut creators = JoinSet::new();
    for _ in 0..16 {
        let caller = scene
            .daemon
            .caller(&scene.installation, Role::Service)
            .await;
        let context = scene.context.clone();
        creators.spawn(async move {
            let made = caller
                .generate("customers", &context, &secrets("rae"))
                .await;
            made.unwrap().into_inner().wrapped_data_key
        });
    }
    let mut ids = std::collections::BTreeSet::new();
    while let Some(wrapped) = creators.join_next().await {
        let wrapped = wrapped.unwrap();
        assert_eq!(scene.open(&wrapped).await, "OK");
        // format 1, kind 1, key id 16, version 4, n 1, then (kind 1, id 16) twice.
        assert_eq!(wrapped[22], 2);
        ids.insert(wrapped[23..57].to_vec());
    }
    assert_eq!(ids.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_secrets_do_not_fill_memory() {
    let many = scale(20_000, 1_000_000);
    let scene = Scene::new().await;
    let (first, _) = scene.wrap("person-0").await;
    // the first start hashed the passwords of three people, 64 MiB each, in locked memory
    let hashed = resident(scene.daemon.pid());
    assert!(
        hashed < 64 << 20,
        "{hashed}: what hashing took was not given back"
    );
    let scene = scene.restart().await;
    assert_eq!(scene.open(&first).await, "OK");
    let idle = resident(scene.daemon.pid());
    for batch in 0..many / 1_000 {
        let item = |n: usize| CreateShredSecretItem {
            scope: Some(person(&format!("person-{}", batch * 1_000 + n))),
            succeeds_id: Bytes::new(),
        };
        let request = CreateShredSecretsRequest {
            items: (0..1_000).map(item).collect(),
            request_id: Bytes::new(),
            validate_only: false,
        };
        let answer = scene
            .service
            .shred()
            .create_shred_secrets(request)
            .await
            .unwrap();
        let results = answer.into_inner().results;
        assert_eq!(results.len(), 1_000);
        assert!(results.iter().all(|result| result.error.is_none()));
        let existed = usize::from(batch == 0);
        assert_eq!(
            results.iter().filter(|result| !result.created).count(),
            existed
        );
    }
    let after = resident(scene.daemon.pid());
    let cache = 64 << 20;
    println!(
        "{many} secrets: {} MiB idle, {} MiB after",
        idle >> 20,
        after >> 20
    );
    assert!(after < idle + cache + (64 << 20), "{idle} {after}");
    assert_eq!(scene.open(&first).await, "OK");
    let (last, _) = scene.wrap(&format!("person-{}", many - 1)).await;
    assert_eq!(scene.open(&last).await, "OK");
}
