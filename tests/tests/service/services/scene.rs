//! Where the tests of services stand: a production installation in this process with a dataset, and its first operator.

use kms_client::identity::{self, Enrolled, Invitation};
use kms_client::proto::v1;
use kms_client::proto::v1::audit_service_client::AuditServiceClient;
use kms_client::proto::v1::dataset_service_client::DatasetServiceClient;
use kms_client::proto::v1::identity_service_client::IdentityServiceClient;
use kms_client::proto::v1::key_service_client::KeyServiceClient;
use kms_client::{Client, Error, Profile};
use kms_server::serve::Running;
use kms_tests::production::Production;
use rcgen::{CertificateParams, KeyPair, SanType, SignatureAlgorithm};
use std::path::{Path, PathBuf};

/// The dataset's name.
const DATASET: &str = "customers";

pub(crate) struct Scene {
    pub(crate) production: Production,
    pub(crate) running: Running,
    alice: Client,
}

/// The reason of a refusal, or OK.
pub(crate) fn why<T>(answer: Result<T, Error>) -> String {
    match answer {
        Ok(_) => "OK".to_owned(),
        Err(error) => error
            .reason()
            .map_or_else(|| format!("{error:?}"), str::to_owned),
    }
}

/// A request that says lies of itself.
pub(crate) fn csr(algorithm: &'static SignatureAlgorithm) -> (KeyPair, Vec<u8>) {
    let pair = KeyPair::generate_for(algorithm).unwrap();
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    let uri = "spiffe://crm.example/service/other".try_into().unwrap();
    params.subject_alt_names.push(SanType::URI(uri));
    let request = params.serialize_request(&pair).unwrap();
    (pair, request.der().to_vec())
}

/// Tried again when its connection was closed: clocks leap here, and idle connections end.
pub(crate) async fn generate(client: &Client) -> Result<v1::GenerateDataKeyResponse, Error> {
    let request = v1::GenerateDataKeyRequest {
        dataset: format!("datasets/{DATASET}"),
        ..Default::default()
    };
    let call = client.repeat(&request, |channel, request| async move {
        KeyServiceClient::new(channel)
            .generate_data_key(request)
            .await
    });
    call.await
}

pub(crate) async fn enrol_raw(
    client: &Client,
    invitation: &Invitation,
    certificate_request: Vec<u8>,
) -> Result<v1::EnrolServiceResponse, Error> {
    let request = v1::EnrolServiceRequest {
        certificate_request: certificate_request.into(),
        validate_only: false,
    };
    let call = client.once(request, |channel, mut request| {
        let token = invitation.token.parse().unwrap();
        request
            .metadata_mut()
            .insert(kms_proto::ENROLMENT_METADATA, token);
        async move {
            IdentityServiceClient::new(channel)
                .enrol_service(request)
                .await
        }
    });
    call.await
}

pub(crate) async fn renew_raw(client: &Client) -> Result<v1::RenewServiceResponse, Error> {
    let (_, request) = csr(&rcgen::PKCS_ED25519);
    let request = v1::RenewServiceRequest {
        certificate_request: request.into(),
        validate_only: false,
    };
    let call = client.once(request, |channel, request| async move {
        IdentityServiceClient::new(channel)
            .renew_service(request)
            .await
    });
    call.await
}

impl Scene {
    pub(crate) async fn open() -> Self {
        Self::over(Production::default()).await
    }

    pub(crate) async fn over(production: Production) -> Self {
        let running = production.serve().await;
        let alice = production.alice(&running).await;
        let request = v1::CreateDatasetRequest {
            dataset_id: DATASET.into(),
            ..Default::default()
        };
        let made = alice.once(request, |channel, request| async move {
            DatasetServiceClient::new(channel)
                .create_dataset(request)
                .await
        });
        made.await.unwrap();
        Self {
            production,
            running,
            alice,
        }
    }

    pub(crate) async fn restart(self) -> Self {
        let Self {
            production,
            running,
            alice,
        } = self;
        drop(alice);
        running.stop().await;
        let running = production.serve().await;
        let alice = production.alice(&running).await;
        Self {
            production,
            running,
            alice,
        }
    }

