//! Renewals without anybody's hand: the client library at two thirds of the life, and what another program renewed.

use crate::services::DAY;
use crate::services::scene::{Scene, generate, why};
use kms_client::{Client, Profile, identity};
use kms_tests::production::Production;

#[tokio::test]
async fn the_library_renews_at_two_thirds_and_goes_on_with_the_new_certificate() {
    // the daemon's clock is five days behind ours, so what it makes is due as soon as it is here
    let scene = Scene::over(Production::new(DAY * 5)).await;
    let web = scene.enrol(&scene.invite("web").await).await;
    let stolen = scene.copy(&web, "stolen");
    let profile = Profile {
        renew: true,
        ..scene.profile(&web)
    };
    assert!(identity::is_due(&profile).unwrap());
    let client = Client::connect(&profile).await.unwrap();
    generate(&client).await.unwrap();
    let mut renewals = client.renewals().unwrap();
    renewals.wait_for(|count| *count == 1).await.unwrap();
    let renewed = identity::validity(&profile).unwrap();
    // two more from the new one on: the first certificate is over, and the client is not on it
    let other = scene.client(&web).await;
    identity::renew(&other, &scene.profile(&web)).await.unwrap();
    let old = scene.client(&stolen).await;
    assert_eq!(why(generate(&old).await), "UNAUTHENTICATED");
    generate(&client).await.unwrap();
    assert!(identity::validity(&profile).unwrap().from >= renewed.from);
    // it ends with the client
    drop(client);
    assert!(renewals.changed().await.is_err());
}

#[tokio::test]
async fn a_certificate_is_not_renewed_before_it_is_due() {
    let scene = Scene::over(Production::new(DAY * 4)).await;
    let web = scene.enrol(&scene.invite("web").await).await;
    let profile = Profile {
        renew: true,
        ..scene.profile(&web)
    };
    assert!(!identity::is_due(&profile).unwrap());
    let client = Client::connect(&profile).await.unwrap();
    for _ in 0..50 {
        generate(&client).await.unwrap();
    }
    assert_eq!(*client.renewals().unwrap().borrow(), 0);
    assert!(scene.entries("RenewService").await.is_empty());
}

#[tokio::test]
async fn files_that_are_no_identity_leave_the_connections_as_they_are() {
    let scene = Scene::open().await;
    let web = scene.enrol(&scene.invite("web").await).await;
    let client = scene.client(&web).await;
    generate(&client).await.unwrap();
    let path = scene.profile(&web).certificate.unwrap();
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, "half a file").unwrap();
    generate(&client).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    generate(&client).await.unwrap();
    std::fs::write(&path, good).unwrap();
    generate(&client).await.unwrap();
}
