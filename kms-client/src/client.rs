//! The client: connections, deadline and retries in one cheap handle. Never falls back to anything local.

use crate::connect::Connections;
use crate::error::Error;
use crate::profile::Profile;
use crate::retry::Retry;
use kms_proto::v1::audit_service_client::AuditServiceClient;
use kms_proto::v1::dataset_service_client::DatasetServiceClient;
use kms_proto::v1::key_service_client::KeyServiceClient;
use kms_proto::v1::shred_service_client::ShredServiceClient;
use kms_proto::v1::system_service_client::SystemServiceClient;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

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
    retry: Retry,
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
        let retry = Retry::default();
        let shared = Arc::new(Shared { connections, retry });
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
        let deadline = Instant::now() + self.deadline;
        let run = self.shared.retry.run(deadline, async |left| {
            let reply = call(self.shared.connections.next(), timed(message.clone(), left)).await?;
            Ok(reply.into_inner())
        });
        run.await
            .map_err(|error| self.shared.connections.explain(error))
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
        Call: FnOnce(Channel, Request<Message>) -> Reply,
        Reply: Future<Output = Result<Response<Answer>, Status>>,
    {
        let connections = &self.shared.connections;
        let reply = call(connections.next(), timed(message, self.deadline)).await;
        match reply {
            Ok(reply) => Ok(reply.into_inner()),
            Err(status) => Err(connections.explain(status.into())),
        }
    }
}

fn timed<Message>(message: Message, left: Duration) -> Request<Message> {
    let mut request = Request::new(message);
    request.set_timeout(left);
    request
}

macro_rules! stubs {
    ($($(#[$doc:meta])* $name:ident $stub:ident),+ $(,)?) => {
        /// The generated stubs, for the control plane and for what the typed calls do not offer. They
        /// neither retry nor know the client's deadline, only the 60 s that no call outlasts;
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
    /// The key-operation log.
    audit AuditServiceClient,
}

#[cfg(test)]
mod tests {
    use super::*;
    use kms_proto::v1;

    /// Compiles only when calls can be spawned onto a runtime of several threads.
    #[expect(dead_code, reason = "its type check is the test")]
    fn calls_are_send(client: &Client) -> impl Send {
        client.repeat(&v1::GetStatusRequest {}, |channel, request| async move {
            SystemServiceClient::new(channel).get_status(request).await
        })
    }
}
