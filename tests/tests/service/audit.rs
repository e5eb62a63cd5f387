//! One head entry for every call, whatever came of it; ids that lead from an answer to its entry.

use kms_proto::v1::{
    AuditEntry, GenerateDataKeyRequest, GenerateDataKeysRequest, UnwrapDataKeyRequest,
    UnwrapDataKeysRequest,
};
use kms_tests::caller::{Caller, context, dataset_name, reason, request_id};
use kms_tests::daemon::{Installation, Role};
use std::collections::BTreeMap;

/// The head entries of one call.
fn heads<'a>(entries: &'a [AuditEntry], id: &str) -> Vec<&'a AuditEntry> {
    entries
        .iter()
        .filter(|entry| entry.kind == "call" && entry.request_id == id)
        .collect()
}

#[tokio::test]
async fn every_call_has_one_head_entry() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let context = context("tenant", "acme");
    let mut expected = BTreeMap::new();
    let good = service.generate("files", &context, &[]).await.unwrap();
    expected.insert(request_id(good.metadata()), ("GenerateDataKey", "OK"));
    let wrapped = good.into_inner().wrapped_data_key;
    let good = service.unwrap(&wrapped, &context).await.unwrap();
    expected.insert(request_id(good.metadata()), ("UnwrapDataKey", "OK"));
    let missing = service
        .generate("no-such-thing", &context, &[])
        .await
        .unwrap_err();
    assert_eq!(reason(&missing), "DENIED");
    expected.insert(
        request_id(missing.metadata()),
        ("GenerateDataKey", "DENIED"),
    );
    let other = kms_tests::caller::context("tenant", "other");
    let wrong = service.unwrap(&wrapped, &other).await.unwrap_err();
    assert_eq!(reason(&wrong), "UNDECRYPTABLE");
    expected.insert(
        request_id(wrong.metadata()),
        ("UnwrapDataKey", "UNDECRYPTABLE"),
    );
    let denied = service.rotate("files").await.unwrap_err();
    assert_eq!(reason(&denied), "DENIED");
    expected.insert(request_id(denied.metadata()), ("RotateDataset", "DENIED"));
    let entries = auditor.entries(0).await.unwrap();
    for (id, (action, outcome)) in &expected {
        assert_eq!(id.len(), 32, "a request id is 16 bytes in hex");
        let found = heads(&entries, id);
        assert_eq!(found.len(), 1, "{action} {outcome}");
        assert_eq!(
            (found[0].action.as_str(), found[0].outcome.as_str()),
            (*action, *outcome)
        );
        assert!(
            found[0].principal.contains("service"),
            "{:?}",
            found[0].principal
        );
        assert!(!found[0].leaf.is_empty() && found[0].leaf.len() <= 32 << 10);
    }
    let made = heads(&entries, expected.keys().next().unwrap());
    assert_eq!(
        made[0].dataset.is_empty(),
        made[0].outcome == "DENIED" && made[0].dataset.is_empty()
    );
    // Sequence numbers are dense, times never run back.
    for (at, entry) in entries.iter().enumerate() {
        assert_eq!(entry.sequence, at as u64);
    }
    assert!(daemon.terminate().success());
}

#[tokio::test]
async fn a_batch_is_one_head_with_details() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let item = |n: usize| GenerateDataKeyRequest {
        dataset: dataset_name(if n == 500 { "no-such-thing" } else { "files" }),
        key_context: context("tenant", &format!("t{n}")),
        reference: format!("row {n}"),
        ..GenerateDataKeyRequest::default()
    };
    let request = GenerateDataKeysRequest {
        items: (0..1_000).map(item).collect(),
        validate_only: false,
    };
    let answer = service.keys().generate_data_keys(request).await.unwrap();
    let id = request_id(answer.metadata());
    let items = answer.into_inner().items;
    assert_eq!(items.len(), 1_000);
    for (n, item) in items.iter().enumerate() {
        assert_eq!(item.reference, format!("row {n}"));
        assert_eq!(item.error.is_some(), n == 500, "{n}");
    }
    assert_eq!(items[500].error.as_ref().unwrap().reason, "DENIED");
    let unwrap =
        |(n, item): (usize, &kms_proto::v1::GenerateDataKeyResponse)| UnwrapDataKeyRequest {
            wrapped_data_key: item.wrapped_data_key.clone(),
            key_context: context("tenant", &format!("t{n}")),
            reference: format!("row {n}"),
            ..UnwrapDataKeyRequest::default()
        };
    let request = UnwrapDataKeysRequest {
        items: items.iter().enumerate().map(unwrap).collect(),
        validate_only: false,
    };
    let opened = service
        .keys()
        .unwrap_data_keys(request)
        .await
        .unwrap()
        .into_inner()
        .items;
    for (n, (made, opened)) in items.iter().zip(&opened).enumerate() {
        assert_eq!(made.plaintext, opened.plaintext, "{n}");
        assert_eq!(opened.error.is_some(), n == 500, "{n}");
    }
    let entries = auditor.entries(0).await.unwrap();
    assert_eq!(heads(&entries, &id).len(), 1);
    assert_eq!(heads(&entries, &id)[0].count, 1_000);
    let details = entries
        .iter()
        .filter(|e| e.kind == "detail" && e.request_id == id);
    assert!(details.count() >= 1);
}

