//! Health and reflection: answered without a principal, never on the road.

use crate::client::{Client, Reply, frame, request};
use crate::echo::Server;
use kms_server::identity::ClientCertificate::{Optional, Required};
use prost::Message as _;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

const CHECK: &str = "/grpc.health.v1.Health/Check";
const WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

fn about(service: &str) -> Vec<u8> {
    let service = service.to_owned();
    HealthCheckRequest { service }.encode_to_vec()
}

fn status(message: &[u8]) -> ServingStatus {
    HealthCheckResponse::decode(message).unwrap().status()
}

async fn check(client: &mut Client, service: &str) -> Reply {
    client.call(CHECK, &about(service)).await.unwrap()
}

#[tokio::test]
async fn health_answers_nobody_and_follows_the_seal() {
    let server = Server::with(Optional, |_| {});
    let mut client = Client::with(&server, None).await.unwrap();
    for sealed in [false, true, false] {
        server.sealed.send_replace(sealed);
        let keys = if sealed {
            ServingStatus::NotServing
        } else {
            ServingStatus::Serving
        };
        for (service, wanted) in [
            ("", ServingStatus::Serving),
            ("kms.v1.SystemService", ServingStatus::Serving),
            ("kms.v1.KeyService", keys),
        ] {
            let reply = check(&mut client, service).await;
            assert_eq!(status(reply.message()), wanted, "{service}");
        }
    }
    let unknown = check(&mut client, "kms.v1.Nothing").await;
    assert_eq!(unknown.status().code(), Code::NotFound);
    let broken = client.call(CHECK, &[0xFF]).await.unwrap();
    assert_eq!(broken.status().code(), Code::InvalidArgument);
    let seen = server.seen.borrow().clone();
    assert!(seen.calls.is_empty() && seen.refused.is_empty() && seen.strangers == 0);
}

#[tokio::test]
async fn watchers_are_told_changes_and_are_bounded() {
    use http_body_util::{BodyExt, Full};
    let server = Server::with(Required, |settings| settings.limits.watchers = 1);
    let mut client = Client::connect(&server).await;
    let body = Full::new(frame(&about("kms.v1.KeyService")).into());
    let watch = request(WATCH).body(body).unwrap();
    let mut changes = client.0.send_request(watch).await.unwrap().into_body();
    let mut next = async || {
        let data = changes.frame().await.unwrap().unwrap().into_data().unwrap();
        status(&data[5..])
    };
    assert_eq!(next().await, ServingStatus::Serving);
    server.sealed.send_replace(true);
    assert_eq!(next().await, ServingStatus::NotServing);
    let second = client
        .send(request(WATCH), frame(&about("")))
        .await
        .unwrap();
    assert_eq!(second.status().code(), Code::ResourceExhausted);
    drop(changes);
    while server.running.counts().in_flight > 0 {
        tokio::task::yield_now().await;
    }
    let body = Full::new(frame(&about("")).into());
    let third = client
        .0
        .send_request(request(WATCH).body(body).unwrap())
        .await
        .unwrap();
    assert!(third.headers().get("grpc-status").is_none());
}

#[tokio::test]
async fn reflection_answers_where_it_is_on() {
    use tonic_reflection::pb::v1 as pb;
    let server = Server::with(Required, |settings| settings.reflection = true);
    let mut client = Client::connect(&server).await;
    let question = pb::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(pb::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let reply = client
        .call(REFLECTION, &question.encode_to_vec())
        .await
        .unwrap();
    let answer = pb::ServerReflectionResponse::decode(reply.message()).unwrap();
    let text = format!("{answer:?}");
    assert!(text.contains("kms.v1.KeyService"), "{text}");
}
