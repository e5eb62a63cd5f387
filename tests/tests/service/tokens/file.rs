//! The client library with an access token that another program keeps in a file, against the real server.

use super::issuer::claims;
use super::{Scene, encode};
use kms_client::proto::v1;
use kms_client::proto::v1::key_service_client::KeyServiceClient;
use kms_client::{Client, Error, ErrorKind, Profile};
use kms_tests::daemon::Role;
use ring::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use std::time::Duration;

async fn generate(client: &Client) -> Result<v1::GenerateDataKeyResponse, Error> {
    let request = v1::GenerateDataKeyRequest {
        dataset: "datasets/files".into(),
        ..Default::default()
    };
    let call = client.once(request, |channel, request| async move {
        KeyServiceClient::new(channel)
            .generate_data_key(request)
            .await
    });
    call.await
}

#[tokio::test]
async fn a_token_file_is_read_again_when_it_changes() {
    let scene = Scene::new("optional");
    let running = scene.process.serve().await;
    let path = scene.process.installation.scratch().join("token");
    let keep = |token: &str| {
        let beside = path.with_extension("new");
        std::fs::write(&beside, token).unwrap();
        std::fs::rename(&beside, &path).unwrap();
    };
    let service = Profile::load(scene.process.installation.profile(Role::Service)).unwrap();
    let alone = Profile {
        address: running.address().to_string(),
        certificate: None,
        key: None,
        token_file: Some(path.clone()),
        ..service.clone()
    };
    // no token yet: the profile is good, the call says what is missing
    let client = Client::connect(&alone).await.unwrap();
    assert_eq!(
        generate(&client).await.unwrap_err().kind(),
        ErrorKind::Profile
    );
    keep(&scene.issuer.token(&claims(scene.now())));
    generate(&client).await.unwrap();
    generate(&client).await.unwrap();
    // it ends, and the next one is taken up without a new client
    scene.process.clock.advance(Duration::from_secs(3_600));
    let ended = generate(&client).await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Unauthenticated);
    keep(&(scene.issuer.token(&claims(scene.now())) + "\n"));
    generate(&client).await.unwrap();
    // each call carries what the file says, not what it said
    keep("not.a.token");
    assert_eq!(
        generate(&client).await.unwrap_err().kind(),
        ErrorKind::Unauthenticated
    );
    std::fs::remove_file(&path).unwrap();
    assert_eq!(
        generate(&client).await.unwrap_err().kind(),
        ErrorKind::Profile
    );
    running.stop().await;
}

#[tokio::test]
async fn certificate_and_token_file_go_together_where_the_token_is_bound() {
    let scene = Scene::new("required");
    let running = scene.process.serve().await;
    let path = scene.process.installation.scratch().join("token");
    let service = Profile::load(scene.process.installation.profile(Role::Service)).unwrap();
    let both = Profile {
        address: running.address().to_string(),
        token_file: Some(path.clone()),
        ..service
    };
    let leaf = CertificateDer::from_pem_file(both.certificate.as_ref().unwrap()).unwrap();
    let bound = |hash: &[u8]| {
        let mut claims = claims(scene.now());
        claims["cnf"] = json!({"x5t#S256": encode(hash)});
        scene.issuer.token(&claims)
    };
    std::fs::write(&path, bound(digest(&SHA256, &leaf).as_ref())).unwrap();
    let client = Client::connect(&both).await.unwrap();
    generate(&client).await.unwrap();
    std::fs::write(&path, bound(&[7; 32])).unwrap();
    assert_eq!(
        generate(&client).await.unwrap_err().kind(),
        ErrorKind::Unauthenticated
    );
    let stolen = Profile {
        certificate: None,
        key: None,
        ..both
    };
    std::fs::write(&path, bound(digest(&SHA256, &leaf).as_ref())).unwrap();
    let client = Client::connect(&stolen).await.unwrap();
    assert_eq!(
        generate(&client).await.unwrap_err().kind(),
        ErrorKind::Unauthenticated
    );
    running.stop().await;
}
