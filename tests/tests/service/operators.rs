//! People: each code once, guesses that cost and count, fresh codes where the table says so, revocation on the
//! next call, enrolment with a second implementation of TOTP.

mod changes;
mod desk;

use data_encoding::BASE32_NOPAD;
use desk::{Desk, signed, why};
use kms_proto::v1::auth_service_client::AuthServiceClient;
use kms_proto::v1::dataset_service_client::DatasetServiceClient;
use kms_proto::v1::{
    AddOperatorRequest, BeginEnrolmentRequest, ConfirmEnrolmentRequest, DisableOperatorRequest,
    EnableOperatorRequest, ListVersionsRequest, LoginRequest, LoginResponse, LogoutRequest,
    RotateDatasetRequest, ScheduleVersionDestructionRequest, UnlockOperatorRequest, WhoAmIRequest,
};
use kms_tests::caller::{Caller, approval, dataset_name, using};
use kms_tests::daemon::{Installation, Role};
use kms_tests::in_process::InProcess;
use kms_tests::operator::totp;
use std::process::Command;

#[tokio::test]
async fn a_code_is_taken_once_whatever_its_spelling_race_or_restart() {
    let mut desk = Desk::open().await;
    let code = desk.code(0);
    let (left, right) = code.split_at(3);
    let spellings = [code.clone(), format!("{left} {right}"), format!(" {code} ")];
    let tries = (0..50).map(|number| desk.try_code(&spellings[number % 3]));
    let ended: Vec<_> = futures_join(tries).await;
    assert_eq!(ended.iter().filter(|end| end.is_ok()).count(), 1);
    desk.pass(3_600);
    assert_eq!(
        why(desk.try_code("１２３４５６").await),
        "LOGIN_FAILED",
        "digits of another script"
    );
    desk.pass(3_600);
    assert_eq!(why(desk.try_code(&desk.code(0)).await), "OK");
    desk.pass(300);
    let (before, now, next) = (desk.code(-1), desk.code(0), desk.code(1));
    for (code, outcome) in [
        (&desk.code(-2), "LOGIN_FAILED"),
        (&desk.code(2), "LOGIN_FAILED"),
        (&before, "OK"),
        (&before, "LOGIN_FAILED"),
        (&next, "OK"),
        (&now, "LOGIN_FAILED"),
        (&next, "LOGIN_FAILED"),
    ] {
        assert_eq!(why(desk.try_code(code).await), outcome, "{code}");
    }
    let Desk {
        process, running, ..
    } = desk;
    running.stop().await;
    let running = process.serve().await;
    let caller = process.caller(&running, Role::Operator).await;
    desk = Desk {
        process,
        running,
        caller,
    };
    assert_eq!(
        why(desk.try_code(&next).await),
        "LOGIN_FAILED",
        "after a restart"
    );
    desk.running.stop().await;
}

/// All of them at the same time.
async fn futures_join<T>(tries: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = tries.map(Box::pin).collect();
    let mut ended: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, end) in waiting.iter_mut().zip(&mut ended) {
            if end.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *end = Some(value);
            }
        }
        if ended.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    ended.into_iter().flatten().collect()
}

#[tokio::test]
async fn guesses_are_counted_alike_for_known_and_unknown_names() {
    let desk = Desk::open().await;
    let guesses = crate::scale(300, 10_000);
    let mut cost = Vec::new();
    for user in ["alice", "mallory"] {
        let before = desk.running.passwords_hashed();
        let mut outcomes = std::collections::BTreeMap::<String, usize>::new();
        for number in 0..guesses {
            // spellings of one name share its counter
            let user = match number % 3 {
                0 => user.to_uppercase(),
                1 => format!("  {user} "),
                _ => user.to_owned(),
            };
            let code = format!("{number:06}");
            *outcomes
                .entry(why(desk.log_in(&user, "a guess", &code).await))
                .or_default() += 1;
        }
        assert_eq!(outcomes["LOGIN_FAILED"], 5, "{user}: {outcomes:?}");
        assert_eq!(outcomes["LOCKED_OUT"], guesses - 5, "{user}: {outcomes:?}");
        cost.push(desk.running.passwords_hashed() - before);
    }
    assert_eq!(cost, [5, 5], "evaluated");
    // the wait doubles; the right answer waits too, and then ends it
    desk.pass(29);
    assert_eq!(why(desk.try_code(&desk.code(0)).await), "LOCKED_OUT");
    desk.pass(1);
    assert_eq!(
        why(desk.log_in("alice", "a guess", "000000").await),
        "LOGIN_FAILED"
    );
    desk.pass(59);
    assert_eq!(why(desk.try_code(&desk.code(0)).await), "LOCKED_OUT");
    desk.pass(1);
    assert_eq!(why(desk.try_code(&desk.code(0)).await), "OK");
    assert_eq!(
        why(desk.log_in("alice", "a guess", "000000").await),
        "LOGIN_FAILED"
    );
    desk.running.stop().await;
}

