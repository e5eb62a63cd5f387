//! Who is let in, and for how long.

use crate::client::{Client, ENCRYPT, tls};
use crate::echo::{CLIENT, Server};
use crate::pki::{Authority, Credential, client_params};
use kms_core::reason::Reason;
use kms_server::identity::ClientCertificate;
use rcgen::{DnType, ExtendedKeyUsagePurpose, SanType};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

/// The handshake fails, is counted, and no call gets through.
async fn assert_no_connection(server: &Server, credential: Option<&Credential>) {
    // in TLS 1.3 the client learns of it with its first read
    if let Ok(mut client) = Client::with(server, credential).await {
        assert!(client.call(ENCRYPT, b"x").await.is_err());
    }
    let seen = server.until(|seen| !seen.shed.is_empty()).await;
    assert_eq!(seen.shed, [Reason::Unauthenticated]);
    assert!(seen.calls.is_empty() && seen.refused.is_empty() && seen.strangers == 0);
}

/// The connection stands, and every call is refused.
async fn assert_nobody(server: &Server, credential: Option<&Credential>) {
    let mut client = Client::with(server, credential).await.unwrap();
    let reply = client.call(ENCRYPT, b"x").await.unwrap();
    reply.assert_refused(Code::Unauthenticated, Reason::Unauthenticated);
    let seen = server.seen.borrow().clone();
    assert_eq!((seen.strangers, seen.calls.len()), (1, 0));
}

#[tokio::test]
async fn a_client_is_known_by_its_spiffe_id() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    let reply = client.call(ENCRYPT, b"hello").await.unwrap();
    assert_eq!(reply.message(), b"hello");
    let seen = server.seen.borrow().clone();
    let (id, path, principal, _) = &seen.calls[0];
    assert_eq!((*path, principal.as_str()), (ENCRYPT, CLIENT));
    assert_eq!(reply.request_id(), id.to_string());
}

#[tokio::test]
async fn a_client_may_be_known_by_its_host_name() {
    let server = Server::start();
    let mut params = client_params(&[], 2);
    params.subject_alt_names = vec![SanType::DnsName("Billing.crm.example".try_into().unwrap())];
    let credential = server.authority.sign(&params);
    let mut client = Client::with(&server, Some(&credential)).await.unwrap();
    client.call(ENCRYPT, b"x").await.unwrap();
    assert_eq!(server.seen.borrow().calls[0].2, "billing.crm.example");
}

#[tokio::test]
async fn nobody_gets_no_connection() {
    assert_no_connection(&Server::start(), None).await;
}

#[tokio::test]
async fn nobody_gets_a_connection_but_no_call_where_certificates_are_optional() {
    let server = Server::with(ClientCertificate::Optional, |_| {});
    assert_nobody(&server, None).await;
}

#[tokio::test]
async fn a_stranger_with_the_same_names_gets_no_connection() {
    for demand in [ClientCertificate::Required, ClientCertificate::Optional] {
        let server = Server::with(demand, |_| {});
        let stranger = Authority::new().client(CLIENT);
        assert_no_connection(&server, Some(&stranger)).await;
    }
}

#[tokio::test]
async fn an_expired_or_future_certificate_gets_no_connection() {
    for (from, to) in [((2025, 1), (2026, 1)), ((2026, 6), (2027, 6))] {
        let server = Server::start();
        let mut params = client_params(&[CLIENT], 2);
        params.not_before = rcgen::date_time_ymd(from.0, from.1, 1);
        params.not_after = rcgen::date_time_ymd(to.0, to.1, 1);
        assert_no_connection(&server, Some(&server.authority.sign(&params))).await;
    }
}

#[tokio::test]
async fn a_certificate_expires_while_its_connection_lives() {
    let server = Server::with(ClientCertificate::Required, |settings| {
        settings.limits.idle = Duration::from_secs(1 << 40);
        settings.limits.age = Duration::from_secs(1 << 40);
    });
    let mut client = Client::connect(&server).await;
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
    server.clock.advance(Duration::from_hours(24 * 400));
    let reply = client.call(ENCRYPT, b"x").await.unwrap();
    reply.assert_refused(Code::Unauthenticated, Reason::Unauthenticated);
}

#[tokio::test]
async fn a_servers_certificate_is_no_clients() {
    let server = Server::start();
    let mut params = client_params(&[CLIENT], 2);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    assert_no_connection(&server, Some(&server.authority.sign(&params))).await;
}

#[tokio::test]
async fn certificates_without_one_good_name_are_nobodys() {
    let no_usage = {
        let mut params = client_params(&[CLIENT], 2);
        params.extended_key_usages.clear();
        params
    };
    let common_name = {
        let mut params = client_params(&[], 3);
        params.distinguished_name.push(DnType::CommonName, CLIENT);
        params
    };
    let two_hosts = {
        let mut params = client_params(&[], 4);
        params.subject_alt_names = ["a.example", "b.example"]
            .map(|host| SanType::DnsName(host.try_into().unwrap()))
            .to_vec();
        params
    };
    let wildcard = {
        let mut params = client_params(&[], 5);
        params.subject_alt_names = vec![SanType::DnsName("*.example".try_into().unwrap())];
        params
    };
    let foreign_uri_and_host = {
        let mut params = client_params(&["https://crm.example/contacts"], 6);
        let host = SanType::DnsName("a.example".try_into().unwrap());
        params.subject_alt_names.push(host);
        params
    };
    let two_uris = client_params(&[CLIENT, "spiffe://crm.example/other"], 7);
    let shouting = client_params(&["SPIFFE://crm.example/contacts"], 8);
    for params in [
        no_usage,
        common_name,
        two_hosts,
        wildcard,
        foreign_uri_and_host,
        two_uris,
        shouting,
    ] {
        let server = Server::start();
        assert_nobody(&server, Some(&server.authority.sign(&params))).await;
    }
}

