//! The client: connections, deadline and retries in one cheap handle. Never falls back to anything local.

use crate::connect::Connections;
use crate::error::{Error, ErrorKind};
use crate::identity::Keeper;
use crate::operator::{AnswersFromFiles, Operator};
use crate::profile::Profile;
use crate::retry::Retry;
use crate::token::TokenFile;
use kms_proto::v1;
use kms_proto::v1::audit_service_client::AuditServiceClient;
use kms_proto::v1::auth_service_client::AuthServiceClient;
use kms_proto::v1::dataset_service_client::DatasetServiceClient;
use kms_proto::v1::identity_service_client::IdentityServiceClient;
use kms_proto::v1::key_service_client::KeyServiceClient;
use kms_proto::v1::shred_service_client::ShredServiceClient;
use kms_proto::v1::system_service_client::SystemServiceClient;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

/// Time for one call with all its tries, when nothing else is said.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);

/// A connection to the service. Cheap to clone; clones share connections and retry budget.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    deadline: Duration,
}

#[derive(Debug)]
struct Shared {
    connections: Connections,
    token: Option<TokenFile>,
    retry: Retry,
    operator: Option<Operator>,
    keeper: Option<Keeper>,
}

/// What a call refused for lack of it gets, once each.
#[derive(Default)]
struct Given {
    session: bool,
    code: Option<Zeroizing<String>>,
    codes: u32,
}

impl Client {
    /// Connects. The first connection is made now, so that a wrong pin or certificate shows here.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Profile`], [`crate::ErrorKind::PinMismatch`], [`crate::ErrorKind::ServerUntrusted`],
    /// [`crate::ErrorKind::Unavailable`].
    pub async fn connect(profile: &Profile) -> Result<Self, Error> {
        Ok(Self::over(Connections::open(profile, true).await?))
    }

    /// As [`Client::connect`], but connects with the first call: for programs that start before the
    /// service does.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Profile`].
    pub async fn connect_lazy(profile: &Profile) -> Result<Self, Error> {
        Ok(Self::over(Connections::open(profile, false).await?))
    }

    fn over(connections: Connections) -> Self {
        let profile = connections.profile();
        let shared = Arc::new(Shared {
            token: profile.token_file.clone().map(TokenFile::new),
            operator: operator_of(profile),
            keeper: profile.renew.then(|| Keeper::start(profile)),
            connections,
            retry: Retry::default(),
        });
        Self {
            shared,
            deadline: DEADLINE_DEFAULT,
        }
    }

