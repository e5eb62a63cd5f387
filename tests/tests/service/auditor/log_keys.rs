//! The key that signs the log changes, and whoever holds the instance's public key follows it; a hand-over that was
//! forged is refused.

use super::{key, path};
use kms_tests::caller::{Caller, context};
use kms_tests::daemon::{Daemon, Installation, Role};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::path::{Path, PathBuf};
use tlog::{Certificate, Note, VerifierKey, certificate_name, signature_line};

async fn use_it(daemon: &Daemon, installation: &Installation) -> Caller {
    let service = daemon.caller(installation, Role::Service).await;
    for _ in 0..10 {
        let context = context("tenant", "acme");
        service.generate("files", &context, &[]).await.unwrap();
    }
    service
}

fn rotate(installation: &Installation) -> serde_json::Value {
    let kms = installation.kms(Role::Operator);
    kms.run(&["audit", "rotate-key", "--output", "json"])
        .ok()
        .json()
}

fn audit(installation: &Installation) -> PathBuf {
    installation.dir().join("data/audit")
}

fn verify(installation: &Installation, dir: &Path) -> kms_tests::console::Said {
    let (dir, key) = (dir.to_str().unwrap(), key(installation));
    let args = [
        "audit",
        "verify",
        "--offline",
        dir,
        "--key",
        &key,
        "--output",
        "json",
    ];
    installation.kms(Role::Auditor).run(&args)
}

/// A log under three keys, its daemon stopped.
async fn rotated_twice() -> Installation {
    let installation = Installation::new();
    let daemon = installation.start();
    use_it(&daemon, &installation).await;
    assert_eq!(rotate(&installation)["number"], 2);
    use_it(&daemon, &installation).await;
    assert!(daemon.terminate().success());
    // the key that signs is the newest, also after a restart
    let daemon = installation.start();
    use_it(&daemon, &installation).await;
    assert_eq!(rotate(&installation)["number"], 3);
    use_it(&daemon, &installation).await;
    assert!(daemon.terminate().success());
    installation
}

#[tokio::test]
async fn the_verifier_follows_the_keys_from_the_first_public_key() {
    let installation = Installation::new();
    let daemon = installation.start();
    use_it(&daemon, &installation).await;
    let first = rotate(&installation);
    assert_eq!(first["number"], 2);
    let certificate = first["certificate"].as_str().unwrap();
    let certificate = Certificate::parse(Note::parse(certificate).unwrap().text()).unwrap();
    assert_eq!(first["from_entries"], certificate.from_size);
    // what was signed by the old key and what is signed by the new one can both be proven
    let service = use_it(&daemon, &installation).await;
    let second = rotate(&installation);
    assert!(second["from_entries"].as_u64() > first["from_entries"].as_u64());
    service.status().await.unwrap();
    assert!(daemon.terminate().success());
    let verdict = verify(&installation, &audit(&installation)).ok().json();
    assert_eq!(verdict["log_keys"], 3, "{verdict}");
    let daemon = installation.start();
    let kms = installation.kms(Role::Auditor);
    let file = path(&installation, "proof.json");
    let (file, key) = (file.to_str().unwrap(), key(&installation));
    let early = first["from_entries"].as_u64().unwrap() - 1;
    let late = second["from_entries"].as_u64().unwrap() + 1;
    for sequence in [0, early, early + 1, late].map(|number| number.to_string()) {
        kms.run(&["audit", "prove", &sequence, "--key", &key, "-o", file])
            .ok();
        kms.run(&["audit", "verify", "--proof", file, "--key", &key])
            .ok();
    }
    kms.run(&["audit", "verify", "--key", &key]).ok();
    // an entry says who did it, and auditors cannot
    let denied = kms.run(&["audit", "rotate-key"]);
    assert_eq!(denied.code, 3, "{denied:?}");
    let args = [
        "audit",
        "list",
        "--action",
        "RotateLogKey",
        "--output",
        "json",
    ];
    let listed = kms.run(&args).ok().json();
    let outcomes = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["outcome"].as_str());
    // the command line logs in and gives a code when it is told to
    let asked = [Some("SESSION_REQUIRED"), Some("NEW_CODE_REQUIRED")];
    let outcomes: Vec<_> = outcomes
        .filter(|it| !asked.contains(it))
        .flatten()
        .collect();
    assert_eq!(outcomes, ["OK", "OK", "DENIED"], "{listed}");
    drop(daemon);
}

/// Another key, with the words of the one that it poses as.
fn forged(certificate: &Certificate, instance: &str) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
    let named = |name: &str| VerifierKey::new(name, public).unwrap();
    let forged = Certificate {
        key: named(&certificate.origin),
        ..certificate.clone()
    };
    let text = forged.text();
    let signature: [u8; 64] = pair.sign(text.as_bytes()).as_ref().try_into().unwrap();
    let lines = [named(instance), named(&certificate.origin)];
    let lines = lines.map(|key| signature_line(&key, &signature));
    format!("{text}\n{}", lines.concat())
}

#[tokio::test]
async fn a_forged_hand_over_is_refused() {
    let installation = rotated_twice().await;
    let log = audit(&installation);
    verify(&installation, &log).ok();
    let of = |number: u64| log.join("log-keys").join(certificate_name(number));
    let good: Vec<String> = (1..=3)
        .map(|number| std::fs::read_to_string(of(number)).unwrap())
        .collect();
    let second = &good[1];
    let certificate = Certificate::parse(Note::parse(second).unwrap().text()).unwrap();
    let (text, signatures) = second.split_once("\n\n").unwrap();
    let lines: Vec<&str> = signatures.lines().collect();
    assert_eq!(lines.len(), 2, "the instance's and the old key's");
    let instance = lines[0].split(' ').nth(1).unwrap();
    let moved = second.replacen(
        &format!("\n{}\n", certificate.from_size),
        &format!("\n{}\n", certificate.from_size + 1),
        1,
    );
    for (what, forged) in [
        ("without the old key", format!("{text}\n\n{}\n", lines[0])),
        ("without the instance", format!("{text}\n\n{}\n", lines[1])),
        ("another key", forged(&certificate, instance)),
        ("another place", moved),
        ("the next one's", good[2].clone()),
    ] {
        assert_ne!(&forged, second, "{what}");
        std::fs::write(of(2), forged).unwrap();
        let said = verify(&installation, &log);
        assert_eq!(said.code, 1, "{what}: {said:?}");
        assert!(said.err.contains("log key"), "{what}: {said:?}");
    }
    std::fs::remove_file(of(2)).unwrap();
    assert_eq!(verify(&installation, &log).code, 1, "one is gone");
    std::fs::write(of(2), second).unwrap();
    verify(&installation, &log).ok();
    // without the last hand-over, what the last key signed is nobody's word
    std::fs::remove_file(of(3)).unwrap();
    let said = verify(&installation, &log);
    assert_eq!(said.code, 1, "{said:?}");
}
