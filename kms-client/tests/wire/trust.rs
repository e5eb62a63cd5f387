//! Whom the client talks to: pin and authority must both agree, and a wrong pin is an error of its own.

use crate::peer::{Looks, Peer, authority};
use kms_client::proto::v1;
use kms_client::proto::v1::system_service_client::SystemServiceClient;
use kms_client::{Client, Error, ErrorKind, Pin, Profile};

async fn call(client: &Client) -> Result<v1::GetStatusResponse, Error> {
    let message = v1::GetStatusRequest {};
    let call = client.repeat(&message, |channel, request| async move {
        SystemServiceClient::new(channel).get_status(request).await
    });
    call.await
}

async fn refusal(profile: &Profile) -> ErrorKind {
    let eager = Client::connect(profile).await.unwrap_err();
    let lazy = Client::connect_lazy(profile).await.unwrap();
    let lazy = call(&lazy).await.unwrap_err();
    assert_eq!(eager.kind(), lazy.kind(), "{eager:?} {lazy:?}");
    eager.kind()
}

fn foreign_pin() -> Pin {
    Pin::of_certificate(authority().der()).unwrap()
}

#[tokio::test]
async fn the_pinned_server_is_talked_to() {
    let peer = Peer::start([]).await;
    let client = Client::connect(&peer.profile()).await.unwrap();
    call(&client).await.unwrap();
    let any_of_several = Profile {
        pins: vec![foreign_pin(), peer.pin],
        ..peer.profile()
    };
    assert!(Client::connect(&any_of_several).await.is_ok());
    let pin_alone = Profile {
        ca: None,
        server_name: "any.name".into(),
        ..peer.profile()
    };
    assert!(Client::connect(&pin_alone).await.is_ok());
}

#[tokio::test]
async fn a_wrong_pin_is_its_own_error() {
    let peer = Peer::start([]).await;
    let profile = Profile {
        pins: vec![foreign_pin()],
        ..peer.profile()
    };
    assert_eq!(refusal(&profile).await, ErrorKind::PinMismatch);
    let error = Client::connect(&profile).await.unwrap_err();
    assert!(error.to_string().contains(&peer.pin.to_string()), "{error}");
    assert_eq!(peer.calls(), 0);
}

#[tokio::test]
async fn a_pin_does_not_replace_the_authority() {
    let peer = Peer::start([]).await;
    let ca = peer.path("other.pem");
    std::fs::write(&ca, authority().pem()).unwrap();
    let foreign = Profile {
        ca: Some(ca),
        ..peer.profile()
    };
    assert_eq!(refusal(&foreign).await, ErrorKind::ServerUntrusted);
    let misnamed = Profile {
        server_name: "other.test".into(),
        ..peer.profile()
    };
    assert_eq!(refusal(&misnamed).await, ErrorKind::ServerUntrusted);
    let expired = Looks {
        expired: true,
        ..Looks::default()
    };
    let expired = Peer::looking(expired, []).await;
    assert_eq!(
        refusal(&expired.profile()).await,
        ErrorKind::ServerUntrusted
    );
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let peer = Peer::start([]).await;
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = unused.local_addr().unwrap().to_string();
    drop(unused);
    let profile = Profile {
        address,
        ..peer.profile()
    };
    assert_eq!(refusal(&profile).await, ErrorKind::Unavailable);
}

#[tokio::test]
async fn missing_and_malformed_files_are_named() {
    let peer = Peer::start([]).await;
    std::fs::write(peer.path("empty.pem"), "").unwrap();
    for (profile, named) in [
        (
            Profile {
                ca: Some(peer.path("absent.pem")),
                ..peer.profile()
            },
            "absent.pem",
        ),
        (
            Profile {
                certificate: Some(peer.path("empty.pem")),
                ..peer.profile()
            },
            "empty.pem",
        ),
        (
            Profile {
                key: Some(peer.path("client.pem")),
                ..peer.profile()
            },
            "client.pem",
        ),
    ] {
        let error = Client::connect(&profile).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Profile);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[tokio::test]
async fn a_refused_certificate_is_said_to_be_refused() {
    let peer = Peer::start([]).await;
    let stranger = Peer::start([]).await;
    let profile = Profile {
        certificate: Some(stranger.path("client.pem")),
        key: Some(stranger.path("client.key")),
        ..peer.profile()
    };
    let client = Client::connect(&profile).await.unwrap();
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert_eq!(peer.calls(), 0);
}
