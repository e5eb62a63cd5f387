//! An installation as `kms-server init` makes it, served inside this process with a clock that the test moves, and the
//! first operator, who enrolled over the first desk.

use crate::operator::totp;
use kms_client::identity::Invitation;
use kms_client::operator::{Answers, Operator};
use kms_client::proto::v1;
use kms_client::proto::v1::auth_service_client::AuthServiceClient;
use kms_client::proto::v1::identity_service_client::IdentityServiceClient;
use kms_client::{Client, Error, Profile};
use kms_core::cipher::system_entropy::SystemEntropy;
use kms_server::config::Config;
use kms_server::init::{self, Options};
use kms_server::serve::{Running, Start, serve};
use kms_server::system::clock::{Clock, ManualClock, SystemClock};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use zeroize::Zeroizing;

/// Of the first operator.
pub const PASSWORD: &str = "plum-orbit-canyon-41-velvet";
/// Steps back that the daemon takes codes of; a test gives many codes in one half minute.
const STEPS_BACK: u32 = 2_880;

/// The folder that `kms-server init` made, and what it told.
#[derive(Debug)]
pub struct Production {
    folder: TempDir,
    /// Moves when it is told.
    pub clock: Arc<ManualClock>,
    said: String,
    operator: Mutex<Option<Operator>>,
}

impl Default for Production {
    fn default() -> Self {
        Self::new(Duration::ZERO)
    }
}

impl Production {
    /// A new installation; its clock begins `behind` the system's.
    ///
    /// # Panics
    /// When `init` fails.
    #[must_use]
    pub fn new(behind: Duration) -> Self {
        let folder = tempfile::Builder::new().prefix("kms-test-").tempdir();
        let folder = folder.expect("a temporary folder");
        let now = SystemClock::new().now().saturating_sub(behind);
        let clock = Arc::new(ManualClock::new(now));
        let options = Options {
            directory: folder.path().join("kms"),
            listen: SocketAddr::from(([127, 0, 0, 1], 7400)),
            names: vec!["127.0.0.1".to_owned()],
            trust_domain: Some("crm.example".to_owned()),
            operator: "alice".to_owned(),
            passphrase_file: Some(folder.path().join("passphrase")),
        };
        let shared: Arc<dyn Clock> = clock.clone();
        let made = init::make(&options, &shared, &SystemEntropy::new())
            .unwrap_or_else(|failure| panic!("no installation: {failure}"));
        Self {
            folder,
            clock,
            said: made.announcement.to_string(),
            operator: Mutex::default(),
        }
    }

    /// A folder for the test's own files.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The folder given to `--dir`.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("kms")
    }

    /// Serves on a free port, unsealed.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn serve(&self) -> Running {
        self.serve_with(|_| {}).await
    }

    /// As [`Self::serve`], with a configuration that the test changes first.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn serve_with(&self, change: impl FnOnce(&mut Config)) -> Running {
        let config = Config::load(&self.dir().join("kms.toml"));
        let mut config = config.expect("the configuration that init wrote");
        config.seal.passphrase_file = Some(self.folder.path().join("passphrase"));
        config.operators.totp_steps_back = STEPS_BACK;
        change(&mut config);
        let start = Start {
            config,
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy::new()),
            listener: TcpListener::bind("127.0.0.1:0").expect("a free port"),
            datasets: Vec::new(),
        };
        let started = tokio::task::spawn_blocking(move || serve(start)).await;
        started
            .expect("the start does not panic")
            .unwrap_or_else(|failure| panic!("no start: {failure}"))
    }

    /// The profile in a file, with the address of this start.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn profile(&self, path: &Path, address: SocketAddr) -> Profile {
        let mut profile = Profile::load(path).expect("a profile");
        profile.address = address.to_string();
        // renewals are the test's
        profile.renew = false;
        profile.connections = 1;
        profile
    }

    /// The first desk's connection, without anybody on it.
    ///
    /// # Panics
    /// When there is none.
    pub async fn desk(&self, running: &Running) -> Client {
        let profile = self.profile(&self.dir().join("operator.toml"), running.address());
        let client = Client::connect(&profile).await.expect("a connection");
        client.with_operator(None)
    }

    /// The first operator at the first desk; enrols the first time.
    ///
    /// # Panics
    /// When that fails.
    pub async fn alice(&self, running: &Running) -> Client {
        let known = self.operator.lock().expect("no poison").clone();
        let operator = match known {
            Some(operator) => {
                operator.set_token(None);
                operator
            }
            None => {
                let answers = self.enrol(&self.desk(running).await).await;
                let operator = Operator::new("alice", Box::new(answers));
                *self.operator.lock().expect("no poison") = Some(operator.clone());
                operator
            }
        };
        let client = self.desk(running).await;
        client.with_operator(Some(operator))
    }

    async fn enrol(&self, desk: &Client) -> Codes {
        let (_, rest) = self.said.split_once("--token ").expect("a token");
        let token = rest.split_whitespace().next().expect("a token");
        let request = v1::BeginEnrolmentRequest {
            user: "alice".into(),
            enrolment_token: token.into(),
            password: PASSWORD.into(),
            validate_only: false,
        };
        let began = desk.once(request, |channel, request| async move {
            AuthServiceClient::new(channel)
                .begin_enrolment(request)
                .await
        });
        let began = began.await.expect("a right token");
        let codes = Codes {
            secret: began.totp_secret.to_vec(),
            last: AtomicU64::new(0),
            clock: self.clock.clone(),
        };
        let request = v1::ConfirmEnrolmentRequest {
            user: "alice".into(),
            enrolment_token: token.into(),
            code: codes.next(),
            validate_only: false,
        };
        let confirmed = desk.once(request, |channel, request| async move {
            AuthServiceClient::new(channel)
                .confirm_enrolment(request)
                .await
        });
        confirmed.await.expect("a right code");
        codes
    }

    /// Permits a service to enrol, and says how.
    ///
    /// # Errors
    /// The service's.
    pub async fn add(
        &self,
        alice: &Client,
        request: v1::AddServiceRequest,
        address: SocketAddr,
    ) -> Result<Invitation, Error> {
        let answer = alice.once(request, |channel, request| async move {
            IdentityServiceClient::new(channel)
                .add_service(request)
                .await
        });
        let answer = answer.await?;
        let profile = self.profile(&self.dir().join("operator.toml"), address);
        Ok(Invitation {
            address: address.to_string(),
            server_name: profile.server_name,
            pins: profile.pins,
            token: Zeroizing::new(answer.enrolment_token),
        })
    }
}

/// Each step's code once, in order, from half a day ago on.
struct Codes {
    secret: Vec<u8>,
    last: AtomicU64,
    clock: Arc<ManualClock>,
}

impl std::fmt::Debug for Codes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Codes")
    }
}

impl Codes {
    fn next(&self) -> String {
        let micros = u64::try_from(self.clock.now().as_micros()).expect("after 1970");
        let first = micros / 30_000_000 - u64::from(STEPS_BACK) / 2;
        let next = |last: u64| Some(first.max(last + 1));
        let last = self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        totp(&self.secret, first.max(last.unwrap_or(0) + 1))
    }
}

impl Answers for Codes {
    fn password(&self) -> Result<Zeroizing<String>, Error> {
        Ok(Zeroizing::new(PASSWORD.into()))
    }

    fn code(&self, _: &str) -> Result<Zeroizing<String>, Error> {
        Ok(Zeroizing::new(self.next()))
    }

    fn opens_sessions(&self) -> bool {
        true
    }

    fn only_development(&self) -> bool {
        false
    }
}
