//! Roles by a small table of the configuration; Cedar policies come behind the same [`Decide`] seam.

use super::{Action, Decide, Principal, Resource};
use crate::name::PrincipalName;
use std::collections::BTreeMap;

/// What a principal is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A service of the CRM: data plane, creating shred secrets.
    Service,
    /// Administers datasets, versions, shred secrets and the daemon. No data plane.
    Operator,
    /// Reads everything that is no key; changes nothing.
    Auditor,
}

/// Principal to roles.
#[derive(Debug, Clone, Default)]
pub struct RoleTable {
    /// Who has what.
    pub roles: BTreeMap<PrincipalName, Vec<Role>>,
}

impl Role {
    /// The one table of role and action; docs and a printed test show it.
    #[must_use]
    pub const fn allows(self, action: Action) -> bool {
        use Action as A;
        match action {
            A::GenerateDataKey | A::UnwrapDataKey | A::Encrypt | A::Decrypt | A::Rewrap => {
                matches!(self, Self::Service)
            }
            A::CreateShredSecret => matches!(self, Self::Service),
            A::GetDataset | A::ListDatasets | A::ListVersions | A::GetStatus => true,
            A::GetShredSecret => true,
            A::CreateDataset
            | A::UpdateDataset
            | A::LiftDeletionProtection
            | A::RotateDataset
            | A::EmergencyRotateDataset
            | A::DisableVersion
            | A::EnableVersion
            | A::ScheduleVersionDestruction
            | A::RestoreVersion
            | A::BlockShredSecret
            | A::UnblockShredSecret
            | A::DestroyShredSecret
            | A::Seal
            | A::Unseal
            | A::ConfirmClock => matches!(self, Self::Operator),
            A::ListEntries => matches!(self, Self::Operator | Self::Auditor),
            A::ScheduledRotation
            | A::DueDestruction
            | A::CreatePeriodSecret
            | A::CreateAuditKey
            | A::MarkTime
            | A::FlushUsage
            | A::ForgetRequests
            | A::Start
            | A::Stop
            | A::Quarantine
            | A::Refuse => false,
        }
    }
}

impl Decide for RoleTable {
    fn allows(&self, principal: &Principal, action: Action, _resource: &Resource<'_>) -> bool {
        match principal.authentication {
            super::Authentication::Internal => {
                action.number() >= Action::ScheduledRotation.number()
            }
            super::Authentication::Certificate => self
                .roles
                .get(&principal.name)
                .is_some_and(|roles| roles.iter().any(|role| role.allows(action))),
        }
    }

    fn revision(&self) -> u64 {
        1
    }
}
