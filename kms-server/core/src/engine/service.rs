//! Decides about what the built-in authority certifies: who may enrol, which certificates count, and for how long.
//! Certificates are made elsewhere, from the record's name; here it is decided that they count.
//!
//! One identity has one holder. A renewal makes the next certificate and leaves the one before good; renewing that
//! one again replaces what was made of it. So two holders of one key put each other out, and are noticed.

use super::index::service_key;
use super::view::{Change, Decision, Moment, View};
use super::{Refusal, snapshot};
use crate::audit::{Detail, Facts, Outcome};
use crate::cipher::{HashKey, label};
use crate::codec::typed;
use crate::entropy::make_bytes;
use crate::key::record::{
    Certified, Expect, Record, ServiceRecord, ServiceState, ServiceToken, Write,
};
use crate::name::{Purpose, ServiceName};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::time::{DAY, Timestamp};
use snapshot::Service;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an enrolment token is taken.
pub const TOKEN_LIFE: Duration = DAY;
/// Random bytes of one.
const TOKEN_LEN: usize = 20;

/// A token that permits one enrolment; shown once.
pub type Token = Zeroizing<String>;

/// What is wanted of a service or desk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewService {
    /// Its name.
    pub name: ServiceName,
    /// What it is for.
    pub purpose: Purpose,
    /// It is there already, revoked or not: its next enrolment ends the certificates that it has.
    pub again: bool,
}

/// Keyed hash of a token as typed: by it a record is found.
#[must_use]
pub fn token_hash(index: &HashKey, text: &str) -> [u8; 32] {
    index.hash(&[label::SERVICE_ENROLMENT, &typed::canonical(text)])
}

/// Permits an enrolment, once, with the token that is answered.
///
/// # Errors
/// ALREADY_EXISTS, unless it is to enrol again; DENIED when there is none to enrol again, or it is there for
/// something else; INTERNAL without randomness.
pub fn add_service(
    view: &View<'_>,
    moment: &Moment<'_>,
    _proof: &Authorised<act::AddService>,
    new: &NewService,
) -> Result<Decision<(ServiceName, Token)>, Refusal> {
    let known = view.snapshot.services.get(&new.name);
    let mut record = match known {
        Some(_) if !new.again => return Err(Reason::AlreadyExists.into()),
        Some(known) if known.record.purpose == new.purpose => ServiceRecord::clone(&known.record),
        None if !new.again => fresh(new.name.clone(), new.purpose, moment.now),
        Some(_) | None => return Err(Reason::Denied.into()),
    };
    let (token, permitted) = make_token(view.index, moment)?;
    record.token = Some(permitted);
    let note = if new.again { "again" } else { "" };
    let write = Write {
        expect: known.map_or(Expect::Absent, |known| Expect::Unchanged(known.revision)),
        ..write(view.index, record)
    };
    let reply = (new.name.clone(), token);
    let detail = about(&new.name, new.purpose, Outcome::Ok, note);
    Ok(changed(Action::AddService, reply, detail, write, false))
}

/// Ends every certificate, and the permission to enrol if there is one. The name can be permitted to enrol again.
///
/// # Errors
/// DENIED for an unknown name.
pub fn revoke_service(
    view: &View<'_>,
    moment: &Moment<'_>,
    _proof: &Authorised<act::RevokeService>,
    name: &ServiceName,
) -> Result<Decision<ServiceName>, Refusal> {
    let known = view.snapshot.services.get(name).ok_or(Reason::Denied)?;
    let mut record = ServiceRecord::clone(&known.record);
    let purpose = record.purpose;
    if record.state == ServiceState::Open {
        record.state = ServiceState::Revoked { at: moment.now };
    }
    record.token = None;
    record.current = None;
    record.previous = None;
    let write = replacing(view.index, known, record);
    let detail = about(name, purpose, Outcome::Ok, "");
    let reply = name.clone();
    Ok(changed(Action::RevokeService, reply, detail, write, true))
}

/// Whom a token lets enrol now.
#[must_use]
pub fn enrolling<'a>(
    services: &'a snapshot::Services,
    token: &[u8; 32],
    now: Timestamp,
) -> Option<&'a Service> {
    let found = services.by_token(token)?;
    let permitted = found.record.token.as_ref()?;
    (permitted.hash == *token && now < permitted.expires_at).then_some(found)
}

/// The first certificate counts, and none from before; the token is used up.
///
/// # Errors
/// UNAUTHENTICATED when the token permits nothing (any more).
pub fn enrol_service(
    view: &View<'_>,
    moment: &Moment<'_>,
    _proof: &Authorised<act::EnrolService>,
    token: &[u8; 32],
    issued: Certified,
) -> Result<Decision<ServiceName>, Refusal> {
    let known = enrolling(&view.snapshot.services, token, moment.now);
    let known = known.ok_or(Reason::Unauthenticated)?;
    let mut record = ServiceRecord::clone(&known.record);
    // certificates from before end with it
    let ends = record.current.is_some();
    record.state = ServiceState::Open;
    record.token = None;
    record.current = Some(issued);
    record.previous = None;
    let (reply, purpose) = (record.name.clone(), record.purpose);
    let write = replacing(view.index, known, record);
    let detail = about(&reply, purpose, Outcome::Ok, "");
    Ok(changed(Action::EnrolService, reply, detail, write, ends))
}

