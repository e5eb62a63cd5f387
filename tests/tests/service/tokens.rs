//! Access tokens against the real server over a socket: no wrong one passes, in any number, and all of them are
//! refused with the same words.

mod file;
mod issuer;
mod key_server;
mod rsa;
mod table;

use issuer::{AUDIENCE, ISSUER, Issuer, claims, encode, header};
use key_server::KeyServer;
use kms_proto::v1::{GenerateDataKeyRequest, GetStatusRequest};
use kms_server::serve::Running;
use kms_tests::caller::{Caller, reason};
use kms_tests::credentials::Credentials;
use kms_tests::daemon::Role;
use kms_tests::in_process::InProcess;
use kms_tests::wire::Wire;
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Request, Status};

/// An installation that takes tokens of one issuer, and certificates when they come.
struct Scene {
    process: InProcess,
    issuer: Issuer,
}

impl Scene {
    fn new(binding: &str) -> Self {
        Self::with(binding, "jwks_file = \"jwks.json\"")
    }

    fn with(binding: &str, source: &str) -> Self {
        let scene = Self {
            process: InProcess::new(),
            issuer: Issuer::new(),
        };
        scene.write_keys(&scene.issuer.keys());
        let path = scene.process.installation.dir().join("kms.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(
            "client_certificate = \"required\"",
            "client_certificate = \"optional\"",
        );
        let more = format!(
            "\n[[issuers]]\nname = \"login\"\nissuer = \"{ISSUER}\"\naudience = \"{AUDIENCE}\"\n\
             algorithms = [\"EdDSA\", \"ES256\"]\n{source}\nbinding = \"{binding}\"\n\
             [[issuers.grants]]\nsubject = \"crm-web\"\nscopes = [\"kms.use\"]\nclaims = {{ tenant = \"acme\" }}\n\
             principal = \"spiffe://crm.example/service/web\"\nroles = [\"service\"]\n\
             attributes = {{ tenant = \"tenant\" }}\n"
        );
        std::fs::write(path, text + &more).unwrap();
        scene
    }

    fn write_keys(&self, keys: &[serde_json::Value]) {
        let path = self.process.installation.dir().join("jwks.json");
        std::fs::write(path, json!({"keys": keys}).to_string()).unwrap();
    }

    fn now(&self) -> i64 {
        self.process.now().as_micros() / 1_000_000
    }

    async fn nobody(&self, running: &Running) -> Caller {
        let profile = self.process.installation.profile(Role::Service);
        let wire = Wire::connect(running.address(), &Credentials::nobody(&profile)).await;
        Caller::new(wire.unwrap())
    }
}

async fn status(caller: &Caller, token: &str) -> Result<(), Status> {
    let mut request = Request::new(GetStatusRequest {});
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    caller.system().get_status(request).await.map(drop)
}

fn assert_refused(name: &str, answer: Result<(), Status>) {
    let Err(status) = answer else {
        panic!("{name}: passed")
    };
    assert_eq!(status.code(), Code::Unauthenticated, "{name}: {status:?}");
    assert_eq!(reason(&status), "UNAUTHENTICATED", "{name}");
    assert_eq!(
        status.message(),
        kms_core::reason::Reason::Unauthenticated.to_string(),
        "{name}"
    );
}

