//! An operator as tests need one: logs in when a session is needed, gives a new code wherever one is asked for.
//!
//! Codes come from the secret beside a development installation, each step once, in one order with those of the
//! command line; nothing waits for the next half minute.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use http::HeaderValue;
use kms_core::policy::{Action, Freshness};
use kms_proto::v1::auth_service_client::AuthServiceClient;
use kms_proto::v1::{LoginRequest, LoginResponse};
use kms_server::system::clock::Clock;
use ring::hmac;
use serde::Deserialize;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tonic::Status;
use tonic::transport::Channel;

/// Seconds of a step.
const STEP: u64 = 30;
/// Steps before now that the first code comes from; a development daemon takes 2,880.
const BACK: u64 = 2_000;

/// Who logs in.
#[derive(Debug, Clone, Deserialize)]
struct Named {
    user: String,
    password_file: PathBuf,
    totp_file: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Profile {
    operator: Option<Named>,
}

/// The person of a profile, and the clock that the daemon goes by.
#[derive(Clone)]
pub struct Person {
    named: Named,
    clock: Arc<dyn Clock>,
    session: Arc<Mutex<Session>>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.named.user.fmt(f)
    }
}

/// Times are monotonic ones of the clock.
#[derive(Debug, Default)]
struct Session {
    token: Option<HeaderValue>,
    opened: Duration,
    used: Duration,
    code: Duration,
}

impl Person {
    /// The operator that the profile names; `None` for a service's.
    #[must_use]
    pub fn of(profile: &Path, clock: Arc<dyn Clock>) -> Option<Self> {
        let text = std::fs::read_to_string(profile).expect("the profile");
        let profile: Profile = toml::from_str(&text).expect("a profile in TOML");
        Some(Self {
            named: profile.operator?,
            clock,
            session: Arc::default(),
        })
    }

    /// The password.
    #[must_use]
    pub fn password(&self) -> String {
        let text = std::fs::read_to_string(&self.named.password_file).expect("a password");
        text.trim_end().to_owned()
    }

    /// The authenticator's secret.
    #[must_use]
    pub fn secret(&self) -> Vec<u8> {
        let text = std::fs::read_to_string(&self.named.totp_file).expect("a secret");
        BASE32_NOPAD
            .decode(text.trim_end().as_bytes())
            .expect("base32")
    }

    /// The name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.named.user
    }

    /// The step that the daemon's clock is in.
    #[must_use]
    pub fn present_step(&self) -> u64 {
        u64::try_from(self.clock.now().as_micros()).expect("after 1970") / 1_000_000 / STEP
    }

    /// A code that was not given before.
    #[must_use]
    pub fn code(&self) -> String {
        let mut name = self.named.totp_file.clone().into_os_string();
        name.push(".step");
        let mut options = std::fs::OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(name).expect("a file for the last step");
        file.lock().expect("a lock");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("the last step");
        let last: u64 = text.trim().parse().unwrap_or(0);
        let step = (last + 1).max(self.present_step().saturating_sub(BACK));
        file.seek(SeekFrom::Start(0)).expect("its start");
        file.set_len(0).expect("an empty file");
        writeln!(file, "{step}").expect("the step");
        totp(&self.secret(), step)
    }

    /// Logs in over `channel`.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn log_in(&self, channel: Channel) -> Result<LoginResponse, Status> {
        let request = LoginRequest {
            user: self.named.user.clone(),
            password: self.password(),
            code: self.code(),
            validate_only: false,
        };
        let answer = AuthServiceClient::new(channel).login(request).await?;
        Ok(answer.into_inner())
    }

    /// The next call opens a session.
    pub(crate) async fn forget_session(&self) {
        self.session.lock().await.token = None;
    }

    /// Puts session and code into a call's head, opening a session when there is none or it is stale.
    pub(crate) async fn sign(&self, channel: &Channel, path: &str, head: &mut http::HeaderMap) {
        let method = path.rsplit('/').next().unwrap_or_default();
        if [
            "Login",
            "BeginEnrolment",
            "ConfirmEnrolment",
            "RecoverOperator",
            "Unseal",
            "GetStatus",
            "Check",
        ]
        .contains(&method)
        {
            return;
        }
        let mut session = self.session.lock().await;
        let now = self.clock.monotonic();
        let since = |at: Duration| now.saturating_sub(at);
        let stale = since(session.used) > Duration::from_mins(14)
            || since(session.opened) > Duration::from_mins(7 * 60);
        if session.token.is_none() || stale {
            session.token = None;
            // sealed, or refused: the call itself says what is wrong
            if let Ok(answer) = self.log_in(channel.clone()).await {
                let text = BASE64URL_NOPAD.encode(&answer.session_token);
                session.token = text.parse().ok();
                (session.opened, session.code) = (now, now);
            }
        }
        session.used = now;
        let Some(token) = session.token.clone() else {
            return;
        };
        head.insert(kms_proto::SESSION_METADATA, token);
        let old = since(session.code) > Duration::from_mins(4);
        let wanted = match freshness(method) {
            Freshness::Each => true,
            Freshness::Recent => old,
            Freshness::None | Freshness::Session => false,
        };
        if wanted {
            session.code = now;
            let code = self.code().parse().expect("digits");
            head.insert(kms_proto::CODE_METADATA, code);
        }
        if method == "Seal" {
            session.token = None;
        }
    }
}

/// What the method asks of a person; an update may lift deletion protection, which asks for more.
fn freshness(method: &str) -> Freshness {
    if method == "UpdateDataset" {
        return Freshness::Each;
    }
    let found = Action::ALL.iter().find(|action| action.as_str() == method);
    found.map_or(Freshness::Session, |action| Freshness::of(*action))
}

/// RFC 6238 with HMAC-SHA-1 and six digits.
#[must_use]
pub fn totp(secret: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let at = tag.last().map_or(0, |last| usize::from(last & 15));
    let four = tag.get(at..at + 4).and_then(|four| four.try_into().ok());
    let number = u32::from_be_bytes(four.expect("twenty bytes"));
    format!("{:06}", (number & 0x7fff_ffff) % 1_000_000)
}
