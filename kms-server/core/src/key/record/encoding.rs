//! Plaintext bytes of records, before the writer encrypts them. Each begins with its own number, so that
//! a record of one kind never reads as another's.

mod approval;
mod operator;
mod service;

use super::{
    Compromise, DatasetPolicy, DatasetRecord, ForwardMark, LogHead, LogKeyRecord, OutboxRecord,
    PastLogKey, PolicyGeneration, Record, RequestRecord, ShredRecord, ShredState, SystemKeys,
    TimeMark, TrustRecord, UsageRecord, VersionRecord, VersionState,
};
use crate::codec::{Malformed, Reader, Writer};
use crate::name::{
    AccountName, DatasetName, KeyId, Labels, PrincipalName, ReasonText, RetentionClass, SecretId,
    SecretKind, ShredScope, VersionNumber,
};
use crate::secret::{
    AuditMonthKey, IndexKey, InstanceSeed, IntakeKey, LogSeed, SetHashKey, ShredSecret, VersionKey,
};
use crate::time::Timestamp;
use std::time::Duration;
use zeroize::Zeroizing;

impl Record {
    /// The plaintext bytes.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let mut w = Writer::with_capacity(256);
        match self {
            Self::Dataset(record) => dataset(w.u8(1), record),
            Self::Version(record) => version(w.u8(2), record),
            Self::Shred(record) => shred(w.u8(3), record),
            Self::ShredName(id) => {
                w.u8(4).bytes(&id.0);
            }
            Self::Request(record) => request(w.u8(5), record),
            Self::AuditKey(key) => {
                w.u8(6).bytes(key.expose_bytes());
            }
            Self::SystemKeys(keys) => {
                w.u8(7).bytes(keys.index.expose_bytes());
                w.bytes(keys.set_hash.expose_bytes())
                    .bytes(keys.directory.expose_bytes())
                    .bytes(keys.instance.expose_bytes())
                    .bytes(keys.intake.expose_bytes());
            }
            Self::TimeMark(mark) => {
                w.u8(8).i64(mark.high_water.as_micros()).flag(mark.paused);
            }
            Self::Usage(usage) => {
                w.u8(9).u64(usage.uses).i64(usage.last_used_at.as_micros());
                w.u64(usage.through_sequence);
            }
            Self::Outbox(record) => {
                w.u8(10).u64(record.change).u16(record.part);
                w.u16(count(&record.leaves));
                record.leaves.iter().for_each(|leaf| {
                    w.short(leaf);
                });
            }
            Self::DatasetName(id) => {
                w.u8(11).bytes(&id.0);
            }
            Self::LogKey(record) => {
                w.u8(48).u32(record.number);
                w.bytes(record.seed.expose_bytes())
                    .short(record.certificate.as_bytes());
            }
            Self::AuditTombstone(at) => {
                w.u8(51).i64(at.as_micros());
            }
            Self::LogHead(head) => {
                w.u8(50).short(head.origin.as_bytes());
                w.u64(head.size).bytes(&head.root);
            }
            Self::ForwardMark(mark) => {
                w.u8(56).short(mark.origin.as_bytes()).u64(mark.next);
            }
            Self::PastLogKey(record) => {
                w.u8(57).u32(record.number);
                w.short(record.certificate.as_bytes());
            }
            Self::Policies(record) => record.write(w.u8(44)),
            Self::Operator(record) => operator::write(w.u8(32), record),
            Self::Attempts(record) => operator::write_attempts(w.u8(33), record),
            Self::Approval(record) => approval::write(w.u8(52), record),
            Self::Approver(record) => approval::write_approver(w.u8(53), record),
            Self::Roster(record) => approval::write_roster(w.u8(54), record),
            Self::Trust(record) => record.write(w.u8(59)),
            Self::Service(record) => service::write(w.u8(40), record),
            Self::Authority(record) => service::write_authority(w.u8(41), record),
        }
        Zeroizing::new(w.finish())
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let record = match r.u8()? {
            1 => Self::Dataset(read_dataset(&mut r)?),
            2 => Self::Version(read_version(&mut r)?),
            3 => Self::Shred(read_shred(&mut r)?),
            4 => Self::ShredName(SecretId(r.array()?)),
            5 => Self::Request(read_request(&mut r)?),
            6 => Self::AuditKey(AuditMonthKey::from_slice(r.bytes(32)?).ok_or(Malformed)?),
            7 => Self::SystemKeys(SystemKeys {
                index: IndexKey::from_slice(r.bytes(32)?).ok_or(Malformed)?,
                set_hash: SetHashKey::from_slice(r.bytes(32)?).ok_or(Malformed)?,
                directory: IndexKey::from_slice(r.bytes(32)?).ok_or(Malformed)?,
                instance: InstanceSeed::from_slice(r.bytes(32)?).ok_or(Malformed)?,
                intake: IntakeKey::from_slice(r.bytes(32)?).ok_or(Malformed)?,
            }),
            8 => Self::TimeMark(TimeMark {
                high_water: time(&mut r)?,
                paused: r.flag()?,
            }),
            9 => Self::Usage(UsageRecord {
                uses: r.u64()?,
                last_used_at: time(&mut r)?,
                through_sequence: r.u64()?,
            }),
            10 => {
                let (change, part) = (r.u64()?, r.u16()?);
                let leaves = list(&mut r, |r| r.short().map(<[u8]>::to_vec))?;
                Self::Outbox(OutboxRecord {
                    change,
                    part,
                    leaves,
                })
            }
            11 => Self::DatasetName(KeyId(r.array()?)),
            48 => Self::LogKey(LogKeyRecord {
                number: r.u32()?,
                seed: LogSeed::from_slice(r.bytes(32)?).ok_or(Malformed)?,
                certificate: r.text()?.into(),
            }),
            51 => Self::AuditTombstone(time(&mut r)?),
            50 => Self::LogHead(LogHead {
                origin: r.text()?.into(),
                size: r.u64()?,
                root: r.array()?,
            }),
            56 => Self::ForwardMark(ForwardMark {
                origin: r.text()?.into(),
                next: r.u64()?,
            }),
            57 => Self::PastLogKey(PastLogKey {
                number: r.u32()?,
                certificate: r.text()?.into(),
            }),
            44 => Self::Policies(PolicyGeneration::read(&mut r)?),
            32 => Self::Operator(operator::read(&mut r)?),
            33 => Self::Attempts(operator::read_attempts(&mut r)?),
            52 => Self::Approval(approval::read(&mut r)?),
            53 => Self::Approver(approval::read_approver(&mut r)?),
            54 => Self::Roster(approval::read_roster(&mut r)?),
            59 => Self::Trust(TrustRecord::read(&mut r)?),
            40 => Self::Service(service::read(&mut r)?),
            41 => Self::Authority(service::read_authority(&mut r)?),
            _ => return Err(Malformed),
        };
        r.finish()?;
        Ok(record)
    }
}

