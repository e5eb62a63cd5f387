//! What no policy can give or take, whatever it says: the ways back in are always there, a service is no person, a certificate of operators is nobody but a
//! way to log in, the daemon's own work is its own, who enrols does only that, and what asks people for a new code is
//! for people alone.

use super::{Action, Authentication, Freshness, Principal, Role};

/// Whether any decision may give `action` to such a principal.
#[must_use]
pub fn is_open_to(principal: &Principal, action: Action) -> bool {
    // of a certificate of operators: signing in, and renewing itself as every certificate may
    let by_desk = Role::OperatorCertificate.allows(action);
    let signing_in = by_desk && !Role::Service.allows(action);
    let enrolling = Role::Enrolling.allows(action);
    match principal.authentication {
        Authentication::Internal => Role::Internal.allows(action),
        Authentication::EnrolmentToken => enrolling,
        _ if enrolling => false,
        Authentication::OperatorSession => !by_desk && !is_own(action),
        _ if principal.roles.contains(Role::OperatorCertificate) => {
            by_desk || action == Action::GetStatus
        }
        // else a policy could spare people the second factor by way of a service
        _ => {
            !signing_in
                && !is_own(action)
                && !is_of_session(action)
                && Freshness::of(action) != Freshness::Each
        }
    }
}

/// What no policy takes away: the table of roles alone decides about the ways back in.
#[must_use]
pub const fn is_way_back(action: Action) -> bool {
    matches!(
        action,
        Action::RecoverOperator | Action::BeginEnrolment | Action::ConfirmEnrolment
    )
}

/// The daemon's own, and nobody else's.
#[must_use]
pub fn is_own(action: Action) -> bool {
    let others = Role::ALL.iter().filter(|role| **role != Role::Internal);
    !others.into_iter().any(|role| role.allows(action))
}

/// About the session that calls.
const fn is_of_session(action: Action) -> bool {
    matches!(action, Action::Logout | Action::WhoAmI | Action::AcceptCode)
}

#[cfg(test)]
mod tests {
    use super::super::{
        Circumstances, Decide, NotAllowed, Resource, Roles, SecondFactor, Verdict, act, authorise,
    };
    use super::*;
    use crate::name::PrincipalName;
    use crate::time::Timestamp;

    /// A policy that permits everything to everybody.
    struct Anything;

    impl Decide for Anything {
        fn decide(&self, _: &Principal, _: Action, _: &Resource<'_>, _: &Circumstances) -> Verdict {
            Verdict::plain(true)
        }

        fn revision(&self) -> u64 {
            2
        }
    }

    const NOW: Circumstances = Circumstances {
        source: None,
        now: Timestamp::from_micros(0),
    };

    fn principal(authentication: Authentication, roles: &[Role]) -> Principal {
        Principal {
            name: PrincipalName::parse("one").unwrap(),
            authentication,
            roles: Roles::of(roles),
            attributes: None,
            second_factor: Some(SecondFactor {
                at: NOW.now,
                with_this_request: true,
            }),
        }
    }

    fn open(principal: &Principal) -> Vec<Action> {
        let all = Action::ALL.iter().copied();
        all.filter(|action| is_open_to(principal, *action))
            .collect()
    }

    #[test]
    fn a_certificate_of_operators_only_lets_people_in() {
        let desk = principal(Authentication::Certificate, &[Role::OperatorCertificate]);
        let expected = [
            Action::GetStatus,
            Action::Unseal,
            Action::Login,
            Action::BeginEnrolment,
            Action::ConfirmEnrolment,
            Action::RenewService,
            Action::RecoverOperator,
        ];
        assert_eq!(open(&desk), expected);
        // even one that a configuration should ever make a service too
        let both = [Role::OperatorCertificate, Role::Service];
        assert_eq!(
            open(&principal(Authentication::Certificate, &both)),
            expected
        );
    }

