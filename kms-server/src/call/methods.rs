//! Which RPC is which operation: the one table. A method that has no row here does not exist.
//!
//! An operation that the road runs by itself stands under `operations`; what takes its own steps on the road (it
//! logs in, unseals, streams) stands under `acts`, as a function of the service; under `acts_of_certificates` what also
//! asks whose certificate an operator speaks over.

use super::lane::Lane;
use super::road::Incoming;
use super::ticket::Ticket;
use super::{Service, approval, control, data_plane, entries, operators, services, shred};
use bytes::Bytes;
use kms_core::engine::Refusal;
use kms_core::policy::Principal;
use kms_core::reason::Reason;

fn encoded<M: prost::Message>(answer: &M) -> Bytes {
    answer.encode_to_vec().into()
}

// Each RPC's future is boxed: the largest of them must not be the size of all.
macro_rules! methods {
    (
        operations { $($name:literal => $operation:ty,)+ }
        acts { $($act:literal => $function:ident,)+ }
        acts_of_certificates { $($owned:literal => $holder:ident,)+ }
    ) => {
        impl Service {
            /// Runs what the call's method names.
            pub(super) async fn dispatch(
                &self,
                lane: &Lane,
                ticket: &mut Ticket<'_>,
                call: &Incoming,
                certificate: &Principal,
            ) -> Result<Bytes, Refusal> {
                match call.method.name {
                    $($name => {
                        let answer = Box::pin(self.run::<$operation>(lane, ticket, call)).await?;
                        Ok(encoded(&answer))
                    })+
                    $($act => {
                        let answer = Box::pin(self.$function(lane, ticket, call)).await?;
                        Ok(encoded(&answer))
                    })+
                    $($owned => {
                        let answer = Box::pin(self.$holder(lane, ticket, call, certificate)).await?;
                        Ok(encoded(&answer))
                    })+
                    _ => {
                        let live = self.gate.live();
                        let refused = Reason::Unimplemented.into();
                        Err(self.refuse(lane, ticket, live.as_deref(), refused).await)
                    }
                }
            }
        }
    };
}

methods! {
    operations {
        // KeyService
        "GenerateDataKey" => data_plane::generate::Single,
        "GenerateDataKeys" => data_plane::generate::Batch,
        "UnwrapDataKey" => data_plane::unwrap::Single,
        "UnwrapDataKeys" => data_plane::unwrap::Batch,
        "Encrypt" => data_plane::direct::Encrypt,
        "Decrypt" => data_plane::direct::Decrypt,
        "ReportCachedUses" => data_plane::cached_use::Report,
        // DatasetService
        "CreateDataset" => control::dataset::Create,
        "GetDataset" => control::dataset::Get,
        "UpdateDataset" => control::dataset::Update,
        "LabelDataset" => control::dataset::Label,
        "ListDatasets" => control::listing::Datasets,
        "ListVersions" => control::listing::Versions,
        "RotateDataset" => control::rotation::Rotate,
        "EmergencyRotateDataset" => control::rotation::Emergency,
        "DisableVersion" => control::version::Disable,
        "EnableVersion" => control::version::Enable,
        "RestoreVersion" => control::version::Restore,
        "ScheduleVersionDestruction" => control::version::Schedule,
        // ShredService
        "CreateShredSecrets" => shred::Create,
        "GetShredSecret" => shred::Get,
        "BlockShredSecret" => shred::Block,
        "UnblockShredSecret" => shred::Unblock,
        "DestroyShredSecret" => shred::Destroy,
        // AuditService
        "AnonymiseMonth" => entries::anonymise::Anonymise,
        // AuthService
        "AddOperator" => operators::administration::Add,
        "ListOperators" => operators::administration::List,
        "DisableOperator" => operators::administration::Disable,
        "EnableOperator" => operators::administration::Enable,
        "RemoveOperator" => operators::administration::Remove,
        "UnlockOperator" => operators::administration::Unlock,
        "ResetOperatorMfa" => operators::administration::ResetMfa,
        "SetOperatorRoles" => operators::administration::SetRoles,
        // IdentityService
        "AddService" => services::Add,
        "ListServices" => services::List,
        "RevokeService" => services::Revoke,
        "EnrolService" => services::Enrol,
        "RenewService" => services::Renew,
        // ApprovalService
        "ListApprovals" => approval::listing::List,
        "GetApproval" => approval::listing::Get,
        "Approve" => approval::vote::Approve,
        "RejectApproval" => approval::vote::Reject,
        "CancelApproval" => approval::vote::Cancel,
        "AddApproverKey" => approval::roster::AddKey,
        "RemoveApproverKey" => approval::roster::RemoveKey,
        "GetRoster" => approval::roster::Get,
        "DeclareRoster" => approval::roster::Declare,
    }
    acts {
        // KeyService
        "Rewrap" => rewrap,
        // SystemService
        "GetStatus" => get_status,
        "Seal" => seal,
        "Unseal" => unseal,
        "ConfirmClock" => confirm_clock,
        "GetTrust" => get_trust,
        // AuditService
        "ListEntries" => list_entries,
        "GetLogFiles" => get_log_files,
        "SummarizeEntries" => summarize_entries,
        "SignExport" => sign_export,
        "GetAccess" => get_access,
        "RotateLogKey" => rotate_log_key,
        // AuthService
        "Login" => login,
        "Logout" => logout,
        "WhoAmI" => who_am_i,
        "BeginEnrolment" => begin_enrolment,
        "ConfirmEnrolment" => confirm_enrolment,
        "RecoverOperator" => recover_operator,
        // PolicyService
        "GetPolicies" => get_policies,
        "TestPolicies" => test_policies,
    }
    acts_of_certificates {
        "ChangePassword" => change_password,
        "ApplyPolicies" => apply_policies,
        "ApproveTrust" => approve_trust,
    }
}
