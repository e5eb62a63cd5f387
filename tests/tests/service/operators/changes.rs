//! What a change of an operator ends, and that a second factor gets old for every RPC alike.

use super::desk::{signed, why};
use crate::access::request::{body, roles};
use bytes::Bytes;
use kms_core::policy::{Action, Freshness};
use kms_proto::v1::auth_service_client::AuthServiceClient;
use kms_proto::v1::{
    BeginEnrolmentRequest, ChangePasswordRequest, ConfirmEnrolmentRequest, DisableOperatorRequest,
    LoginRequest, LoginResponse, ResetOperatorMfaRequest, SetOperatorRolesRequest, WhoAmIRequest,
};
use kms_tests::caller::{Caller, reason, using};
use kms_tests::daemon::Role;
use kms_tests::in_process::InProcess;
use kms_tests::operator::totp;
use kms_tests::rpc::{Rpc, every};
use kms_tests::wire::Raw;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tonic::Status;
use tonic::transport::Channel;

/// A session of the caller's own person, opened now.
async fn log_in(caller: &Caller) -> Result<LoginResponse, Status> {
    let person = caller.wire.person().unwrap();
    person.log_in(caller.wire.bare()).await
}

async fn who(caller: &Caller, session: &LoginResponse) -> String {
    let mut auth = AuthServiceClient::new(caller.wire.bare());
    why(auth.who_am_i(signed(WhoAmIRequest {}, session, None)).await)
}

#[tokio::test]
async fn roles_second_factor_and_password_end_sessions_when_they_change() {
    let process = InProcess::new();
    let running = process.serve().await;
    let alice = process.caller(&running, Role::Operator).await;
    let bob = process.caller(&running, Role::Approver).await;
    let name = || "operators/alice".to_owned();

    let session = log_in(&alice).await.unwrap();
    assert_eq!(who(&alice, &session).await, "OK");
    let set = async |approval: Option<&String>| {
        let request = SetOperatorRolesRequest {
            name: name(),
            roles: vec!["key-admin".into()],
            validate_only: false,
        };
        bob.auth()
            .set_operator_roles(using(request, approval))
            .await
    };
    process.insist(set).await.unwrap();
    for _ in 0..crate::scale(100, 10_000) {
        assert_eq!(who(&alice, &session).await, "SESSION_REQUIRED");
    }
    let session = log_in(&alice).await.unwrap();
    assert_eq!(session.roles, ["key-admin"]);

    // a new password: the old one must be right, and is good for nothing afterwards
    let person = alice.wire.person().unwrap();
    let mut auth = AuthServiceClient::new(alice.wire.bare());
    let new = "plum-orbit-canyon-41-velvet";
    let change = |old: String| ChangePasswordRequest {
        old_password: old,
        new_password: new.into(),
        validate_only: false,
    };
    let stale = signed(change(person.password()), &session, None);
    assert_eq!(why(auth.change_password(stale).await), "NEW_CODE_REQUIRED");
    let wrong = signed(change("a guess".into()), &session, Some(&person.code()));
    assert_eq!(why(auth.change_password(wrong).await), "LOGIN_FAILED");
    assert_eq!(who(&alice, &session).await, "OK");
    let right = signed(change(person.password()), &session, Some(&person.code()));
    assert_eq!(why(auth.change_password(right).await), "OK");
    assert_eq!(who(&alice, &session).await, "SESSION_REQUIRED");
    assert_eq!(why(log_in(&alice).await), "LOGIN_FAILED");
    let login = |code: String| LoginRequest {
        user: "alice".into(),
        password: new.into(),
        code,
        validate_only: false,
    };
    let session = auth.login(login(person.code())).await.unwrap().into_inner();

    // a lost device: its codes are nobody's, and the next device enrols with the password that there is
    let reset = async |approval: Option<&String>| {
        let request = ResetOperatorMfaRequest {
            name: name(),
            validate_only: false,
        };
        bob.auth()
            .reset_operator_mfa(using(request, approval))
            .await
    };
    let token = process.insist(reset).await.unwrap().into_inner();
    let token = token.enrolment_token;
    assert_eq!(who(&alice, &session).await, "SESSION_REQUIRED");
    assert_eq!(why(auth.login(login(person.code())).await), "LOGIN_FAILED");
    let code = enrolled(&mut auth, token, new, person.present_step()).await;
    assert_eq!(why(auth.login(login(code)).await), "OK");
    running.stop().await;
}

