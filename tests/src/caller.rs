//! Typed calls as tests want them: short, with the reason of a refusal and the request id at hand.

use crate::wire::{Line, Wire};
use kms_proto::v1::approval_service_client::ApprovalServiceClient;
use kms_proto::v1::audit_service_client::AuditServiceClient;
use kms_proto::v1::auth_service_client::AuthServiceClient;
use kms_proto::v1::dataset_service_client::DatasetServiceClient;
use kms_proto::v1::key_service_client::KeyServiceClient;
use kms_proto::v1::shred_service_client::ShredServiceClient;
use kms_proto::v1::system_service_client::SystemServiceClient;
use kms_proto::v1::{
    AuditEntry, CreateDatasetRequest, Dataset, DatasetPolicy, EmergencyRotateDatasetRequest,
    EmergencyRotateDatasetResponse, GenerateDataKeyRequest, GenerateDataKeyResponse,
    GetStatusRequest, GetStatusResponse, ListEntriesRequest, ListVersionsRequest,
    RotateDatasetRequest, RotateDatasetResponse, SecretKind, ShredSecretScope, ShredSecretUse,
    UnwrapDataKeyRequest, UnwrapDataKeyResponse, Version,
};
use std::collections::BTreeMap;
use tonic::{Response, Status};
use tonic_types::StatusExt;

/// A key context.
pub type Context = BTreeMap<String, String>;

/// One connection, with a stub for each service.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The connection.
    pub wire: Wire,
}

/// A context of one pair.
#[must_use]
pub fn context(key: &str, value: &str) -> Context {
    Context::from([(key.to_owned(), value.to_owned())])
}

/// `datasets/NAME`.
#[must_use]
pub fn dataset_name(name: &str) -> String {
    format!("datasets/{name}")
}

/// The use of a subject's secret, made when absent.
#[must_use]
pub fn subject(account: &str, name: &str, class: &str) -> ShredSecretUse {
    ShredSecretUse {
        scope: Some(ShredSecretScope {
            kind: SecretKind::Subject.into(),
            account: account.into(),
            name: name.into(),
            retention_class: class.into(),
        }),
        create_if_absent: true,
        succeeds_id: bytes::Bytes::new(),
    }
}

/// The reason of a refusal; empty when the status carries none.
#[must_use]
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default()
}

/// The pending approval that a refusal names: `approvals/{approval}`.
#[must_use]
pub fn approval(status: &Status) -> Option<String> {
    let details = status.get_error_details();
    let info = details.error_info()?;
    info.metadata.get(kms_proto::APPROVAL_INFO).cloned()
}

/// `message`, using an approval or none.
///
/// # Panics
/// When the approval's name is none.
#[must_use]
pub fn using<M>(message: M, approval: Option<&String>) -> tonic::Request<M> {
    let mut request = tonic::Request::new(message);
    if let Some(approval) = approval {
        let name = approval.parse().expect("a name");
        let metadata = request.metadata_mut();
        metadata.insert(kms_proto::APPROVAL_METADATA, name);
    }
    request
}

