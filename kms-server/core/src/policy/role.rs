//! Roles by a small table of the configuration; Cedar policies come behind the same [`Decide`] seam.

use super::{Action, Authentication, Circumstances, Decide, Principal, Resource, Verdict};
use crate::name::PrincipalName;
use std::collections::BTreeMap;

/// What a principal is there for. Numbers are bits in operators' records and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// A service of the CRM: data plane, creating shred secrets.
    Service = 0,
    /// A person who administers operators and the daemon: seals, clock. No data plane.
    SecurityAdmin = 1,
    /// A person who administers datasets, versions and shred secrets. No data plane.
    KeyAdmin = 2,
    /// A person who reads everything that is no key, and changes nothing.
    Auditor = 3,
    /// A person whose word the dangerous things of others need.
    Approver = 4,
    /// A certificate from which operators log in. It does nothing itself but that, and unsealing, for which
    /// nobody can have a session.
    OperatorCertificate = 5,
    /// The daemon's own jobs. Never of the configuration: only the daemon itself has it.
    Internal = 6,
    /// A person who opens data keys and decrypts in an emergency. Makes nothing, changes nothing.
    BreakGlass = 7,
    /// Who brings a one-time enrolment token and nothing else. Never of the configuration.
    Enrolling = 8,
}

/// A set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u16);

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

    /// As an operator's record keeps them.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Of an operator's record: only roles that people have.
    #[must_use]
    pub fn of_person(bits: u16) -> Self {
        let people = Role::PEOPLE.iter().copied();
        let held = people.filter(|role| bits & role.bit() != 0);
        Self(held.fold(0, |set, role| set | role.bit()))
    }

    /// Those of them that `counts` says.
    #[must_use]
    pub fn only(self, counts: impl Fn(Role) -> bool) -> Self {
        let counted = self.iter().filter(|role| counts(*role));
        Self(counted.fold(0, |set, role| set | role.bit()))
    }

    /// None at all.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
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
    pub const ALL: &'static [Self] = &[
        Self::Service,
        Self::SecurityAdmin,
        Self::KeyAdmin,
        Self::Auditor,
        Self::Approver,
        Self::OperatorCertificate,
        Self::Internal,
        Self::BreakGlass,
        Self::Enrolling,
    ];

    /// Those that people have, by their operator's record.
    pub const PEOPLE: &'static [Self] = &[
        Self::SecurityAdmin,
        Self::KeyAdmin,
        Self::Auditor,
        Self::Approver,
        Self::BreakGlass,
    ];

    const fn bit(self) -> u16 {
        1 << self as u8
    }

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::SecurityAdmin => "security-admin",
            Self::KeyAdmin => "key-admin",
            Self::Auditor => "auditor",
            Self::Approver => "approver",
            Self::OperatorCertificate => "operator",
            Self::Internal => "internal",
            Self::BreakGlass => "break-glass",
            Self::Enrolling => "enrolling",
        }
    }

    /// A role of people, from its word.
    #[must_use]
    pub fn of_person(word: &str) -> Option<Self> {
        let found = Self::PEOPLE.iter().find(|role| role.as_str() == word);
        found.copied()
    }

    /// The one table of role and action; `expected/roles.txt` shows it.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "a closed table: each action once, and the compiler misses none"
    )]
    pub const fn allows(self, action: Action) -> bool {
        use Action as A;
        match action {
            A::GenerateDataKey
            | A::Encrypt
            | A::Rewrap
            | A::CreateShredSecret
            | A::ReportCachedUses => {
                matches!(self, Self::Service)
            }
            A::UnwrapDataKey | A::Decrypt => matches!(self, Self::Service | Self::BreakGlass),
            A::GetDataset
            | A::ListDatasets
            | A::ListVersions
            | A::GetShredSecret
            | A::GetStatus => self.is_persons() || matches!(self, Self::Service),
            // the development command makes its sample datasets by itself
            A::CreateDataset => matches!(self, Self::KeyAdmin | Self::Internal),
            A::UpdateDataset
            | A::LiftDeletionProtection
            | A::RotateDataset
            | A::DisableVersion
            | A::EnableVersion
            | A::ScheduleVersionDestruction
            | A::RestoreVersion
            | A::BlockShredSecret
            | A::UnblockShredSecret
            | A::DestroyShredSecret => matches!(self, Self::KeyAdmin),
            A::EmergencyRotateDataset | A::Seal => {
                matches!(self, Self::KeyAdmin | Self::SecurityAdmin)
            }
            A::ConfirmClock | A::RotateLogKey | A::AnonymiseMonth => {
                matches!(self, Self::SecurityAdmin)
            }
            A::ListEntries
            | A::GetLogFiles
            | A::SignExport
            | A::SummarizeEntries
            | A::GetAccess
            | A::TestPolicies => matches!(self, Self::SecurityAdmin | Self::Auditor),
            A::Login | A::BeginEnrolment | A::ConfirmEnrolment | A::Unseal | A::RecoverOperator => {
                matches!(self, Self::OperatorCertificate)
            }
            A::Logout
            | A::WhoAmI
            | A::ChangePassword
            | A::AcceptCode
            | A::ListApprovals
            | A::GetApproval
            | A::CancelApproval
            | A::GetRoster => self.is_persons(),
            A::Approve | A::AddApproverKey => matches!(self, Self::Approver),
            A::RejectApproval => {
                matches!(self, Self::Approver | Self::SecurityAdmin | Self::KeyAdmin)
            }
            A::RemoveApproverKey => matches!(self, Self::Approver | Self::SecurityAdmin),
            A::ListOperators | A::ListServices | A::GetPolicies | A::GetTrust => {
                matches!(self, Self::SecurityAdmin | Self::Auditor | Self::Approver)
            }
            A::AddOperator
            | A::DisableOperator
            | A::EnableOperator
            | A::ResetOperatorMfa
            | A::RemoveOperator
            | A::UnlockOperator
            | A::SetOperatorRoles
            | A::DeclareRoster
            | A::ApplyPolicies
            | A::ApproveTrust
            | A::LabelDataset
            | A::AddService
            | A::RevokeService => matches!(self, Self::SecurityAdmin),
            A::EnrolService => matches!(self, Self::Enrolling),
            A::RenewService => matches!(self, Self::Service | Self::OperatorCertificate),
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
            | A::Refuse
            | A::CreateLogKey
            | A::ForwardEntries
            | A::ConfirmAnchors
            | A::DueAnonymisation
            | A::AdoptTrust
            | A::ReloadPolicies => matches!(self, Self::Internal),
        }
    }

    const fn is_persons(self) -> bool {
        matches!(
            self,
            Self::SecurityAdmin
                | Self::KeyAdmin
                | Self::Auditor
                | Self::Approver
                | Self::BreakGlass
        )
    }
}

