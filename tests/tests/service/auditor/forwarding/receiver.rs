//! Receivers on sockets of the tests' own, with certificates of an authority of their own.

use kms_tests::certificate::Authority;
use rustls::ServerConfig;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// An address that nobody listens at yet.
pub(super) struct Receiver {
    address: SocketAddr,
    authority: Authority,
    folder: tempfile::TempDir,
}

/// How a receiver ends a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manners {
    /// The first one in the middle of a message.
    BreaksOffOnce,
}

/// One that listens.
pub(super) struct Serving {
    events: Arc<Mutex<Vec<Value>>>,
    broke_off: Arc<AtomicBool>,
}

impl Serving {
    pub(super) fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }

    pub(super) fn broke_off(&self) -> bool {
        self.broke_off.load(Ordering::SeqCst)
    }
}

impl Receiver {
    pub(super) fn reserve() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = Authority::new("siem");
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &authority.certificate).unwrap();
        Self {
            address: listener.local_addr().unwrap(),
            authority,
            folder,
        }
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn authority(&self) -> PathBuf {
        Path::new(self.folder.path()).join("ca.pem")
    }

    fn acceptor(&self) -> TlsAcceptor {
        let own = self.authority.server(&["127.0.0.1"]);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(own.chain(), own.private_key())
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }

    /// Takes messages of RFC 5424 in frames of RFC 5425.
    pub(super) async fn serve_syslog(&self, manners: Manners) -> Serving {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let acceptor = self.acceptor();
        let serving = Serving {
            events: Arc::default(),
            broke_off: Arc::default(),
        };
        let (events, broke_off) = (Arc::clone(&serving.events), Arc::clone(&serving.broke_off));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                if manners == Manners::BreaksOffOnce && !broke_off.swap(true, Ordering::SeqCst) {
                    let mut some = [0; 300];
                    stream.read_exact(&mut some).await.unwrap();
                    continue;
                }
                let mut bytes = Vec::new();
                if stream.read_to_end(&mut bytes).await.is_ok() {
                    events.lock().unwrap().extend(messages(&bytes));
                    let _ = stream.shutdown().await;
                }
            }
        });
        serving
    }

    /// Takes POSTs with this authorization, but refuses the first few.
    pub(super) async fn serve_https(&self, authorization: &str, refuses: usize) -> Serving {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let acceptor = self.acceptor();
        let serving = Serving {
            events: Arc::default(),
            broke_off: Arc::default(),
        };
        let events = Arc::clone(&serving.events);
        let expected = format!("authorization: {authorization}");
        tokio::spawn(async move {
            let refused = AtomicUsize::new(0);
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let Some((head, body)) = request(&mut stream).await else {
                    continue;
                };
                assert!(head.starts_with("POST /events HTTP/1.1\r\n"), "{head}");
                assert!(head.contains(&expected), "{head}");
                assert!(head.contains("content-type: application/cloudevents-batch+json"));
                let status = if refused.fetch_add(1, Ordering::SeqCst) < refuses {
                    "503 Service Unavailable"
                } else {
                    let batch: Vec<Value> = serde_json::from_slice(&body).unwrap();
                    events.lock().unwrap().extend(batch);
                    "202 Accepted"
                };
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        serving
    }
}

async fn request(stream: &mut TlsStream<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length?.parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

/// The events in whole frames; each message is checked.
fn messages(mut bytes: &[u8]) -> Vec<Value> {
    let mut events = Vec::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&bytes[..space])
            .unwrap()
            .parse()
            .unwrap();
        let (message, rest) = bytes[space + 1..].split_at(length);
        events.push(event(std::str::from_utf8(message).unwrap()));
        bytes = rest;
    }
    events
}

fn event(message: &str) -> Value {
    // priority and version, time, host, program, process, kind, structured data, message
    let parts: Vec<&str> = message.splitn(7, ' ').collect();
    assert!(["<109>1", "<110>1"].contains(&parts[0]), "{message}");
    assert!(parts[1].ends_with('Z'), "{message}");
    assert_eq!(
        (parts[2], parts[3], parts[4]),
        ("-", "kms", "-"),
        "{message}"
    );
    let (data, json) = parts[6].split_once("] ").unwrap();
    let event: Value = serde_json::from_str(json).unwrap();
    let sequence = event["data"]["metadata"]["sequence"].as_u64().unwrap() + 1;
    assert_eq!(
        data,
        format!("[meta sequenceId=\"{sequence}\""),
        "{message}"
    );
    assert_eq!(
        event["type"],
        format!("kms.v1.audit.{}", parts[5]),
        "{message}"
    );
    event
}
