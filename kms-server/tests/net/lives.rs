//! Lives of connections: caps, silence, idleness, age, and the daemon's end.

use crate::client::{Client, ENCRYPT, REWRAP, frame, request, tls};
use crate::echo::Server;
use crate::floods::{GOAWAY, HEADERS, Raw, field, head};
use kms_core::reason::Reason;
use kms_server::grpc::Settings;
use kms_server::identity::ClientCertificate::Required;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Ends when the server has closed the stream.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) {
    let mut bytes = [0; 1_024];
    while !matches!(stream.read(&mut bytes).await, Ok(0) | Err(_)) {}
}

async fn until(mut what: impl FnMut() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_over_a_cap_are_shed() {
    let caps: [fn(&mut Settings); 2] = [
        |settings| settings.limits.connections = 2,
        |settings| settings.limits.connections_per_address = 2,
    ];
    for cap in caps {
        let server = Server::with(Required, cap);
        let first = Client::connect(&server).await;
        let mut second = Client::connect(&server).await;
        let mut third = TcpStream::connect(server.address).await.unwrap();
        closed(&mut third).await;
        let seen = server.until(|seen| !seen.shed.is_empty()).await;
        assert_eq!(seen.shed, [Reason::ResourceExhausted]);
        assert_eq!(second.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
        drop(first);
        until(|| server.running.counts().connections == 1).await;
        Client::connect(&server).await;
    }
}

#[tokio::test]
async fn handshakes_are_bounded_in_number_and_time() {
    let server = Server::with(Required, |settings| settings.limits.handshakes = 1);
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(&[22, 3, 1]).await.unwrap();
    until(|| server.running.counts().handshakes == 1).await;
    let mut other = TcpStream::connect(server.address).await.unwrap();
    closed(&mut other).await;
    server
        .until(|seen| seen.shed == [Reason::ResourceExhausted])
        .await;
    server.clock.advance(Duration::from_secs(10));
    closed(&mut slow).await;
    server
        .until(|seen| seen.shed.last() == Some(&Reason::DeadlineExceeded))
        .await;
    let mut client = Client::connect(&server).await;
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
}

#[tokio::test]
async fn who_never_speaks_after_the_handshake_is_cut() {
    let server = Server::start();
    let mut silent = tls(&server, Some(&server.client), b"h2").await.unwrap();
    silent.write_all(b"PRI * HTTP").await.unwrap();
    let quiet = Client::connect(&server).await;
    until(|| {
        let counts = server.running.counts();
        counts.connections == 2 && counts.handshakes == 0
    })
    .await;
    // the quiet one has said its preface: it may wait longer; one call sees to it that it was read
    let mut caller = quiet.clone();
    caller.call(ENCRYPT, b"x").await.unwrap();
    server.clock.advance(Duration::from_secs(10));
    closed(&mut silent).await;
    until(|| server.running.counts().connections == 1).await;
    assert_eq!(caller.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let server = Server::start();
    let mut idle = Client::connect(&server).await;
    let busy = Client::connect(&server).await;
    idle.call(ENCRYPT, b"x").await.unwrap();
    let mut other = busy.clone();
    let timed = request(REWRAP);
    let hanging = tokio::spawn(async move { other.send(timed, frame(b"hang")).await });
    server.until(|seen| seen.calls.len() == 2).await;
    // less than the longest deadline at a time, so that the stream's call lives on
    server.clock.advance(Duration::from_secs(14 * 60));
    until(|| server.seen.borrow().dropped == 1).await;
    hanging.abort();
    let mut busy = busy;
    busy.call(ENCRYPT, b"x").await.unwrap();
    server.clock.advance(Duration::from_secs(2 * 60));
    until(|| server.running.counts().connections == 1).await;
    assert!(idle.call(ENCRYPT, b"x").await.is_err());
    assert_eq!(busy.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
}

/// A call that hangs until its deadline, on a connection of its own.
async fn hanging(server: &Server, timeout: &str) -> Raw {
    let calls = server.seen.borrow().calls.len();
    let mut raw = Raw::connect(server).await;
    let block = [head(ENCRYPT), field("grpc-timeout", timeout)].concat();
    raw.headers(1, &block, false).await;
    raw.frame(0, 1, 1, &frame(b"hang")).await;
    server.until(|seen| seen.calls.len() > calls).await;
    raw
}

#[tokio::test]
async fn an_old_connection_lets_its_calls_finish_for_a_while() {
    let server = Server::with(Required, |settings| {
        settings.limits.age = Duration::from_secs(100);
        settings.limits.grace = Duration::from_secs(50);
    });
    for (timeout, answered) in [("120S", true), ("300S", false)] {
        let mut raw = hanging(&server, timeout).await;
        server.clock.advance(Duration::from_secs(100));
        raw.until(GOAWAY).await;
        let seen = server.seen.borrow().clone();
        assert_eq!(seen.calls.len(), seen.dropped + 1);
        server.clock.advance(Duration::from_secs(20));
        if answered {
            raw.until(HEADERS).await;
        }
        server.clock.advance(Duration::from_secs(30));
        server.until(|seen| seen.dropped == seen.calls.len()).await;
        until(|| server.running.counts().connections == 0).await;
    }
}

#[tokio::test]
async fn stopping_finishes_what_is_under_way() {
    let server = Server::start();
    let mut raw = hanging(&server, "5S").await;
    let Server { running, clock, .. } = server;
    let address = running.address();
    let stop = tokio::spawn(running.stop());
    raw.until(GOAWAY).await;
    assert!(!stop.is_finished());
    clock.advance(Duration::from_secs(5));
    raw.until(HEADERS).await;
    raw.goodbye().await;
    stop.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn stopping_cuts_what_does_not_finish() {
    let server = Server::with(Required, |settings| settings.limits.grace = Duration::ZERO);
    let mut client = Client::connect(&server).await;
    let hanging = tokio::spawn(async move { client.call(ENCRYPT, b"hang").await });
    server.until(|seen| seen.calls.len() == 1).await;
    let mut seen = server.seen.clone();
    server.running.stop().await;
    seen.wait_for(|seen| seen.dropped == 1).await.unwrap();
    assert!(hanging.await.unwrap().is_err());
}

#[tokio::test]
async fn a_stream_of_calls_ends_with_the_daemon() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    raw.headers(1, &head(REWRAP), false).await;
    raw.frame(0, 0, 1, &frame(b"one")).await;
    let seen = server.until(|seen| seen.calls.len() == 1).await;
    assert!(seen.refused.is_empty());
    let mut seen = server.seen.clone();
    let stop = tokio::spawn(server.running.stop());
    let refused = seen
        .wait_for(|seen| !seen.refused.is_empty())
        .await
        .unwrap()
        .clone();
    assert_eq!(refused.refused[0].2, Reason::ShuttingDown);
    drop(raw);
    stop.await.unwrap();
}

#[tokio::test]
async fn connections_are_dealt_to_all_runtimes() {
    let server = Server::with(Required, |settings| settings.limits.runtimes = 4);
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(Client::connect(&server).await);
    }
    for client in &mut clients {
        assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
    }
    assert_eq!(server.running.counts().accepted, 8);
    assert_eq!(server.running.counts().connections, 8);
    server.running.stop().await;
}