#[tokio::test]
async fn no_wrong_token_passes_and_all_are_refused_alike() {
    let scene = Scene::new("optional");
    let running = scene.process.serve().await;
    let caller = scene.nobody(&running).await;
    let now = scene.now();
    let good = [
        scene.issuer.token(&claims(now)),
        scene.issuer.es256(&claims(now).to_string()),
    ];
    let wrong = table::wrong(&scene.issuer, now);
    assert!(wrong.len() > 120, "{}", wrong.len());
    for (name, token) in &wrong {
        assert_refused(name, status(&caller, token).await);
    }
    for token in &good {
        status(&caller, token).await.unwrap();
    }
    // a good one between them changes nothing for the next
    for (name, token) in &wrong {
        assert_refused(name, status(&caller, token).await);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_once_do_not_help_a_wrong_one() {
    let scene = Scene::new("optional");
    let running = scene.process.serve().await;
    let now = scene.now();
    let good = Arc::new(scene.issuer.token(&claims(now)));
    let wrong = Arc::new(table::wrong(&scene.issuer, now));
    let mut tasks = Vec::new();
    for place in 0..100 {
        let caller = scene.nobody(&running).await;
        let (good, wrong) = (Arc::clone(&good), Arc::clone(&wrong));
        tasks.push(tokio::spawn(async move {
            for step in 0..crate::scale(100, 10_000) {
                let (name, token) = &wrong[(place + step) % wrong.len()];
                assert_refused(name, status(&caller, token).await);
                status(&caller, &good).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    running.stop().await;
}

#[tokio::test]
async fn a_token_gives_the_rights_of_its_grant_and_ends_with_its_time_and_its_key() {
    let scene = Scene::new("optional");
    let running = scene.process.serve().await;
    let caller = scene.nobody(&running).await;
    let token = scene.issuer.token(&claims(scene.now()));
    let mut request = Request::new(GenerateDataKeyRequest {
        dataset: "datasets/files".into(),
        ..Default::default()
    });
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    caller.keys().generate_data_key(request).await.unwrap();
    let auditor = scene.process.caller(&running, Role::Auditor).await;
    let entries = auditor.entries(0).await.unwrap();
    let made = entries
        .iter()
        .rfind(|entry| entry.action == "GenerateDataKey")
        .unwrap();
    assert_eq!(made.principal, "spiffe://crm.example/service/web");

    // a key that the issuer drops ends its tokens, those that were verified already too
    scene.write_keys(&scene.issuer.keys()[1..]);
    scene.process.clock.advance(Duration::from_secs(11));
    let mut tries = 0;
    while status(&caller, &token).await.is_ok() {
        tries += 1;
        assert!(tries < 100_000, "the dropped key is still taken");
        tokio::task::yield_now().await;
    }
    assert_refused("dropped key", status(&caller, &token).await);
    let other = scene.issuer.es256(&claims(scene.now()).to_string());
    status(&caller, &other).await.unwrap();
    scene.process.clock.advance(Duration::from_secs(631));
    assert_refused("expired", status(&caller, &other).await);
    running.stop().await;
}

#[tokio::test]
async fn certificate_and_token_must_belong_together() {
    let scene = Scene::new("required");
    let running = scene.process.serve().await;
    let service = scene.process.caller(&running, Role::Service).await;
    let operator = scene.process.caller(&running, Role::Operator).await;
    let nobody = scene.nobody(&running).await;
    let unbound = scene.issuer.token(&claims(scene.now()));
    for caller in [&service, &operator, &nobody] {
        assert_refused("unbound", status(caller, &unbound).await);
    }
    let leaf = scene.process.installation.dir().join("pki/service.pem");
    let leaf = CertificateDer::from_pem_file(leaf).unwrap();
    let mut bound = claims(scene.now());
    bound["cnf"] = json!({"x5t#S256": encode(digest(&SHA256, &leaf))});
    let bound = scene.issuer.token(&bound);
    status(&service, &bound).await.unwrap();
    assert_refused("another certificate", status(&operator, &bound).await);
    assert_refused("no certificate", status(&nobody, &bound).await);
    running.stop().await;

    let scene = Scene::new("optional");
    let running = scene.process.serve().await;
    let service = scene.process.caller(&running, Role::Service).await;
    let operator = scene.process.caller(&running, Role::Operator).await;
    let token = scene.issuer.token(&claims(scene.now()));
    status(&service, &token).await.unwrap();
    assert_refused("two names", status(&operator, &token).await);
    // a wrong token is never made good by a good certificate
    assert_refused("wrong token", status(&service, "a.b.c").await);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_fetched_seldom_and_an_issuer_out_of_reach_fails_closed() {
    let server = KeyServer::start().await;
    let source = format!(
        "jwks_url = \"https://{}/jwks\"\njwks_ca = \"login-ca.pem\"",
        server.address
    );
    let scene = Scene::with("optional", &source);
    let ca = scene.process.installation.dir().join("login-ca.pem");
    std::fs::write(ca, &server.authority).unwrap();
    server.answer("500 Internal Server Error", "");
    let running = scene.process.serve().await;
    let caller = scene.nobody(&running).await;
    let token = |issuer: &Issuer| issuer.token(&claims(scene.now()));
    assert_refused("no keys yet", status(&caller, &token(&scene.issuer)).await);

    let keys = json!({"keys": scene.issuer.keys()}).to_string();
    let longer = Duration::from_secs(31);
    for (answer, body) in [
        ("302 Found\r\nlocation: https://127.0.0.1/", keys.as_str()),
        ("200 OK", "{\"keys\":"),
        ("200 OK", &format!("{keys}{}", " ".repeat(70_000))),
    ] {
        server.answer(answer, body);
        scene.process.clock.advance(longer);
        assert_refused(answer, status(&caller, &token(&scene.issuer)).await);
    }
    server.answer("200 OK", &keys);
    scene.process.clock.advance(longer);
    status(&caller, &token(&scene.issuer)).await.unwrap();

    // out of reach: known keys go on, unknown ones are refused, and asking often fetches once
    server.answer("503 Service Unavailable", "");
    scene.process.clock.advance(longer);
    let before = server.asked();
    for number in 0..50 {
        let mut head = header();
        head["kid"] = json!(format!("random-{number}"));
        let unknown = scene
            .issuer
            .sign(&head.to_string(), &claims(scene.now()).to_string());
        assert_refused("unknown key", status(&caller, &unknown).await);
    }
    assert_eq!(server.asked(), before + 1);
    status(&caller, &token(&scene.issuer)).await.unwrap();

    // rotated: the new key is taken with the first call, the old one no longer
    let next = Issuer::new();
    let renamed = json!({"keys": [next.named("new")]}).to_string();
    server.answer("200 OK", &renamed);
    scene.process.clock.advance(longer);
    let old = token(&scene.issuer);
    status(&caller, &old).await.unwrap();
    let mut head = header();
    head["kid"] = json!("new");
    let fresh = next.sign(&head.to_string(), &claims(scene.now()).to_string());
    status(&caller, &fresh).await.unwrap();
    assert_refused("rotated away", status(&caller, &old).await);
    running.stop().await;
}