fn time(r: &mut Reader<'_>) -> Result<Timestamp, Malformed> {
    r.i64().map(Timestamp::from_micros)
}

fn number(r: &mut Reader<'_>) -> Result<VersionNumber, Malformed> {
    VersionNumber::new(r.u32()?).ok_or(Malformed)
}

fn list<T>(
    r: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = r.u16()?;
    (0..count).map(|_| read(r)).collect()
}

fn count<T>(items: &[T]) -> u16 {
    u16::try_from(items.len()).unwrap_or(u16::MAX)
}

fn dataset(w: &mut Writer, record: &DatasetRecord) {
    w.bytes(&record.key_id.0)
        .short(record.name.as_str().as_bytes());
    let policy = &record.policy;
    w.u64(policy.rotation_period.as_secs());
    w.u16(count(&policy.required_secrets));
    policy.required_secrets.iter().for_each(|kind| {
        w.u8(kind.number());
    });
    w.u16(count(&policy.retention_classes));
    policy.retention_classes.iter().for_each(|class| {
        w.short(class.as_str().as_bytes());
    });
    w.u16(count(&policy.lasting_context_keys));
    policy.lasting_context_keys.iter().for_each(|key| {
        w.short(key.as_bytes());
    });
    w.u16(u16::try_from(record.labels.pairs().len()).unwrap_or(u16::MAX));
    for (key, value) in record.labels.pairs() {
        w.short(key.as_bytes()).short(value.as_bytes());
    }
    w.flag(record.deletion_protection)
        .u32(record.next_version.get());
    w.i64(record.created_at.as_micros())
        .i64(record.next_rotation_at.as_micros());
}

fn read_dataset(r: &mut Reader<'_>) -> Result<DatasetRecord, Malformed> {
    let key_id = KeyId(r.array()?);
    let name = DatasetName::parse(r.text()?).map_err(|_| Malformed)?;
    let policy = DatasetPolicy {
        rotation_period: Duration::from_secs(r.u64()?),
        required_secrets: list(r, |r| SecretKind::from_number(r.u8()?).ok_or(Malformed))?,
        retention_classes: list(r, |r| {
            RetentionClass::parse(r.text()?).map_err(|_| Malformed)
        })?,
        lasting_context_keys: list(r, |r| r.text().map(Into::into))?,
    };
    let labels = list(r, |r| {
        Ok((Box::<str>::from(r.text()?), Box::<str>::from(r.text()?)))
    })?;
    let labels = labels.iter().map(|(key, value)| (&**key, &**value));
    Ok(DatasetRecord {
        key_id,
        name,
        policy,
        labels: Labels::new(labels).map_err(|_| Malformed)?,
        deletion_protection: r.flag()?,
        next_version: number(r)?,
        created_at: time(r)?,
        next_rotation_at: time(r)?,
    })
}

