//! Requests in and out of form: each refusal carries our words, the request id, and one entry.

use crate::client::{Client, ENCRYPT, Reply, frame, request};
use crate::echo::{NOW, Server};
use http::StatusCode;
use kms_core::reason::Reason;
use kms_server::system::clock::Clock;
use std::time::Duration;
use tonic::Code;

/// Refused before the road, with an entry under the id that was answered.
fn assert_early(server: &Server, reply: &Reply, code: Code, reason: Reason) {
    reply.assert_refused(code, reason);
    let seen = server.seen.borrow();
    let (id, _, recorded, note) = seen.refused.last().unwrap();
    assert_eq!(
        (*recorded, id.to_string().as_str()),
        (reason, reply.request_id())
    );
    assert!(!note.is_empty());
}

#[tokio::test]
async fn bodies_out_of_form_are_refused_and_recorded() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let four = 4 * 1024 * 1024;
    let oversize = frame(&vec![0; four + 1]);
    let bodies = [
        vec![],
        vec![0, 0, 0],
        vec![0, 0, 0, 0, 9, 1],
        vec![2, 0, 0, 0, 0],
        vec![1, 0, 0, 0, 1, 7],
        [frame(b"a"), frame(b"b")].concat(),
        [frame(b"a"), vec![0]].concat(),
        oversize,
        vec![0, 0xFF, 0xFF, 0xFF, 0xFF],
    ];
    let count = bodies.len();
    for body in bodies {
        let reply = client.send(request(ENCRYPT), body).await.unwrap();
        assert_early(
            &server,
            &reply,
            Code::InvalidArgument,
            Reason::InvalidArgument,
        );
    }
    let seen = server.seen.borrow().clone();
    assert_eq!((seen.refused.len(), seen.calls.len()), (count, 0));
    assert!(
        seen.refused
            .iter()
            .all(|refused| refused.1 == Some(ENCRYPT))
    );
    // the connection is none the worse, and the limit itself is allowed
    let reply = client.call(ENCRYPT, &vec![7; four]).await.unwrap();
    assert_eq!(reply.message().len(), four);
}

#[tokio::test]
async fn a_compressed_call_is_refused() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let compressed = request(ENCRYPT).header("grpc-encoding", "gzip");
    let reply = client.send(compressed, frame(b"x")).await.unwrap();
    assert_early(
        &server,
        &reply,
        Code::InvalidArgument,
        Reason::InvalidArgument,
    );
    let identity = request(ENCRYPT).header("grpc-encoding", "identity");
    let reply = client.send(identity, frame(b"x")).await.unwrap();
    assert_eq!(reply.message(), b"x");
}

#[tokio::test]
async fn unknown_methods_are_unimplemented() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    for path in [
        "/kms.v1.KeyService/Nothing",
        "/kms.v1.Nothing/Encrypt",
        "/",
        "/kms.v1.KeyService/Encrypt/",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    ] {
        let reply = client.call(path, b"x").await.unwrap();
        assert_early(&server, &reply, Code::Unimplemented, Reason::Unimplemented);
        assert_eq!(server.seen.borrow().refused.last().unwrap().1, None);
    }
}

#[tokio::test]
async fn a_timeout_is_strict_cut_to_the_longest_and_passed_on() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    for bad in ["1", "S", "1s", "-1S", "123456789S", "1.5S", ""] {
        let timed = request(ENCRYPT).header("grpc-timeout", bad);
        let reply = client.send(timed, frame(b"x")).await.unwrap();
        assert_early(
            &server,
            &reply,
            Code::InvalidArgument,
            Reason::InvalidArgument,
        );
    }
    let deadlines = [
        (None, 30),
        (Some("2S"), 2),
        (Some("9M"), 300),
        (Some("99999999H"), 300),
    ];
    for (given, seconds) in deadlines {
        let mut timed = request(ENCRYPT);
        if let Some(given) = given {
            timed = timed.header("grpc-timeout", given);
        }
        client.send(timed, frame(b"x")).await.unwrap();
        assert_eq!(server.seen.borrow().deadline, Duration::from_secs(seconds));
    }
    let none_left = request(ENCRYPT).header("grpc-timeout", "0S");
    let reply = client.send(none_left, frame(b"x")).await.unwrap();
    assert_early(
        &server,
        &reply,
        Code::DeadlineExceeded,
        Reason::DeadlineExceeded,
    );
    assert_eq!(server.clock.now(), NOW);
}

#[tokio::test]
async fn the_deadline_ends_a_call_and_leaves_its_entry_to_the_road() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let mut other = client.clone();
    let timed = request(ENCRYPT).header("grpc-timeout", "5S");
    let hanging = tokio::spawn(async move { other.send(timed, frame(b"hang")).await });
    server.until(|seen| seen.calls.len() == 1).await;
    server.clock.advance(Duration::from_secs(4));
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
    assert_eq!(server.seen.borrow().dropped, 0);
    server.clock.advance(Duration::from_secs(1));
    let reply = hanging.await.unwrap().unwrap();
    reply.assert_refused(Code::DeadlineExceeded, Reason::DeadlineExceeded);
    let seen = server.seen.borrow().clone();
    assert_eq!((seen.dropped, seen.refused.len()), (1, 0));
    assert_eq!(reply.request_id(), seen.calls[0].0.to_string());
}

