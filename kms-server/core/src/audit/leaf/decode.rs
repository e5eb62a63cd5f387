//! Leaf bytes back into an [`Entry`]: total, bounded, and strict, so that no two leaves mean the same.

use super::LEAF_MAX;
use super::entry::{
    Body, Counted, DetailBody, Entry, Head, Introduction, Item, Naming, Section, SystemEvent,
    SystemRecord,
};
use super::keys::PrincipalId;
use super::personal;
use super::prefix::{Kind, Prefix};
use crate::audit::facts::Outcome;
use crate::codec::{Malformed, Reader};
use crate::name::{DatasetName, KeyId, PrincipalName, VersionNumber};
use crate::policy::{Action, Authentication};
use crate::reason::Reason;
use crate::time::Timestamp;
use std::time::Duration;

/// Reads a whole leaf.
///
/// # Errors
/// [`Malformed`] when it is not exactly one leaf of at most [`LEAF_MAX`] bytes.
pub fn decode(leaf: &[u8]) -> Result<Entry, Malformed> {
    if leaf.len() > LEAF_MAX {
        return Err(Malformed);
    }
    let mut r = Reader::new(leaf);
    let prefix = Prefix::take(&mut r)?;
    let body = match prefix.kind {
        Kind::Head => Body::Head(head(&mut r)?),
        Kind::Detail => Body::Detail(detail(&mut r)?),
        Kind::Introduction => Body::Introduction(introduction(&mut r)?),
        Kind::Counted => Body::Counted(counted(&mut r)?),
        Kind::System => Body::System(system(&mut r)?),
    };
    let entry = Entry {
        prefix,
        body,
        personal: personal::read(&mut r)?,
        sections: sections(&mut r)?,
    };
    r.finish()?;
    Ok(entry)
}

fn head(r: &mut Reader<'_>) -> Result<Head, Malformed> {
    Ok(Head {
        principal: PrincipalId(r.array()?),
        authentication: authentication(r.u8()?)?,
        mfa_age: match r.u32()? {
            u32::MAX => None,
            seconds => Some(Duration::from_secs(u64::from(seconds))),
        },
        connection: r.u64()?,
        trace: Some(r.array()?).filter(|trace| *trace != [0; 16]),
        action: action(r)?,
        outcome: outcome(r)?,
        policy_revision: r.u64()?,
        items: r.u32()?,
        details: match r.u16()? {
            0 => None,
            count => Some((count, r.array()?)),
        },
        item: r.option(item)?,
    })
}

fn detail(r: &mut Reader<'_>) -> Result<DetailBody, Malformed> {
    Ok(DetailBody {
        index: r.u16()?,
        principal: PrincipalId(r.array()?),
        action: action(r)?,
        item: item(r)?,
    })
}

fn item(r: &mut Reader<'_>) -> Result<Item, Malformed> {
    let dataset = r.option(|r| r.array().map(KeyId))?;
    let version = VersionNumber::new(r.u32()?);
    let (outcome, count) = (outcome(r)?, r.u32()?);
    let lasting = r.u8()?;
    let lasting = (0..lasting)
        .map(|_| Ok((r.text()?.into(), r.text()?.into())))
        .collect::<Result<_, Malformed>>()?;
    let secrets = r.u16()?;
    let secrets = (0..secrets)
        .map(|_| r.array())
        .collect::<Result<_, Malformed>>()?;
    Ok(Item {
        dataset,
        version,
        outcome,
        count,
        lasting,
        secrets,
        note: r.text()?.into(),
    })
}

fn introduction(r: &mut Reader<'_>) -> Result<Introduction, Malformed> {
    match r.u8()? {
        1 => Ok(Introduction::Caller {
            principal: PrincipalId(r.array()?),
            connection: r.u64()?,
            naming: match r.u8()? {
                1 => Naming::Clear(PrincipalName::parse(r.text()?).map_err(|_| Malformed)?),
                2 => Naming::Directory {
                    epoch: r.u32()?,
                    message: r.short()?.into(),
                },
                3 => Naming::Personal,
                _ => return Err(Malformed),
            },
        }),
        2 => Ok(Introduction::Dataset {
            key_id: KeyId(r.array()?),
            name: DatasetName::parse(r.text()?).map_err(|_| Malformed)?,
        }),
        _ => Err(Malformed),
    }
}

fn counted(r: &mut Reader<'_>) -> Result<Counted, Malformed> {
    Ok(Counted {
        reason: Reason::from_number(r.u8()?).ok_or(Malformed)?,
        count: r.u64()?,
        from: Timestamp::from_micros(r.i64()?),
        until: Timestamp::from_micros(r.i64()?),
    })
}

fn system(r: &mut Reader<'_>) -> Result<SystemRecord, Malformed> {
    Ok(SystemRecord {
        event: SystemEvent::from_number(r.u16()?).ok_or(Malformed)?,
        outcome: outcome(r)?,
        text: r.text()?.into(),
    })
}

fn sections(r: &mut Reader<'_>) -> Result<Vec<Section>, Malformed> {
    let count = r.u8()?;
    let mut sections: Vec<Section> = Vec::new();
    for _ in 0..count {
        let section = Section {
            tag: r.u8()?,
            bytes: r.short()?.into(),
        };
        // in order and once each: one meaning, one form
        if sections.last().is_some_and(|last| last.tag >= section.tag) {
            return Err(Malformed);
        }
        sections.push(section);
    }
    Ok(sections)
}

fn authentication(number: u8) -> Result<Option<Authentication>, Malformed> {
    match number {
        0 => Ok(None),
        1 => Ok(Some(Authentication::Certificate)),
        2 => Ok(Some(Authentication::Internal)),
        4 => Ok(Some(Authentication::Token)),
        5 => Ok(Some(Authentication::CertificateAndToken)),
        6 => Ok(Some(Authentication::EnrolmentToken)),
        3 => Ok(Some(Authentication::OperatorSession)),
        _ => Err(Malformed),
    }
}

fn action(r: &mut Reader<'_>) -> Result<Action, Malformed> {
    Action::from_number(r.u16()?).ok_or(Malformed)
}

fn outcome(r: &mut Reader<'_>) -> Result<Outcome, Malformed> {
    match r.u8()? {
        0 => Ok(Outcome::Ok),
        number => Reason::from_number(number)
            .map(Outcome::Refused)
            .ok_or(Malformed),
    }
}
