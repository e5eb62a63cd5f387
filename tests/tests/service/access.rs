//! Every RPC called by those who may not: nobody, a stranger, the wrong role; and by those who may while sealed, or
//! with bytes that are no message. The list comes from the descriptor, so that no RPC can be forgotten.

use crate::access::request::{body, roles};
use bytes::Bytes;
use kms_proto::v1::{
    AuditEntry, CreateShredSecretsResponse, GenerateDataKeysResponse, RewrapResponse, SealRequest,
    SealState, UnsealRequest, UnwrapDataKeysResponse,
};
use kms_tests::caller::{Caller, context, reason, request_id};
use kms_tests::certificate::Authority;
use kms_tests::credentials::Credentials;
use kms_tests::daemon::{Daemon, Installation, Role};
use kms_tests::rpc::{Rpc, every};
use kms_tests::wire::Wire;
use prost::Message;
use std::collections::BTreeMap;
use tonic::{Code, Response, Status};

pub(crate) mod request;

/// Why a call was refused, wherever its answer says so: the status, or the first item of a batch or stream.
fn outcome(rpc: &Rpc, answer: &Result<Response<Bytes>, Status>) -> String {
    let bytes = match answer {
        Err(status) => return reason(status),
        Ok(answer) => answer.get_ref().clone(),
    };
    let error = match rpc.method.as_str() {
        "Rewrap" => RewrapResponse::decode(bytes).unwrap().error,
        "GenerateDataKeys" => {
            let items = GenerateDataKeysResponse::decode(bytes).unwrap().items;
            items.into_iter().next().and_then(|item| item.error)
        }
        "UnwrapDataKeys" => {
            let items = UnwrapDataKeysResponse::decode(bytes).unwrap().items;
            items.into_iter().next().and_then(|item| item.error)
        }
        "CreateShredSecrets" => {
            let results = CreateShredSecretsResponse::decode(bytes).unwrap().results;
            results.into_iter().next().and_then(|result| result.error)
        }
        _ => None,
    };
    error.map_or_else(|| "OK".to_owned(), |error| error.reason)
}

/// Head entries by request id.
async fn heads(auditor: &Caller) -> BTreeMap<String, Vec<AuditEntry>> {
    let mut heads: BTreeMap<String, Vec<AuditEntry>> = BTreeMap::new();
    for entry in auditor.entries(0).await.unwrap() {
        if entry.kind == "call" {
            heads
                .entry(entry.request_id.clone())
                .or_default()
                .push(entry);
        }
    }
    heads
}

/// A call whose entry must be found later.
struct Made {
    rpc: Rpc,
    id: String,
    outcome: String,
}

/// A batch does the same as its single call: one action, in policies and in the log.
fn action(rpc: &Rpc) -> &str {
    match rpc.method.as_str() {
        "GenerateDataKeys" => "GenerateDataKey",
        "UnwrapDataKeys" => "UnwrapDataKey",
        "CreateShredSecrets" => "CreateShredSecret",
        other => other,
    }
}

async fn assert_audited(auditor: &Caller, made: &[Made]) {
    let heads = heads(auditor).await;
    for call in made {
        let what = format!("{} {}", call.rpc.path, call.outcome);
        if call.rpc.streaming {
            // A stream's messages have ids of their own, which only the log knows.
            let found = heads
                .values()
                .flatten()
                .any(|entry| entry.action == action(&call.rpc) && entry.outcome == call.outcome);
            assert!(found, "{what}: no entry");
            continue;
        }
        let found = heads.get(&call.id).map_or(&[][..], Vec::as_slice);
        assert_eq!(found.len(), 1, "{what}: entries of request {}", call.id);
        assert!(!found[0].principal.is_empty(), "{what}: no principal");
    }
}

fn made(rpc: &Rpc, answer: &Result<Response<Bytes>, Status>) -> Made {
    let id = match answer {
        Ok(answer) => request_id(answer.metadata()),
        Err(status) => request_id(status.metadata()),
    };
    assert!(
        rpc.streaming || !id.is_empty(),
        "{}: an answer without request id",
        rpc.path
    );
    Made {
        rpc: rpc.clone(),
        id,
        outcome: outcome(rpc, answer),
    }
}

async fn callers(installation: &Installation, daemon: &Daemon) -> BTreeMap<char, Caller> {
    let mut callers = BTreeMap::new();
    for role in Role::ALL {
        let letter = match role {
            Role::Approver => 'b',
            other => other.name().chars().next().unwrap(),
        };
        callers.insert(letter, daemon.caller(installation, role).await);
    }
    callers
}