/// The request id of a refusal or of an answer's metadata; empty when there is none.
#[must_use]
pub fn request_id(metadata: &tonic::metadata::MetadataMap) -> String {
    metadata
        .get(kms_proto::REQUEST_ID_METADATA)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

impl Caller {
    /// Calls over `wire`.
    #[must_use]
    pub const fn new(wire: Wire) -> Self {
        Self { wire }
    }

    /// `KeyService`.
    #[must_use]
    pub fn keys(&self) -> KeyServiceClient<Line> {
        KeyServiceClient::new(self.wire.channel())
    }

    /// `DatasetService`.
    #[must_use]
    pub fn datasets(&self) -> DatasetServiceClient<Line> {
        DatasetServiceClient::new(self.wire.channel())
    }

    /// `ShredService`.
    #[must_use]
    pub fn shred(&self) -> ShredServiceClient<Line> {
        ShredServiceClient::new(self.wire.channel())
    }

    /// `SystemService`.
    #[must_use]
    pub fn system(&self) -> SystemServiceClient<Line> {
        SystemServiceClient::new(self.wire.channel())
    }

    /// `AuthService`.
    #[must_use]
    pub fn auth(&self) -> AuthServiceClient<Line> {
        AuthServiceClient::new(self.wire.channel())
    }

    /// `ApprovalService`.
    #[must_use]
    pub fn approvals(&self) -> ApprovalServiceClient<Line> {
        ApprovalServiceClient::new(self.wire.channel())
    }

    /// `AuditService`.
    #[must_use]
    pub fn audit(&self) -> AuditServiceClient<Line> {
        AuditServiceClient::new(self.wire.channel())
    }

    /// Makes a data key.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn generate(
        &self,
        dataset: &str,
        context: &Context,
        secrets: &[ShredSecretUse],
    ) -> Result<Response<GenerateDataKeyResponse>, Status> {
        let request = GenerateDataKeyRequest {
            dataset: dataset_name(dataset),
            key_context: context.clone(),
            shred_secrets: secrets.to_vec(),
            ..GenerateDataKeyRequest::default()
        };
        self.keys().generate_data_key(request).await
    }

    /// Opens a wrapped data key.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn unwrap(
        &self,
        wrapped: &bytes::Bytes,
        context: &Context,
    ) -> Result<Response<UnwrapDataKeyResponse>, Status> {
        let request = UnwrapDataKeyRequest {
            wrapped_data_key: wrapped.clone(),
            key_context: context.clone(),
            ..UnwrapDataKeyRequest::default()
        };
        self.keys().unwrap_data_key(request).await
    }

    /// Makes a dataset without deletion protection and with the given policy.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn create_dataset(
        &self,
        name: &str,
        policy: DatasetPolicy,
    ) -> Result<Dataset, Status> {
        let request = CreateDatasetRequest {
            dataset_id: name.into(),
            policy: Some(policy),
            deletion_protection: Some(false),
            ..CreateDatasetRequest::default()
        };
        let answer = self.datasets().create_dataset(request).await?.into_inner();
        Ok(answer.dataset.expect("the answer holds the dataset"))
    }

    /// Rotates.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn rotate(&self, dataset: &str) -> Result<Response<RotateDatasetResponse>, Status> {
        let request = RotateDatasetRequest {
            name: dataset_name(dataset),
            ..RotateDatasetRequest::default()
        };
        self.datasets().rotate_dataset(request).await
    }

    /// Rotates and marks all older versions.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn emergency_rotate(
        &self,
        dataset: &str,
    ) -> Result<Response<EmergencyRotateDatasetResponse>, Status> {
        let request = EmergencyRotateDatasetRequest {
            name: dataset_name(dataset),
            reason: "drill".into(),
            ..EmergencyRotateDatasetRequest::default()
        };
        self.datasets().emergency_rotate_dataset(request).await
    }

    /// All versions, page after page.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn versions(&self, dataset: &str) -> Result<Vec<Version>, Status> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListVersionsRequest {
                parent: dataset_name(dataset),
                page_size: 1_000,
                page_token,
            };
            let page = self.datasets().list_versions(request).await?.into_inner();
            all.extend(page.versions);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(all);
            }
        }
    }

    /// What the daemon says of itself.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn status(&self) -> Result<GetStatusResponse, Status> {
        let answer = self.system().get_status(GetStatusRequest {}).await?;
        Ok(answer.into_inner())
    }

    /// All entries from `sequence` on, as they stood when the first page was read and a little after.
    ///
    /// # Errors
    /// The service's refusal.
    pub async fn entries(&self, from_sequence: u64) -> Result<Vec<AuditEntry>, Status> {
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListEntriesRequest {
                page_size: 1_000,
                page_token,
                from_sequence,
                ..ListEntriesRequest::default()
            };
            let page = self.audit().list_entries(request).await?.into_inner();
            let last = page.entries.len() < 1_000;
            all.extend(page.entries);
            page_token = page.next_page_token;
            if page_token.is_empty() || last {
                return Ok(all);
            }
        }
    }
}
