//! Streams of calls: each message by itself, answered in order, bounded.

use crate::client::{Client, REWRAP, frame, request};
use crate::echo::Server;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::client::conn::http2::SendRequest;
use kms_core::reason::Reason;
use kms_proto::v1;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::{Code, Status};

/// A connection as the generated clients want it.
#[derive(Clone)]
pub(crate) struct Channel(pub(crate) SendRequest<Full<Bytes>>);

impl tower_service::Service<http::Request<tonic::body::Body>> for Channel {
    type Response = http::Response<hyper::body::Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let mut sender = self.0.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            let request = http::Request::from_parts(parts, Full::new(bytes));
            sender.send_request(request).await
        })
    }
}

fn messages(texts: &[&[u8]]) -> Vec<u8> {
    texts.iter().flat_map(|text| frame(text)).collect()
}

#[tokio::test]
async fn each_message_is_a_call_and_is_answered_in_order() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let texts: Vec<Vec<u8>> = (0..100_u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let body: Vec<u8> = texts.iter().flat_map(|text| frame(text)).collect();
    let reply = client.send(request(REWRAP), body.clone()).await.unwrap();
    assert_eq!(reply.status().code(), Code::Ok);
    assert_eq!(reply.body, body);
    let seen = server.seen.borrow().clone();
    let ids: std::collections::HashSet<_> = seen.calls.iter().map(|call| call.0).collect();
    assert_eq!((seen.calls.len(), ids.len()), (100, 100));
    // the first message's id stands in the headers
    assert_eq!(reply.request_id(), seen.calls[0].0.to_string());
    let empty = client.send(request(REWRAP), Vec::new()).await.unwrap();
    assert_eq!((empty.status().code(), empty.body.len()), (Code::Ok, 0));
}

#[tokio::test]
async fn the_first_answer_does_not_wait_for_the_last_message() {
    let server = Server::start();
    let stream = crate::client::tls(&server, Some(&server.client), b"h2")
        .await
        .unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut send, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let (parts, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let body = StreamBody::new(tokio_stream::StreamExt::map(
        tokio_stream::wrappers::ReceiverStream::new(receiver),
        |bytes| Ok::<_, Infallible>(http_body::Frame::data(bytes)),
    ));
    let response = send
        .send_request(request(REWRAP).body(body).unwrap())
        .await
        .unwrap();
    let mut answers = response.into_body();
    for text in [b"one".as_slice(), b"two"] {
        parts.send(frame(text).into()).await.unwrap();
        let answer = answers.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(answer, frame(text));
    }
    drop(parts);
    let trailers = answers
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(Status::from_header_map(&trailers).unwrap().code(), Code::Ok);
}

#[tokio::test]
async fn a_refusal_ends_the_stream_after_the_answers_before_it() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    for (body, code, reason) in [
        (
            messages(&[b"a", b"b", b"deny", b"c"]),
            Code::PermissionDenied,
            Reason::Denied,
        ),
        (
            [messages(&[b"a", b"b"]), vec![1, 0, 0, 0, 0]].concat(),
            Code::InvalidArgument,
            Reason::InvalidArgument,
        ),
    ] {
        let reply = client.send(request(REWRAP), body).await.unwrap();
        let status = reply.status();
        assert_eq!(status.code(), code);
        assert_eq!(status.message(), reason.to_string());
        assert_ne!(
            reply.trailers["kms-request-id"],
            reply.headers["kms-request-id"]
        );
        if code == Code::PermissionDenied {
            assert_eq!(reply.body, messages(&[b"a", b"b"]));
        }
    }
    let seen = server.seen.borrow().clone();
    assert_eq!(seen.refused.len(), 1);
    assert_eq!(seen.refused[0].1, Some(REWRAP));
}

#[tokio::test]
async fn messages_under_way_are_bounded() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let body = messages(&[b"hang".as_slice(); 40]);
    let hanging = tokio::spawn(async move { client.send(request(REWRAP), body).await });
    let seen = server.until(|seen| seen.calls.len() >= 16).await;
    assert_eq!(seen.calls.len(), 16);
    // and are given up with their stream
    hanging.abort();
    let seen = server.until(|seen| seen.dropped == 16).await;
    assert_eq!(seen.calls.len(), 16);
    while server.running.counts().in_flight > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_streams_own_deadline_ends_it() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let timed = request(REWRAP).header("grpc-timeout", "5S");
    let body = messages(&[b"a", b"hang"]);
    let hanging = tokio::spawn(async move { client.send(timed, body).await });
    server.until(|seen| seen.calls.len() == 2).await;
    server.clock.advance(std::time::Duration::from_secs(5));
    let reply = hanging.await.unwrap().unwrap();
    assert_eq!(reply.status().code(), Code::DeadlineExceeded);
    assert_eq!(reply.body, frame(b"a"));
}

#[tokio::test]
async fn the_generated_client_streams() {
    let server = Server::start();
    let client = Client::connect(&server).await;
    let origin = "https://127.0.0.1".parse().unwrap();
    let mut keys = v1::key_service_client::KeyServiceClient::with_origin(Channel(client.0), origin);
    let requests: Vec<_> = (0..5_u8)
        .map(|n| v1::RewrapRequest {
            wrapped_data_key: vec![n].into(),
            ..v1::RewrapRequest::default()
        })
        .collect();
    let mut answers = keys
        .rewrap(tokio_stream::iter(requests))
        .await
        .unwrap()
        .into_inner();
    for n in 0..5_u8 {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!(answer.wrapped_data_key, [n][..]);
    }
    assert!(answers.message().await.unwrap().is_none());
}