#[tokio::test]
async fn every_rpc_refuses_the_wrong_role() {
    let installation = Installation::new();
    let daemon = installation.start();
    let callers = callers(&installation, &daemon).await;
    let mut calls = Vec::new();
    for rpc in every() {
        for (letter, caller) in &callers {
            if roles(&rpc.method).contains(*letter) {
                continue;
            }
            let answer = caller.wire.any(&rpc, body(&rpc.method)).await;
            let call = made(&rpc, &answer);
            assert_eq!(call.outcome, "DENIED", "{} as {letter}", rpc.path);
            calls.push(call);
        }
    }
    assert!(calls.len() > 30, "only {} calls", calls.len());
    assert_audited(&callers[&'a'], &calls).await;
    // Refused means not done.
    let status = callers[&'a'].status().await.unwrap();
    assert_eq!(status.seal_state(), SealState::Unsealed);
}

#[tokio::test]
async fn every_rpc_refuses_bytes_that_are_no_message() {
    let installation = Installation::new();
    let daemon = installation.start();
    let callers = callers(&installation, &daemon).await;
    let mut calls = Vec::new();
    // A field number 0, a length beyond the end, an endless varint, a group that never ends.
    let malformed: [&[u8]; 4] = [
        &[0x00, 0x00],
        &[0x0a, 0x7f, 0x01],
        &[0x08, 0xff, 0xff],
        &[0x0b],
    ];
    for rpc in every() {
        for letter in roles(&rpc.method).chars() {
            for bytes in malformed {
                let answer = callers[&letter]
                    .wire
                    .any(&rpc, Bytes::from_static(bytes))
                    .await;
                let call = made(&rpc, &answer);
                assert_eq!(call.outcome, "INVALID_ARGUMENT", "{} {bytes:?}", rpc.path);
                if let Err(status) = &answer {
                    assert_eq!(status.code(), Code::InvalidArgument);
                }
                calls.push(call);
            }
        }
    }
    assert_audited(&callers[&'a'], &calls).await;
}

#[tokio::test]
async fn a_sealed_daemon_answers_only_status_unseal_and_health() {
    let installation = Installation::new();
    let daemon = installation.start();
    let callers = callers(&installation, &daemon).await;
    let service = &callers[&'s'];
    let context = context("tenant", "acme");
    let before = service
        .generate("files", &context, &[])
        .await
        .unwrap()
        .into_inner();
    let mut operator = callers[&'o'].system();
    operator
        .seal(SealRequest {
            validate_only: false,
        })
        .await
        .unwrap();
    let mut calls = Vec::new();
    for rpc in every() {
        if ["GetStatus", "Unseal"].contains(&rpc.method.as_str()) {
            continue;
        }
        for letter in roles(&rpc.method).chars() {
            let answer = callers[&letter].wire.any(&rpc, body(&rpc.method)).await;
            let call = made(&rpc, &answer);
            assert_eq!(call.outcome, "SEALED", "{} as {letter}", rpc.path);
            calls.push(call);
        }
    }
    for caller in callers.values() {
        assert_eq!(
            caller.status().await.unwrap().seal_state(),
            SealState::Sealed
        );
        caller.wire.raw(HEALTH, Bytes::new()).await.unwrap();
    }
    let wrong = UnsealRequest {
        passphrase: Bytes::from_static(b"not the passphrase"),
        ..Default::default()
    };
    let refused = operator.unseal(wrong).await.unwrap_err();
    assert_eq!(reason(&refused), "UNSEAL_FAILED");
    let right = UnsealRequest {
        passphrase: passphrase(&installation),
        ..Default::default()
    };
    let answer = operator.unseal(right).await.unwrap().into_inner();
    assert_eq!(answer.seal_state(), SealState::Unsealed);
    assert_audited(&callers[&'a'], &calls).await;
    let opened = service
        .unwrap(&before.wrapped_data_key, &context)
        .await
        .unwrap();
    assert_eq!(opened.into_inner().plaintext, before.plaintext);
}

/// Answers the empty question about the whole server.
const HEALTH: &str = "/grpc.health.v1.Health/Check";

#[tokio::test]
async fn health_is_not_audited() {
    let installation = Installation::new();
    let daemon = installation.start();
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let before = auditor.entries(0).await.unwrap().len();
    for _ in 0..50 {
        let answer = auditor.wire.raw(HEALTH, Bytes::new()).await.unwrap();
        // status = SERVING
        assert_eq!(&answer.into_inner()[..], [0x08, 0x01]);
    }
    let after = auditor.entries(0).await.unwrap().len();
    assert!(after < before + 10, "{before} {after}");
}

