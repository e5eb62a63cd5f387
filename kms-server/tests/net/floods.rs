//! HTTP/2 written by hand, to break its rules: floods end the connection, and nobody else notices.

use crate::client::{Client, ENCRYPT, Tls, tls};
use crate::echo::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// A connection without a library.
pub(crate) struct Raw(Tls);

impl Raw {
    /// After preface and settings.
    pub(crate) async fn connect(server: &Server) -> Self {
        let mut stream = tls(server, Some(&server.client), b"h2").await.unwrap();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        stream.write_all(preface).await.unwrap();
        Self(stream)
    }

    /// Errors are the server's right: it may have closed.
    pub(crate) async fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.0
            .write_all(&[&head[..], payload].concat())
            .await
            .is_ok()
            && self.0.flush().await.is_ok()
    }

    pub(crate) async fn headers(&mut self, stream: u32, block: &[u8], end: bool) -> bool {
        let flags = END_HEADERS | if end { END_STREAM } else { 0 };
        self.frame(HEADERS, flags, stream, block).await
    }

    /// Reads until a frame of this kind; answers pings on the way.
    pub(crate) async fn until(&mut self, wanted: u8) -> Vec<u8> {
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let mut payload = vec![0; length];
            self.0.read_exact(&mut payload).await.unwrap();
            if head[3] == wanted {
                return payload;
            }
            if head[3] == PING && head[4] == 0 {
                self.frame(PING, 1, 0, &payload).await;
            }
        }
    }

    /// Reads until the server closes; answers the last error code of a GOAWAY.
    pub(crate) async fn goodbye(mut self) -> Option<u32> {
        let mut bytes = Vec::new();
        // an error is a close, too
        let _ = self.0.read_to_end(&mut bytes).await;
        let mut code = None;
        let mut rest = &bytes[..];
        while let [a, b, c, kind, _, _, _, _, _, tail @ ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if *kind == GOAWAY {
                code = Some(u32::from_be_bytes(tail[4..8].try_into().unwrap()));
            }
            rest = tail.get(length..).unwrap_or_default();
        }
        code
    }
}

/// A request's header block, every field a literal without indexing (RFC 7541, 6.2.2).
pub(crate) fn head(path: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":path", path),
        (":authority", "127.0.0.1"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    fields
        .iter()
        .flat_map(|(name, value)| field(name, value))
        .collect()
}

pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    [
        &[0, length(name)],
        name.as_bytes(),
        &[length(value)],
        value.as_bytes(),
    ]
    .concat()
}

const ENHANCE_YOUR_CALM: u32 = 11;

async fn assert_well(server: &Server) {
    let mut client = Client::connect(server).await;
    assert_eq!(client.call(ENCRYPT, b"x").await.unwrap().message(), b"x");
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    for number in 0..10_000_u32 {
        let stream = 2 * number + 1;
        if !raw.headers(stream, &head(ENCRYPT), false).await
            || !raw.frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()).await
        {
            break;
        }
    }
    assert_eq!(raw.goodbye().await, Some(ENHANCE_YOUR_CALM));
    assert_well(&server).await;
}

#[tokio::test]
async fn a_flood_of_continuations_ends_the_connection() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    raw.frame(HEADERS, 0, 1, &head(ENCRYPT)).await;
    let block = field("x-filler", &"a".repeat(100)).repeat(100);
    for _ in 0..10_000 {
        if !raw.frame(CONTINUATION, 0, 1, &block).await {
            break;
        }
    }
    assert!(raw.goodbye().await.is_some_and(|code| code > 0));
    assert!(server.seen.borrow().calls.is_empty());
    assert_well(&server).await;
}

#[tokio::test]
async fn a_flood_of_empty_data_is_survived() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    raw.headers(1, &head(ENCRYPT), false).await;
    for _ in 0..20_000 {
        if !raw.frame(DATA, 0, 1, &[]).await {
            break;
        }
    }
    drop(raw);
    assert_well(&server).await;
    while server.running.counts().in_flight > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn frames_out_of_form_end_the_connection() {
    let garbage: [(u8, u8, u32, &[u8]); 5] = [
        // a ping of seven bytes
        (PING, 0, 0, &[0; 7]),
        // data on the connection itself
        (DATA, 0, 0, &[0; 5]),
        // headers with an index that does not exist
        (HEADERS, END_HEADERS, 1, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
        // a stream that the server would have to open
        (HEADERS, END_HEADERS, 2, &[]),
        // a continuation of nothing
        (CONTINUATION, END_HEADERS, 1, &[]),
    ];
    for (kind, flags, stream, payload) in garbage {
        let server = Server::start();
        let mut raw = Raw::connect(&server).await;
        raw.frame(kind, flags, stream, payload).await;
        assert!(raw.goodbye().await.is_some_and(|code| code > 0), "{kind}");
        assert_well(&server).await;
    }
}

#[tokio::test]
async fn streams_over_the_limit_are_refused_one_by_one() {
    let required = kms_server::identity::ClientCertificate::Required;
    let server = Server::with(required, |settings| {
        settings.limits.streams_per_connection = 3;
    });
    let mut raw = Raw::connect(&server).await;
    for number in 0..8 {
        raw.headers(2 * number + 1, &head(ENCRYPT), false).await;
        raw.frame(DATA, END_STREAM, 2 * number + 1, b"\0\0\0\0\x04hang")
            .await;
    }
    // RST_STREAM with REFUSED_STREAM for five of them (RFC 9113, 5.1.2)
    for _ in 0..5 {
        assert_eq!(raw.until(RST_STREAM).await, 7_u32.to_be_bytes());
    }
    let seen = server.until(|seen| seen.calls.len() == 3).await;
    assert_eq!(seen.calls.len(), 3);
    assert_well(&server).await;
}

#[tokio::test]
async fn a_bomb_of_headers_is_refused() {
    let server = Server::start();
    let mut raw = Raw::connect(&server).await;
    // one long field into the table (RFC 7541, 6.2.1), then named again and again
    let mut block = head(ENCRYPT);
    block.extend([0x40, 1, b'b', 0x7F, 0xA0, 0x1E]);
    block.extend([b'a'; 3_999]);
    block.extend([0x80 | 62; 10_000]);
    raw.headers(1, &block, true).await;
    let mut first = [0; 9];
    loop {
        raw.0.read_exact(&mut first).await.unwrap();
        let length = u32::from_be_bytes([0, first[0], first[1], first[2]]) as usize;
        let mut payload = vec![0; length];
        raw.0.read_exact(&mut payload).await.unwrap();
        if first[3] != 4 && first[3] != 8 {
            break;
        }
    }
    // 431, a reset or a goodbye: anything but a call
    assert!(matches!(first[3], HEADERS | RST_STREAM | GOAWAY));
    assert!(server.seen.borrow().calls.is_empty());
    assert_well(&server).await;
}
