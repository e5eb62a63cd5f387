//! How fresh a person's second factor must be, action by action. A service has none, and no service's identity
//! is a way around one: who acts by a certificate alone is no person.

use super::{Action, Authentication, Circumstances, Principal};
use std::time::Duration;

/// A code counts as recent this long; logging in is giving one.
pub const RECENT: Duration = Duration::from_mins(5);

/// What is asked of a person's second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Freshness {
    /// Nothing: no person does it with a session.
    None,
    /// A session, which only a code opens.
    Session,
    /// A code within [`RECENT`].
    Recent,
    /// A new code with this very request.
    Each,
}

impl Freshness {
    /// The one table; `expected/freshness.txt` shows it.
    #[must_use]
    #[expect(
        clippy::too_many_lines,
        reason = "a closed table: each action once, and the compiler misses none"
    )]
    pub const fn of(action: Action) -> Self {
        use Action as A;
        match action {
            A::Login
            | A::BeginEnrolment
            | A::ConfirmEnrolment
            | A::AcceptCode
            | A::Unseal
            | A::ScheduledRotation
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
            | A::RecoverOperator
            | A::ReloadPolicies
            | A::AdoptTrust
            | A::EnrolService
            | A::RenewService => Self::None,
            A::GenerateDataKey
            | A::UnwrapDataKey
            | A::Encrypt
            | A::Decrypt
            | A::Rewrap
            | A::ReportCachedUses
            | A::GetDataset
            | A::ListDatasets
            | A::ListVersions
            | A::GetShredSecret
            | A::GetStatus
            | A::ListEntries
            | A::GetLogFiles
            | A::SignExport
            | A::SummarizeEntries
            | A::GetAccess
            | A::ListOperators
            | A::GetPolicies
            | A::TestPolicies
            | A::ListServices
            | A::WhoAmI
            | A::Logout
            | A::ListApprovals
            | A::GetApproval
            | A::GetTrust
            | A::GetRoster => Self::Session,
            A::CreateDataset
            | A::UpdateDataset
            | A::RotateDataset
            | A::EmergencyRotateDataset
            | A::DisableVersion
            | A::EnableVersion
            | A::RestoreVersion
            | A::CreateShredSecret
            | A::BlockShredSecret
            | A::UnblockShredSecret
            | A::Seal
            | A::ConfirmClock
            | A::RejectApproval
            | A::CancelApproval => Self::Recent,
            A::LiftDeletionProtection
            | A::ScheduleVersionDestruction
            | A::DestroyShredSecret
            | A::AnonymiseMonth
            | A::AddOperator
            | A::DisableOperator
            | A::EnableOperator
            | A::ResetOperatorMfa
            | A::RemoveOperator
            | A::UnlockOperator
            | A::SetOperatorRoles
            | A::Approve
            | A::AddApproverKey
            | A::RemoveApproverKey
            | A::DeclareRoster
            | A::ApplyPolicies
            | A::ApproveTrust
            | A::LabelDataset
            | A::AddService
            | A::RevokeService
            | A::RotateLogKey
            | A::ChangePassword => Self::Each,
        }
    }

    /// Whether `principal` has what this asks for, here and now.
    #[must_use]
    pub fn is_met(self, principal: &Principal, circumstances: &Circumstances) -> bool {
        if principal.authentication != Authentication::OperatorSession {
            return true;
        }
        let Some(factor) = principal.second_factor else {
            return self == Self::None;
        };
        match self {
            Self::None | Self::Session => true,
            // a clock that was put back makes nothing fresh again
            Self::Recent => {
                factor.at <= circumstances.now && circumstances.now.since(factor.at) <= RECENT
            }
            Self::Each => factor.with_this_request,
        }
    }

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "-",
            Self::Session => "session",
            Self::Recent => "recent",
            Self::Each => "each",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Role, Roles, SecondFactor};
    use super::*;
    use crate::name::PrincipalName;
    use crate::time::Timestamp;
    use std::fmt::Write;

    /// The file is the documentation; `KMS_BLESS=1` writes it anew.
    #[test]
    fn the_table_is_as_pinned() {
        let mut text = String::new();
        for action in Action::ALL {
            let word = Freshness::of(*action).as_str();
            writeln!(text, "{:<28}{word}", action.as_str()).unwrap();
        }
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/policy/expected/freshness.txt"
        );
        if std::env::var_os("KMS_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text, "{path}");
    }

    fn person(factor: Option<SecondFactor>) -> Principal {
        Principal {
            name: PrincipalName::parse("operators/alice").unwrap(),
            authentication: Authentication::OperatorSession,
            roles: Roles::of(&[Role::KeyAdmin]),
            attributes: None,
            second_factor: factor,
        }
    }

    #[test]
    fn what_a_second_factor_is_good_for() {
        let at = Timestamp::from_micros(1_000_000_000);
        let now = |seconds| Circumstances {
            source: None,
            now: at.saturating_add(Duration::from_secs(seconds)),
        };
        let factor = |with_this_request| {
            Some(SecondFactor {
                at,
                with_this_request,
            })
        };
        let met = |asked: Freshness, who: &Principal, seconds| asked.is_met(who, &now(seconds));
        let (old, new) = (person(factor(false)), person(factor(true)));
        assert!(met(Freshness::Session, &old, 3_600));
        assert!(met(Freshness::Recent, &old, 300));
        assert!(!met(Freshness::Recent, &old, 301));
        assert!(!met(Freshness::Each, &old, 0));
        assert!(met(Freshness::Each, &new, 0));
        let before = Circumstances {
            source: None,
            now: at.saturating_sub(Duration::from_secs(1)),
        };
        assert!(!Freshness::Recent.is_met(&old, &before));
        for asked in [Freshness::Session, Freshness::Recent, Freshness::Each] {
            assert!(!met(asked, &person(None), 0));
        }
        let service = Principal {
            authentication: Authentication::Certificate,
            ..person(None)
        };
        assert!(met(Freshness::Each, &service, 0), "no person");
    }
}