    /// A new connection of the operator's.
    pub(crate) async fn alice(&self) -> Client {
        let profile = self.production.dir().join("operator.toml");
        let profile = self.production.profile(&profile, self.running.address());
        let client = Client::connect(&profile).await.unwrap();
        client.with_operator(self.alice.operator().cloned())
    }

    /// A connection without a certificate.
    pub(crate) async fn nobody(&self, invitation: &Invitation) -> Client {
        let profile = Profile {
            certificate: None,
            key: None,
            operator: None,
            address: invitation.address.clone(),
            ..self.profile(&self.production.dir().join("operator.toml"))
        };
        Client::connect(&profile).await.unwrap()
    }

    pub(crate) async fn add(&self, name: &str, again: bool) -> Result<Invitation, Error> {
        self.add_with(&self.alice, name, v1::ServicePurpose::Service, again)
            .await
    }

    pub(crate) async fn add_as(&self, client: &Client, name: &str) -> Result<Invitation, Error> {
        self.add_with(client, name, v1::ServicePurpose::Service, false)
            .await
    }

    pub(crate) async fn add_with(
        &self,
        client: &Client,
        name: &str,
        purpose: v1::ServicePurpose,
        again: bool,
    ) -> Result<Invitation, Error> {
        let request = v1::AddServiceRequest {
            service_id: name.to_owned(),
            purpose: purpose.into(),
            again,
            validate_only: false,
        };
        self.production
            .add(client, request, self.running.address())
            .await
    }

    pub(crate) async fn invite(&self, name: &str) -> Invitation {
        self.add(name, false).await.unwrap()
    }

    /// The same invitation at the present address.
    pub(crate) fn moved(&self, invitation: Invitation) -> Invitation {
        Invitation {
            address: self.running.address().to_string(),
            ..invitation
        }
    }

    pub(crate) async fn enrol(&self, invitation: &Invitation) -> PathBuf {
        self.enrol_in(invitation, "enrolled").await
    }

    /// The profile that enrolling in a folder of that name left.
    pub(crate) async fn enrol_in(&self, invitation: &Invitation, folder: &str) -> PathBuf {
        let folder = self.production.scratch().join(folder);
        identity::enrol(invitation, &folder).await.unwrap().profile
    }

    pub(crate) async fn try_enrol(&self, invitation: &Invitation) -> Result<Enrolled, Error> {
        let folder = tempfile::tempdir().unwrap();
        identity::enrol(invitation, folder.path()).await
    }

    /// Profile and certificate stolen.
    pub(crate) fn copy(&self, profile: &Path, folder: &str) -> PathBuf {
        let folder = self.production.scratch().join(folder);
        std::fs::create_dir(&folder).unwrap();
        for ending in ["toml", "pem"] {
            let from = profile.with_extension(ending);
            let to = folder.join(from.file_name().unwrap());
            std::fs::copy(from, to).unwrap();
        }
        folder.join(profile.file_name().unwrap())
    }

    pub(crate) fn profile(&self, path: &Path) -> Profile {
        self.production.profile(path, self.running.address())
    }

    pub(crate) async fn client(&self, profile: &Path) -> Client {
        Client::connect(&self.profile(profile)).await.unwrap()
    }

    pub(crate) async fn revoke(&self, name: &str) -> Result<v1::RevokeServiceResponse, Error> {
        let request = v1::RevokeServiceRequest {
            name: format!("services/{name}"),
            validate_only: false,
        };
        let call = self.alice.once(request, |channel, request| async move {
            IdentityServiceClient::new(channel)
                .revoke_service(request)
                .await
        });
        call.await
    }

    pub(crate) async fn list(&self) -> Vec<v1::Service> {
        let request = v1::ListServicesRequest::default();
        let call = self.alice.once(request, |channel, request| async move {
            IdentityServiceClient::new(channel)
                .list_services(request)
                .await
        });
        call.await.unwrap().services
    }

    /// Heads of the log with this action.
    pub(crate) async fn entries(&self, action: &str) -> Vec<v1::AuditEntry> {
        let request = v1::ListEntriesRequest {
            page_size: 1_000,
            ..Default::default()
        };
        let call = self.alice.once(request, |channel, request| async move {
            AuditServiceClient::new(channel).list_entries(request).await
        });
        let entries = call.await.unwrap().entries;
        entries
            .into_iter()
            .filter(|entry| entry.kind == "call" && entry.action == action)
            .collect()
    }
}