fn version(w: &mut Writer, record: &VersionRecord) {
    w.bytes(&record.key_id.0).u32(record.number.get());
    let (state, at) = match record.state {
        VersionState::PreActive => (1, None),
        VersionState::Active => (2, None),
        VersionState::DecryptOnly => (3, None),
        VersionState::Disabled => (4, None),
        VersionState::DestroyScheduled { at } => (5, Some(at)),
        VersionState::Destroyed { at } => (6, Some(at)),
    };
    w.u8(state).i64(at.unwrap_or_default().as_micros());
    w.option(record.compromised.as_ref(), |w, mark| {
        w.short(mark.reason.as_str().as_bytes())
            .i64(mark.at.as_micros());
        w.short(mark.principal.as_str().as_bytes());
    });
    w.i64(record.created_at.as_micros());
    w.option(record.key.as_ref(), |w, key| {
        w.bytes(key.expose_bytes());
    });
}

fn read_version(r: &mut Reader<'_>) -> Result<VersionRecord, Malformed> {
    let key_id = KeyId(r.array()?);
    let number = number(r)?;
    let (state, at) = (r.u8()?, time(r)?);
    let state = match state {
        1 => VersionState::PreActive,
        2 => VersionState::Active,
        3 => VersionState::DecryptOnly,
        4 => VersionState::Disabled,
        5 => VersionState::DestroyScheduled { at },
        6 => VersionState::Destroyed { at },
        _ => return Err(Malformed),
    };
    let compromised = r.option(|r| {
        Ok(Compromise {
            reason: ReasonText::parse(r.text()?).map_err(|_| Malformed)?,
            at: time(r)?,
            principal: PrincipalName::parse(r.text()?).map_err(|_| Malformed)?,
        })
    })?;
    let created_at = time(r)?;
    let key = r.option(|r| VersionKey::from_slice(r.bytes(32)?).ok_or(Malformed))?;
    if key.is_none() != matches!(state, VersionState::Destroyed { .. }) {
        return Err(Malformed);
    }
    Ok(VersionRecord {
        key_id,
        number,
        state,
        compromised,
        created_at,
        key,
    })
}

fn shred(w: &mut Writer, record: &ShredRecord) {
    w.bytes(&record.id.0).u8(record.scope.kind.number());
    w.short(record.scope.account.as_str().as_bytes())
        .short(record.scope.name.as_bytes());
    w.short(record.scope.class.as_str().as_bytes());
    let (state, at) = match record.state {
        ShredState::Active => (1, None),
        ShredState::Blocked { at } => (2, Some(at)),
        ShredState::Destroyed { at } => (3, Some(at)),
    };
    w.u8(state)
        .i64(at.unwrap_or_default().as_micros())
        .i64(record.created_at.as_micros());
    w.option(record.succeeds.as_ref(), |w, id| {
        w.bytes(&id.0);
    });
    w.option(record.secret.as_ref(), |w, secret| {
        w.bytes(secret.expose_bytes());
    });
}

fn read_shred(r: &mut Reader<'_>) -> Result<ShredRecord, Malformed> {
    let id = SecretId(r.array()?);
    let kind = SecretKind::from_number(r.u8()?).ok_or(Malformed)?;
    let account = AccountName::parse(r.text()?).map_err(|_| Malformed)?;
    let name = r.text()?;
    let class = RetentionClass::parse(r.text()?).map_err(|_| Malformed)?;
    let scope = ShredScope::new(kind, account, name, class).map_err(|_| Malformed)?;
    let (state, at) = (r.u8()?, time(r)?);
    let state = match state {
        1 => ShredState::Active,
        2 => ShredState::Blocked { at },
        3 => ShredState::Destroyed { at },
        _ => return Err(Malformed),
    };
    let created_at = time(r)?;
    let succeeds = r.option(|r| r.array().map(SecretId))?;
    let secret = r.option(|r| ShredSecret::from_slice(r.bytes(32)?).ok_or(Malformed))?;
    if secret.is_none() != matches!(state, ShredState::Destroyed { .. }) {
        return Err(Malformed);
    }
    Ok(ShredRecord {
        id,
        scope,
        state,
        created_at,
        succeeds,
        secret,
    })
}

fn request(w: &mut Writer, record: &RequestRecord) {
    w.bytes(&record.fingerprint).i64(record.at.as_micros());
    w.option(record.key_id.as_ref(), |w, id| {
        w.bytes(&id.0);
    });
    w.option(record.version.as_ref(), |w, number| {
        w.u32(number.get());
    });
    w.u16(count(&record.marked));
    record.marked.iter().for_each(|number| {
        w.u32(number.get());
    });
}

fn read_request(r: &mut Reader<'_>) -> Result<RequestRecord, Malformed> {
    Ok(RequestRecord {
        fingerprint: r.array()?,
        at: time(r)?,
        key_id: r.option(|r| r.array().map(KeyId))?,
        version: r.option(number)?,
        marked: list(r, number)?,
    })
}

#[cfg(test)]
mod tests;
