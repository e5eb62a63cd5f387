//! What is tried again, how often, and what is not.

use crate::peer::{Peer, Reply};
use kms_client::proto::v1;
use kms_client::proto::v1::system_service_client::SystemServiceClient;
use kms_client::proto::{ERROR_DOMAIN, REQUEST_ID_METADATA};
use kms_client::{Client, Error, ErrorKind, Profile};
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

fn refused(code: Code, reason: &str, wait: Option<Duration>) -> Reply {
    let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new());
    if wait.is_some() {
        details.set_retry_info(wait);
    }
    let mut status = Status::with_error_details(code, "refused", details);
    let id = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
    status.metadata_mut().insert(REQUEST_ID_METADATA, id);
    Reply::Status(status)
}

fn unavailable() -> Reply {
    refused(Code::Unavailable, "STORE_UNAVAILABLE", None)
}

async fn connect(peer: &Peer) -> Client {
    Client::connect(&peer.profile()).await.unwrap()
}

async fn call(client: &Client) -> Result<v1::GetStatusResponse, Error> {
    let message = v1::GetStatusRequest {};
    let call = client.repeat(&message, |channel, request| async move {
        SystemServiceClient::new(channel).get_status(request).await
    });
    call.await
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let short = Some(Duration::from_millis(1));
    for script in [
        vec![unavailable(), unavailable()],
        vec![refused(
            Code::ResourceExhausted,
            "RESOURCE_EXHAUSTED",
            short,
        )],
        vec![Reply::Status(Status::unavailable("from a proxy"))],
    ] {
        let tries = script.len() + 1;
        let peer = Peer::start(script).await;
        call(&connect(&peer).await).await.unwrap();
        assert_eq!(peer.calls(), tries);
    }
}

#[tokio::test]
async fn three_tries_are_enough() {
    let peer = Peer::start((0..9).map(|_| unavailable())).await;
    let error = call(&connect(&peer).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(error.reason(), Some("STORE_UNAVAILABLE"));
    assert_eq!(error.request_id(), Some("000102030405060708090a0b0c0d0e0f"));
    assert_eq!(peer.calls(), 3);
}

#[tokio::test]
async fn what_does_not_pass_is_asked_once() {
    for (reply, kind) in [
        (
            refused(Code::ResourceExhausted, "RESOURCE_EXHAUSTED", None),
            ErrorKind::Throttled,
        ),
        (
            refused(Code::Unavailable, "SEALED", None),
            ErrorKind::Unavailable,
        ),
        (
            refused(Code::Unavailable, "OUTCOME_UNKNOWN", None),
            ErrorKind::OutcomeUnknown,
        ),
        (
            refused(Code::PermissionDenied, "DENIED", None),
            ErrorKind::Denied,
        ),
        (
            refused(Code::FailedPrecondition, "VERSION_DISABLED", None),
            ErrorKind::Disabled,
        ),
        (
            refused(Code::FailedPrecondition, "SUBJECT_ERASED", None),
            ErrorKind::Erased,
        ),
        (
            refused(Code::InvalidArgument, "UNDECRYPTABLE", None),
            ErrorKind::Undecryptable,
        ),
    ] {
        let peer = Peer::start([reply]).await;
        let error = call(&connect(&peer).await).await.unwrap_err();
        assert_eq!((error.kind(), peer.calls()), (kind, 1));
    }
}

#[tokio::test]
async fn a_change_without_request_id_is_made_once() {
    let peer = Peer::start([unavailable()]).await;
    let client = connect(&peer).await;
    let call = client.once(v1::GetStatusRequest {}, |channel, request| async move {
        SystemServiceClient::new(channel).get_status(request).await
    });
    assert_eq!(call.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(peer.calls(), 1);
}

#[tokio::test]
async fn no_retry_goes_past_the_deadline() {
    let long = Some(Duration::from_secs(60));
    let peer = Peer::start([refused(Code::ResourceExhausted, "RESOURCE_EXHAUSTED", long)]).await;
    let error = call(&connect(&peer).await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(error.retry_after(), long);
    assert_eq!(peer.calls(), 1);
}

#[tokio::test]
async fn a_silent_service_is_given_up() {
    let peer = Peer::start([Reply::Silence]).await;
    let client = connect(&peer)
        .await
        .with_deadline(Duration::from_millis(100));
    let error = call(&client).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
}

#[tokio::test]
async fn retries_are_one_in_ten_in_the_long_run() {
    let peer = Peer::start((0..999).map(|_| unavailable())).await;
    let client = connect(&peer).await;
    for _ in 0..100 {
        call(&client).await.unwrap_err();
    }
    // a full bucket of ten retries, and one earned by each ten calls
    assert!((110..=120).contains(&peer.calls()), "{}", peer.calls());
}

#[tokio::test]
async fn a_closed_connection_is_made_again() {
    let peer = Peer::start([Reply::LastOk, Reply::LastOk]).await;
    let client = connect(&peer).await;
    for _ in 0..3 {
        call(&client).await.unwrap();
    }
    assert_eq!((peer.calls(), peer.connections()), (3, 3));
}

#[tokio::test]
async fn connections_take_turns() {
    let peer = Peer::start([]).await;
    let profile = Profile {
        connections: 3,
        ..peer.profile()
    };
    let client = Client::connect(&profile).await.unwrap();
    for _ in 0..6 {
        call(&client).await.unwrap();
    }
    assert_eq!((peer.calls(), peer.connections()), (6, 3));
}
