//! An operator's word on a month, from a session and from the command line.

use super::{call, entries, hold, pass_a_month, with_address};
use kms_core::audit::leaf::Month;
use kms_proto::v1::AnonymiseMonthRequest;
use kms_tests::caller::{Caller, reason, using};
use kms_tests::daemon::{Installation, Role};
use kms_tests::in_process::InProcess;
use tonic::Status;

async fn anonymise(
    caller: &Caller,
    month: &str,
    approval: Option<&String>,
) -> Result<prost_types::Timestamp, Status> {
    let month = month.to_owned();
    let request = using(
        AnonymiseMonthRequest {
            month,
            validate_only: false,
        },
        approval,
    );
    let answer = caller.audit().anonymise_month(request).await?;
    Ok(answer.into_inner().anonymise_time.unwrap())
}

#[tokio::test]
async fn a_month_that_is_over_is_closed_once_and_no_other() {
    let process = InProcess::new();
    let running = process.serve().await;
    let month = Month::of(process.now()).to_string();
    call(&process.caller(&running, Role::Service).await).await;
    let operator = process.caller(&running, Role::Operator).await;
    for wrong in [&month, "1999-01", "2026-13", "last", ""] {
        let refused = anonymise(&operator, wrong, None).await.unwrap_err();
        assert_eq!(reason(&refused), "INVALID_ARGUMENT", "{wrong}");
    }
    let last = entries(&process, &running).await.last().unwrap().sequence;
    pass_a_month(&process, &running).await;
    assert!(!with_address(&entries(&process, &running).await).is_empty());
    let operator = process.caller(&running, Role::Operator).await;
    let call = async |approval: Option<&String>| anonymise(&operator, &month, approval).await;
    // others are asked
    assert_eq!(reason(&call(None).await.unwrap_err()), "APPROVAL_REQUIRED");
    let done = process.insist(call).await.unwrap();
    for entry in entries(&process, &running).await {
        assert!(entry.sequence > last || entry.personal.is_empty());
    }
    // what is done is found done
    assert_eq!(process.insist(call).await.unwrap(), done);
    let auditor = process.caller(&running, Role::Auditor).await;
    let refused = anonymise(&auditor, &month, None).await.unwrap_err();
    assert_eq!(reason(&refused), "DENIED");
    running.stop().await;
}

#[tokio::test]
async fn a_hold_keeps_operators_from_it_too() {
    let process = InProcess::new();
    hold(&process);
    let running = process.serve().await;
    let month = Month::of(process.now()).to_string();
    pass_a_month(&process, &running).await;
    let operator = process.caller(&running, Role::Operator).await;
    let refused = anonymise(&operator, &month, None).await.unwrap_err();
    assert_eq!(reason(&refused), "ANONYMISATION_HELD");
    running.stop().await;
}

#[tokio::test]
async fn the_command_asks_for_the_months_name() {
    let installation = Installation::new();
    let daemon = installation.start();
    let kms = installation.kms(Role::Operator);
    let asked = kms.run(&[
        "audit",
        "anonymise",
        "--month",
        "2026-05",
        "--confirm",
        "2026-06",
    ]);
    assert_ne!(asked.code, 0);
    let none = kms.run(&[
        "audit",
        "anonymise",
        "--month",
        "2020-05",
        "--confirm",
        "2020-05",
    ]);
    assert!(none.err.contains("had a key"), "{}", none.err);
    drop(daemon);
}
