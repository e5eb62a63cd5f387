//! A well-formed request for each RPC, and the roles that may make it, as the proto files say.

use bytes::Bytes;
use data_encoding::BASE64;
use kms_proto::v1::{
    AddApproverKeyRequest, AddOperatorRequest, AddServiceRequest, AnonymiseMonthRequest,
    ApplyPoliciesRequest, ApproveRequest, BeginEnrolmentRequest, BlockShredSecretRequest,
    CachedUse, CancelApprovalRequest, ChangePasswordRequest, ConfirmClockRequest,
    ConfirmEnrolmentRequest, CreateDatasetRequest, CreateShredSecretItem,
    CreateShredSecretsRequest, Dataset, DeclareRosterRequest, DecryptRequest,
    DestroyShredSecretRequest, DisableOperatorRequest, DisableVersionRequest,
    EmergencyRotateDatasetRequest, EnableOperatorRequest, EnableVersionRequest, EncryptRequest,
    EnrolServiceRequest, GenerateDataKeyRequest, GenerateDataKeysRequest, GetAccessRequest,
    GetApprovalRequest, GetDatasetRequest, GetLogFilesRequest, GetPoliciesRequest,
    GetRosterRequest, GetShredSecretRequest, GetStatusRequest, LabelDatasetRequest,
    ListApprovalsRequest, ListDatasetsRequest, ListEntriesRequest, ListOperatorsRequest,
    ListServicesRequest, ListVersionsRequest, LoginRequest, LogoutRequest, RecoverOperatorRequest,
    RejectApprovalRequest, RemoveApproverKeyRequest, RemoveOperatorRequest, RenewServiceRequest,
    ReportCachedUsesRequest, ResetOperatorMfaRequest, RestoreVersionRequest, RevokeServiceRequest,
    RewrapRequest, RotateDatasetRequest, RotateLogKeyRequest, ScheduleVersionDestructionRequest,
    SealRequest, SecretKind, ServicePurpose, SetOperatorRolesRequest, ShredSecretScope,
    ShredSecretSelector, SignExportRequest, SummarizeEntriesRequest, TestPoliciesRequest,
    UnblockShredSecretRequest, UnlockOperatorRequest, UnsealRequest, UnwrapDataKeyRequest,
    UnwrapDataKeysRequest, UpdateDatasetRequest, WhoAmIRequest, shred_secret_selector::By,
};
use prost::Message;

/// First letters of the profiles that may call `method`: service, operator (security-admin and key-admin), auditor,
/// approver as `b` (security-admin and approver).
pub(crate) fn roles(method: &str) -> &'static str {
    match method {
        "GenerateDataKey" | "GenerateDataKeys" | "UnwrapDataKey" | "UnwrapDataKeys" | "Encrypt"
        | "Decrypt" | "Rewrap" | "ReportCachedUses" | "CreateShredSecrets" => "s",
        "GetDataset" | "ListDatasets" | "ListVersions" | "GetShredSecret" | "GetStatus" => "soab",
        "CreateDataset"
        | "UpdateDataset"
        | "RotateDataset"
        | "DisableVersion"
        | "EnableVersion"
        | "ScheduleVersionDestruction"
        | "RestoreVersion"
        | "BlockShredSecret"
        | "UnblockShredSecret"
        | "DestroyShredSecret" => "o",
        "EmergencyRotateDataset"
        | "Seal"
        | "ConfirmClock"
        | "RotateLogKey"
        | "AnonymiseMonth"
        | "LabelDataset"
        | "AddOperator"
        | "DisableOperator"
        | "EnableOperator"
        | "ResetOperatorMfa"
        | "RemoveOperator"
        | "UnlockOperator"
        | "SetOperatorRoles" => "ob",
        "Approve" | "AddApproverKey" => "b",
        "RejectApproval" | "RemoveApproverKey" | "DeclareRoster" => "ob",
        "ListApprovals" | "GetApproval" | "CancelApproval" | "GetRoster" => "oab",
        "ApplyPolicies" | "ApproveTrust" => "ob",
        "ListEntries" | "GetLogFiles" | "SignExport" | "SummarizeEntries" | "GetAccess"
        | "ListOperators" | "GetPolicies" | "TestPolicies" | "GetTrust" => "oab",
        "AddService" | "RevokeService" => "ob",
        "ListServices" => "oab",
        // for an enrolment token and nobody else
        "EnrolService" => "",
        // any certificate may ask: whether it is one to be renewed, its record says
        "RenewService" => "soab",
        "Logout" | "WhoAmI" | "ChangePassword" | "Login" | "BeginEnrolment"
        | "ConfirmEnrolment" | "Unseal" | "RecoverOperator" => "oab",
        other => panic!("who may call {other}?"),
    }
}

