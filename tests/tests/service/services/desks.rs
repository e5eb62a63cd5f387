//! Desks: machines that operators log in from. They do nothing themselves but that, renewing, and unsealing.

use crate::services::scene::{Scene, generate, renew_raw, why};
use kms_client::proto::v1;
use kms_client::proto::v1::auth_service_client::AuthServiceClient;
use kms_client::proto::v1::system_service_client::SystemServiceClient;
use kms_client::{Client, Error};

async fn who_am_i(client: &Client) -> Result<v1::WhoAmIResponse, Error> {
    let call = client.once(v1::WhoAmIRequest {}, |channel, request| async move {
        AuthServiceClient::new(channel).who_am_i(request).await
    });
    call.await
}

async fn unseal(client: &Client, passphrase: Vec<u8>) -> Result<v1::UnsealResponse, Error> {
    let request = v1::UnsealRequest {
        passphrase: passphrase.into(),
        ..Default::default()
    };
    let call = client.once(request, |channel, request| async move {
        SystemServiceClient::new(channel).unseal(request).await
    });
    call.await
}

#[tokio::test]
async fn people_log_in_from_an_enrolled_desk_until_it_is_revoked() {
    let scene = Scene::open().await;
    let alice = scene.alice().await;
    let desk = v1::ServicePurpose::Desk;
    let invitation = scene.add_with(&alice, "laptop", desk, false).await.unwrap();
    let laptop = scene.enrol(&invitation).await;
    let alone = scene.client(&laptop).await;
    assert_eq!(why(generate(&alone).await), "SESSION_REQUIRED");
    renew_raw(&alone).await.unwrap();
    let operator = alice.operator().cloned();
    operator.as_ref().unwrap().set_token(None);
    let there = scene.client(&laptop).await.with_operator(operator);
    assert_eq!(who_am_i(&there).await.unwrap().operator, "operators/alice");
    assert_eq!(why(generate(&there).await), "DENIED");

    let token = there.operator().unwrap().token();
    there.operator().unwrap().set_token(None);
    scene.revoke("laptop").await.unwrap();
    there.operator().unwrap().set_token(token);
    assert_eq!(why(who_am_i(&there).await), "UNAUTHENTICATED");
    // what is a service is not made a desk by enrolling again, nor the other way round
    scene.invite("web").await;
    assert_eq!(
        why(scene.add_with(&alice, "web", desk, true).await),
        "DENIED"
    );
}

#[tokio::test]
async fn a_sealed_daemon_is_unsealed_from_a_desk_and_from_no_service() {
    let scene = Scene::open().await;
    let web = scene.enrol(&scene.invite("web").await).await;
    let service = scene.client(&web).await;
    let desk = scene.production.desk(&scene.running).await;
    let alice = scene.alice().await;
    let sealed = alice.once(
        v1::SealRequest {
            validate_only: false,
        },
        |channel, request| async move { SystemServiceClient::new(channel).seal(request).await },
    );
    sealed.await.unwrap();
    assert_eq!(why(generate(&service).await), "SEALED");
    assert_eq!(why(renew_raw(&desk).await), "SEALED");
    let path = scene.production.scratch().join("passphrase");
    let passphrase = std::fs::read_to_string(path).unwrap();
    let right = || passphrase.trim_end().as_bytes().to_vec();
    assert_eq!(why(unseal(&service, right()).await), "DENIED");
    assert_eq!(why(unseal(&desk, b"wrong".to_vec()).await), "UNSEAL_FAILED");
    unseal(&desk, right()).await.unwrap();
    generate(&service).await.unwrap();
}
