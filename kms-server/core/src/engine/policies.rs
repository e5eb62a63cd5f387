//! Puts access policies into force. That they can be read, and leave somebody who can change them again, is judged
//! before, where policies can be asked.

use super::Refusal;
use super::view::{Change, Decision, Moment, View};
use crate::audit::{Detail, Facts, Outcome};
use crate::key::record::{Expect, PolicyGeneration, PolicyText, Record, RecordKey, Write};
use crate::policy::{ActionKind, Authorised, act};
use crate::reason::Reason;

/// Texts that were read and judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPolicies {
    /// What stands for them.
    pub fingerprint: Box<str>,
    /// In the order of their names.
    pub texts: Vec<PolicyText>,
    /// The generation that they are to replace; `None`: whichever is in force.
    pub replaces: Option<u64>,
}

/// Puts policies into force that the caller vouches for; answers the number of their generation.
///
/// # Errors
/// ETAG_MISMATCH when another generation is in force than the one to be replaced.
pub fn apply_policies(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<act::ApplyPolicies>,
    new: &NewPolicies,
) -> Result<Decision<u64>, Refusal> {
    put_into_force(view, moment, proof, new)
}

/// Puts policies into force again that somebody vouched for before, without anybody's new word.
///
/// # Errors
/// DENIED for texts that nobody vouched for.
pub fn reload_policies(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<act::ReloadPolicies>,
    new: &NewPolicies,
) -> Result<Decision<u64>, Refusal> {
    if !view.snapshot.policies.was_approved(&new.fingerprint) {
        return Err(Reason::Denied.into());
    }
    put_into_force(view, moment, proof, new)
}

/// What an entry says of policies that were not put into force.
#[must_use]
pub fn refused_policies(fingerprint: &str, reason: Reason) -> Detail {
    noted(fingerprint, Outcome::Refused(reason))
}

fn noted(note: impl Into<Box<str>>, outcome: Outcome) -> Detail {
    let mut detail = Detail::new(outcome);
    detail.note = note.into();
    detail
}

