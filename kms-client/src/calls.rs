//! The typed calls of the data plane. Every key-bearing field is checked by CRC32C in both directions,
//! every answer against what was asked; batches of any length are cut to the service's limits.
//!
//! Never answers a key that was damaged on the way, never one that belongs to another item.

mod answer;

use crate::client::Client;
use crate::data_key::{DataKeyRequest, GeneratedDataKey, UnwrapRequest, UnwrappedDataKey};
use crate::error::Error;
use crate::name::{DatasetName, KeyContext, ShredUse};
use crate::source::CachedUse;
use crate::wrapped::WrappedDataKey;
use crc32c::crc32c;
use kms_proto::v1;
use kms_proto::v1::key_service_client::KeyServiceClient;
use prost::Message;
use std::time::Duration;
use zeroize::Zeroizing;

/// Most items of one call.
const BATCH_ITEMS_MAX: usize = 1_000;
/// Most bytes of one call's items; the service takes 4 MiB in all.
const BATCH_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Most bytes that [`Client::encrypt`] takes.
pub const ENCRYPT_MAX: usize = 64 * 1024;

/// What [`Client::decrypt`] answers.
#[derive(Debug)]
pub struct Decrypted {
    /// Wiped on drop.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// `datasets/{dataset}`.
    pub dataset: String,
    /// Version that encrypted it.
    pub version: u32,
    /// False when that version is not the ACTIVE one: encrypt it again at leisure.
    pub version_active: bool,
    /// The version is marked compromised: encrypt it again soon.
    pub version_compromised: bool,
}

/// A data key to wrap again.
#[derive(Debug, Clone)]
pub struct RewrapRequest {
    /// As it was stored, and its key context.
    pub stored: UnwrapRequest,
    /// Why the data key may stay although its version is compromised; at most 512 bytes. Without it the
    /// service refuses: whoever held the version has the data key.
    pub keep_data_key_reason: Option<String>,
}

/// A data key wrapped again: dataset, key context and shred secrets are the same.
#[derive(Debug, Clone)]
pub struct Rewrapped {
    /// To store in place of the old one, of the same length.
    pub wrapped: WrappedDataKey,
    /// False when it was under the ACTIVE version already.
    pub changed: bool,
}

impl Client {
    /// Makes a data key.
    ///
    /// # Errors
    /// The service's; [`ErrorKind::Corrupted`](crate::ErrorKind::Corrupted).
    pub async fn generate_data_key(
        &self,
        request: &DataKeyRequest,
    ) -> Result<GeneratedDataKey, Error> {
        let message = generation(request, 0, false);
        let answer = self.repeat(&message, |channel, request| async move {
            KeyServiceClient::new(channel)
                .generate_data_key(request)
                .await
        });
        answer::generated(answer.await?)
    }

    /// Makes data keys, one for each request, in its order. A batch that fails as a whole fails for
    /// each of its items.
    pub async fn generate_data_keys(
        &self,
        requests: &[DataKeyRequest],
    ) -> Vec<Result<GeneratedDataKey, Error>> {
        let items = (0..).zip(requests);
        let items = items.map(|(index, request)| generation(request, index, false));
        self.generate(items, answer::generated).await
    }

    /// As [`Client::generate_data_keys`], but without the keys in the clear: for components that only
    /// store.
    pub async fn generate_wrapped_data_keys(
        &self,
        requests: &[DataKeyRequest],
    ) -> Vec<Result<WrappedDataKey, Error>> {
        let items = (0..).zip(requests);
        let items = items.map(|(index, request)| generation(request, index, true));
        self.generate(items, answer::wrapped_only).await
    }

    async fn generate<T>(
        &self,
        items: impl Iterator<Item = v1::GenerateDataKeyRequest>,
        check: fn(v1::GenerateDataKeyResponse) -> Result<T, Error>,
    ) -> Vec<Result<T, Error>> {
        let mut answers = Vec::new();
        for items in batches(items) {
            let sent = items.len();
            let message = v1::GenerateDataKeysRequest {
                items,
                validate_only: false,
            };
            let answer = self.repeat(&message, |channel, request| async move {
                KeyServiceClient::new(channel)
                    .generate_data_keys(request)
                    .await
            });
            let items = answer.await.map(|answer| answer.items);
            answer::append(&mut answers, sent, items, check);
        }
        answers
    }

