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
