//! Where the tests of operators stand: a daemon in this process, its clock in hand, and an operator's connection.

use data_encoding::BASE64URL_NOPAD;
use kms_proto::v1::auth_service_client::AuthServiceClient;
use kms_proto::v1::{LoginRequest, LoginResponse};
use kms_server::serve::Running;
use kms_tests::caller::{Caller, reason};
use kms_tests::daemon::Role;
use kms_tests::in_process::InProcess;
use kms_tests::operator::{Person, totp};
use std::time::Duration;
use tonic::{Request, Status};

/// A daemon in this process that takes codes as a production one does, and the operator's connection.
pub(crate) struct Desk {
    pub(crate) process: InProcess,
    pub(crate) running: Running,
    pub(crate) caller: Caller,
}

impl Desk {
    pub(crate) async fn open() -> Self {
        let process = InProcess::new();
        let path = process.installation.dir().join("kms.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("totp_steps_back = 2880", "totp_steps_back = 1");
        std::fs::write(&path, text).unwrap();
        let running = process.serve().await;
        let caller = process.caller(&running, Role::Operator).await;
        Self {
            process,
            running,
            caller,
        }
    }

    pub(crate) fn person(&self) -> &Person {
        self.caller.wire.person().unwrap()
    }

    pub(crate) fn code(&self, steps: i64) -> String {
        let step = self
            .person()
            .present_step()
            .checked_add_signed(steps)
            .unwrap();
        totp(&self.person().secret(), step)
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.process.clock.advance(Duration::from_secs(seconds));
    }

    pub(crate) async fn log_in(
        &self,
        user: &str,
        password: &str,
        code: &str,
    ) -> Result<LoginResponse, Status> {
        let request = LoginRequest {
            user: user.into(),
            password: password.into(),
            code: code.into(),
            validate_only: false,
        };
        let mut auth = AuthServiceClient::new(self.caller.wire.bare());
        Ok(auth.login(request).await?.into_inner())
    }

    pub(crate) async fn try_code(&self, code: &str) -> Result<LoginResponse, Status> {
        self.log_in("alice", &self.person().password(), code).await
    }
}

/// `message` in a session, with a code or without.
pub(crate) fn signed<M>(message: M, session: &LoginResponse, code: Option<&str>) -> Request<M> {
    let mut request = Request::new(message);
    let token = BASE64URL_NOPAD.encode(&session.session_token);
    let metadata = request.metadata_mut();
    metadata.insert(kms_proto::SESSION_METADATA, token.parse().unwrap());
    if let Some(code) = code {
        metadata.insert(kms_proto::CODE_METADATA, code.parse().unwrap());
    }
    request
}

/// The reason of a refusal, or OK.
pub(crate) fn why<T>(answer: Result<T, Status>) -> String {
    answer.map_or_else(|status| reason(&status), |_| "OK".to_owned())
}
