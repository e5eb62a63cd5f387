//! Who counts, when it is enough, and what time may do: without a store, by hand.

mod founding;
mod ways_back;

use super::gate::Gated;
use super::*;
use crate::cipher::HashKey;
use crate::cipher::ssh_signature::{NAMESPACE, SignerKey};
use crate::cipher::system_entropy::SystemEntropy;
use crate::engine::view::{Moment, Refusal};
use crate::engine::{Named, ShredEntry, Snapshot};
use crate::key::record::{
    ApprovalState, ApproverRecord, EnrolledKey, OperatorRecord, OperatorState, Revision,
    RosterRecord, Stored, StoredPassword, TimeMark, Vote,
};
use crate::name::{SecretId, ShredScope};
use crate::policy::{ApprovalRules, Role, Roles};
use crate::secret::{PasswordHash, TotpSecret};
use crate::time::Timestamp;
use ring::digest::{SHA512, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use std::collections::HashMap;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);
const START: Timestamp = Timestamp::from_micros(1_795_500_000_000_000);

/// A world of a few people, and two clocks.
struct World {
    snapshot: Snapshot,
    by_scope: HashMap<ShredScope, Option<Named>>,
    by_id: HashMap<SecretId, Option<Arc<ShredEntry>>>,
    index: HashKey,
    mark: TimeMark,
    now: Timestamp,
    revision: u64,
}

fn name(text: &str) -> OperatorName {
    OperatorName::parse(text).unwrap()
}

fn pair(who: &str) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&sha256(&[who.as_bytes()])).unwrap()
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend(u32::try_from(part.len()).unwrap().to_be_bytes());
        out.extend(*part);
    }
    out
}

fn key(who: &str) -> Vec<u8> {
    strings(&[b"ssh-ed25519", pair(who).public_key().as_ref()])
}

fn signature(who: &str, statement: &[u8]) -> Vec<u8> {
    let hashed = digest(&SHA512, &sha256(&[statement]));
    let signed = strings(&[NAMESPACE.as_bytes(), b"", b"sha512", hashed.as_ref()]);
    let raw = pair(who).sign(&[&b"SSHSIG"[..], &signed].concat());
    let made = strings(&[b"ssh-ed25519", raw.as_ref()]);
    let body = strings(&[&key(who), NAMESPACE.as_bytes(), b"", b"sha512", &made]);
    [&b"SSHSIG"[..], &1_u32.to_be_bytes(), &body].concat()
}

impl World {
    /// These people, all of them approvers who administer operators too; `required` for removing an operator.
    fn of(people: &[&str], required: u8, delay: Option<Duration>) -> Self {
        let mut world = Self {
            snapshot: Snapshot::default(),
            by_scope: HashMap::new(),
            by_id: HashMap::new(),
            index: HashKey::new(&[7; 32]),
            mark: TimeMark {
                high_water: START,
                paused: false,
            },
            now: START,
            revision: 0,
        };
        for who in people {
            let roles = [Role::Approver, Role::SecurityAdmin];
            world.operator(who, &roles, OperatorState::Enabled);
            world.keys(who, START);
        }
        let mut rules = ApprovalRules {
            delay,
            ..ApprovalRules::default()
        };
        let required = NonZeroU8::new(required).unwrap();
        rules.required.insert(Action::RemoveOperator, required);
        let declared_at = START;
        let roster = RosterRecord { rules, declared_at };
        world.put(RecordKey::roster(), Record::Roster(roster));
        world
    }

    fn put(&mut self, key: RecordKey, record: Record) {
        self.revision += 1;
        let stored = Stored {
            key,
            revision: Revision(self.revision),
            record: Some(record),
        };
        assert!(self.snapshot.apply(stored).is_none());
    }

    fn operator(&mut self, who: &str, roles: &[Role], state: OperatorState) {
        let record = OperatorRecord {
            name: name(who),
            roles: Roles::of(roles).bits(),
            state,
            password: Some(StoredPassword {
                salt: [0; 16],
                cost: crate::cipher::password::Cost::OPERATOR,
                hash: PasswordHash::take_bytes(&mut [1; 32]),
            }),
            totp: TotpSecret::from_slice(&[2; 20]),
            last_step: 0,
            recovery: Vec::new(),
            enrolment: None,
            generation: 0,
            unlocks: 0,
            created_at: START,
            recovered_at: None,
        };
        let place = crate::engine::index::operator_key(&self.index, &record.name);
        self.put(place, Record::Operator(record));
    }

