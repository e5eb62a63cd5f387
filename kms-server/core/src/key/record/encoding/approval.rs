//! Approvals, approvers' keys and the roster, byte by byte; see docs/formats.md, "Records".

use super::{count, list, time};
use crate::codec::{Malformed, Reader, Writer};
use crate::key::record::{
    ApprovalRecord, ApprovalState, ApproverRecord, EnrolledKey, KEYS_MAX, RosterRecord, VOTES_MAX,
    Vote,
};
use crate::name::{ApprovalId, OperatorName, PrincipalName};
use crate::policy::{Action, ApprovalRules};
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::time::Duration;

fn at(w: &mut Writer, at: &Timestamp) {
    w.i64(at.as_micros());
}

fn operator(r: &mut Reader<'_>) -> Result<OperatorName, Malformed> {
    OperatorName::parse(r.text()?).map_err(|_| Malformed)
}

fn action(r: &mut Reader<'_>) -> Result<Action, Malformed> {
    Action::from_number(r.u16()?).ok_or(Malformed)
}

pub(super) fn write(w: &mut Writer, record: &ApprovalRecord) {
    w.bytes(&record.id.0).u16(record.action.number());
    w.short(record.requester.as_str().as_bytes())
        .short(&record.statement);
    w.u8(record.required)
        .i64(record.requested_at.as_micros())
        .option(record.ready_at.as_ref(), at)
        .i64(record.expires_at.as_micros());
    w.u16(count(&record.votes));
    for vote in &record.votes {
        w.short(vote.operator.as_str().as_bytes());
        w.short(&vote.key)
            .short(&vote.signature)
            .i64(vote.at.as_micros());
    }
    let (state, since) = match record.state {
        ApprovalState::Open => (1, Timestamp::default()),
        ApprovalState::Rejected { at } => (2, at),
        ApprovalState::Cancelled { at } => (3, at),
        ApprovalState::Used { at } => (4, at),
    };
    w.u8(state)
        .i64(since.as_micros())
        .short(record.ended.as_bytes());
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<ApprovalRecord, Malformed> {
    let (id, action) = (ApprovalId(r.array()?), action(r)?);
    let requester = PrincipalName::parse(r.text()?).map_err(|_| Malformed)?;
    let (statement, required, requested_at) = (r.short()?.into(), r.u8()?, time(r)?);
    let (ready_at, expires_at) = (r.option(time)?, time(r)?);
    let votes = list(r, |r| {
        Ok(Vote {
            operator: operator(r)?,
            key: r.short()?.into(),
            signature: r.short()?.into(),
            at: time(r)?,
        })
    })?;
    let (state, at) = (r.u8()?, time(r)?);
    let state = match state {
        1 => ApprovalState::Open,
        2 => ApprovalState::Rejected { at },
        3 => ApprovalState::Cancelled { at },
        4 => ApprovalState::Used { at },
        _ => return Err(Malformed),
    };
    if votes.len() > VOTES_MAX {
        return Err(Malformed);
    }
    Ok(ApprovalRecord {
        id,
        action,
        requester,
        statement,
        required,
        requested_at,
        ready_at,
        expires_at,
        votes,
        state,
        ended: r.text()?.into(),
    })
}

pub(super) fn write_approver(w: &mut Writer, record: &ApproverRecord) {
    w.short(record.operator.as_str().as_bytes());
    w.u16(count(&record.keys));
    for key in &record.keys {
        w.short(&key.blob)
            .i64(key.added_at.as_micros())
            .i64(key.counts_from.as_micros());
    }
}

pub(super) fn read_approver(r: &mut Reader<'_>) -> Result<ApproverRecord, Malformed> {
    let operator = operator(r)?;
    let keys = list(r, |r| {
        Ok(EnrolledKey {
            blob: r.short()?.into(),
            added_at: time(r)?,
            counts_from: time(r)?,
        })
    })?;
    if keys.len() > KEYS_MAX {
        return Err(Malformed);
    }
    Ok(ApproverRecord { operator, keys })
}

pub(super) fn write_roster(w: &mut Writer, record: &RosterRecord) {
    w.i64(record.declared_at.as_micros());
    let rules = &record.rules;
    w.u16(u16::try_from(rules.required.len()).unwrap_or(u16::MAX));
    for (action, approvers) in &rules.required {
        w.u16(action.number()).u8(approvers.get());
    }
    w.u64(rules.life.as_secs());
    w.option(rules.delay.as_ref(), |w, delay| {
        w.u64(delay.as_secs());
    });
}

pub(super) fn read_roster(r: &mut Reader<'_>) -> Result<RosterRecord, Malformed> {
    let declared_at = time(r)?;
    let required = list(r, |r| {
        Ok((action(r)?, NonZeroU8::new(r.u8()?).ok_or(Malformed)?))
    })?;
    let rules = ApprovalRules {
        required: BTreeMap::from_iter(required),
        life: Duration::from_secs(r.u64()?),
        delay: r.option(|r| Ok(Duration::from_secs(r.u64()?)))?,
    };
    Ok(RosterRecord { rules, declared_at })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::record::Record;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn bytes(most: usize) -> impl Strategy<Value = Box<[u8]>> {
        vec(any::<u8>(), 0..most).prop_map(Into::into)
    }

    fn time_of() -> impl Strategy<Value = Timestamp> {
        any::<i64>().prop_map(Timestamp::from_micros)
    }

    fn vote() -> impl Strategy<Value = Vote> {
        ("[a-z][a-z0-9.-]{0,9}", bytes(40), bytes(40), time_of()).prop_map(
            |(operator, key, signature, at)| Vote {
                operator: OperatorName::parse(&operator).unwrap(),
                key,
                signature,
                at,
            },
        )
    }

    fn state() -> impl Strategy<Value = ApprovalState> {
        time_of().prop_flat_map(|at| {
            prop_oneof![
                Just(ApprovalState::Open),
                Just(ApprovalState::Rejected { at }),
                Just(ApprovalState::Cancelled { at }),
                Just(ApprovalState::Used { at }),
            ]
        })
    }

    fn approval() -> impl Strategy<Value = ApprovalRecord> {
        let times = (time_of(), proptest::option::of(time_of()), time_of());
        let head = (any::<[u8; 16]>(), bytes(300), any::<u8>());
        (head, times, vec(vote(), 0..4), state(), "[a-z ]{0,9}").prop_map(
            |((id, statement, required), times, votes, state, ended)| ApprovalRecord {
                id: ApprovalId(id),
                action: Action::RemoveOperator,
                requester: PrincipalName::parse("operators/alice").unwrap(),
                statement,
                required,
                requested_at: times.0,
                ready_at: times.1,
                expires_at: times.2,
                votes,
                state,
                ended: ended.into(),
            },
        )
    }

    fn reads_back(record: &Record) {
        let written = record.encode();
        let read = Record::decode(&written).unwrap();
        assert_eq!(&*read.encode(), &*written);
        for len in 0..written.len() {
            assert!(Record::decode(&written[..len]).is_err());
        }
        assert!(Record::decode(&[&written[..], &[0]].concat()).is_err());
    }

    proptest! {
        #[test]
        fn an_approval_reads_as_it_was_written(record in approval()) {
            let written = Record::Approval(record.clone()).encode();
            match Record::decode(&written) {
                Ok(Record::Approval(read)) => prop_assert_eq!(read, record),
                other => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn an_approver_reads_as_it_was_written(keys in vec((bytes(60), time_of(), time_of()), 0..=KEYS_MAX)) {
            let keys = keys.into_iter().map(|(blob, added_at, counts_from)| EnrolledKey { blob, added_at, counts_from });
            reads_back(&Record::Approver(ApproverRecord {
                operator: OperatorName::parse("bob").unwrap(),
                keys: keys.collect(),
            }));
        }
    }

    #[test]
    fn a_roster_reads_as_it_was_written_and_asks_for_somebody() {
        for delay in [None, Some(Duration::from_hours(24))] {
            let rules = ApprovalRules {
                delay,
                ..ApprovalRules::default()
            };
            let record = RosterRecord {
                rules,
                declared_at: Timestamp::from_micros(7),
            };
            reads_back(&Record::Roster(record));
        }
        let written = Record::Roster(RosterRecord {
            rules: ApprovalRules::default(),
            declared_at: Timestamp::default(),
        })
        .encode();
        // kind, time, count, action; then how many
        let mut nobody = written.to_vec();
        nobody[1 + 8 + 2 + 2] = 0;
        assert!(Record::decode(&nobody).is_err());
    }
}