#[tokio::test]
async fn the_hundredth_failure_stops_until_another_operator_unlocks() {
    let desk = Desk::open().await;
    for _ in 0..100 {
        assert_eq!(
            why(desk.log_in("alice", "a guess", "000000").await),
            "LOGIN_FAILED"
        );
        desk.pass(30 * 60);
    }
    desk.pass(24 * 3_600);
    assert_eq!(why(desk.try_code(&desk.code(0)).await), "LOCKED_OUT");
    // the lock is the certificate's, too: from the approver's she gets in
    let approver = desk.process.caller(&desk.running, Role::Approver).await;
    let other = AuthServiceClient::new(approver.wire.bare());
    let request = LoginRequest {
        user: "alice".into(),
        password: desk.person().password(),
        code: desk.code(0),
        validate_only: false,
    };
    assert_eq!(why(other.clone().login(request).await), "OK");
    let bob = approver.wire.person().unwrap();
    let code = |steps: u64| totp(&bob.secret(), bob.present_step() + steps - 1);
    let request = LoginRequest {
        user: "bob".into(),
        password: bob.password(),
        code: code(1),
        validate_only: false,
    };
    let session = other.clone().login(request).await.unwrap().into_inner();
    let unlock = UnlockOperatorRequest {
        name: "operators/alice".into(),
        validate_only: false,
    };
    let request = signed(unlock.clone(), &session, None);
    assert_eq!(
        why(other.clone().unlock_operator(request).await),
        "NEW_CODE_REQUIRED"
    );
    let request = signed(unlock, &session, Some(&code(2)));
    assert_eq!(why(other.clone().unlock_operator(request).await), "OK");
    desk.pass(60);
    assert_eq!(why(desk.try_code(&desk.code(0)).await), "OK");
    desk.running.stop().await;
}

#[tokio::test]
async fn a_fresher_code_is_asked_for_where_the_table_says_so() {
    let desk = Desk::open().await;
    let session = desk.try_code(&desk.code(0)).await.unwrap();
    let datasets = || DatasetServiceClient::new(desk.caller.wire.bare());
    let rotate = async |code: Option<&str>| {
        let message = RotateDatasetRequest {
            name: dataset_name("files"),
            ..Default::default()
        };
        why(datasets()
            .rotate_dataset(signed(message, &session, code))
            .await)
    };
    let list = async || {
        let message = ListVersionsRequest {
            parent: dataset_name("files"),
            ..Default::default()
        };
        why(datasets()
            .list_versions(signed(message, &session, None))
            .await)
    };
    let destroy = async |code: Option<&str>| {
        let message = ScheduleVersionDestructionRequest {
            name: "datasets/files/versions/1".into(),
            ..Default::default()
        };
        why(datasets()
            .schedule_version_destruction(signed(message, &session, code))
            .await)
    };
    assert_eq!(rotate(None).await, "OK", "a login counts as a code");
    assert_eq!(destroy(None).await, "NEW_CODE_REQUIRED");
    assert_eq!(
        destroy(Some(&desk.code(0))).await,
        "CODE_REFUSED",
        "used to log in"
    );
    // taken, so that what is wrong is the dataset's protection, no longer the code
    assert_eq!(destroy(Some(&desk.code(1))).await, "DELETION_PROTECTED");
    assert_eq!(destroy(Some(&desk.code(1))).await, "CODE_REFUSED");
    desk.pass(301);
    assert_eq!(rotate(None).await, "RECENT_CODE_REQUIRED");
    assert_eq!(list().await, "OK");
    assert_eq!(rotate(Some(&desk.code(0))).await, "OK");
    assert_eq!(rotate(None).await, "OK");
    desk.pass(15 * 60);
    assert_eq!(list().await, "SESSION_REQUIRED", "idle");
    desk.running.stop().await;
}

