//! A reference model beside the real daemon: random operations on both, the invariants checked after each.
//!
//! At most one ACTIVE version; what is destroyed never opens; what was wrapped opens as long as nothing forbids it;
//! nothing crosses datasets, contexts, accounts or subjects; every call leaves one head entry.

mod versions;

use crate::scale;
use bytes::Bytes;
use kms_proto::v1::shred_secret_selector::By;
use kms_proto::v1::{
    BlockShredSecretRequest, DatasetPolicy, DestroyShredSecretRequest, RewrapRequest, SecretKind,
    ShredSecretSelector, UnblockShredSecretRequest, VersionState,
};
use kms_tests::caller::{Caller, Context, context, reason, request_id, subject};
use kms_tests::daemon::{Installation, Role};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Instant;
use tonic::{Response, Status};

const DATASETS: [&str; 2] = ["letters", "notes"];
const CLASS: &str = "customer";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct VersionModel {
    state: VersionState,
    compromised: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Person {
    Active,
    Blocked,
    Destroyed,
}

/// A wrapped data key, and all that decides whether it opens.
#[derive(Debug, Clone)]
struct Blob {
    wrapped: Bytes,
    plaintext: Bytes,
    dataset: usize,
    version: usize,
    context: Context,
    person: Option<String>,
}

/// A destruction that waits: of a version in a state, by an approval.
struct Waiting {
    dataset: usize,
    at: usize,
    state: VersionState,
    approval: String,
    since: Instant,
}

struct Model {
    service: Caller,
    operator: Caller,
    versions: [Vec<VersionModel>; 2],
    people: BTreeMap<String, Person>,
    blobs: Vec<Blob>,
    /// Destructions that wait for a small team's delay, with the time at which they were asked for.
    waiting: Vec<Waiting>,
    /// Request ids of all answers.
    calls: Vec<String>,
    random: SmallRng,
}

impl Model {
    /// Notes the request id; gives back what came of it.
    fn note<T>(&mut self, answer: Result<Response<T>, Status>) -> Result<T, String> {
        match answer {
            Ok(answer) => {
                self.calls.push(request_id(answer.metadata()));
                Ok(answer.into_inner())
            }
            Err(status) => {
                self.calls.push(request_id(status.metadata()));
                Err(reason(&status))
            }
        }
    }

    fn active(&self, dataset: usize) -> usize {
        let active = |version: &VersionModel| version.state == VersionState::Active;
        self.versions[dataset].iter().position(active).unwrap()
    }

    /// Reasons for which opening this blob may be refused; none when it must open.
    fn obstacles(&self, blob: &Blob) -> Vec<&'static str> {
        let mut all = Vec::new();
        match self.versions[blob.dataset][blob.version].state {
            VersionState::Active | VersionState::DecryptOnly => {}
            VersionState::Destroyed => all.push("VERSION_DESTROYED"),
            _ => all.push("VERSION_DISABLED"),
        }
        let person = blob.person.as_ref().map(|name| self.people[name]);
        if matches!(person, Some(Person::Blocked | Person::Destroyed)) {
            all.push("SUBJECT_ERASED");
        }
        all
    }

    async fn wrap(&mut self) {
        let dataset = self.random.random_range(0..2);
        let tenant = format!("t{}", self.random.random_range(0..3));
        let context = context("tenant", &tenant);
        let person = self
            .random
            .random_bool(0.5)
            .then(|| format!("p{}", self.random.random_range(0..6)));
        let secrets: Vec<_> = person
            .iter()
            .map(|name| subject("acme", name, CLASS))
            .collect();
        let answer = self
            .service
            .generate(DATASETS[dataset], &context, &secrets)
            .await;
        let erased = person.as_ref().and_then(|name| self.people.get(name));
        let erased = matches!(erased, Some(Person::Blocked | Person::Destroyed));
        match self.note(answer) {
            Ok(made) => {
                assert!(!erased, "wrapped with an erased person's secret");
                let version = usize::try_from(made.version).unwrap() - 1;
                assert_eq!(version, self.active(dataset));
                if let Some(name) = &person {
                    self.people.entry(name.clone()).or_insert(Person::Active);
                }
                self.blobs.push(Blob {
                    wrapped: made.wrapped_data_key,
                    plaintext: made.plaintext,
                    dataset,
                    version,
                    context,
                    person,
                });
            }
            Err(reason) => assert!(erased && reason == "SUBJECT_ERASED", "{reason}"),
        }
    }

    async fn open(&mut self) {
        let Some(blob) = self.blobs.choose(&mut self.random).cloned() else {
            return;
        };
        let answer = self.service.unwrap(&blob.wrapped, &blob.context).await;
        let obstacles = self.obstacles(&blob);
        match self.note(answer) {
            Ok(opened) => {
                assert!(obstacles.is_empty(), "opened against {obstacles:?}");
                assert_eq!(opened.plaintext, blob.plaintext);
                let version = self.versions[blob.dataset][blob.version];
                assert_eq!(opened.version_active, version.state == VersionState::Active);
                assert_eq!(opened.version_compromised, version.compromised);
                assert_eq!(
                    opened.dataset,
                    format!("datasets/{}", DATASETS[blob.dataset])
                );
            }
            Err(reason) => assert!(
                obstacles.contains(&reason.as_str()),
                "{reason}: {obstacles:?}"
            ),
        }
    }

    /// Another context, another version's number, another dataset's key id, another person's secret: never opens.
    async fn cross(&mut self) {
        let Some(blob) = self.blobs.choose(&mut self.random).cloned() else {
            return;
        };
        let mut wrapped = blob.wrapped.to_vec();
        let mut context = blob.context.clone();
        let other = self.blobs.choose(&mut self.random).cloned().unwrap();
        match self.random.random_range(0..5) {
            0 => drop(context.insert("tenant".into(), "mallory".into())),
            1 => drop(context.insert("more".into(), String::new())),
            2 => wrapped[2..22].copy_from_slice(&other.wrapped[2..22]),
            3 if blob.person.is_some() && other.person.is_some() => {
                wrapped[23..40].copy_from_slice(&other.wrapped[23..40]);
            }
            _ => {
                let at = self.random.random_range(0..wrapped.len());
                wrapped[at] ^= 1 << self.random.random_range(0..8);
            }
        }
        let same = wrapped == blob.wrapped && context == blob.context;
        let answer = self.service.unwrap(&wrapped.into(), &context).await;
        let opened = self.note(answer);
        assert!(
            same || opened.is_err(),
            "{:?} opened as another",
            blob.context
        );
    }

    async fn rewrap(&mut self) {
        let Some(at) =
            (!self.blobs.is_empty()).then(|| self.random.random_range(0..self.blobs.len()))
        else {
            return;
        };
        let blob = self.blobs[at].clone();
        let compromised = self.versions[blob.dataset][blob.version].compromised;
        let request = RewrapRequest {
            wrapped_data_key: blob.wrapped.clone(),
            key_context: blob.context.clone(),
            ..RewrapRequest::default()
        };
        let mut answers = self
            .service
            .keys()
            .rewrap(tokio_stream::iter([request]))
            .await
            .unwrap()
            .into_inner();
        let answer = answers.message().await.unwrap().unwrap();
        let obstacles = self.obstacles(&blob);
        let active = self.active(blob.dataset);
        match answer.error {
            None => {
                assert!(obstacles.is_empty() && (!compromised || blob.version == active));
                assert_eq!(answer.wrapped_data_key.len(), blob.wrapped.len());
                assert_eq!(answer.rewrapped, blob.version != active);
                self.blobs[at].wrapped = answer.wrapped_data_key;
                self.blobs[at].version = active;
            }
            Some(error) => {
                let known = obstacles.contains(&error.reason.as_str());
                assert!(
                    known || (compromised && error.reason == "COMPROMISED_VERSION"),
                    "{error:?}"
                );
            }
        }
    }

    async fn rotate(&mut self) {
        let dataset = self.random.random_range(0..2);
        if self.random.random_bool(0.2) {
            let answer = self.operator.emergency_rotate(DATASETS[dataset]).await;
            let marked = self.note(answer).unwrap().marked_versions;
            let fresh = self.versions[dataset]
                .iter()
                .filter(|v| !v.compromised && v.state != VersionState::Destroyed);
            assert_eq!(marked.len(), fresh.count());
            self.versions[dataset]
                .iter_mut()
                .for_each(|version| version.compromised = true);
        } else {
            let answer = self.operator.rotate(DATASETS[dataset]).await;
            self.note(answer).unwrap();
        }
        let active = self.active(dataset);
        self.versions[dataset][active].state = VersionState::DecryptOnly;
        self.versions[dataset].push(VersionModel {
            state: VersionState::Active,
            compromised: false,
        });
    }

    async fn change_person(&mut self) {
        let name = format!("p{}", self.random.random_range(0..6));
        let scope = subject("acme", &name, CLASS).scope;
        assert_eq!(scope.as_ref().unwrap().kind(), SecretKind::Subject);
        let selector = scope.map(|scope| ShredSecretSelector {
            by: Some(By::Scope(scope)),
        });
        let reason = "a test".to_owned();
        let mut shred = self.operator.shred();
        let state = self.people.get(&name).copied();
        let (done, next) = match self.random.random_range(0..8) {
            0 => {
                let request = DestroyShredSecretRequest {
                    selector,
                    reason,
                    validate_only: false,
                };
                let answer = shred.destroy_shred_secret(request).await;
                (
                    self.note(answer).map(drop),
                    state.map(|_| Person::Destroyed),
                )
            }
            1..=3 => {
                let request = BlockShredSecretRequest {
                    selector,
                    reason,
                    validate_only: false,
                };
                let answer = shred.block_shred_secret(request).await;
                let next = state
                    .filter(|state| *state != Person::Destroyed)
                    .map(|_| Person::Blocked);
                (self.note(answer).map(drop), next)
            }
            _ => {
                let request = UnblockShredSecretRequest {
                    selector,
                    reason,
                    validate_only: false,
                };
                let answer = shred.unblock_shred_secret(request).await;
                let next = state
                    .filter(|state| *state != Person::Destroyed)
                    .map(|_| Person::Active);
                (self.note(answer).map(drop), next)
            }
        };
        match (done, next) {
            (Ok(()), Some(next)) => drop(self.people.insert(name, next)),
            (Ok(()), None) => assert!(state == Some(Person::Destroyed), "{name}"),
            // To ask for what is so already may be refused.
            (Err(_), next) => assert!(
                next.is_none() || next == state,
                "{name}: {state:?} to {next:?}"
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_operations_agree_with_the_model() {
    let seed = std::env::var("KMS_TESTS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("KMS_TESTS_SEED={seed}");
    let installation = Installation::new();
    let mut daemon = installation.start();
    let fresh = VersionModel {
        state: VersionState::Active,
        compromised: false,
    };
    let mut model = Model {
        service: daemon.caller(&installation, Role::Service).await,
        operator: daemon.caller(&installation, Role::Operator).await,
        versions: [vec![fresh], vec![fresh]],
        people: BTreeMap::new(),
        blobs: Vec::new(),
        waiting: Vec::new(),
        calls: Vec::new(),
        random: SmallRng::seed_from_u64(seed),
    };
    for name in DATASETS {
        let policy = DatasetPolicy {
            retention_classes: vec![CLASS.into()],
            ..DatasetPolicy::default()
        };
        model.operator.create_dataset(name, policy).await.unwrap();
    }
    for step in 0..scale(1_500, 100_000) {
        match model.random.random_range(0..100) {
            0..30 => model.wrap().await,
            30..60 => model.open().await,
            60..70 => model.cross().await,
            70..80 => model.rewrap().await,
            80..85 => model.rotate().await,
            85..93 => {
                model.change_version().await;
                model.destroy_what_waited().await;
            }
            _ => model.change_person().await,
        }
        if step % 50 == 49 {
            model.check_versions().await;
        }
        if step % 400 == 399 {
            daemon.kill();
            daemon = installation.start();
            model.service = daemon.caller(&installation, Role::Service).await;
            model.operator = daemon.caller(&installation, Role::Operator).await;
        }
    }
    for blob in model.blobs.clone() {
        let opened = model
            .service
            .unwrap(&blob.wrapped, &blob.context)
            .await
            .is_ok();
        assert_eq!(opened, model.obstacles(&blob).is_empty());
    }
    let entries = model.operator.entries(0).await.unwrap();
    let heads: Vec<&str> = entries
        .iter()
        .filter(|e| e.kind == "call")
        .map(|e| e.request_id.as_str())
        .collect();
    let distinct: BTreeSet<&str> = heads.iter().copied().collect();
    assert_eq!(distinct.len(), heads.len(), "a call with two head entries");
    for id in &model.calls {
        assert!(distinct.contains(id.as_str()), "a call without entry");
    }
}