/// A request that only lacks the right.
pub(crate) fn body(method: &str) -> Bytes {
    let name = || "datasets/files".to_owned();
    let reason = "a test".to_owned();
    let generate = || GenerateDataKeyRequest {
        dataset: name(),
        ..Default::default()
    };
    let unwrap = || UnwrapDataKeyRequest {
        wrapped_data_key: blob(1),
        ..Default::default()
    };
    match method {
        "GenerateDataKey" => encode(&generate()),
        "GenerateDataKeys" => encode(&GenerateDataKeysRequest {
            items: vec![generate()],
            validate_only: false,
        }),
        "UnwrapDataKey" => encode(&unwrap()),
        "UnwrapDataKeys" => encode(&UnwrapDataKeysRequest {
            items: vec![unwrap()],
            validate_only: false,
        }),
        "Encrypt" => encode(&EncryptRequest {
            dataset: name(),
            plaintext: Bytes::from_static(b"x"),
            ..Default::default()
        }),
        "Decrypt" => encode(&DecryptRequest {
            ciphertext: blob(2),
            ..Default::default()
        }),
        "Rewrap" => encode(&RewrapRequest {
            wrapped_data_key: blob(1),
            ..Default::default()
        }),
        "CreateDataset" => encode(&CreateDatasetRequest {
            dataset_id: "fresh".into(),
            ..Default::default()
        }),
        "GetDataset" => encode(&GetDatasetRequest { name: name() }),
        "ListDatasets" => encode(&ListDatasetsRequest::default()),
        "UpdateDataset" => encode(&UpdateDatasetRequest {
            dataset: Some(Dataset {
                name: name(),
                etag: "x".into(),
                ..Default::default()
            }),
            update_mask: Some(prost_types::FieldMask {
                paths: vec!["deletion_protection".into()],
            }),
            validate_only: false,
        }),
        "LabelDataset" => encode(&LabelDatasetRequest {
            name: name(),
            ..Default::default()
        }),
        "RotateDataset" => encode(&RotateDatasetRequest {
            name: name(),
            ..Default::default()
        }),
        "EmergencyRotateDataset" => encode(&EmergencyRotateDatasetRequest {
            name: name(),
            reason,
            ..Default::default()
        }),
        other => version_body(other),
    }
}

fn version_body(method: &str) -> Bytes {
    let name = || "datasets/files/versions/1".to_owned();
    match method {
        "ListVersions" => encode(&ListVersionsRequest {
            parent: "datasets/files".into(),
            ..Default::default()
        }),
        "DisableVersion" => encode(&DisableVersionRequest {
            name: name(),
            validate_only: false,
        }),
        "EnableVersion" => encode(&EnableVersionRequest {
            name: name(),
            validate_only: false,
        }),
        "ScheduleVersionDestruction" => encode(&ScheduleVersionDestructionRequest {
            name: name(),
            ..Default::default()
        }),
        "RestoreVersion" => encode(&RestoreVersionRequest {
            name: name(),
            validate_only: false,
        }),
        other => other_body(other),
    }
}

fn other_body(method: &str) -> Bytes {
    let reason = "a test".to_owned();
    let scope = || ShredSecretScope {
        kind: SecretKind::Subject.into(),
        account: "acme".into(),
        name: "jane".into(),
        retention_class: "customer".into(),
    };
    let selector = || {
        Some(ShredSecretSelector {
            by: Some(By::Scope(scope())),
        })
    };
    match method {
        "CreateShredSecrets" => encode(&CreateShredSecretsRequest {
            items: vec![CreateShredSecretItem {
                scope: Some(scope()),
                ..Default::default()
            }],
            ..Default::default()
        }),
        "GetShredSecret" => encode(&GetShredSecretRequest {
            selector: selector(),
        }),
        "BlockShredSecret" => encode(&BlockShredSecretRequest {
            selector: selector(),
            reason,
            validate_only: false,
        }),
        "UnblockShredSecret" => encode(&UnblockShredSecretRequest {
            selector: selector(),
            reason,
            validate_only: false,
        }),
        "DestroyShredSecret" => encode(&DestroyShredSecretRequest {
            selector: selector(),
            reason,
            validate_only: false,
        }),
        "GetStatus" => encode(&GetStatusRequest {}),
        "Seal" => encode(&SealRequest {
            validate_only: false,
        }),
        "Unseal" => encode(&UnsealRequest {
            passphrase: Bytes::from_static(b"x"),
            ..Default::default()
        }),
        "ConfirmClock" => encode(&ConfirmClockRequest::default()),
        other => log_body(other),
    }
}

fn cached_uses(wrapped_data_key: Bytes) -> Bytes {
    encode(&ReportCachedUsesRequest {
        items: vec![CachedUse {
            wrapped_data_key,
            uses: 1,
            ..Default::default()
        }],
        ..Default::default()
    })
}

fn log_body(method: &str) -> Bytes {
    match method {
        "ListEntries" => encode(&ListEntriesRequest::default()),
        "GetLogFiles" => encode(&GetLogFilesRequest::default()),
        "SignExport" => encode(&SignExportRequest::default()),
        "SummarizeEntries" => encode(&SummarizeEntriesRequest::default()),
        "GetAccess" => encode(&GetAccessRequest::default()),
        "ReportCachedUses" => cached_uses(blob(1)),
        "RotateLogKey" => encode(&RotateLogKeyRequest::default()),
        "AnonymiseMonth" => encode(&AnonymiseMonthRequest {
            month: "1970-01".to_owned(),
            validate_only: false,
        }),
        other => operator_body(other),
    }
}

