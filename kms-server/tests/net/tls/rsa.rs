//! What only OpenSSL still makes: signatures by SHA-1, keys of 1,024 bits.

use crate::client::ENCRYPT;
use crate::echo::{CLIENT, Server};
use kms_server::identity::ClientCertificate;
use kms_server::system::clock::{Clock, SystemClock};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

fn openssl(folder: &Path, args: &str) {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(args.split(' '))
        .output()
        .unwrap();
    assert!(output.status.success(), "{args}: {output:?}");
}

fn has_openssl() -> bool {
    let found = Command::new("openssl").arg("version").output().is_ok();
    let required = std::env::var_os("KMS_TESTS_REQUIRE").is_some();
    assert!(found || !required, "openssl is missing");
    found
}

/// `NAME.pem` and `NAME.key`, signed by `ca.pem`.
fn leaf(folder: &Path, name: &str, bits: u32, digest: &str) {
    let names = format!("subjectAltName=URI:{CLIENT}\nextendedKeyUsage=clientAuth\n");
    std::fs::write(folder.join("names"), names).unwrap();
    openssl(
        folder,
        &format!(
            "req -new -newkey rsa:{bits} -nodes -keyout {name}.key -subj /CN=x -out {name}.csr"
        ),
    );
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA root.pem -CAkey root.key -{digest} -days 30 -extfile names -out {name}.pem"
        ),
    );
}

/// Where rustls' client takes no such key: OpenSSL's client makes a call by gRPC-Web. It lives until it is dropped.
struct Client(Child);

impl Client {
    fn of_openssl(server: &Server, folder: &Path, name: &str) -> Self {
        let mut child = Command::new("openssl")
            .current_dir(folder)
            .args(["s_client", "-tls1_3", "-alpn", "http/1.1"])
            .args(["-cipher", "DEFAULT@SECLEVEL=0"])
            .args(["-connect", &server.address.to_string()])
            .args([
                "-cert",
                &format!("{name}.pem"),
                "-key",
                &format!("{name}.key"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let call = format!(
            "POST {ENCRYPT} HTTP/1.1\r\nhost: kms\r\ncontent-type: application/grpc-web\r\ncontent-length: 6\r\n\r\n\0\0\0\0\x01x"
        );
        // it may have been hung up on
        let _ = child.stdin.as_mut().unwrap().write_all(call.as_bytes());
        Self(child)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn sha_1_and_short_keys_are_refused_where_their_like_is_taken() {
    if !has_openssl() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -keyout root.key -subj /CN=root -days 30 -out root.pem",
    );
    for (name, bits, digest) in [
        ("good", 2048, "sha256"),
        ("sha1", 2048, "sha1"),
        ("short", 1024, "sha256"),
    ] {
        leaf(folder, name, bits, digest);
    }
    // no revocation list: it is not what these are refused for
    let server = Server::with_root(ClientCertificate::Required, &folder.join("root.pem"));
    let now = SystemClock::new().now().since(server.clock.now());
    server.clock.advance(now + Duration::from_secs(60));
    let credential = |name: &str| {
        let chain = CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(folder.join(format!("{name}.key"))).unwrap();
        (vec![chain], key)
    };
    let try_with = async |name: &str| {
        let (chain, key) = credential(name);
        let mut client = crate::client::Client::showing(&server, chain, key).await?;
        client
            .call(ENCRYPT, b"x")
            .await
            .map_err(std::io::Error::other)
    };
    assert_eq!(try_with("good").await.unwrap().message(), b"x");
    let calls = server.seen.borrow().calls.len();
    assert!(try_with("sha1").await.is_err());
    server.until(|seen| seen.shed.len() == 1).await;
    let short = Client::of_openssl(&server, folder, "short");
    let seen = server.until(|seen| seen.shed.len() == 2).await;
    assert_eq!(seen.calls.len(), calls);
    drop(short);
    // the same way in, with a key that is long enough
    let _good = Client::of_openssl(&server, folder, "good");
    let seen = server.until(|seen| seen.calls.len() == calls + 1).await;
    assert_eq!(seen.shed.len(), 2);
}
