//! Notices to a web server: under a bearer token, tried again when they are not taken, and never in anybody's way.

use kms_proto::v1::AddOperatorRequest;
use kms_tests::caller::{approval, reason};
use kms_tests::certificate::Authority;
use kms_tests::daemon::Role;
use kms_tests::in_process::InProcess;
use rustls::ServerConfig;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// What does not come in this time does not come.
const HANG: Duration = Duration::from_secs(60);

/// One request: its head in small letters, its body.
type Posted = (String, String);

/// A web server that refuses the first post and takes the others; it hands on what it got.
struct Receiver {
    address: SocketAddr,
    authority: String,
    posted: mpsc::UnboundedReceiver<Posted>,
}

impl Receiver {
    async fn start() -> Self {
        let authority = Authority::new("webhook");
        let own = authority.server(&["127.0.0.1"]);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(own.chain(), own.private_key())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, posted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut answers = ["503 Service Unavailable"].into_iter();
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap().to_lowercase();
                let (_, length) = head.split_once("content-length: ").unwrap();
                let length = length.lines().next().unwrap().parse().unwrap();
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                let status = answers.next().unwrap_or("200 OK");
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                // the other end may have had enough
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
                if told.send((head, String::from_utf8(body).unwrap())).is_err() {
                    return;
                }
            }
        });
        Self {
            address,
            authority: authority.certificate,
            posted,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_told_under_its_token_and_told_again_when_it_refused() {
    let mut receiver = Receiver::start().await;
    let process = InProcess::new();
    let dir = process.installation.dir();
    fs::write(dir.join("webhook-ca.pem"), &receiver.authority).unwrap();
    fs::write(dir.join("webhook.token"), "a-token-of-the-crm\n").unwrap();
    fs::set_permissions(dir.join("webhook.token"), fs::Permissions::from_mode(0o600)).unwrap();
    let text = fs::read_to_string(dir.join("kms.toml")).unwrap();
    let notices = format!(
        "[notices]\nwebhook = \"https://{}/kms\"\nwebhook_ca = \"webhook-ca.pem\"\n\
         webhook_bearer_file = \"webhook.token\"\n",
        receiver.address
    );
    fs::write(dir.join("kms.toml"), text + "\n" + &notices).unwrap();
    let running = process.serve().await;
    let alice = process.caller(&running, Role::Operator).await;
    let request = AddOperatorRequest {
        operator_id: "carol".into(),
        roles: vec!["auditor".into()],
        ..Default::default()
    };
    // the call is answered whatever becomes of the notice
    let refused = alice.auth().add_operator(request).await.unwrap_err();
    assert_eq!(reason(&refused), "APPROVAL_REQUIRED");
    let id = approval(&refused).unwrap();
    let first = tokio::time::timeout(HANG, receiver.posted.recv()).await;
    let (head, body) = first.unwrap().unwrap();
    assert!(head.starts_with("post /kms http/1.1\r\n"), "{head}");
    assert!(
        head.contains("authorization: bearer a-token-of-the-crm\r\n"),
        "{head}"
    );
    assert!(
        head.contains("content-type: application/json\r\n"),
        "{head}"
    );
    let notice: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(notice["event"], "approval requested");
    assert_eq!(notice["approval"], id.as_str());
    assert_eq!(notice["action"], "AddOperator");
    // it was refused: the same comes again when the pause is over
    let again = async {
        loop {
            process.clock.advance(Duration::from_secs(2));
            let next = tokio::time::timeout(Duration::from_millis(200), receiver.posted.recv());
            if let Ok(Some((_, again))) = next.await {
                return again;
            }
        }
    };
    assert_eq!(tokio::time::timeout(HANG, again).await.unwrap(), body);
    running.stop().await;
}