    #[test]
    fn what_asks_people_for_a_new_code_is_for_people_alone() {
        for authentication in [
            Authentication::Certificate,
            Authentication::Token,
            Authentication::CertificateAndToken,
        ] {
            let service = principal(authentication, &[Role::Service]);
            for action in open(&service) {
                assert!(Freshness::of(action) < Freshness::Each, "{action:?}");
                assert!(!is_own(action) && !is_of_session(action), "{action:?}");
            }
            assert!(is_open_to(&service, Action::Decrypt));
            assert!(is_open_to(&service, Action::RotateDataset));
        }
        let person = principal(Authentication::OperatorSession, &[Role::Auditor]);
        let each = Action::ALL
            .iter()
            .filter(|a| Freshness::of(**a) == Freshness::Each);
        assert!(each.into_iter().all(|action| is_open_to(&person, *action)));
    }

    #[test]
    fn who_enrols_does_only_that_and_nobody_else_does() {
        let enrolling = principal(Authentication::EnrolmentToken, Role::ALL);
        assert_eq!(open(&enrolling), [Action::EnrolService]);
        for authentication in [
            Authentication::Certificate,
            Authentication::Token,
            Authentication::CertificateAndToken,
            Authentication::OperatorSession,
        ] {
            let other = principal(authentication, Role::ALL);
            assert!(!is_open_to(&other, Action::EnrolService));
        }
        let service = principal(Authentication::Certificate, &[Role::Service]);
        assert!(is_open_to(&service, Action::RenewService));
    }

    #[test]
    fn the_daemons_own_work_is_its_own() {
        let own: Vec<Action> = Action::ALL.iter().copied().filter(|a| is_own(*a)).collect();
        assert!(own.contains(&Action::ScheduledRotation));
        assert!(!own.contains(&Action::CreateDataset));
        for other in [
            principal(Authentication::Certificate, &[]),
            principal(Authentication::OperatorSession, Role::PEOPLE),
        ] {
            assert!(own.iter().all(|action| !is_open_to(&other, *action)));
        }
        assert!(!is_open_to(&Principal::internal(), Action::Decrypt));
    }

    #[test]
    fn no_policy_goes_beyond_these_limits() {
        let service = principal(Authentication::Certificate, &[Role::Service]);
        let asked = authorise::<act::AddOperator>(&Anything, &service, &Resource::default(), &NOW);
        assert_eq!(asked.map(drop), Err(NotAllowed::Denied));
        let desk = principal(Authentication::Certificate, &[Role::OperatorCertificate]);
        let asked = authorise::<act::Decrypt>(&Anything, &desk, &Resource::default(), &NOW);
        assert_eq!(asked.map(drop), Err(NotAllowed::NoSession));
        let asked = authorise::<act::Decrypt>(&Anything, &service, &Resource::default(), &NOW);
        assert!(asked.is_ok());
    }

    #[test]
    fn a_policy_can_ask_for_a_fresher_code_and_never_for_an_older_one() {
        struct Asks(Freshness);
        impl Decide for Asks {
            fn decide(
                &self,
                _: &Principal,
                _: Action,
                _: &Resource<'_>,
                _: &Circumstances,
            ) -> Verdict {
                Verdict {
                    allowed: true,
                    asks: self.0,
                }
            }

            fn revision(&self) -> u64 {
                2
            }
        }
        let mut person = principal(Authentication::OperatorSession, &[Role::KeyAdmin]);
        let mut asks = |with_this_request, asked| {
            person.second_factor = Some(SecondFactor {
                at: NOW.now,
                with_this_request,
            });
            let about = Resource::default();
            authorise::<act::RotateDataset>(&Asks(asked), &person, &about, &NOW).map(drop)
        };
        assert_eq!(asks(false, Freshness::None), Ok(()));
        let stale = Err(NotAllowed::Stale(Freshness::Each));
        assert_eq!(asks(false, Freshness::Each), stale);
        assert_eq!(asks(true, Freshness::Each), Ok(()));
        person.second_factor = Some(SecondFactor {
            at: NOW.now,
            with_this_request: false,
        });
        let about = Resource::default();
        let asked = authorise::<act::RemoveOperator>(&Asks(Freshness::None), &person, &about, &NOW);
        assert_eq!(asked.map(drop), stale);
    }
}