fn put_into_force<A: ActionKind>(
    view: &View<'_>,
    moment: &Moment<'_>,
    proof: &Authorised<A>,
    new: &NewPolicies,
) -> Result<Decision<u64>, Refusal> {
    let policies = &view.snapshot.policies;
    let number = policies.current_number();
    let known = policies.current();
    if known.is_some_and(|current| current.fingerprint == new.fingerprint) {
        let note = format!("generation {number} {}", new.fingerprint);
        return Ok(Decision::unchanged(
            A::ACTION,
            noted(note, Outcome::Ok),
            number,
        ));
    }
    if new.replaces.is_some_and(|replaces| replaces != number) {
        return Err(Reason::EtagMismatch.into());
    }
    let number = number.saturating_add(1);
    let record = PolicyGeneration {
        number,
        fingerprint: new.fingerprint.clone(),
        applied_by: proof.principal().clone(),
        applied_at: moment.now,
        texts: new.texts.clone(),
    };
    let note = format!("generation {number} {}", record.fingerprint);
    Ok(Decision {
        reply: number,
        facts: Facts::single(A::ACTION, noted(note, Outcome::Ok)),
        change: Some(Change {
            writes: vec![Write {
                key: RecordKey::policies(number),
                expect: Expect::Absent,
                record: Some(Record::Policies(record)),
            }],
            // what it takes away binds before it is answered
            restricts: true,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cipher::HashKey;
    use crate::engine::Snapshot;
    use crate::entropy::{Entropy, EntropyUnavailable};
    use crate::key::record::{Revision, Stored};
    use crate::name::PrincipalName;
    use crate::policy::{
        Authentication, ByRole, Circumstances, Principal, Resource, Role, Roles, SecondFactor,
        authorise,
    };
    use crate::time::Timestamp;
    use std::collections::HashMap;

    struct NoEntropy;
    impl Entropy for NoEntropy {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyUnavailable> {
            Err(EntropyUnavailable)
        }
    }

    fn proof<A: ActionKind>(authentication: Authentication) -> Authorised<A> {
        let who = Principal {
            name: PrincipalName::parse("operators/one").unwrap(),
            authentication,
            roles: Roles::of(&[Role::SecurityAdmin, Role::Internal]),
            attributes: None,
            second_factor: Some(SecondFactor {
                at: Timestamp::default(),
                with_this_request: true,
            }),
        };
        let here = Circumstances {
            source: None,
            now: Timestamp::default(),
        };
        authorise(&ByRole, &who, &Resource::default(), &here).unwrap()
    }

    fn new(fingerprint: &str, replaces: Option<u64>) -> NewPolicies {
        NewPolicies {
            fingerprint: fingerprint.into(),
            texts: vec![PolicyText {
                name: "a.cedar".into(),
                text: "permit (principal, action, resource);".into(),
            }],
            replaces,
        }
    }

    struct World {
        snapshot: Snapshot,
        seconds: i64,
    }

    impl World {
        fn ask(
            &mut self,
            decide: impl Fn(&View<'_>, &Moment<'_>) -> Result<Decision<u64>, Refusal>,
        ) -> Result<u64, Reason> {
            self.seconds += 1;
            let index = HashKey::new(&[1; 32]);
            let view = View {
                snapshot: &self.snapshot,
                by_scope: &HashMap::new(),
                by_id: &HashMap::new(),
                index: &index,
                time_mark: crate::key::record::TimeMark::default(),
            };
            let moment = Moment {
                now: Timestamp::from_micros(self.seconds * 1_000_000),
                keys: &NoEntropy,
                salts: &NoEntropy,
            };
            let decision = decide(&view, &moment).map_err(|refusal| refusal.reason)?;
            for write in decision.change.into_iter().flat_map(|change| change.writes) {
                self.snapshot.apply(Stored {
                    key: write.key,
                    revision: Revision(1),
                    record: write.record,
                });
            }
            Ok(decision.reply)
        }

        fn apply(&mut self, new: &NewPolicies) -> Result<u64, Reason> {
            let proof = proof(Authentication::OperatorSession);
            self.ask(|view, moment| apply_policies(view, moment, &proof, new))
        }

        fn reload(&mut self, new: &NewPolicies) -> Result<u64, Reason> {
            let proof = proof(Authentication::Internal);
            self.ask(|view, moment| reload_policies(view, moment, &proof, new))
        }
    }

    #[test]
    fn generations_follow_one_another_and_stay() {
        let mut world = World {
            snapshot: Snapshot::default(),
            seconds: 0,
        };
        assert_eq!(world.snapshot.policies.current_number(), 1);
        assert_eq!(world.apply(&new("a", Some(1))), Ok(2));
        assert_eq!(world.apply(&new("a", Some(1))), Ok(2), "found done");
        assert_eq!(world.apply(&new("b", Some(1))), Err(Reason::EtagMismatch));
        assert_eq!(world.apply(&new("b", Some(2))), Ok(3));
        let policies = &world.snapshot.policies;
        let at = |second: i64| {
            let found = policies.at(Timestamp::from_micros(second * 1_000_000));
            found.map_or(1, |generation| generation.number)
        };
        assert_eq!([at(0), at(1), at(3), at(4), at(9)], [1, 2, 2, 3, 3]);
        assert_eq!(&*policies.get(2).unwrap().fingerprint, "a");
    }

    #[test]
    fn a_reload_needs_that_somebody_vouched_for_the_texts() {
        let mut world = World {
            snapshot: Snapshot::default(),
            seconds: 0,
        };
        assert_eq!(world.reload(&new("a", None)), Err(Reason::Denied));
        assert_eq!(world.apply(&new("a", None)), Ok(2));
        assert_eq!(world.apply(&new("b", None)), Ok(3));
        assert_eq!(world.reload(&new("a", None)), Ok(4));
        assert_eq!(world.reload(&new("c", None)), Err(Reason::Denied));
        assert_eq!(world.snapshot.policies.current_number(), 4);
    }
}