    fn keys(&mut self, who: &str, counts_from: Timestamp) {
        let record = ApproverRecord {
            operator: name(who),
            keys: vec![EnrolledKey {
                blob: key(who).into(),
                added_at: START,
                counts_from,
            }],
        };
        let place = crate::engine::index::approver_key(&self.index, &record.operator);
        self.put(place, Record::Approver(record));
    }

    fn view(&self) -> View<'_> {
        View {
            snapshot: &self.snapshot,
            by_scope: &self.by_scope,
            by_id: &self.by_id,
            index: &self.index,
            time_mark: self.mark,
        }
    }

    /// Both clocks.
    fn pass(&mut self, time: Duration) {
        self.now = self.now.saturating_add(time);
        self.mark.high_water = self.now;
    }

    /// Alice's call, with an approval or without.
    fn call(&self, etag: u8, approval: Option<ApprovalId>) -> Result<Gated<()>, Refusal> {
        self.call_for(Action::RemoveOperator, etag, approval)
    }

    fn call_for(
        &self,
        action: Action,
        etag: u8,
        approval: Option<ApprovalId>,
    ) -> Result<Gated<()>, Refusal> {
        let requester = name("alice").principal();
        let asked = Asked {
            action,
            method: action.as_str(),
            request: b"request",
            etag: [etag; 32],
            requester: &requester,
            policy: 1,
            origin: "kms/1",
            instance: [9; 32],
            approval,
        };
        let decision = Decision {
            reply: (),
            facts: Facts::single(action, Detail::new(Outcome::Ok)),
            change: Some(Change::default()),
        };
        let entropy = SystemEntropy::new();
        let moment = Moment {
            now: self.now,
            keys: &entropy,
            salts: &entropy,
        };
        gate(
            &self.view(),
            &moment,
            &ApprovalRules::default(),
            &asked,
            decision,
        )
    }

    /// Asks, and keeps what waits.
    fn ask(&mut self) -> ApprovalId {
        self.ask_for(Action::RemoveOperator)
    }

    fn ask_for(&mut self, action: Action) -> ApprovalId {
        let waiting = self.call_for(action, 1, None).unwrap();
        assert_eq!(waiting.reply.unwrap_err().reason, Reason::ApprovalRequired);
        assert_eq!(
            waiting.facts.outcome,
            Outcome::Refused(Reason::ApprovalRequired)
        );
        let mut change = waiting.change.unwrap();
        assert_eq!(change.writes.len(), 1, "nothing but the approval");
        let write = change.writes.remove(0);
        let Some(Record::Approval(record)) = write.record else {
            panic!("no approval");
        };
        let id = record.id;
        self.put(write.key, Record::Approval(record));
        id
    }

    fn record(&self, id: ApprovalId) -> ApprovalRecord {
        ApprovalRecord::clone(&self.snapshot.approvals.get(id).unwrap().record)
    }

    /// Puts a vote in as the store would hold it.
    fn vote(&mut self, id: ApprovalId, who: &str, with: &str) {
        let mut record = self.record(id);
        record.votes.push(Vote {
            operator: name(who),
            key: key(with).into(),
            signature: signature(with, &record.statement).into(),
            at: self.now,
        });
        self.put(RecordKey::approval(id), Record::Approval(record));
    }

    fn outcome(&self, id: ApprovalId) -> Result<(), Reason> {
        let action = self.record(id).action;
        let used = self.call_for(action, 1, Some(id));
        let used = used.map_err(|refusal| refusal.reason)?;
        let last = used.change.unwrap().writes.pop().unwrap();
        let Some(Record::Approval(record)) = last.record else {
            panic!("the approval is not used up");
        };
        assert_eq!(record.state, ApprovalState::Used { at: self.now });
        let word = used.facts.approval.unwrap();
        assert_eq!(word.statement, sha256(&[&record.statement]));
        used.reply.map_err(|refusal| refusal.reason)
    }
}

#[test]
fn enough_people_and_no_one_twice() {
    let mut world = World::of(&["alice", "bob", "carol"], 2, None);
    let id = world.ask();
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    world.vote(id, "bob", "bob");
    world.vote(id, "bob", "bob");
    world.vote(id, "alice", "alice");
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    world.vote(id, "carol", "carol");
    assert_eq!(world.outcome(id), Ok(()));
}

