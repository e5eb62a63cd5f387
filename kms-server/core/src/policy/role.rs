//! Roles by a small table of the configuration; Cedar policies come behind the same [`Decide`] seam.

use super::{Action, Authentication, Circumstances, Decide, Principal, Resource};
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
    /// The daemon's own jobs. Never of the configuration: only the daemon itself has it.
    Internal,
}

/// A set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// Of these.
    #[must_use]
    pub fn of(roles: &[Role]) -> Self {
        Self(roles.iter().fold(0, |set, role| set | role.bit()))
    }

    /// Whether `role` is among them.
    #[must_use]
    pub const fn contains(self, role: Role) -> bool {
        self.0 & role.bit() != 0
    }

    /// Those that are in it.
    pub fn iter(self) -> impl Iterator<Item = Role> {
        Role::ALL
            .iter()
            .copied()
            .filter(move |role| self.contains(*role))
    }
}

/// Principal to roles.
#[derive(Debug, Clone, Default)]
pub struct RoleTable {
    /// Who has what.
    pub roles: BTreeMap<PrincipalName, Roles>,
}

impl RoleTable {
    /// The roles of `name`; none when it is not in the table.
    #[must_use]
    pub fn of(&self, name: &PrincipalName) -> Roles {
        self.roles.get(name).copied().unwrap_or_default()
    }
}

/// Decides by the roles of a principal alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct ByRole;

impl Role {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::Service, Self::Operator, Self::Auditor, Self::Internal];

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// From its word in the configuration; the internal one has none.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "service" => Some(Self::Service),
            "operator" => Some(Self::Operator),
            "auditor" => Some(Self::Auditor),
            _ => None,
        }
    }

    /// The one table of role and action; `expected/roles.txt` shows it.
    #[must_use]
    pub const fn allows(self, action: Action) -> bool {
        use Action as A;
        match action {
            A::GenerateDataKey
            | A::UnwrapDataKey
            | A::Encrypt
            | A::Decrypt
            | A::Rewrap
            | A::CreateShredSecret => matches!(self, Self::Service),
            A::GetDataset
            | A::ListDatasets
            | A::ListVersions
            | A::GetShredSecret
            | A::GetStatus => {
                matches!(self, Self::Service | Self::Operator | Self::Auditor)
            }
            // the development command makes its sample datasets by itself
            A::CreateDataset => matches!(self, Self::Operator | Self::Internal),
            A::UpdateDataset
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
            | A::Refuse => matches!(self, Self::Internal),
        }
    }
}

impl Decide for ByRole {
    fn allows(
        &self,
        principal: &Principal,
        action: Action,
        _resource: &Resource<'_>,
        _circumstances: &Circumstances,
    ) -> bool {
        match principal.authentication {
            Authentication::Internal => Role::Internal.allows(action),
            Authentication::Certificate => {
                // status is for whoever is authenticated, in a role or not
                action == Action::GetStatus
                    || principal
                        .roles
                        .iter()
                        .any(|role| role != Role::Internal && role.allows(action))
            }
        }
    }

    fn revision(&self) -> u64 {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::super::{act, authorise};
    use super::*;
    use crate::time::Timestamp;
    use std::fmt::Write;

    const HERE: Circumstances = Circumstances {
        source: None,
        now: Timestamp::from_micros(0),
    };

    fn principal(name: &str, roles: &[Role]) -> Principal {
        Principal {
            name: PrincipalName::parse(name).unwrap(),
            authentication: Authentication::Certificate,
            roles: Roles::of(roles),
            attributes: None,
            second_factor: None,
        }
    }

    /// The file is the documentation; `KMS_BLESS=1` writes it anew.
    #[test]
    fn the_table_is_as_pinned() {
        let mut text = format!(
            "{:<28}{:>8}{:>9}{:>8}{:>9}\n",
            "", "service", "operator", "auditor", "internal"
        );
        for action in Action::ALL {
            let cell = |role: &Role| if role.allows(*action) { "yes" } else { "-" };
            let [a, b, c, d] = [0, 1, 2, 3].map(|i| cell(&Role::ALL[i]));
            writeln!(text, "{:<28}{a:>8}{b:>9}{c:>8}{d:>9}", action.as_str()).unwrap();
        }
        println!("{text}");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/policy/expected/roles.txt");
        if std::env::var_os("KMS_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text, "{path}");
    }

    #[test]
    fn decisions_follow_the_table_and_the_authentication() {
        for action in Action::ALL {
            let asks = |who: &Principal| ByRole.allows(who, *action, &Resource::default(), &HERE);
            for role in [Role::Service, Role::Operator, Role::Auditor] {
                let status = *action == Action::GetStatus;
                assert_eq!(
                    asks(&principal("one", &[role])),
                    role.allows(*action) || status
                );
            }
            assert_eq!(asks(&Principal::internal()), Role::Internal.allows(*action));
            let status = *action == Action::GetStatus;
            assert_eq!(asks(&principal("stranger", &[])), status);
            // a configuration cannot say this; should it ever, it gives nothing
            assert_eq!(asks(&principal("forged", &[Role::Internal])), status);
            let posing = principal(Principal::internal().name.as_str(), &[]);
            assert_eq!(asks(&posing), status);
        }
    }

    #[test]
    fn every_action_has_somebody() {
        for action in Action::ALL {
            assert!(Role::ALL.iter().any(|role| role.allows(*action)));
        }
    }

    #[test]
    fn an_unknown_dataset_is_denied_to_those_who_may_too() {
        let unknown = Resource {
            unknown: true,
            ..Resource::default()
        };
        let who = principal("op", &[Role::Operator]);
        let asks = |about: &Resource<'_>| {
            authorise::<act::GetDataset>(&ByRole, &who, about, &HERE).is_ok()
        };
        assert!(asks(&Resource::default()));
        assert!(!asks(&unknown));
    }
}