/// The passphrase that the development daemon unseals itself with.
pub(super) fn passphrase(installation: &Installation) -> Bytes {
    let text = std::fs::read_to_string(installation.dir().join("kms.toml")).unwrap();
    let config: toml::Table = text.parse().unwrap();
    let path = config["seal"]["passphrase_file"].as_str().unwrap();
    let text = std::fs::read_to_string(installation.dir().join(path)).unwrap();
    Bytes::copy_from_slice(text.trim_end_matches('\n').as_bytes())
}

/// Counted entries of the log. A stop writes those that still wait for their ten seconds.
async fn counted(installation: &Installation, daemon: Daemon) -> Vec<AuditEntry> {
    assert!(daemon.terminate().success());
    let daemon = installation.start();
    let auditor = daemon.caller(installation, Role::Auditor).await;
    let entries = auditor.entries(0).await.unwrap();
    entries
        .into_iter()
        .filter(|entry| entry.kind == "counted")
        .collect()
}

#[tokio::test]
async fn strangers_are_refused_and_counted() {
    let installation = Installation::new();
    let daemon = installation.start();
    let profile = installation.profile(Role::Operator);
    let authority = Authority::new("stranger");
    let same_name = authority.client("spiffe://kms.dev/operator");
    let strangers = [
        Credentials::presenting(&profile, &same_name),
        Credentials::presenting(&profile, &authority.nameless_client("operator")),
        Credentials::nobody(&profile),
    ];
    let mut refused = 0;
    for credentials in &strangers {
        for rpc in every() {
            // TLS 1.3 tells a client of its refusal with the first answer.
            match Wire::connect(daemon.address, credentials).await {
                Err(_) => {}
                Ok(wire) => {
                    let answer = wire.any(&rpc, body(&rpc.method)).await;
                    let status = answer.expect_err("a stranger was answered");
                    assert!(
                        [Code::Cancelled, Code::Unavailable, Code::Unknown,]
                            .contains(&status.code()),
                        "{status:?}"
                    );
                }
            }
            refused += 1;
        }
    }
    let counted = counted(&installation, daemon).await;
    let total: u32 = counted.iter().map(|entry| entry.count).sum();
    assert!(
        usize::try_from(total).unwrap() >= refused,
        "{total} of {refused} counted"
    );
    assert!(
        counted.len() < refused,
        "one entry per source, reason and ten seconds"
    );
}

#[tokio::test]
async fn nobody_is_refused_where_certificates_are_optional() {
    let installation = Installation::new();
    assert!(installation.start().terminate().success());
    let path = installation.dir().join("kms.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut config: toml::Table = text.parse().unwrap();
    config["server"]
        .as_table_mut()
        .unwrap()
        .insert("client_certificate".into(), "optional".into());
    kms_tests::daemon::write_toml(&path, &config);
    let daemon = installation.start();
    let credentials = Credentials::nobody(&installation.profile(Role::Operator));
    let wire = Wire::connect(daemon.address, &credentials).await.unwrap();
    let mut refused = 0;
    for rpc in every() {
        let answer = wire.any(&rpc, body(&rpc.method)).await;
        assert_eq!(outcome(&rpc, &answer), "UNAUTHENTICATED", "{}", rpc.path);
        refused += 1;
    }
    let counted = counted(&installation, daemon).await;
    let total: u32 = counted.iter().map(|entry| entry.count).sum();
    assert!(total >= refused, "{total} of {refused} counted");
}

#[tokio::test]
async fn what_does_not_exist_looks_like_what_is_forbidden() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let context = context("tenant", "acme");
    let missing = service
        .generate("no-such-thing", &context, &[])
        .await
        .unwrap_err();
    let made = service
        .generate("files", &context, &[])
        .await
        .unwrap()
        .into_inner();
    let mut foreign = made.wrapped_data_key.to_vec();
    // The key id stands after format and kind.
    foreign[2..18].copy_from_slice(&[9; 16]);
    let foreign = service.unwrap(&foreign.into(), &context).await.unwrap_err();
    let forbidden = service.rotate("files").await.unwrap_err();
    let forbidden_missing = service.rotate("no-such-thing").await.unwrap_err();
    for status in [&missing, &foreign, &forbidden, &forbidden_missing] {
        assert_eq!(reason(status), "DENIED");
        assert_eq!(status.code(), missing.code());
        assert_eq!(status.message(), missing.message());
    }
    // No method outside the descriptor exists.
    let unknown = service
        .wire
        .raw("/kms.v1.KeyService/Export", Bytes::new())
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::Unimplemented);
    assert_eq!(reason(&unknown), "UNIMPLEMENTED");
}
