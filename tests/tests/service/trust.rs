//! What says who is who takes effect only when the roster agreed: a changed configuration keeps the approved one in force,
//! over restarts and reloads, says so, and leaves a way out when every approved authority has expired.

use kms_client::operator::Operator;
use kms_client::{Client, Error};
use kms_proto::v1;
use kms_proto::v1::system_service_client::SystemServiceClient;
use kms_server::serve::Running;
use kms_tests::certificate::Authority;
use kms_tests::in_process::DAY;
use kms_tests::production::Production;
use std::fs;
use std::time::Duration;

/// An outside authority's operators' certificate, as a configuration would name it.
const DESK: &str = "spiffe://elsewhere.example/desk/second";

/// A file of the installation.
fn edit(production: &Production, name: &str, change: impl FnOnce(String) -> String) {
    let path = production.dir().join(name);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, change(text)).unwrap();
}

/// Waits until the jobs have looked: they take the first configuration for approved.
async fn jobs_pass(production: &Production, running: &Running) {
    let mut passes = running.passes();
    passes.borrow_and_update();
    production.clock.advance(kms_server::jobs::PASS_EVERY);
    passes.changed().await.unwrap();
}

async fn trust(client: &Client) -> Result<v1::GetTrustResponse, Error> {
    let request = v1::GetTrustRequest {};
    let answer = client.repeat(&request, |channel, request| async move {
        SystemServiceClient::new(channel).get_trust(request).await
    });
    answer.await
}

async fn status(client: &Client) -> Result<v1::GetStatusResponse, Error> {
    let request = v1::GetStatusRequest::default();
    let answer = client.repeat(&request, |channel, request| async move {
        SystemServiceClient::new(channel).get_status(request).await
    });
    answer.await
}

async fn approve(client: &Client, document: String) -> Result<v1::ApproveTrustResponse, Error> {
    let request = v1::ApproveTrustRequest {
        document,
        validate_only: false,
    };
    let answer = client.once(request, |channel, request| async move {
        SystemServiceClient::new(channel)
            .approve_trust(request)
            .await
    });
    answer.await
}

/// Somebody who has a certificate of `authority` for [`DESK`].
async fn stranger(production: &Production, running: &Running, authority: &Authority) -> Client {
    let issued = authority.client(DESK);
    let own = production.scratch().join("elsewhere");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("client.pem"), &issued.certificate).unwrap();
    fs::write(own.join("client.key"), &issued.key).unwrap();
    let path = production.dir().join("operator.toml");
    let mut profile = production.profile(&path, running.address());
    profile.certificate = Some(own.join("client.pem"));
    profile.key = Some(own.join("client.key"));
    Client::connect_lazy(&profile)
        .await
        .unwrap()
        .with_operator(None::<Operator>)
}

fn alarms(status: &v1::GetStatusResponse) -> bool {
    status
        .alarms
        .iter()
        .any(|alarm| alarm.contains("kms config approve"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_configuration_counts_only_when_it_was_approved() {
    let production = Production::new(Duration::ZERO);
    let running = production.serve().await;
    let alice = production.alice(&running).await;
    assert!(trust(&alice).await.unwrap().is_approved);
    jobs_pass(&production, &running).await;
    let first = trust(&alice).await.unwrap();
    assert_eq!(first.approved_by, "kms:internal");
    assert_eq!(first.approved_document, first.configured_document);
    running.stop().await;

    // who can write the files gives an authority of his own the right to let people in
    let elsewhere = Authority::new("elsewhere");
    edit(&production, "pki/ca.pem", |text| {
        text + "\n" + &elsewhere.certificate
    });
    edit(&production, "kms.toml", |text| {
        format!("{text}\n\"{DESK}\" = [\"operator\"]\n")
    });
    let running = production.serve().await;
    let mallory = stranger(&production, &running, &elsewhere).await;
    let refused = status(&mallory).await.unwrap_err();
    assert_eq!(refused.reason(), Some("UNAUTHENTICATED"), "{refused}");
    // the approved ones stay in force, and everybody hears of it
    let alice = production.alice(&running).await;
    let now = trust(&alice).await.unwrap();
    assert!(!now.is_approved);
    assert!(now.configured_document.contains(DESK));
    assert!(!now.approved_document.contains(DESK));
    assert!(alarms(&status(&alice).await.unwrap()));
    jobs_pass(&production, &running).await;
    assert!(
        !trust(&alice).await.unwrap().is_approved,
        "no job adopts it"
    );

    // nothing else than what is configured can be approved
    let alice = production.alice(&running).await;
    let other = approve(&alice, now.approved_document.clone()).await;
    assert_eq!(other.unwrap_err().reason(), Some("INVALID_ARGUMENT"));
    approve(&alice, now.configured_document).await.unwrap();
    assert!(trust(&alice).await.unwrap().is_approved);
    let mallory = stranger(&production, &running, &elsewhere).await;
    assert!(!alarms(&status(&mallory).await.unwrap()));

    // a configuration that would not let in where it is approved from is not taken
    edit(&production, "pki/ca.pem", |_| elsewhere.certificate.clone());
    running.reload();
    let alice = production.alice(&running).await;
    let now = loop {
        let now = trust(&alice).await.unwrap();
        if !now.is_approved {
            break now;
        }
    };
    let refused = approve(&alice, now.configured_document).await.unwrap_err();
    assert_eq!(refused.reason(), Some("LAST_ADMINISTRATOR"));
    // and the former one goes on
    assert!(alarms(&status(&alice).await.unwrap()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_every_approved_authority_has_expired_people_still_get_in_to_approve() {
    let production = Production::new(Duration::ZERO);
    let running = production.serve().await;
    let alice = production.alice(&running).await;
    let operator = alice.operator().unwrap().clone();
    jobs_pass(&production, &running).await;
    running.stop().await;
    let elsewhere = Authority::new("elsewhere");
    edit(&production, "pki/ca.pem", |_| elsewhere.certificate.clone());
    edit(&production, "kms.toml", |text| {
        format!("{text}\n\"{DESK}\" = [\"operator\"]\n")
    });
    // while one is good, nobody else's lets anybody in
    let running = production.serve().await;
    let desk = stranger(&production, &running, &elsewhere).await;
    assert!(status(&desk).await.is_err());
    running.stop().await;
    production.clock.advance(DAY * 366 * 11);
    let running = production.serve().await;
    // password and code as ever; what changes who may act waits for the roster, or its delay
    operator.set_token(None);
    let desk = stranger(&production, &running, &elsewhere).await;
    let desk = desk.with_operator(Some(operator));
    let now = trust(&desk).await.unwrap();
    assert!(!now.is_approved);
    let waits = approve(&desk, now.configured_document).await.unwrap_err();
    assert_eq!(waits.reason(), Some("APPROVAL_REQUIRED"), "{waits}");
    running.stop().await;
}