#[tokio::test]
async fn a_revocation_binds_the_next_call_and_the_next_connection() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");

    server.write("crl.pem", &server.authority.revocations(&[7, 1]));
    assert!(server.identity.reload().unwrap());
    let reply = client.call(ENCRYPT, b"x").await.unwrap();
    reply.assert_refused(Code::Unauthenticated, Reason::Unauthenticated);
    if let Ok(mut again) = Client::with(&server, Some(&server.client)).await {
        assert!(again.call(ENCRYPT, b"x").await.is_err());
    }
    server
        .until(|seen| seen.shed == [Reason::Unauthenticated])
        .await;

    let other = server.authority.sign(&client_params(&[CLIENT], 8));
    let mut client = Client::with(&server, Some(&other)).await.unwrap();
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
}

#[tokio::test]
async fn a_new_authority_replaces_the_old_one_on_open_connections_too() {
    let server = Server::start();
    let mut client = Client::connect(&server).await;
    client.call(ENCRYPT, b"x").await.unwrap();
    let other = Authority::new();
    server.write("ca.pem", &other.pem());
    server.write("crl.pem", &other.revocations(&[]));
    assert!(server.identity.reload().unwrap());
    let reply = client.call(ENCRYPT, b"x").await.unwrap();
    reply.assert_refused(Code::Unauthenticated, Reason::Unauthenticated);
    let theirs = other.client(CLIENT);
    let mut client = Client::with(&server, Some(&theirs)).await.unwrap();
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_named_once() {
    let server = Server::start();
    let good = std::fs::read_to_string(server.folder.path().join("server.key")).unwrap();
    let foreign = server.authority.client(CLIENT);
    for bad in [
        "",
        "-----BEGIN PRIVATE KEY-----\n",
        &foreign.key.serialize_pem(),
    ] {
        server.write("server.key", bad);
        let error = server.identity.reload().unwrap_err().to_string();
        assert!(error.starts_with("server "), "{error}");
        assert!(!server.identity.reload().unwrap(), "tried once only");
        assert_eq!(server.identity.generation(), 1);
        let mut client = Client::connect(&server).await;
        assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
    }
    server.write("server.key", &good);
    assert!(server.identity.reload().unwrap());
}

#[tokio::test]
async fn files_are_looked_at_as_the_clock_goes_on() {
    let server = Server::start();
    let asked = std::sync::Arc::new(tokio::sync::Notify::new());
    let fresh = tokio::spawn(server.identity.clone().keep_fresh(asked.clone()));
    let generation = async |wanted: u64| {
        while server.identity.generation() != wanted {
            tokio::task::yield_now().await;
        }
    };
    server.write("crl.pem", &server.authority.revocations(&[9]));
    tokio::task::yield_now().await;
    server.clock.advance(Duration::from_secs(10));
    generation(2).await;
    server.write("crl.pem", &server.authority.revocations(&[10]));
    asked.notify_one();
    generation(3).await;
    fresh.abort();
}

#[tokio::test]
async fn a_new_server_certificate_is_shown_to_the_next_connection() {
    let server = Server::start();
    let own = server.authority.server();
    server.write("server.pem", &own.pem);
    server.write("server.key", &own.key.serialize_pem());
    assert!(server.identity.reload().unwrap());
    let stream = tls(&server, Some(&server.client), b"h2").await.unwrap();
    let (_, tls) = stream.get_ref();
    assert_eq!(tls.peer_certificates().unwrap(), own.chain);
    assert_eq!(
        tls.protocol_version(),
        Some(rustls::ProtocolVersion::TLSv1_3)
    );
}

#[tokio::test]
async fn tls_1_2_is_refused() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // a ClientHello without supported_versions: two suites, X25519, ECDSA with P-256
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xC0, 0x2B, 0xC0, 0x2F, 1, 0, 0, 16]);
    body.extend([0, 10, 0, 4, 0, 2, 0, 29, 0, 13, 0, 4, 0, 2, 4, 3]);
    let handshake = [&[1, 0, 0, u8::try_from(body.len()).unwrap()], &body[..]].concat();
    let record = [
        &[22, 3, 1, 0, u8::try_from(handshake.len()).unwrap()],
        &handshake[..],
    ]
    .concat();
    stream.write_all(&record).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    // a fatal alert, protocol_version (RFC 8446, 6.2)
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 70]);
    server
        .until(|seen| seen.shed == [Reason::Unauthenticated])
        .await;
}

#[tokio::test]
async fn no_ticket_is_handed_out() {
    let server = Server::start();
    let mut stream = tls(&server, Some(&server.client), b"h2").await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut settings = [0; 9];
    stream.read_exact(&mut settings).await.unwrap();
    let (_, tls) = stream.get_ref();
    assert_eq!(tls.tls13_tickets_received(), 0);
}