    /// Opens a wrapped data key.
    ///
    /// # Errors
    /// The service's; [`ErrorKind::Corrupted`](crate::ErrorKind::Corrupted).
    pub async fn unwrap_data_key(
        &self,
        request: &UnwrapRequest,
    ) -> Result<UnwrappedDataKey, Error> {
        let message = unwrapping(request, 0);
        let answer = self.repeat(&message, |channel, request| async move {
            KeyServiceClient::new(channel)
                .unwrap_data_key(request)
                .await
        });
        answer::unwrapped(answer.await?)
    }

    /// Opens wrapped data keys, one for each request, in its order. A batch that fails as a whole fails
    /// for each of its items.
    pub async fn unwrap_data_keys(
        &self,
        requests: &[UnwrapRequest],
    ) -> Vec<Result<UnwrappedDataKey, Error>> {
        let mut answers = Vec::with_capacity(requests.len());
        let items = (0..).zip(requests);
        for items in batches(items.map(|(index, request)| unwrapping(request, index))) {
            let sent = items.len();
            let message = v1::UnwrapDataKeysRequest {
                items,
                validate_only: false,
            };
            let answer = self.repeat(&message, |channel, request| async move {
                KeyServiceClient::new(channel)
                    .unwrap_data_keys(request)
                    .await
            });
            let items = answer.await.map(|answer| answer.items);
            answer::append(&mut answers, sent, items, answer::unwrapped);
        }
        answers
    }