#[tokio::test]
async fn a_session_ends_with_its_certificate_logout_and_operator() {
    let desk = Desk::open().await;
    let session = desk.try_code(&desk.code(-1)).await.unwrap();
    let who = async |caller: &Caller, session: &LoginResponse| {
        let request = signed(WhoAmIRequest {}, session, None);
        why(AuthServiceClient::new(caller.wire.bare())
            .who_am_i(request)
            .await)
    };
    assert_eq!(who(&desk.caller, &session).await, "OK");
    // with another certificate of operators, and with a service's, the token is worth nothing
    let approver = desk.process.caller(&desk.running, Role::Approver).await;
    let service = desk.process.caller(&desk.running, Role::Service).await;
    assert_eq!(who(&approver, &session).await, "SESSION_REQUIRED");
    assert_eq!(who(&service, &session).await, "DENIED");
    let mut auth = AuthServiceClient::new(desk.caller.wire.bare());
    let out = signed(LogoutRequest::default(), &session, None);
    auth.logout(out).await.unwrap();
    assert_eq!(who(&desk.caller, &session).await, "SESSION_REQUIRED");

    let session = desk.try_code(&desk.code(0)).await.unwrap();
    let bob = approver.wire.person().unwrap();
    let code = |step: u64| totp(&bob.secret(), bob.present_step() + step - 1);
    let mut other = AuthServiceClient::new(approver.wire.bare());
    let request = LoginRequest {
        user: "bob".into(),
        password: bob.password(),
        code: code(0),
        validate_only: false,
    };
    let bobs = other.login(request).await.unwrap().into_inner();
    let name = || "operators/alice".to_owned();
    let disable = |name: String| DisableOperatorRequest {
        name,
        validate_only: false,
    };
    other
        .disable_operator(signed(disable(name()), &bobs, Some(&code(1))))
        .await
        .unwrap();
    for _ in 0..crate::scale(200, 10_000) {
        assert_eq!(who(&desk.caller, &session).await, "SESSION_REQUIRED");
    }
    assert_eq!(why(desk.try_code(&desk.code(1)).await), "LOGIN_FAILED");
    // bob is the last who can administer operators, and gives himself nothing
    let himself = disable("operators/bob".into());
    let refused = other
        .disable_operator(signed(himself, &bobs, Some(&code(2))))
        .await;
    assert_eq!(why(refused), "LAST_ADMINISTRATOR");
    desk.pass(60);
    let enable = EnableOperatorRequest {
        name: name(),
        validate_only: false,
    };
    let request = signed(enable.clone(), &bobs, Some(&code(1)));
    let waits = other.enable_operator(request).await.unwrap_err();
    let pending = approval(&waits).unwrap();
    desk.pass(30);
    let mut request = signed(enable, &bobs, Some(&code(1)));
    let metadata = request.metadata_mut();
    metadata.insert(kms_proto::APPROVAL_METADATA, pending.parse().unwrap());
    other.enable_operator(request).await.unwrap();
    assert_eq!(
        who(&desk.caller, &session).await,
        "SESSION_REQUIRED",
        "an old session stays over"
    );
    assert_eq!(why(desk.try_code(&desk.code(1)).await), "OK");
    desk.running.stop().await;
}

