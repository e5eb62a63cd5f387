//! Operators and attempts, byte by byte; see docs/formats.md, "Records".

use super::time;
use crate::cipher::password::Cost;
use crate::codec::{Malformed, Reader, Writer};
use crate::key::record::{
    AttemptsRecord, Enrolment, OperatorRecord, OperatorState, Pending, RECOVERY_CODES,
    StoredPassword,
};
use crate::name::OperatorName;
use crate::secret::{PasswordHash, TOTP_SECRET_LEN, TotpSecret};

pub(super) fn write(w: &mut Writer, record: &OperatorRecord) {
    w.short(record.name.as_str().as_bytes()).u16(record.roles);
    let (state, at) = match record.state {
        OperatorState::Enabled => (1, None),
        OperatorState::Disabled { at } => (2, Some(at)),
        OperatorState::Removed { at } => (3, Some(at)),
    };
    w.u8(state).i64(at.unwrap_or_default().as_micros());
    w.option(record.password.as_ref(), password);
    w.option(record.totp.as_ref(), totp);
    w.u64(record.last_step);
    w.u16(super::count(&record.recovery));
    record.recovery.iter().for_each(|hash| {
        w.bytes(hash);
    });
    w.option(record.enrolment.as_ref(), |w, enrolment| {
        w.bytes(&enrolment.token)
            .i64(enrolment.expires_at.as_micros());
        w.option(enrolment.pending.as_ref(), |w, pending| {
            totp(w, &pending.totp);
            password(w, &pending.password);
        });
    });
    w.u32(record.generation).u32(record.unlocks);
    w.i64(record.created_at.as_micros());
    w.option(record.recovered_at.as_ref(), |w, at| {
        w.i64(at.as_micros());
    });
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<OperatorRecord, Malformed> {
    let name = OperatorName::parse(r.text()?).map_err(|_| Malformed)?;
    let roles = r.u16()?;
    let (state, at) = (r.u8()?, time(r)?);
    let state = match state {
        1 => OperatorState::Enabled,
        2 => OperatorState::Disabled { at },
        3 => OperatorState::Removed { at },
        _ => return Err(Malformed),
    };
    let password = r.option(read_password)?;
    let totp = r.option(read_totp)?;
    let last_step = r.u64()?;
    let recovery = super::list(r, |r| r.array())?;
    if recovery.len() > RECOVERY_CODES {
        return Err(Malformed);
    }
    let enrolment = r.option(|r| {
        Ok(Enrolment {
            token: r.array()?,
            expires_at: time(r)?,
            pending: r.option(|r| {
                Ok(Pending {
                    totp: read_totp(r)?,
                    password: read_password(r)?,
                })
            })?,
        })
    })?;
    Ok(OperatorRecord {
        name,
        roles,
        state,
        password,
        totp,
        last_step,
        recovery,
        enrolment,
        generation: r.u32()?,
        unlocks: r.u32()?,
        created_at: time(r)?,
        recovered_at: r.option(time)?,
    })
}

pub(super) fn write_attempts(w: &mut Writer, record: &AttemptsRecord) {
    w.u32(record.failures)
        .i64(record.last_at.as_micros())
        .u32(record.unlocks);
}

pub(super) fn read_attempts(r: &mut Reader<'_>) -> Result<AttemptsRecord, Malformed> {
    Ok(AttemptsRecord {
        failures: r.u32()?,
        last_at: time(r)?,
        unlocks: r.u32()?,
    })
}

fn password(w: &mut Writer, password: &StoredPassword) {
    password.cost.encode(w);
    w.bytes(&password.salt).bytes(password.hash.expose_bytes());
}

fn read_password(r: &mut Reader<'_>) -> Result<StoredPassword, Malformed> {
    Ok(StoredPassword {
        cost: Cost::decode(r)?,
        salt: r.array()?,
        hash: PasswordHash::from_slice(r.bytes(32)?).ok_or(Malformed)?,
    })
}

fn totp(w: &mut Writer, secret: &TotpSecret) {
    w.bytes(secret.expose_bytes());
}

fn read_totp(r: &mut Reader<'_>) -> Result<TotpSecret, Malformed> {
    TotpSecret::from_slice(r.bytes(TOTP_SECRET_LEN)?).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::record::Record;
    use crate::time::Timestamp;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn stored() -> impl Strategy<Value = StoredPassword> {
        any::<([u8; 16], [u8; 32])>().prop_map(|(salt, mut hash)| StoredPassword {
            salt,
            cost: Cost::OPERATOR,
            hash: PasswordHash::take_bytes(&mut hash),
        })
    }

    fn secret() -> impl Strategy<Value = TotpSecret> {
        any::<[u8; TOTP_SECRET_LEN]>().prop_map(|bytes| TotpSecret::from_slice(&bytes).unwrap())
    }

    fn enrolment() -> impl Strategy<Value = Enrolment> {
        let pending = (secret(), stored()).prop_map(|(totp, password)| Pending { totp, password });
        let pending = proptest::option::of(pending);
        (any::<[u8; 32]>(), any::<i64>(), pending).prop_map(|(token, at, pending)| Enrolment {
            token,
            expires_at: Timestamp::from_micros(at),
            pending,
        })
    }

    fn operator() -> impl Strategy<Value = OperatorRecord> {
        let at = Timestamp::from_micros(77);
        let state = prop_oneof![
            Just(OperatorState::Enabled),
            Just(OperatorState::Disabled { at }),
            Just(OperatorState::Removed { at }),
        ];
        let factors = (
            proptest::option::of(stored()),
            proptest::option::of(secret()),
            proptest::option::of(enrolment()),
        );
        let numbers = any::<(u16, u64, u32, u32, i64, Option<i64>)>();
        let recovery = vec(any::<[u8; 32]>(), 0..=RECOVERY_CODES);
        ("[a-z][a-z0-9.-]{0,20}", state, factors, numbers, recovery).prop_map(
            |(name, state, (password, totp, enrolment), numbers, recovery)| OperatorRecord {
                name: OperatorName::parse(&name).unwrap(),
                roles: numbers.0,
                state,
                password,
                totp,
                last_step: numbers.1,
                recovery,
                enrolment,
                generation: numbers.2,
                unlocks: numbers.3,
                created_at: Timestamp::from_micros(numbers.4),
                recovered_at: numbers.5.map(Timestamp::from_micros),
            },
        )
    }

    proptest! {
        #[test]
        fn an_operator_reads_as_it_was_written_and_so_does_its_copy(record in operator(), at in any::<prop::sample::Index>()) {
            let written = Record::Operator(record.duplicate()).encode();
            prop_assert_eq!(&*Record::Operator(record).encode(), &*written);
            let read = Record::decode(&written).unwrap();
            prop_assert_eq!(&*read.encode(), &*written);
            prop_assert!(Record::decode(&written[..at.index(written.len())]).is_err());
            prop_assert!(Record::decode(&[&written[..], &[0]].concat()).is_err());
        }

        #[test]
        fn attempts_read_as_they_were_written(failures in any::<u32>(), at in any::<i64>(), unlocks in any::<u32>()) {
            let record = AttemptsRecord { failures, last_at: Timestamp::from_micros(at), unlocks };
            match Record::decode(&Record::Attempts(record).encode()) {
                Ok(Record::Attempts(read)) => prop_assert_eq!(read, record),
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}
