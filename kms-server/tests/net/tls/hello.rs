//! ClientHellos and other first bytes, byte by byte.

use crate::client::tls;
use crate::echo::Server;
use kms_core::reason::Reason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const X25519: u16 = 29;
const P256: u16 = 23;
const FFDHE2048: u16 = 256;
const TLS13: u16 = 0x0304;
const TLS12: u16 = 0x0303;
const AES_256_GCM: u16 = 0x1302;
const AES_128_CCM_8: u16 = 0x1305;
const ECDSA_P256: u16 = 0x0403;
const RSA_PKCS1_SHA1: u16 = 0x0201;

/// RFC 8446, 4.1.2, with everything open to be wrong.
#[derive(Clone)]
struct Hello {
    record: u16,
    legacy: u16,
    versions: Option<Vec<u16>>,
    suites: Vec<u16>,
    compression: Vec<u8>,
    groups: Vec<u16>,
    share: Vec<(u16, Vec<u8>)>,
    signatures: Vec<u16>,
    alpn: Vec<&'static [u8]>,
    more: Vec<(u16, Vec<u8>)>,
}

impl Default for Hello {
    /// A good one.
    fn default() -> Self {
        // any 32 bytes but few are a point of X25519
        let point = [9; 32].to_vec();
        Self {
            record: 0x0301,
            legacy: TLS12,
            versions: Some(vec![TLS13]),
            suites: vec![AES_256_GCM],
            compression: vec![0],
            groups: vec![X25519],
            share: vec![(X25519, point)],
            signatures: vec![ECDSA_P256],
            alpn: vec![b"h2"],
            more: Vec::new(),
        }
    }
}

fn numbers(list: &[u16]) -> Vec<u8> {
    list.iter().flat_map(|it| it.to_be_bytes()).collect()
}

fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    [&len, bytes].concat()
}

fn record(kind: u8, version: u16, bytes: &[u8]) -> Vec<u8> {
    [&[kind], &version.to_be_bytes()[..], &long(bytes)].concat()
}

impl Hello {
    fn handshake(&self) -> Vec<u8> {
        let mut extensions = Vec::new();
        let mut add = |number: u16, content: Vec<u8>| {
            extensions.extend(number.to_be_bytes());
            extensions.extend(long(&content));
        };
        if let Some(versions) = &self.versions {
            add(43, short(&numbers(versions)));
        }
        add(10, long(&numbers(&self.groups)));
        add(13, long(&numbers(&self.signatures)));
        let shares = self.share.iter();
        let shares =
            shares.flat_map(|(group, key)| [&group.to_be_bytes(), &long(key)[..]].concat());
        add(51, long(&shares.collect::<Vec<u8>>()));
        let protocols: Vec<u8> = self.alpn.iter().flat_map(|it| short(it)).collect();
        add(16, long(&protocols));
        for (number, content) in &self.more {
            add(*number, content.clone());
        }
        let body = [
            &self.legacy.to_be_bytes()[..],
            &[7; 32],
            &short(&[8; 32]),
            &long(&numbers(&self.suites)),
            &short(&self.compression),
            &long(&extensions),
        ]
        .concat();
        let len = u32::try_from(body.len()).unwrap().to_be_bytes();
        [&[1], &len[1..], &body].concat()
    }

    fn bytes(&self) -> Vec<u8> {
        record(22, self.record, &self.handshake())
    }
}

/// The kind of the first record that came back; `None` when there was none.
async fn first_record(server: &Server, bytes: &[u8], hang_up: bool) -> Option<u8> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // the server may have closed already
    let _ = stream.write_all(bytes).await;
    if hang_up {
        let _ = stream.shutdown().await;
    }
    let mut kind = [0];
    match stream.read(&mut kind).await {
        Ok(1) => Some(kind[0]),
        _ => None,
    }
}

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