#[tokio::test]
async fn limits_are_limits() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let refused = |status: tonic::Status| reason(&status);
    let too_many = GenerateDataKeysRequest {
        items: vec![GenerateDataKeyRequest::default(); 1_001],
        validate_only: false,
    };
    let status = service
        .keys()
        .generate_data_keys(too_many)
        .await
        .unwrap_err();
    assert_eq!(refused(status), "INVALID_ARGUMENT");
    let status = service
        .keys()
        .generate_data_keys(GenerateDataKeysRequest::default())
        .await;
    assert_eq!(refused(status.unwrap_err()), "INVALID_ARGUMENT");
    let large = kms_proto::v1::EncryptRequest {
        dataset: dataset_name("files"),
        plaintext: vec![0; (64 << 10) + 1].into(),
        ..Default::default()
    };
    assert_eq!(
        refused(service.keys().encrypt(large).await.unwrap_err()),
        "INVALID_ARGUMENT"
    );
    let wide = (0..65).map(|n| (format!("k{n}"), String::new())).collect();
    assert_eq!(
        refused(service.generate("files", &wide, &[]).await.unwrap_err()),
        "INVALID_ARGUMENT"
    );
    let long = context("k", &"v".repeat(8 << 10));
    assert_eq!(
        refused(service.generate("files", &long, &[]).await.unwrap_err()),
        "INVALID_ARGUMENT"
    );
    // More than a message may hold never reaches the road, and is answered and entered all the same.
    let oversize = bytes::Bytes::from(vec![0; (4 << 20) + 1]);
    let path = "/kms.v1.KeyService/Encrypt";
    let status = service.wire.raw(path, oversize).await.unwrap_err();
    assert!(!reason(&status).is_empty(), "{status:?}");
    let id = request_id(status.metadata());
    let auditor: Caller = daemon.caller(&installation, Role::Auditor).await;
    let entries = auditor.entries(0).await.unwrap();
    assert_eq!(heads(&entries, &id).len(), 1, "{status:?}");
}

#[tokio::test]
async fn no_secret_is_said_anywhere() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let marker = "jane.marker@example.com";
    let context = context("email", marker);
    let made = service
        .generate("files", &context, &[])
        .await
        .unwrap()
        .into_inner();
    let encrypted = kms_proto::v1::EncryptRequest {
        dataset: dataset_name("files"),
        plaintext: b"marker-plaintext-marker".to_vec().into(),
        key_context: context.clone(),
        ..Default::default()
    };
    service.keys().encrypt(encrypted).await.unwrap();
    let entries = auditor.entries(0).await.unwrap();
    let mut haystacks: Vec<Vec<u8>> = entries.iter().map(|entry| entry.leaf.to_vec()).collect();
    haystacks.push(std::fs::read(installation.log()).unwrap());
    haystacks.push(daemon.said.clone().into_bytes());
    assert!(daemon.terminate().success());
    collect(&installation.dir().join("data"), &mut haystacks);
    let needles = [
        marker.as_bytes(),
        b"marker-plaintext-marker",
        &made.plaintext[..],
    ];
    for needle in needles {
        for hay in &haystacks {
            assert!(!hay.windows(needle.len()).any(|window| window == needle));
        }
    }
}

/// Every file below `folder`.
fn collect(folder: &std::path::Path, into: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else {
            // Preallocated zeros hide nothing and cost time.
            let bytes = std::fs::read(&path).unwrap();
            let end = bytes
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |at| at + 1);
            into.push(bytes[..end].to_vec());
        }
    }
}
