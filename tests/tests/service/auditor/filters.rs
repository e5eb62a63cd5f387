//! Filters find what a look at every entry finds, with the index and after it is lost.

use super::{everything, name, remove_index, with_checkpoint};
use kms_proto::v1::{
    AuditEntry, ListEntriesRequest, ShredSecretSelector, shred_secret_selector::By,
};
use kms_tests::caller::{Caller, context, subject};
use kms_tests::daemon::{Installation, Role};

async fn found(auditor: &Caller, mut request: ListEntriesRequest, newest_first: bool) -> Vec<u64> {
    request.page_size = 37;
    request.newest_first = newest_first;
    let mut found = Vec::new();
    loop {
        let page = auditor.audit().list_entries(request.clone()).await.unwrap();
        let page = page.into_inner();
        found.extend(page.entries.iter().map(|entry| entry.sequence));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return found;
        }
    }
}

type Passes = Box<dyn Fn(&AuditEntry) -> bool>;

/// Requests, each with what passes.
fn filters(all: &[AuditEntry]) -> Vec<(ListEntriesRequest, Passes)> {
    let whole = ListEntriesRequest::default;
    let web = all.iter().find(|entry| entry.action == "GenerateDataKey");
    let web = web.unwrap().principal.clone();
    let (early, late) = (all[100].time.unwrap(), all[400].time.unwrap());
    let between = move |entry: &AuditEntry| {
        let key = |time: prost_types::Timestamp| (time.seconds, time.nanos);
        (key(early)..key(late)).contains(&key(entry.time.unwrap()))
    };
    let by_web = web.clone();
    vec![
        (
            ListEntriesRequest {
                principal: web.clone(),
                ..whole()
            },
            Box::new(move |entry| entry.principal == by_web),
        ),
        (
            ListEntriesRequest {
                dataset: name("files"),
                version: 1,
                ..whole()
            },
            Box::new(|entry| entry.dataset == name("files") && entry.version == 1),
        ),
        (
            ListEntriesRequest {
                outcome: "DENIED".into(),
                ..whole()
            },
            Box::new(|entry| entry.outcome == "DENIED"),
        ),
        (
            ListEntriesRequest {
                action: "GetStatus".into(),
                ..whole()
            },
            Box::new(|entry| entry.action == "GetStatus"),
        ),
        (
            ListEntriesRequest {
                from_time: Some(early),
                to_time: Some(late),
                principal: web,
                ..whole()
            },
            Box::new(move |entry| between(entry) && entry.principal.contains("service")),
        ),
    ]
}

async fn assert_found(auditor: &Caller) {
    let all = everything(auditor).await;
    // what is written while this test asks is not compared
    let end = all.len() as u64;
    for (request, passes) in filters(&all) {
        let expected: Vec<_> = all.iter().filter(|entry| passes(entry)).collect();
        let expected: Vec<_> = expected.iter().map(|entry| entry.sequence).collect();
        assert!(
            !expected.is_empty() || request.action == "GetStatus",
            "{request:?}"
        );
        for newest_first in [false, true] {
            let mut found = found(auditor, request.clone(), newest_first).await;
            if newest_first {
                found.reverse();
            }
            found.retain(|sequence| *sequence < end);
            assert_eq!(found, expected, "{request:?}");
        }
    }
}

#[tokio::test]
async fn filters_find_what_a_look_at_every_entry_finds() {
    let installation = Installation::new();
    let daemon = with_checkpoint(&installation, 700).await;
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    assert_found(&auditor).await;
    assert!(daemon.terminate().success());
    remove_index(&installation);
    let daemon = installation.start();
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    assert_found(&auditor).await;
}

#[tokio::test]
async fn who_called_before_a_restart_is_still_shown_by_name() {
    let installation = Installation::new();
    let daemon = with_checkpoint(&installation, 400).await;
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    let request = ListEntriesRequest {
        dataset: name("files"),
        newest_first: true,
        ..ListEntriesRequest::default()
    };
    let page = auditor.audit().list_entries(request).await.unwrap();
    let entries = page.into_inner().entries;
    assert!(entries.len() > 50);
    for entry in entries.iter().filter(|entry| entry.kind == "call") {
        assert!(entry.principal.starts_with("spiffe://"), "{entry:?}");
    }
}

#[tokio::test]
async fn what_touched_one_person_is_found_by_name_of_the_person() {
    let installation = Installation::new();
    let daemon = installation.start();
    let service = daemon.caller(&installation, Role::Service).await;
    let auditor = daemon.caller(&installation, Role::Auditor).await;
    for person in ["jane", "john", "jane"] {
        let uses = [subject("acme", person, "customer")];
        let context = context("tenant", "acme");
        service.generate("files", &context, &uses).await.unwrap();
    }
    let of = |person: &str| ListEntriesRequest {
        shred_secret: Some(ShredSecretSelector {
            by: Some(By::Scope(
                subject("acme", person, "customer").scope.unwrap(),
            )),
        }),
        action: "GenerateDataKey".into(),
        ..ListEntriesRequest::default()
    };
    assert_eq!(found(&auditor, of("jane"), false).await.len(), 2);
    assert_eq!(found(&auditor, of("john"), true).await.len(), 1);
    assert!(found(&auditor, of("nobody"), false).await.is_empty());
}