fn operator_body(method: &str) -> Bytes {
    let name = || "operators/nobody-here".to_owned();
    let user = || "nobody-here".to_owned();
    match method {
        "Login" => encode(&LoginRequest {
            user: user(),
            ..Default::default()
        }),
        "Logout" => encode(&LogoutRequest {
            validate_only: false,
        }),
        "WhoAmI" => encode(&WhoAmIRequest {}),
        "ChangePassword" => encode(&ChangePasswordRequest {
            old_password: "wrong".into(),
            new_password: "plum-orbit-canyon-41-velvet".into(),
            validate_only: false,
        }),
        "BeginEnrolment" => encode(&BeginEnrolmentRequest {
            user: user(),
            password: "plum-orbit-canyon-41-velvet".into(),
            ..Default::default()
        }),
        "ConfirmEnrolment" => encode(&ConfirmEnrolmentRequest {
            user: user(),
            ..Default::default()
        }),
        "AddOperator" => encode(&AddOperatorRequest {
            operator_id: "carol".into(),
            roles: vec!["auditor".into()],
            validate_only: false,
        }),
        "ListOperators" => encode(&ListOperatorsRequest::default()),
        "DisableOperator" => encode(&DisableOperatorRequest {
            name: name(),
            validate_only: false,
        }),
        "EnableOperator" => encode(&EnableOperatorRequest {
            name: name(),
            validate_only: false,
        }),
        "ResetOperatorMfa" => encode(&ResetOperatorMfaRequest {
            name: name(),
            validate_only: false,
        }),
        "RemoveOperator" => encode(&RemoveOperatorRequest {
            name: name(),
            validate_only: false,
        }),
        "UnlockOperator" => encode(&UnlockOperatorRequest {
            name: name(),
            validate_only: false,
        }),
        "SetOperatorRoles" => encode(&SetOperatorRolesRequest {
            name: name(),
            roles: vec!["auditor".into()],
            validate_only: false,
        }),
        other => approval_body(other),
    }
}

fn approval_body(method: &str) -> Bytes {
    let name = || format!("approvals/{}", "0".repeat(32));
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFgOZzxkF1aCe5qPgED5w6YiL4/HXg7TiYqeVvocm2dO";
    match method {
        "ListApprovals" => encode(&ListApprovalsRequest::default()),
        "GetApproval" => encode(&GetApprovalRequest { name: name() }),
        "Approve" => encode(&ApproveRequest {
            name: name(),
            public_key: BASE64.decode(&line.as_bytes()[12..]).unwrap().into(),
            signature: Bytes::from_static(b"none"),
            validate_only: false,
        }),
        "RejectApproval" => encode(&RejectApprovalRequest {
            name: name(),
            reason: "a test".into(),
            validate_only: false,
        }),
        "CancelApproval" => encode(&CancelApprovalRequest {
            name: name(),
            validate_only: false,
        }),
        "AddApproverKey" => encode(&AddApproverKeyRequest {
            public_key: line.into(),
            validate_only: false,
        }),
        "RemoveApproverKey" => encode(&RemoveApproverKeyRequest {
            operator: "operators/nobody-here".into(),
            key_fingerprint: "SHA256:none".into(),
            validate_only: false,
        }),
        "GetRoster" => encode(&GetRosterRequest {}),
        "RecoverOperator" => encode(&RecoverOperatorRequest {
            user: "nobody-here".into(),
            passphrase: Bytes::from_static(b"x"),
            validate_only: false,
        }),
        "DeclareRoster" => encode(&DeclareRosterRequest::default()),
        "GetTrust" => encode(&kms_proto::v1::GetTrustRequest {}),
        "ApproveTrust" => encode(&kms_proto::v1::ApproveTrustRequest::default()),
        "ApplyPolicies" => encode(&ApplyPoliciesRequest::default()),
        "GetPolicies" => encode(&GetPoliciesRequest::default()),
        "TestPolicies" => encode(&TestPoliciesRequest {
            principal: "spiffe://crm.example/nobody".into(),
            action: "GetStatus".into(),
            ..Default::default()
        }),
        other => service_body(other),
    }
}

fn service_body(method: &str) -> Bytes {
    match method {
        "AddService" => encode(&AddServiceRequest {
            service_id: "web".into(),
            purpose: ServicePurpose::Service.into(),
            again: false,
            validate_only: false,
        }),
        "ListServices" => encode(&ListServicesRequest::default()),
        "RevokeService" => encode(&RevokeServiceRequest {
            name: "services/web".into(),
            validate_only: false,
        }),
        "EnrolService" => encode(&EnrolServiceRequest::default()),
        "RenewService" => encode(&RenewServiceRequest::default()),
        other => panic!("no request for {other}"),
    }
}

/// Bytes in the form of a wrapped data key or direct ciphertext of an unknown key.
fn blob(kind: u8) -> Bytes {
    let mut blob = vec![1, kind];
    blob.extend([7; 16]);
    blob.extend([0, 0, 0, 1, 0]);
    blob.extend([5; 104]);
    blob.into()
}

fn encode(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}
