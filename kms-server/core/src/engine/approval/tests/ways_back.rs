//! Nobody is locked out for good: not by a quorum that cannot be reached, and not by one ill colleague.

use super::*;
use crate::engine::operator::administration::Token;
use crate::engine::operator::{OperatorChange, change_operator};
use crate::name::{PrincipalName, ReasonText};
use crate::policy::{
    ActionKind, Authentication, Authorised, ByRole, Circumstances, Principal, Resource,
    SecondFactor, act, authorise,
};

const DAY: Duration = Duration::from_hours(24);
const ADMIN: [Role; 1] = [Role::SecurityAdmin];

/// What this caller may: an operator by his name, a desk by its certificate.
fn proof<A: ActionKind>(world: &World, who: &str) -> Authorised<A> {
    let desk = who == "desk";
    let caller = Principal {
        name: if desk {
            PrincipalName::parse(who).unwrap()
        } else {
            name(who).principal()
        },
        authentication: if desk {
            Authentication::Certificate
        } else {
            Authentication::OperatorSession
        },
        roles: if desk {
            Roles::of(&[Role::OperatorCertificate])
        } else {
            Roles::of(Role::PEOPLE)
        },
        attributes: None,
        second_factor: Some(SecondFactor {
            at: world.now,
            with_this_request: true,
        }),
    };
    let here = Circumstances {
        source: None,
        now: world.now,
    };
    authorise::<A>(&ByRole, &caller, &Resource::default(), &here).unwrap()
}

impl World {
    fn admins(people: &[&str], delay: Option<Duration>) -> Self {
        let mut world = Self::of(&[], 1, delay);
        for who in people {
            world.operator(who, &ADMIN, OperatorState::Enabled);
        }
        world
    }

    fn approver(&mut self, who: &str) {
        self.operator(
            who,
            &[Role::Approver, Role::SecurityAdmin],
            OperatorState::Enabled,
        );
        self.keys(who, START);
    }

    fn mode(&self) -> Mode {
        mode(&self.snapshot, self.view().latest(self.now))
    }

    /// Does it as the store would, and says what was refused.
    fn with<R>(
        &mut self,
        decide: impl FnOnce(&View<'_>, &Moment<'_>) -> Result<Decision<R>, Refusal>,
    ) -> Result<R, Reason> {
        let entropy = SystemEntropy::new();
        let moment = Moment {
            now: self.now,
            keys: &entropy,
            salts: &entropy,
        };
        let decision = decide(&self.view(), &moment).map_err(|refusal| refusal.reason)?;
        for write in decision.change.into_iter().flat_map(|change| change.writes) {
            self.put(write.key, write.record.unwrap());
        }
        Ok(decision.reply)
    }

    /// The passphrase is right: alice is to be let in.
    fn recovery(&mut self, approval: Option<ApprovalId>) -> Result<Result<Token, Refusal>, Reason> {
        let (desk, proof) = (PrincipalName::parse("desk").unwrap(), proof(self, "desk"));
        let asked = Asked {
            action: Action::RecoverOperator,
            method: "RecoverOperator",
            request: b"alice",
            etag: [3; 32],
            requester: &desk,
            policy: 1,
            origin: "kms/1",
            instance: [9; 32],
            approval,
        };
        self.with(|view, moment| recover(view, moment, &proof, &name("alice"), &asked))
    }

    fn recover(&mut self, approval: ApprovalId) -> Result<(), Reason> {
        let done = self.recovery(Some(approval))?;
        done.map(drop).map_err(|refusal| refusal.reason)
    }

    fn asks_for_recovery(&mut self) -> ApprovalId {
        let asked = self.recovery(None).unwrap();
        asked.unwrap_err().approval.unwrap()
    }

    fn rejects(&mut self, who: &str, id: ApprovalId) -> Result<ApprovalId, Reason> {
        let (proof, why) = (proof(self, who), ReasonText::parse("no").unwrap());
        self.with(|view, moment| reject(view, moment, &proof, id, &why))
    }

    fn disables(&mut self, who: &str, whom: &str) -> Result<(), Reason> {
        let proof = proof::<act::DisableOperator>(self, who);
        let disable = OperatorChange::Disable;
        let done =
            self.with(|view, moment| change_operator(view, moment, &proof, &name(whom), disable));
        done.map(drop)
    }

    fn is_rejected(&self, id: ApprovalId) -> bool {
        matches!(self.record(id).state, ApprovalState::Rejected { .. })
    }
}

#[test]
fn a_third_person_makes_no_quorum_that_nobody_reaches() {
    let mut world = World::admins(&["alice", "bob"], Some(DAY));
    assert_eq!(world.mode(), Mode::SmallTeam { delay: DAY });
    world.operator("carol", &[Role::KeyAdmin], OperatorState::Enabled);
    assert_eq!(world.mode(), Mode::Unreachable { delay: DAY });
    // what changes the roster waits for the delay, and nothing else does
    let id = world.ask_for(Action::SetOperatorRoles);
    let other = world.ask_for(Action::RemoveOperator);
    world.pass(HOUR * 23);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    world.pass(HOUR);
    assert_eq!(world.outcome(id), Ok(()));
    assert_eq!(world.outcome(other), Err(Reason::ApprovalOver));
    // somebody who could approve it must
    world.approver("bob");
    assert_eq!(world.mode(), Mode::Quorum);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    world.vote(id, "bob", "bob");
    assert_eq!(world.outcome(id), Ok(()));
}