impl Decide for ByRole {
    fn decide(
        &self,
        principal: &Principal,
        action: Action,
        _resource: &Resource<'_>,
        _circumstances: &Circumstances,
    ) -> Verdict {
        // status is for whoever is authenticated, in a role or not
        let status = action == Action::GetStatus
            && !matches!(
                principal.authentication,
                Authentication::Internal | Authentication::OperatorSession
            );
        let allowed = principal.standing().iter().any(|role| role.allows(action));
        Verdict::plain(status || allowed)
    }

    fn revision(&self) -> u64 {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Freshness, NotAllowed, act, authorise};
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

    fn person(roles: &[Role]) -> Principal {
        Principal {
            authentication: Authentication::OperatorSession,
            ..principal("operators/one", roles)
        }
    }

    /// The file is the documentation; `KMS_BLESS=1` writes it anew.
    #[test]
    fn the_table_is_as_pinned() {
        let mut text = format!("{:<28}", "");
        for role in Role::ALL {
            write!(text, "{:>16}", role.as_str()).unwrap();
        }
        text.push('\n');
        for action in Action::ALL {
            write!(text, "{:<28}", action.as_str()).unwrap();
            for role in Role::ALL {
                let cell = if role.allows(*action) { "yes" } else { "-" };
                write!(text, "{cell:>16}").unwrap();
            }
            text.push('\n');
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
            let asks = |who: &Principal| {
                let verdict = ByRole.decide(who, *action, &Resource::default(), &HERE);
                verdict.allowed
            };
            let status = *action == Action::GetStatus;
            for role in [Role::Service, Role::OperatorCertificate] {
                let asked = asks(&principal("one", &[role]));
                assert_eq!(asked, role.allows(*action) || status);
            }
            for role in Role::PEOPLE {
                assert_eq!(asks(&person(&[*role])), role.allows(*action));
                // no configuration makes a certificate a person
                assert_eq!(asks(&principal("one", &[*role])), status);
            }
            // an enrolment token is good for one action, and nobody else can do that
            let enrolling = Principal {
                authentication: Authentication::EnrolmentToken,
                ..principal("one", Role::ALL)
            };
            let enrols = *action == Action::EnrolService;
            assert_eq!(asks(&enrolling), enrols || status);
            assert!(!asks(&principal("one", Role::ALL)) || !enrols);
            assert!(!asks(&person(&[Role::Service, Role::OperatorCertificate])));
            assert_eq!(asks(&Principal::internal()), Role::Internal.allows(*action));
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
        let who = principal("svc", &[Role::Service]);
        let asks = |about: &Resource<'_>| {
            authorise::<act::GetDataset>(&ByRole, &who, about, &HERE).map(drop)
        };
        assert_eq!(asks(&Resource::default()), Ok(()));
        assert_eq!(asks(&unknown), Err(NotAllowed::Denied));
    }

    #[test]
    fn a_certificate_of_operators_is_told_to_log_in_whatever_it_asks() {
        let who = principal("desk", &[Role::OperatorCertificate]);
        for unknown in [true, false] {
            let about = Resource {
                unknown,
                ..Resource::default()
            };
            let asked = authorise::<act::RotateDataset>(&ByRole, &who, &about, &HERE);
            assert_eq!(asked.map(drop), Err(NotAllowed::NoSession));
        }
        let about = Resource::default();
        assert!(authorise::<act::Login>(&ByRole, &who, &about, &HERE).is_ok());
    }

    #[test]
    fn a_no_comes_before_a_stale_code() {
        let asked = |roles: &[Role]| {
            let about = Resource::default();
            let asked = authorise::<act::RotateDataset>(&ByRole, &person(roles), &about, &HERE);
            asked.map(drop)
        };
        assert_eq!(asked(&[Role::Auditor]), Err(NotAllowed::Denied));
        assert_eq!(
            asked(&[Role::KeyAdmin]),
            Err(NotAllowed::Stale(Freshness::Recent))
        );
    }
}
