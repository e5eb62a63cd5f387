//! Where data keys come from: the service, or a cache before it. Never from this machine.

#[cfg(test)]
pub(crate) mod local;

use crate::client::Client;
use crate::data_key::{DataKeyRequest, GeneratedDataKey, UnwrapRequest, UnwrappedDataKey};
use crate::error::{Error, ErrorKind};
use crate::name::KeyContext;
use crate::wrapped::WrappedDataKey;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// How often a remembered data key was used: what only the client knows.
#[derive(Debug, Clone, Copy)]
pub struct CachedUse<'a> {
    /// The data key, as it was wrapped.
    pub wrapped: &'a WrappedDataKey,
    /// Of its wrap.
    pub key_context: &'a KeyContext,
    /// How often.
    pub uses: u64,
    /// How long ago it was used first.
    pub first_ago: Duration,
    /// How long ago it was used last.
    pub last_ago: Duration,
}

/// Makes and opens data keys. [`Client`] does so by asking the service each time;
/// [`Cached`](crate::cache::Cached) remembers for a while.
pub trait KeySource: Send + Sync {
    /// New data keys, one for each request, in its order.
    fn generate(
        &self,
        requests: &[DataKeyRequest],
    ) -> impl Future<Output = Vec<Result<GeneratedDataKey, Error>>> + Send;

    /// Opens wrapped data keys by asking the service, in the order of the requests.
    fn unwrap_fresh(
        &self,
        requests: &[UnwrapRequest],
    ) -> impl Future<Output = Vec<Result<UnwrappedDataKey, Error>>> + Send;

    /// A data key to encrypt one message of `bytes` bytes with; may be shared with other messages of
    /// the same dataset, context and shred secrets.
    fn shared_key(
        &self,
        request: &DataKeyRequest,
        bytes: u64,
    ) -> impl Future<Output = Result<Arc<GeneratedDataKey>, Error>> + Send {
        let _ = bytes;
        async { only(self.generate(std::slice::from_ref(request)).await).map(Arc::new) }
    }

    /// Tells the service of uses of remembered data keys, at most 1,000 of them, and of how many more there were that
    /// could not be counted one by one. A source that tells nobody takes them.
    fn report_uses(
        &self,
        uses: &[CachedUse<'_>],
        uncounted: u64,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = (uses, uncounted);
        std::future::ready(Ok(()))
    }

    /// Opens wrapped data keys in the order of the requests; the answers may be remembered ones, so
    /// they are for reading, not for encrypting anew.
    fn unwrap(
        &self,
        requests: &[UnwrapRequest],
    ) -> impl Future<Output = Vec<Result<Arc<UnwrappedDataKey>, Error>>> + Send {
        async {
            let answers = self.unwrap_fresh(requests).await.into_iter();
            answers.map(|answer| answer.map(Arc::new)).collect()
        }
    }
}

impl KeySource for Client {
    async fn generate(&self, requests: &[DataKeyRequest]) -> Vec<Result<GeneratedDataKey, Error>> {
        match requests {
            [request] => vec![self.generate_data_key(request).await],
            requests => self.generate_data_keys(requests).await,
        }
    }

    async fn unwrap_fresh(
        &self,
        requests: &[UnwrapRequest],
    ) -> Vec<Result<UnwrappedDataKey, Error>> {
        match requests {
            [request] => vec![self.unwrap_data_key(request).await],
            requests => self.unwrap_data_keys(requests).await,
        }
    }

    async fn report_uses(&self, uses: &[CachedUse<'_>], uncounted: u64) -> Result<(), Error> {
        self.report_cached_uses(uses, uncounted).await
    }
}

/// The one answer to one request.
pub(crate) fn only<T>(mut answers: Vec<Result<T, Error>>) -> Result<T, Error> {
    let missing = || Error::new(ErrorKind::Internal, "a key source that does not answer");
    answers.pop().unwrap_or_else(|| Err(missing()))
}