    /// The same client with another time limit for each call with all its tries. No single try waits
    /// longer than 60 s.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            deadline,
        }
    }

    /// The time limit for each call with all its tries.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Makes a call that may be made again: one that reads, or one that bears a request id. `call`
    /// gets a connection for a stub and a request with the deadline in it, for each try anew.
    ///
    /// # Errors
    /// The last try's, or [`crate::ErrorKind::DeadlineExceeded`].
    pub async fn repeat<Message, Answer, Call, Reply>(
        &self,
        message: &Message,
        call: Call,
    ) -> Result<Answer, Error>
    where
        Message: Clone,
        Call: Fn(Channel, Request<Message>) -> Reply,
        Reply: Future<Output = Result<Response<Answer>, Status>>,
    {
        let mut given = Given::default();
        loop {
            let deadline = Instant::now() + self.deadline;
            let code = Mutex::new(given.code.take());
            let run = self.shared.retry.run(deadline, async |left| {
                // a code is good once: a second try goes without, and is told so
                let code = code.lock().unwrap_or_else(PoisonError::into_inner).take();
                let code = code.as_ref().map(|code| code.as_str());
                let request = self.signed(message.clone(), left, code)?;
                let reply = call(self.shared.connections.next(), request).await?;
                Ok(reply.into_inner())
            });
            match run.await {
                Ok(answer) => return Ok(answer),
                Err(error) => self.answer_for(&mut given, error).await?,
            }
        }
    }

    /// Makes a call once: for changes without a request id.
    ///
    /// # Errors
    /// The service's, or [`crate::ErrorKind::DeadlineExceeded`].
    pub async fn once<Message, Answer, Call, Reply>(
        &self,
        message: Message,
        call: Call,
    ) -> Result<Answer, Error>
    where
        Message: Clone,
        Call: Fn(Channel, Request<Message>) -> Reply,
        Reply: Future<Output = Result<Response<Answer>, Status>>,
    {
        let mut given = Given::default();
        loop {
            // what is refused for lack of a session or code was not done, so it may be sent again
            let code = given.code.take();
            let code = code.as_ref().map(|code| code.as_str());
            let request = self.signed(message.clone(), self.deadline, code)?;
            match call(self.shared.connections.next(), request).await {
                Ok(reply) => return Ok(reply.into_inner()),
                Err(status) => self.answer_for(&mut given, status.into()).await?,
            }
        }
    }

    /// The operator who speaks, if one does.
    #[must_use]
    pub fn operator(&self) -> Option<&Operator> {
        self.shared.operator.as_ref()
    }

    /// Counts the renewals of our certificate, where the profile has the client renew it.
    #[must_use]
    pub fn renewals(&self) -> Option<watch::Receiver<u64>> {
        let keeper = self.shared.keeper.as_ref()?;
        Some(keeper.renewals.clone())
    }

    /// Opens a session; calls carry it from then on.
    ///
    /// # Errors
    /// The service's; [`crate::ErrorKind::Unauthenticated`] when nobody speaks or answers.
    pub async fn log_in(&self) -> Result<v1::LoginResponse, Error> {
        let nobody = || Error::new(ErrorKind::Unauthenticated, "the profile names no operator");
        let operator = self.operator().ok_or_else(nobody)?;
        let answers = operator.answers();
        if answers.only_development() {
            let status = self.system().get_status(v1::GetStatusRequest {}).await?;
            if !status.into_inner().dev_mode {
                let message = "the service is no development one: nothing is answered from files";
                return Err(Error::new(ErrorKind::Unauthenticated, message));
            }
        }
        let password = answers.password()?;
        let code = answers.code("to log in")?;
        let message = v1::LoginRequest {
            user: operator.user().to_owned(),
            password: password.to_string(),
            code: code.to_string(),
            validate_only: false,
        };
        let request = timed(message, self.deadline);
        let mut auth = AuthServiceClient::new(self.shared.connections.next());
        let answer = auth.login(request).await?.into_inner();
        operator.opened(&answer.session_token);
        Ok(answer)
    }

    /// Gets what a refused call lacks, if somebody answers for it and did not yet.
    async fn answer_for(&self, given: &mut Given, error: Error) -> Result<(), Error> {
        let error = self.shared.connections.explain(error);
        let Some(operator) = self.operator() else {
            return Err(error);
        };
        match error.reason() {
            Some("SESSION_REQUIRED") if !given.session && operator.answers().opens_sessions() => {
                given.session = true;
                self.log_in().await.map(drop)
            }
            Some(reason @ ("RECENT_CODE_REQUIRED" | "NEW_CODE_REQUIRED")) if given.codes < 2 => {
                given.codes += 1;
                let why = match reason {
                    "NEW_CODE_REQUIRED" => "for this very request",
                    _ => "because the last one is older than 5 minutes",
                };
                given.code = Some(operator.answers().code(why)?);
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn signed<Message>(
        &self,
        message: Message,
        left: Duration,
        code: Option<&str>,
    ) -> Result<Request<Message>, Error> {
        let mut request = timed(message, left);
        if let Some(operator) = self.operator() {
            operator.sign(&mut request, code);
        }
        if let Some(token) = &self.shared.token {
            let value = token.authorization()?;
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }

    /// As another operator, or as nobody but the certificate. Shares nothing with `self` but the profile's
    /// connections, so call it before the first clone.
    #[must_use]
    pub fn with_operator(self, operator: Option<Operator>) -> Self {
        let deadline = self.deadline;
        match Arc::try_unwrap(self.shared) {
            Ok(mut shared) => {
                shared.operator = operator;
                Self {
                    shared: Arc::new(shared),
                    deadline,
                }
            }
            Err(shared) => Self { shared, deadline },
        }
    }
}

/// Who answers for an operator of a development profile: its files.
fn operator_of(profile: &Profile) -> Option<Operator> {
    let operator = profile.operator.as_ref().filter(|_| profile.dev_mode)?;
    let answers = AnswersFromFiles::of(operator)?;
    Some(Operator::new(operator.user.clone(), Box::new(answers)))
}

fn timed<Message>(message: Message, left: Duration) -> Request<Message> {
    let mut request = Request::new(message);
    request.set_timeout(left);
    request
}

macro_rules! stubs {
    ($($(#[$doc:meta])* $name:ident $stub:ident),+ $(,)?) => {
        /// The generated stubs, for the control plane and for what the typed calls do not offer. They
        /// neither retry, nor carry a session or an access token, nor know the client's deadline, only the 60 s that no call outlasts;
        /// [`Client::repeat`] and [`Client::once`] do. Turn a
        /// [`Status`] into an [`Error`] with `Error::from`.
        impl Client {$(
            $(#[$doc])*
            #[must_use]
            pub fn $name(&self) -> $stub<Channel> {
                $stub::new(self.shared.connections.next())
            }
        )+}
    };
}
stubs! {
    /// Envelope encryption, raw.
    keys KeyServiceClient,
    /// Datasets and key versions.
    datasets DatasetServiceClient,
    /// Shred secrets.
    shred ShredServiceClient,
    /// The daemon itself.
    system SystemServiceClient,
    /// Operators and their sessions; use [`Client::repeat`] and [`Client::once`] for calls that need one.
    auth AuthServiceClient,
    /// The key-operation log.
    audit AuditServiceClient,
    /// What the built-in authority certifies.
    identity IdentityServiceClient,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only when calls can be spawned onto a runtime of several threads.
    #[expect(dead_code, reason = "its type check is the test")]
    fn calls_are_send(client: &Client) -> impl Send {
        client.repeat(&v1::GetStatusRequest {}, |channel, request| async move {
            SystemServiceClient::new(channel).get_status(request).await
        })
    }
}