/// Enrols alice with a new device; its code for `step`.
async fn enrolled(
    auth: &mut AuthServiceClient<Channel>,
    token: String,
    password: &str,
    step: u64,
) -> String {
    let begin = BeginEnrolmentRequest {
        user: "alice".into(),
        enrolment_token: token.clone(),
        password: password.into(),
        validate_only: false,
    };
    let began = auth.begin_enrolment(begin).await.unwrap().into_inner();
    let confirm = ConfirmEnrolmentRequest {
        user: "alice".into(),
        enrolment_token: token,
        code: totp(&began.totp_secret, step - 1),
        validate_only: false,
    };
    auth.confirm_enrolment(confirm).await.unwrap();
    totp(&began.totp_secret, step)
}

/// One call in a session, with a well-formed body.
async fn call(caller: &Caller, rpc: &Rpc, session: &LoginResponse) -> String {
    let mut grpc = tonic::client::Grpc::new(caller.wire.bare());
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::try_from(rpc.path.as_str()).unwrap();
    let request = signed(body(&rpc.method), session, None);
    let answer: Result<tonic::Response<Bytes>, Status> = grpc.unary(request, path, Raw).await;
    why(answer)
}

#[tokio::test]
async fn a_second_factor_gets_old_for_every_rpc() {
    let process = InProcess::new();
    let running = process.serve().await;
    let mut people = Vec::new();
    for (letter, role) in [
        ('o', Role::Operator),
        ('a', Role::Auditor),
        ('b', Role::Approver),
    ] {
        let caller = process.caller(&running, role).await;
        let session = log_in(&caller).await.unwrap();
        people.push((letter, caller, session));
    }
    process.clock.advance(Duration::from_secs(301));
    let mut asked = 0;
    for rpc in every() {
        let action = Action::ALL.iter().find(|it| it.as_str() == rpc.method);
        let freshness = action.map_or(Freshness::None, |action| Freshness::of(*action));
        for (letter, caller, session) in &people {
            let may = roles(&rpc.method).contains(*letter);
            // what ends a session is no question of freshness
            if !may || freshness == Freshness::None || rpc.method == "Logout" {
                continue;
            }
            let outcome = call(caller, &rpc, session).await;
            match freshness {
                Freshness::Recent => assert_eq!(outcome, "RECENT_CODE_REQUIRED", "{}", rpc.path),
                Freshness::Each => assert_eq!(outcome, "NEW_CODE_REQUIRED", "{}", rpc.path),
                Freshness::None | Freshness::Session => assert!(
                    !outcome.contains("CODE_REQUIRED") && outcome != "SESSION_REQUIRED",
                    "{}: {outcome}",
                    rpc.path
                ),
            }
            asked += 1;
        }
    }
    assert!(asked > 40, "only {asked} calls");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_disabled_operator_happens_after_the_answer() {
    let process = InProcess::new();
    let running = process.serve().await;
    let alice = process.caller(&running, Role::Operator).await;
    let bob = process.caller(&running, Role::Approver).await;
    let over = Arc::new(AtomicBool::new(false));
    let rotate = |alice: Caller, over: Arc<AtomicBool>| async move {
        while !over.load(Ordering::Relaxed) {
            // refused once she is disabled, and for conflicts before
            let _ = alice.rotate("files").await;
        }
    };
    let busy: Vec<_> = (0..6)
        .map(|_| tokio::spawn(rotate(alice.clone(), Arc::clone(&over))))
        .collect();
    let mut rotated = 0;
    while rotated < 5 {
        rotated += usize::from(alice.rotate("files").await.is_ok());
    }
    let disable = DisableOperatorRequest {
        name: "operators/alice".into(),
        validate_only: false,
    };
    while let Err(status) = bob.auth().disable_operator(disable.clone()).await {
        assert_eq!(reason(&status), "CONFLICT");
    }
    over.store(true, Ordering::Relaxed);
    for each in busy {
        each.await.unwrap();
    }
    let entries = bob.entries(0).await.unwrap();
    let of = |action: &str| {
        let done = entries
            .iter()
            .filter(|e| e.outcome == "OK" && e.action == action);
        done.map(|e| e.sequence).max().unwrap()
    };
    let (rotated, disabled) = (of("RotateDataset"), of("DisableOperator"));
    assert!(rotated < disabled, "{rotated} after {disabled}");
    running.stop().await;
}