type Case = (&'static str, Vec<u8>);

fn with(change: impl FnOnce(&mut Hello)) -> Vec<u8> {
    let mut hello = Hello::default();
    change(&mut hello);
    hello.bytes()
}

/// Protocols of other days.
fn versions() -> Vec<Case> {
    vec![
        (
            "TLS 1.0",
            with(|it| {
                it.versions = None;
                it.legacy = 0x0301;
            }),
        ),
        (
            "TLS 1.1",
            with(|it| {
                it.versions = None;
                it.legacy = 0x0302;
            }),
        ),
        (
            "TLS 1.2 by its extension",
            with(|it| it.versions = Some(vec![TLS12])),
        ),
        (
            "SSL 3",
            with(|it| {
                it.versions = None;
                it.legacy = 0x0300;
                it.record = 0x0300;
            }),
        ),
        (
            "a version to come",
            with(|it| it.versions = Some(vec![0x0305])),
        ),
        (
            "a draft of TLS 1.3",
            with(|it| it.versions = Some(vec![0x7f1c])),
        ),
    ]
}

/// Nothing to agree on, or a share that is none.
fn keys() -> Vec<Case> {
    vec![
        (
            "no suite that we know",
            with(|it| it.suites = vec![AES_128_CCM_8, 0x00ff]),
        ),
        (
            "suites of TLS 1.2",
            with(|it| it.suites = vec![0xC02B, 0xC02F, 0x009C, 0x0035]),
        ),
        (
            "suites without encryption",
            with(|it| it.suites = vec![0xC0B4, 0x0002]),
        ),
        (
            "no group that we know",
            with(|it| {
                it.groups = vec![FFDHE2048];
                it.share = vec![(FFDHE2048, vec![2; 256])];
            }),
        ),
        (
            "a point of low order",
            with(|it| it.share = vec![(X25519, vec![0; 32])]),
        ),
        (
            "a point off its curve",
            with(|it| {
                it.groups = vec![P256];
                it.share = vec![(P256, [&[4][..], &[1; 64]].concat())];
            }),
        ),
        (
            "a share of the wrong length",
            with(|it| it.share = vec![(X25519, vec![9; 31])]),
        ),
        (
            "two shares of one group",
            with(|it| it.share = vec![(X25519, vec![9; 32]), (X25519, vec![8; 32])]),
        ),
    ]
}

/// A hello that is wrong in itself.
fn extensions() -> Vec<Case> {
    vec![
        (
            "signatures by SHA-1 only",
            with(|it| it.signatures = vec![RSA_PKCS1_SHA1]),
        ),
        ("compression", with(|it| it.compression = vec![1])),
        (
            "no compression method",
            with(|it| it.compression = Vec::new()),
        ),
        (
            "a protocol of nobody's",
            with(|it| it.alpn = vec![b"spdy/3"]),
        ),
        ("an empty protocol", with(|it| it.alpn = vec![b""])),
        (
            "an empty server name",
            with(|it| it.more = vec![(0, vec![0, 0])]),
        ),
        (
            "a server name that ends early",
            with(|it| it.more = vec![(0, vec![0, 9, 0, 0, 99, b'a'])]),
        ),
        (
            "an extension that stands twice",
            with(|it| it.more = vec![(43, vec![2, 3, 4])]),
        ),
        (
            "early data without a ticket",
            with(|it| it.more = vec![(42, Vec::new()), (44, vec![0, 1, 0])]),
        ),
    ]
}

/// No hello at all, or not all of one.
fn bytes() -> Vec<Case> {
    let whole = Hello::default().bytes();
    vec![
        ("HTTP", b"GET / HTTP/1.1\r\nhost: kms\r\n\r\n".to_vec()),
        (
            "SSL 2",
            vec![0x80, 0x2e, 1, 0, 2, 0, 21, 0, 0, 0, 16, 1, 0, 128],
        ),
        ("an alert first", record(ALERT, TLS12, &[1, 0])),
        ("application data first", record(23, TLS12, &[7; 64])),
        (
            "a finished message first",
            record(22, TLS12, &[&[20, 0, 0, 32][..], &[0; 32]].concat()),
        ),
        ("a record without contents", record(22, 0x0301, &[])),
        (
            "a record over the limit",
            [&[22, 3, 1, 0x80, 0][..], &[0; 0x8000]].concat(),
        ),
        (
            "a hello of 16 MiB",
            record(22, 0x0301, &[1, 0xff, 0xff, 0xff, 3, 3]),
        ),
        ("half a hello", whole[..40].to_vec()),
        ("nothing", Vec::new()),
    ]
}

fn cases() -> Vec<Case> {
    let whole = Hello::default().bytes();
    // one after the other, no answer between
    let two = vec![("two hellos", [&whole[..], &whole[..]].concat())];
    [versions(), keys(), extensions(), bytes(), two].concat()
}

/// Refused by an alert or by hanging up: the peer's first record is never ours of a handshake, but where the second
/// thing that it says is wrong.
#[tokio::test]
async fn first_bytes_that_are_no_hello_of_ours_end_the_connection() {
    let server = Server::start();
    for (number, (case, bytes)) in cases().into_iter().enumerate() {
        let kind = first_record(&server, &bytes, true).await;
        let begun = [
            // an alert that is encrypted already
            "a protocol of nobody's",
            "two hellos",
            "early data without a ticket",
            "signatures by SHA-1 only",
        ];
        if !begun.contains(&case) {
            assert!(kind.is_none_or(|kind| kind == ALERT), "{case}: {kind:?}");
        }
        let seen = server.until(|seen| seen.shed.len() > number).await;
        assert_eq!(seen.shed[number], Reason::Unauthenticated, "{case}");
        assert!(seen.calls.is_empty() && seen.refused.is_empty() && seen.strangers == 0);
    }
    // and the good one they were made from is answered
    let kind = first_record(&server, &Hello::default().bytes(), false).await;
    assert_eq!(kind, Some(HANDSHAKE));
}

/// Each byte in a record of its own, which is allowed (RFC 8446, 5.1): no crash, no confusion, no handler.
#[tokio::test]
async fn a_hello_in_pieces_is_a_hello_and_nothing_more() {
    let server = Server::start();
    let whole = Hello::default().handshake();
    let pieces: Vec<u8> = whole
        .iter()
        .flat_map(|byte| record(22, 0x0301, &[*byte]))
        .collect();
    let kind = first_record(&server, &pieces, false).await;
    assert!(kind == Some(HANDSHAKE) || kind == Some(ALERT), "{kind:?}");
    let seen = server.until(|seen| !seen.shed.is_empty()).await;
    assert!(seen.calls.is_empty() && seen.strangers == 0);
}

/// What renegotiation was: a second hello, in the clear, after the handshake.
#[tokio::test]
async fn bytes_in_the_clear_after_the_handshake_end_the_connection() {
    let server = Server::start();
    let hello = Hello::default().bytes();
    for bytes in [hello, record(20, TLS12, &[1]), record(23, TLS12, &[0; 64])] {
        let stream = tls(&server, Some(&server.client), b"h2").await.unwrap();
        let (mut tcp, _) = stream.into_inner();
        tcp.write_all(&bytes).await.unwrap();
        let mut rest = Vec::new();
        // reset or closed
        let _ = tcp.read_to_end(&mut rest).await;
    }
    let seen = server.seen.borrow().clone();
    assert!(seen.calls.is_empty() && seen.strangers == 0);
}