#[test]
fn three_who_cannot_approve_declare_nothing() {
    let mut world = World::admins(&["alice", "bob", "carol"], Some(DAY));
    let rules = ApprovalRules {
        delay: Some(DAY),
        ..ApprovalRules::default()
    };
    let declares = |world: &mut World| {
        let proof = proof(world, "alice");
        world.with(|view, moment| declare(view, moment, &proof, (&rules, &rules)))
    };
    assert_eq!(declares(&mut world), Err(Reason::QuorumUnreachable));
    world.approver("bob");
    assert_eq!(declares(&mut world), Ok(()));
}

#[test]
fn nobody_takes_the_quorum_away() {
    let mut world = World::of(&["alice", "bob", "carol"], 1, Some(DAY));
    let removes = |world: &mut World, whom: &str| {
        let proof = proof(world, "alice");
        let print = SignerKey::from_blob(&key(whom)).unwrap().fingerprint();
        let done = world.with(|view, _| remove_key(view, &proof, (&name(whom), &print)));
        done.map(drop)
    };
    assert_eq!(removes(&mut world, "carol"), Ok(()));
    assert_eq!(
        removes(&mut world, "bob"),
        Ok(()),
        "alice approves what he asks for"
    );
    assert_eq!(removes(&mut world, "alice"), Err(Reason::QuorumUnreachable));
    let roles = OperatorChange::SetRoles(Roles::of(&ADMIN));
    let proof = proof::<act::SetOperatorRoles>(&world, "bob");
    let lowered =
        world.with(|view, moment| change_operator(view, moment, &proof, &name("alice"), roles));
    assert_eq!(lowered.map(drop), Err(Reason::QuorumUnreachable));
    // who must not sign any more is disabled, which makes no team smaller
    assert_eq!(world.disables("bob", "alice"), Ok(()));
    assert_eq!(world.mode(), Mode::Quorum);
}

#[test]
fn a_recovery_makes_no_team_smaller() {
    let mut world = World::of(&["alice", "bob", "carol"], 1, Some(DAY));
    let id = world.asks_for_recovery();
    world.pass(DAY);
    assert_eq!(world.recover(id), Ok(()));
    let alice = world.snapshot.operators.get(&name("alice")).unwrap();
    assert!(alice.record.password.is_none(), "she must enrol anew");
    assert_eq!(world.mode(), Mode::Quorum);
}

#[test]
fn one_person_ends_a_recovery_once_and_two_end_each() {
    let mut world = World::of(&["alice", "bob", "carol"], 1, None);
    let first = world.asks_for_recovery();
    world.rejects("bob", first).unwrap();
    assert!(world.is_rejected(first));
    // asked again it waits for three days, and his word alone ends it no more
    let second = world.asks_for_recovery();
    world.rejects("bob", second).unwrap();
    assert!(!world.is_rejected(second));
    assert_eq!(world.record(second).ended.as_ref(), "operators/bob: no");
    assert_eq!(world.rejects("bob", second), Err(Reason::VoteRefused));
    world.pass(DAY * 2);
    assert_eq!(world.recover(second), Err(Reason::ApprovalRequired));
    world.pass(DAY);
    assert_eq!(world.recover(second), Ok(()));
    // with another's it does
    let third = world.asks_for_recovery();
    world.rejects("bob", third).unwrap();
    assert!(!world.is_rejected(third));
    world.rejects("carol", third).unwrap();
    assert!(world.is_rejected(third));
    let both = "operators/bob: no; operators/carol: no";
    assert_eq!(world.record(third).ended.as_ref(), both);
}

#[test]
fn who_was_let_in_by_a_recovery_is_not_put_out_again_the_same_day() {
    let mut world = World::of(&["alice", "bob", "carol"], 1, None);
    assert_eq!(world.disables("bob", "alice"), Ok(()));
    let id = world.asks_for_recovery();
    // disabling her once more changes nothing of it
    assert_eq!(world.disables("bob", "alice"), Ok(()));
    world.pass(DAY);
    assert_eq!(world.recover(id), Ok(()));
    assert_eq!(world.disables("bob", "alice"), Err(Reason::Denied));
    world.pass(HOUR * 23);
    assert_eq!(world.disables("bob", "alice"), Err(Reason::Denied));
    assert_eq!(
        world.disables("alice", "bob"),
        Ok(()),
        "she puts out whom she must"
    );
    world.pass(HOUR);
    assert_eq!(world.disables("carol", "alice"), Ok(()));
}