/// The six digits that oathtool shows for a secret, `ahead` seconds from now.
fn oathtool(secret: &[u8], ahead: u64) -> String {
    let output = Command::new("oathtool")
        .args(["--totp", "--base32", &BASE32_NOPAD.encode(secret)])
        .args(["--now", &format!("{ahead} seconds")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story, from top to bottom")]
async fn a_newcomer_enrols_with_another_implementation_and_logs_in() {
    if !crate::has_tool("oathtool") {
        return;
    }
    let process = InProcess::new();
    let running = process.serve().await;
    let operator = process.caller(&running, Role::Operator).await;
    let add = AddOperatorRequest {
        operator_id: "carol".into(),
        roles: vec!["key-admin".into()],
        validate_only: false,
    };
    let adding = async |approval: Option<&String>| {
        let request = using(add.clone(), approval);
        operator.auth().add_operator(request).await
    };
    let added = process.insist(adding).await.unwrap().into_inner();
    assert_eq!(
        why(operator.auth().add_operator(add).await),
        "ALREADY_EXISTS"
    );
    let token = added.enrolment_token;
    let mut auth = AuthServiceClient::new(operator.wire.bare());
    let password = "plum-orbit-canyon-41-velvet";
    let begin = |token: &str, password: &str| BeginEnrolmentRequest {
        user: "carol".into(),
        enrolment_token: token.into(),
        password: password.into(),
        validate_only: false,
    };
    assert_eq!(
        why(auth.begin_enrolment(begin(&token, "password1234")).await),
        "INVALID_ARGUMENT"
    );
    assert_eq!(
        why(auth.begin_enrolment(begin("aaaa-bbbb", password)).await),
        "LOGIN_FAILED"
    );
    let began = auth
        .begin_enrolment(begin(&token, password))
        .await
        .unwrap()
        .into_inner();
    assert!(
        began
            .otpauth_uri
            .starts_with("otpauth://totp/kms-dev:carol?secret=")
    );
    let confirm = |code: String| ConfirmEnrolmentRequest {
        user: "carol".into(),
        enrolment_token: token.clone(),
        code,
        validate_only: false,
    };
    assert_eq!(
        why(auth.confirm_enrolment(confirm("000000".into())).await),
        "LOGIN_FAILED"
    );
    let code = oathtool(&began.totp_secret, 0);
    let enrolled = auth
        .confirm_enrolment(confirm(code))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(enrolled.recovery_codes.len(), 10);
    let again = auth.begin_enrolment(begin(&token, password)).await;
    assert_eq!(why(again), "LOGIN_FAILED", "a token is good once");

    let login = |code: &str| LoginRequest {
        user: "carol".into(),
        password: password.into(),
        code: code.into(),
        validate_only: false,
    };
    let code = oathtool(&began.totp_secret, 30);
    let session = auth.login(login(&code)).await.unwrap().into_inner();
    assert_eq!(session.roles, ["key-admin"]);
    let spare = enrolled.recovery_codes[3].to_uppercase();
    let second = auth.login(login(&spare)).await.unwrap().into_inner();
    assert_eq!(second.recovery_codes_left, Some(9));
    assert_eq!(
        why(auth.login(login(&spare)).await),
        "LOGIN_FAILED",
        "good once"
    );
    let rotate = RotateDatasetRequest {
        name: dataset_name("files"),
        ..Default::default()
    };
    let mut datasets = DatasetServiceClient::new(operator.wire.bare());
    assert_eq!(
        why(datasets
            .rotate_dataset(signed(rotate, &session, None))
            .await),
        "OK"
    );
}

#[test]
fn the_command_line_logs_in_keeps_the_session_and_answers_nothing_with_no_input() {
    let installation = Installation::new();
    let _daemon = installation.start();
    let kms = installation.kms(Role::Operator);
    let refused = kms.run(&["key", "rotate", "files", "--no-input"]);
    assert_eq!(refused.code, 5, "{refused:?}");
    let said = kms.run(&["login"]).ok();
    assert!(
        said.err.contains("logged in as operators/alice"),
        "{said:?}"
    );
    assert!(said.err.contains("warning"), "{said:?}");
    let me = kms
        .run(&["whoami", "--no-input", "--output", "json"])
        .ok()
        .json();
    assert_eq!(me["operator"], "operators/alice");
    kms.run(&["key", "rotate", "files", "--no-input"]).ok();
    let arguments = ["operator", "add", "dave", "--role", "auditor", "--no-input"];
    let refused = kms.run(&arguments);
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.err.contains("--totp"), "{refused:?}");
    let arguments = [
        "operator", "add", "dave", "--role", "auditor", "--output", "json",
    ];
    let added = kms.insist(&arguments);
    assert_eq!(added.ok().json()["state"], "ENROLLING");
    let folder = installation.scratch().join("kms");
    for file in std::fs::read_dir(folder).unwrap() {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    kms.run(&["logout"]).ok();
    assert_eq!(kms.run(&["whoami", "--no-input"]).code, 5);
}