/// The next certificate counts, beside the one that it was asked with.
///
/// # Errors
/// DENIED when `presented` is no certificate of `name` that counts.
pub fn renew_service(
    view: &View<'_>,
    _moment: &Moment<'_>,
    _proof: &Authorised<act::RenewService>,
    name: &ServiceName,
    presented: &[u8; 32],
    issued: Certified,
) -> Result<Decision<ServiceName>, Refusal> {
    let known = view.snapshot.services.get(name).ok_or(Reason::Denied)?;
    if !known.record.takes(presented) {
        return Err(Reason::Denied.into());
    }
    let mut record = ServiceRecord::clone(&known.record);
    let again = |old: &Certified| old.sha256 == *presented;
    let replaced = record.previous.as_ref().is_some_and(again);
    if !replaced {
        record.previous = record.current;
    }
    record.current = Some(issued);
    let (reply, purpose) = (record.name.clone(), record.purpose);
    let write = replacing(view.index, known, record);
    let note = if replaced {
        "the certificate was renewed before: what was made of it ends"
    } else {
        ""
    };
    let detail = about(&reply, purpose, Outcome::Ok, note);
    Ok(changed(
        Action::RenewService,
        reply,
        detail,
        write,
        replaced,
    ))
}

/// What an entry says of a refused call about a service.
#[must_use]
pub fn refused_detail(name: &ServiceName, purpose: Option<Purpose>, reason: Reason) -> Detail {
    let mut detail = Detail::new(Outcome::Refused(reason));
    detail.note = match purpose {
        Some(purpose) => noted(name, purpose, ""),
        None => name.resource().into(),
    };
    detail
}

/// A desk that is there from the first moment on, with the certificate that was made for it; for a new installation.
#[must_use]
pub fn first_desk(index: &HashKey, name: ServiceName, issued: Certified) -> Write {
    let mut record = fresh(name, Purpose::Desk, issued.issued_at);
    record.current = Some(issued);
    write(index, record)
}

fn fresh(name: ServiceName, purpose: Purpose, now: Timestamp) -> ServiceRecord {
    ServiceRecord {
        name,
        purpose,
        state: ServiceState::Open,
        token: None,
        current: None,
        previous: None,
        created_at: now,
    }
}

fn make_token(index: &HashKey, moment: &Moment<'_>) -> Result<(Token, ServiceToken), Refusal> {
    let bytes: [u8; TOKEN_LEN] = make_bytes(moment.keys).map_err(Reason::from)?;
    let token = Zeroizing::new(typed::printed(&bytes));
    let permitted = ServiceToken {
        hash: token_hash(index, &token),
        expires_at: moment.now.saturating_add(TOKEN_LIFE),
    };
    Ok((token, permitted))
}

fn write(index: &HashKey, record: ServiceRecord) -> Write {
    Write {
        key: service_key(index, &record.name),
        expect: Expect::Absent,
        record: Some(Record::Service(record)),
    }
}

fn replacing(index: &HashKey, old: &Service, record: ServiceRecord) -> Write {
    Write {
        expect: Expect::Unchanged(old.revision),
        ..write(index, record)
    }
}

/// Services stand in the clear; a desk's name is a machine's.
fn noted(name: &ServiceName, purpose: Purpose, more: &str) -> Box<str> {
    let gap = if more.is_empty() { "" } else { ": " };
    let (name, kind) = (name.resource(), purpose.as_str());
    format!("{name} ({kind}){gap}{more}").into()
}

/// Whom an entry's note is about, and what it says beside.
#[must_use]
pub fn service_said(note: &str) -> Option<(ServiceName, Purpose, &str)> {
    let (name, rest) = note.split_once(" (")?;
    let (purpose, more) = rest.split_once(')')?;
    let purpose = [Purpose::Service, Purpose::Desk]
        .into_iter()
        .find(|known| known.as_str() == purpose)?;
    let more = more.strip_prefix(": ").unwrap_or(more);
    Some((ServiceName::parse_resource(name).ok()?, purpose, more))
}

fn about(name: &ServiceName, purpose: Purpose, outcome: Outcome, more: &str) -> Detail {
    let mut detail = Detail::new(outcome);
    detail.note = noted(name, purpose, more);
    detail
}

fn changed<R>(
    action: Action,
    reply: R,
    detail: Detail,
    write: Write,
    restricts: bool,
) -> Decision<R> {
    Decision {
        reply,
        facts: Facts::single(action, detail),
        change: Some(Change {
            writes: vec![write],
            restricts,
        }),
    }
}