#[test]
fn a_vote_counts_only_while_its_owner_and_key_do() {
    let ready = || {
        let mut world = World::of(&["alice", "bob", "carol"], 2, None);
        let id = world.ask();
        world.vote(id, "bob", "bob");
        world.vote(id, "carol", "carol");
        assert_eq!(world.outcome(id), Ok(()));
        (world, id)
    };
    let approver = [Role::Approver];
    let at = START;
    let changes: [&dyn Fn(&mut World); 5] = [
        &|world| world.operator("bob", &approver, OperatorState::Disabled { at }),
        &|world| world.operator("bob", &approver, OperatorState::Removed { at }),
        &|world| world.operator("bob", &[Role::Auditor], OperatorState::Enabled),
        &|world| world.keys("bob", START.saturating_add(HOUR * 24)),
        &|world| {
            // bob's key is carol's now: hers is not his
            world.keys("bob", START);
            let mut record = ApproverRecord::clone(
                &world
                    .snapshot
                    .approvals
                    .approver(&name("bob"))
                    .unwrap()
                    .record,
            );
            record.keys[0].blob = key("other").into();
            let place = crate::engine::index::approver_key(&world.index, &record.operator);
            world.put(place, Record::Approver(record));
        },
    ];
    for change in changes {
        let (mut world, id) = ready();
        change(&mut world);
        assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    }
}

#[test]
fn a_signature_over_other_bytes_counts_for_nothing() {
    let mut world = World::of(&["alice", "bob", "carol"], 1, None);
    let (one, other) = (world.ask(), {
        world.now = world.now.saturating_add(HOUR);
        world.mark.high_water = world.now;
        let mut record = world.record(
            world
                .snapshot
                .approvals
                .after(None)
                .next()
                .unwrap()
                .record
                .id,
        );
        record.id = ApprovalId([5; 16]);
        world.put(
            RecordKey::approval(record.id),
            Record::Approval(record.clone()),
        );
        record.id
    });
    world.vote(one, "bob", "bob");
    let mut moved = world.record(one);
    moved.votes[0].signature = signature("bob", b"another statement").into();
    world.put(RecordKey::approval(one), Record::Approval(moved));
    assert_eq!(world.outcome(one), Err(Reason::ApprovalRequired));
    // a record under another name is another statement
    world.vote(other, "bob", "bob");
    assert_eq!(world.outcome(other), Err(Reason::ApprovalMismatch));
}

#[test]
fn another_target_is_another_approval_and_time_ends_it() {
    let mut world = World::of(&["alice", "bob", "carol"], 1, None);
    let id = world.ask();
    world.vote(id, "bob", "bob");
    let other = world.call(2, Some(id)).unwrap_err();
    assert_eq!(other.reason, Reason::ApprovalMismatch);
    let again = world.call(1, None).unwrap_err();
    assert_eq!(again.approval, Some(id), "the same call waits already");
    // the mark ends it even when the wall clock was put back
    world.mark.high_water = START.saturating_add(HOUR * 24);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalOver));
}

#[test]
fn a_small_teams_delay_needs_both_clocks_and_no_doubt() {
    let mut world = World::of(&["alice", "bob"], 1, Some(HOUR * 24));
    let id = world.ask();
    world.now = START.saturating_add(HOUR * 25);
    assert_eq!(
        world.outcome(id),
        Err(Reason::ApprovalRequired),
        "the wall clock alone"
    );
    world.mark.high_water = world.now;
    world.mark.paused = true;
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired), "in doubt");
    world.mark.paused = false;
    assert_eq!(world.outcome(id), Ok(()));
    // a third person, and the delay replaces nothing any more; disabling her makes the team no smaller
    world.operator("carol", &[Role::KeyAdmin], OperatorState::Enabled);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    let at = START;
    world.operator("carol", &[Role::KeyAdmin], OperatorState::Disabled { at });
    assert_eq!(world.outcome(id), Err(Reason::ApprovalRequired));
    world.operator("carol", &[Role::KeyAdmin], OperatorState::Removed { at });
    assert_eq!(world.outcome(id), Ok(()));
    // a small team's approval outlives its delay by its whole life
    world.pass(HOUR * 22);
    assert_eq!(world.outcome(id), Ok(()));
    world.pass(HOUR * 2);
    assert_eq!(world.outcome(id), Err(Reason::ApprovalOver));
}

#[test]
fn nobody_leaves_more_open_than_a_person_can_read() {
    let mut world = World::of(&["alice", "bob"], 1, None);
    for etag in 0..u8::try_from(gate::OPEN_MAX).unwrap() {
        let waiting = world.call(etag, None).unwrap();
        let write = waiting.change.unwrap().writes.remove(0);
        world.put(write.key, write.record.unwrap());
    }
    let refused = world.call(200, None).unwrap_err();
    assert_eq!(refused.reason, Reason::ResourceExhausted);
    world.pass(HOUR * 24);
    assert!(
        world.call(200, None).is_ok(),
        "what is over counts no longer"
    );
    let key = SignerKey::from_blob(&key("bob")).unwrap();
    assert_eq!(key.kind(), "ssh-ed25519");
}