#[tokio::test]
async fn a_body_that_never_ends_meets_the_deadline() {
    let server = Server::start();
    let mut stream = crate::floods::Raw::connect(&server).await;
    stream
        .headers(1, &crate::floods::head(ENCRYPT), false)
        .await;
    stream.frame(0, 0, 1, &[0, 0, 0, 0, 9]).await;
    let counts = || server.running.counts();
    while counts().in_flight == 0 {
        tokio::task::yield_now().await;
    }
    // calls on every runtime: whoever answers them has set the first call's deadline before
    for _ in 0..8 {
        let mut client = Client::connect(&server).await;
        assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
    }
    server.clock.advance(Duration::from_secs(30));
    let seen = server.until(|seen| !seen.refused.is_empty()).await;
    assert_eq!(seen.refused[0].2, Reason::DeadlineExceeded);
}

#[tokio::test]
async fn who_hangs_up_takes_the_call_along() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let mut other = client.clone();
    let hanging = tokio::spawn(async move { other.call(ENCRYPT, b"hang").await });
    server.until(|seen| seen.calls.len() == 1).await;
    hanging.abort();
    server.until(|seen| seen.dropped == 1).await;
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
    assert_eq!(server.running.counts().in_flight, 0);
}

#[tokio::test]
async fn a_refusal_and_a_panic_of_the_road_are_statuses() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let reply = client.call(ENCRYPT, b"deny").await.unwrap();
    reply.assert_refused(Code::PermissionDenied, Reason::Denied);
    let reply = client.call(ENCRYPT, b"panic").await.unwrap();
    reply.assert_refused(Code::Internal, Reason::Internal);
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
    assert_eq!(server.running.counts().in_flight, 0);
}

#[tokio::test]
async fn what_is_no_grpc_is_told_so_in_http() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let get = http::Request::get(format!("https://127.0.0.1{ENCRYPT}"))
        .header("content-type", "application/grpc");
    let json = http::Request::post(format!("https://127.0.0.1{ENCRYPT}"))
        .header("content-type", "application/json");
    let bare = http::Request::post(format!("https://127.0.0.1{ENCRYPT}"));
    for (request, status) in [
        (get, StatusCode::METHOD_NOT_ALLOWED),
        (json, StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (bare, StatusCode::UNSUPPORTED_MEDIA_TYPE),
    ] {
        let reply = client.send(request, frame(b"x")).await.unwrap();
        assert_eq!(reply.http, status);
        let seen = server.seen.borrow();
        let refused = seen.refused.last().unwrap();
        assert_eq!(refused.0.to_string(), reply.request_id());
    }
    assert!(server.seen.borrow().calls.is_empty());
}

#[tokio::test]
async fn headers_claim_no_identity_and_carry_the_trace() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let claims = request(ENCRYPT)
        .header("x-forwarded-client-cert", "URI=spiffe://crm.example/admin")
        .header("x-client-cert", "x")
        .header(
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        );
    client.send(claims, frame(b"x")).await.unwrap();
    let seen = server.seen.borrow().clone();
    assert_eq!(seen.calls[0].2, crate::echo::CLIENT);
    assert_eq!(seen.trace_id.unwrap()[..2], [0x0a, 0xf7]);
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let long = request(ENCRYPT).header("x-long", "a".repeat(16 * 1024));
    let reply = client.send(long, frame(b"x")).await.unwrap();
    assert_early(
        &server,
        &reply,
        Code::InvalidArgument,
        Reason::InvalidArgument,
    );
    // four times over, HTTP/2 itself says 431
    let longer = request(ENCRYPT).header("x-long", "a".repeat(70 * 1024));
    let reply = client.send(longer, frame(b"x")).await.unwrap();
    assert_eq!(reply.http, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
}

#[tokio::test]
async fn who_has_no_name_may_send_little() {
    let optional = kms_server::identity::ClientCertificate::Optional;
    let server = Server::with(optional, |_| {});
    let mut client = Client::with(&server, None).await.unwrap();
    let reply = client.call(ENCRYPT, &[0; 20_000]).await.unwrap();
    assert_early(
        &server,
        &reply,
        Code::InvalidArgument,
        Reason::InvalidArgument,
    );
    let reply = client.call(ENCRYPT, &[0; 10_000]).await.unwrap();
    reply.assert_refused(Code::Unauthenticated, Reason::Unauthenticated);
}

#[tokio::test]
async fn calls_over_the_limit_are_shed() {
    let required = kms_server::identity::ClientCertificate::Required;
    let server = Server::with(required, |settings| settings.limits.in_flight = 1);
    let mut client = Client::connect(&server).await;
    let mut other = client.clone();
    let hanging = tokio::spawn(async move { other.call(ENCRYPT, b"hang").await });
    server.until(|seen| seen.calls.len() == 1).await;
    let reply = client.call(ENCRYPT, b"x").await.unwrap();
    assert_early(
        &server,
        &reply,
        Code::ResourceExhausted,
        Reason::ResourceExhausted,
    );
    hanging.abort();
    server.until(|seen| seen.dropped == 1).await;
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
}

#[tokio::test]
async fn the_generated_client_is_understood() {
    use kms_proto::v1;
    let server = Server::start();
    let client = Client::connect(&server).await;
    let origin = "https://127.0.0.1".parse().unwrap();
    let channel = crate::streams::Channel(client.0);
    let mut keys = v1::key_service_client::KeyServiceClient::with_origin(channel, origin);
    let request = v1::UnwrapDataKeyRequest {
        wrapped_data_key: b"deny".as_slice().into(),
        ..v1::UnwrapDataKeyRequest::default()
    };
    let answer = keys.unwrap_data_key(request).await.unwrap();
    // field 1 of both messages is bytes: the echo gives it back
    assert_eq!(answer.get_ref().plaintext, b"deny"[..]);
    assert_eq!(answer.metadata().get("kms-request-id").unwrap().len(), 32);
}
