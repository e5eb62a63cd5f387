//! gRPC-Web over HTTP/1.1 and HTTP/2.

use crate::client::{Client, ENCRYPT, frame, request, tls};
use crate::echo::{CLIENT, Server};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use kms_core::reason::Reason;

/// One request over HTTP/1.1.
async fn http1(server: &Server, request: Request<Full<Bytes>>) -> Response<Bytes> {
    let stream = tls(server, Some(&server.client), b"http/1.1")
        .await
        .unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut send, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let (parts, body) = send.send_request(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, bytes)
}

fn web(body: &[u8]) -> http::request::Builder {
    Request::post(ENCRYPT)
        .header("host", "127.0.0.1")
        .header("content-type", "application/grpc-web+proto")
        .header("content-length", body.len())
}

#[tokio::test]
async fn a_web_client_is_answered() {
    let server = Server::start();
    let body = frame(b"hello");
    let response = http1(&server, web(&body).body(body.clone().into()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()["content-type"],
        "application/grpc-web+proto"
    );
    let answer = response.into_body();
    assert!(answer.starts_with(&body));
    // the trailers come as a last frame with flag 128
    let trailers = &answer[body.len()..];
    assert_eq!(trailers[0], 128);
    assert!(trailers[5..].starts_with(b"grpc-status:0"));
    assert_eq!(server.seen.borrow().calls[0].2, CLIENT);
}

#[tokio::test]
async fn a_web_refusal_carries_our_words_too() {
    let server = Server::start();
    let body = [frame(b"a"), frame(b"b")].concat();
    let response = http1(&server, web(&body).body(body.into()).unwrap()).await;
    let status = tonic::Status::from_header_map(response.headers()).unwrap();
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    let id = response.headers()["kms-request-id"].to_str().unwrap();
    assert_eq!(server.seen.borrow().refused[0].0.to_string(), id);
}

#[tokio::test]
async fn origins_are_refused_unless_listed() {
    let server = Server::start();
    let body = frame(b"x");
    for origin in [
        "https://evil.example",
        "https://crm.example.evil.example",
        "null",
        "https://crm.example/",
    ] {
        let request = web(&body)
            .header("origin", origin)
            .body(body.clone().into());
        let response = http1(&server, request.unwrap()).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{origin}");
        let id = response.headers()["kms-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        let seen = server.seen.borrow();
        let refused = seen.refused.last().unwrap();
        assert_eq!(
            (refused.0.to_string(), refused.2),
            (id, Reason::InvalidArgument)
        );
    }
    // native gRPC has no business with an origin either
    let mut client = Client::connect(&server).await;
    let native = request(ENCRYPT).header("origin", "https://evil.example");
    let reply = client.send(native, body.clone()).await.unwrap();
    assert_eq!(reply.http, StatusCode::FORBIDDEN);
    assert!(server.seen.borrow().calls.is_empty());

    let listed = web(&body)
        .header("origin", "https://crm.example")
        .body(body.into());
    let response = http1(&server, listed.unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()["access-control-allow-origin"],
        "https://crm.example"
    );
}

#[tokio::test]
async fn a_browser_may_ask_first() {
    let server = Server::start();
    let ask = |origin: &str| {
        Request::options(ENCRYPT)
            .header("host", "127.0.0.1")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .body(Full::default())
            .unwrap()
    };
    let response = http1(&server, ask("https://crm.example")).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()["access-control-allow-methods"], "POST");
    let response = http1(&server, ask("https://evil.example")).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn plain_grpc_needs_http_2() {
    let server = Server::start();
    let body = frame(b"x");
    let request = Request::post(ENCRYPT)
        .header("host", "127.0.0.1")
        .header("content-type", "application/grpc")
        .body(body.into())
        .unwrap();
    let response = http1(&server, request).await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