    /// Tells the service how often remembered data keys were used; it is logged as this client's word. At most 1,000 of
    /// them in one call. A repeated call may be logged twice.
    ///
    /// # Errors
    /// The service's.
    pub async fn report_cached_uses(
        &self,
        uses: &[CachedUse<'_>],
        uncounted: u64,
    ) -> Result<(), Error> {
        let items = uses.iter().map(|used| v1::CachedUse {
            wrapped_data_key: used.wrapped.as_bytes().to_vec().into(),
            key_context: used.key_context.pairs().clone(),
            uses: used.uses,
            first_ago: Some(ago(used.first_ago)),
            last_ago: Some(ago(used.last_ago)),
        });
        let message = v1::ReportCachedUsesRequest {
            items: items.collect(),
            uncounted,
            validate_only: false,
        };
        let answer = self.once(message, |channel, request| async move {
            KeyServiceClient::new(channel)
                .report_cached_uses(request)
                .await
        });
        answer.await.map(drop)
    }

    /// Wraps data keys again under their dataset's ACTIVE version, in the order of the requests.
    pub async fn rewrap(&self, requests: &[RewrapRequest]) -> Vec<Result<Rewrapped, Error>> {
        let mut answers: Vec<Result<v1::RewrapResponse, Error>> = Vec::new();
        let items = (0..).zip(requests);
        for items in batches(items.map(|(index, request)| rewrapping(request, index))) {
            let sent = items.len();
            let answer = self.repeat(&items, rewrap_once);
            answer::append(&mut answers, sent, answer.await, Ok);
        }
        let checked = requests.iter().zip(answers);
        let checked = checked.map(|(request, answer)| answer::rewrapped(&request.stored, answer?));
        checked.collect()
    }

    /// Encrypts up to 64 KiB under the dataset's key, by the service itself.
    ///
    /// # Errors
    /// The service's; [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for more than
    /// 64 KiB; [`ErrorKind::Corrupted`](crate::ErrorKind::Corrupted).
    pub async fn encrypt(
        &self,
        request: &DataKeyRequest,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Error> {
        if plaintext.len() > ENCRYPT_MAX {
            return Err(Error::invalid("plaintext", "at most 64 KiB"));
        }
        let message = v1::EncryptRequest {
            dataset: request.dataset().resource(),
            plaintext: plaintext.to_vec().into(),
            plaintext_crc32c: Some(crc32c(plaintext)),
            key_context: request.key_context().pairs().clone(),
            shred_secrets: request.shred().iter().map(ShredUse::proto).collect(),
            validate_only: false,
        };
        let answer = self.repeat(&message, |channel, request| async move {
            KeyServiceClient::new(channel).encrypt(request).await
        });
        answer::encrypted(&answer.await?)
    }

    /// Decrypts what [`Client::encrypt`] answered, with the same key context.
    ///
    /// # Errors
    /// The service's; [`ErrorKind::Corrupted`](crate::ErrorKind::Corrupted).
    pub async fn decrypt(
        &self,
        ciphertext: &[u8],
        key_context: &KeyContext,
    ) -> Result<Decrypted, Error> {
        let message = v1::DecryptRequest {
            ciphertext: ciphertext.to_vec().into(),
            ciphertext_crc32c: Some(crc32c(ciphertext)),
            key_context: key_context.pairs().clone(),
            validate_only: false,
        };
        let answer = self.repeat(&message, |channel, request| async move {
            KeyServiceClient::new(channel).decrypt(request).await
        });
        answer::decrypted(answer.await?)
    }

    /// The dataset's ACTIVE version.
    ///
    /// # Errors
    /// The service's.
    pub async fn active_version(&self, dataset: &DatasetName) -> Result<u32, Error> {
        let message = v1::GetDatasetRequest {
            name: dataset.resource(),
        };
        let answer = self.repeat(&message, |channel, request| async move {
            v1::dataset_service_client::DatasetServiceClient::new(channel)
                .get_dataset(request)
                .await
        });
        let dataset = answer.await?.dataset;
        let missing = || Error::corrupted("the answer holds no dataset");
        dataset.map(|set| set.active_version).ok_or_else(missing)
    }
}

async fn rewrap_once(
    channel: tonic::transport::Channel,
    request: tonic::Request<Vec<v1::RewrapRequest>>,
) -> Result<tonic::Response<Vec<v1::RewrapResponse>>, tonic::Status> {
    let request = request.map(tokio_stream::iter);
    let mut stream = KeyServiceClient::new(channel)
        .rewrap(request)
        .await?
        .into_inner();
    let mut answers = Vec::new();
    while let Some(answer) = stream.message().await? {
        answers.push(answer);
    }
    Ok(tonic::Response::new(answers))
}

fn ago(time: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nanos: 0,
    }
}

fn generation(
    request: &DataKeyRequest,
    index: usize,
    without_plaintext: bool,
) -> v1::GenerateDataKeyRequest {
    v1::GenerateDataKeyRequest {
        dataset: request.dataset().resource(),
        key_context: request.key_context().pairs().clone(),
        shred_secrets: request.shred().iter().map(ShredUse::proto).collect(),
        without_plaintext,
        reference: index.to_string(),
        validate_only: false,
    }
}

fn unwrapping(request: &UnwrapRequest, index: usize) -> v1::UnwrapDataKeyRequest {
    let wrapped = request.wrapped.as_bytes();
    v1::UnwrapDataKeyRequest {
        wrapped_data_key: wrapped.to_vec().into(),
        key_context: request.key_context.pairs().clone(),
        wrapped_data_key_crc32c: Some(crc32c(wrapped)),
        reference: index.to_string(),
        validate_only: false,
    }
}

fn rewrapping(request: &RewrapRequest, index: usize) -> v1::RewrapRequest {
    let wrapped = request.stored.wrapped.as_bytes();
    v1::RewrapRequest {
        wrapped_data_key: wrapped.to_vec().into(),
        key_context: request.stored.key_context.pairs().clone(),
        wrapped_data_key_crc32c: Some(crc32c(wrapped)),
        reference: index.to_string(),
        keep_data_key_reason: request.keep_data_key_reason.clone().unwrap_or_default(),
        validate_only: false,
    }
}

/// Cuts items into calls that the service takes.
fn batches<M: Message>(items: impl Iterator<Item = M>) -> Vec<Vec<M>> {
    let mut batches = Vec::new();
    let mut batch = Vec::new();
    let mut bytes = 0;
    for item in items {
        // a tag and a length stand before each
        let len = item.encoded_len() + 6;
        if batch.len() == BATCH_ITEMS_MAX || bytes + len > BATCH_BYTES_MAX {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes += len;
        batch.push(item);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(len: usize) -> v1::UnwrapDataKeyRequest {
        v1::UnwrapDataKeyRequest {
            key_context: [("k".to_owned(), "v".repeat(len))].into(),
            ..Default::default()
        }
    }

    #[test]
    fn nothing_to_send_is_no_call() {
        assert!(batches(std::iter::empty::<v1::UnwrapDataKeyRequest>()).is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn batches_keep_order_and_fit(count in 0_usize..3_500, len in 0_usize..8_100) {
            let cut = batches((0..count).map(|_| item(len)));
            prop_assert_eq!(cut.iter().map(Vec::len).sum::<usize>(), count);
            for batch in cut {
                prop_assert!((1..=BATCH_ITEMS_MAX).contains(&batch.len()));
                let message = v1::UnwrapDataKeysRequest { items: batch, validate_only: false, };
                prop_assert!(message.encoded_len() <= 4 * 1024 * 1024);
            }
        }
    }
}
