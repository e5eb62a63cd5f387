//! What should be true, said plainly: lists of versions, secrets and blobs, and no cryptography.

use crate::operation::{Use, Who};
use kms_core::engine::{Changed, ScopeRequest, SecretUse, resolve_scope};
use kms_core::name::{KeyContext, KeyId, SecretId, SecretKind, ShredScope};
use kms_core::policy::Action;
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Wraps,
    Reads,
    Off,
    Doomed(Timestamp),
    Gone,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    pub(crate) state: State,
    pub(crate) marked: bool,
}

#[derive(Debug)]
pub(crate) struct Dataset {
    pub(crate) id: KeyId,
    /// Version n stands at n - 1.
    pub(crate) versions: Vec<Version>,
    pub(crate) protected: bool,
    pub(crate) required: Vec<SecretKind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Secret {
    Live,
    Blocked,
    Dead,
}

/// Something that was wrapped or encrypted.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) bytes: Vec<u8>,
    pub(crate) direct: bool,
    pub(crate) dataset: u8,
    pub(crate) version: u32,
    pub(crate) context: u8,
    pub(crate) secrets: Vec<SecretId>,
    pub(crate) plaintext: Vec<u8>,
}

#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) datasets: BTreeMap<u8, Dataset>,
    pub(crate) secrets: BTreeMap<SecretId, Secret>,
    /// The newest of each scope.
    pub(crate) newest: BTreeMap<ShredScope, SecretId>,
    pub(crate) blobs: Vec<Blob>,
    /// Answers by action and request id, with the request's bytes.
    pub(crate) answered: BTreeMap<(Action, u8), (Vec<u8>, Option<Changed>)>,
}

pub(crate) fn kind(number: u8) -> SecretKind {
    [SecretKind::Subject, SecretKind::Account, SecretKind::Period][usize::from(number)]
}

pub(crate) fn scope(who: Who, now: Timestamp) -> ShredScope {
    let account = ["acme", "globex"][usize::from(who.account)];
    let request = ScopeRequest {
        kind: kind(who.kind),
        account: if who.kind == 2 { "" } else { account },
        name: match who.kind {
            0 => ["jane", "joe"][usize::from(who.name)],
            _ => "",
        },
        class: "customer",
    };
    resolve_scope(None, request_at(request, &now.month_name()), now).unwrap()
}

/// Without a policy the month too must be spelled out by somebody: here the model.
fn request_at<'a>(request: ScopeRequest<'a>, month: &'a str) -> ScopeRequest<'a> {
    match request.kind {
        SecretKind::Period => ScopeRequest {
            name: month,
            ..request
        },
        SecretKind::Subject | SecretKind::Account => request,
    }
}

pub(crate) fn context(number: u8) -> KeyContext {
    let pairs: &[(&str, &str)] = match number {
        0 => &[],
        1 => &[("tenant", "acme"), ("purpose", "crm")],
        _ => &[("tenant", "globex"), ("purpose", "crm")],
    };
    let owned = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    KeyContext::new(owned.collect()).unwrap()
}

impl Model {
    pub(crate) fn secret_use(&self, wanted: Use, now: Timestamp) -> SecretUse {
        let scope = scope(wanted.who, now);
        let wrong = SecretId([0xEE; 16]);
        let succeeds = wanted.succeeds.map(|right| match self.newest.get(&scope) {
            Some(id) if right => *id,
            _ => wrong,
        });
        SecretUse {
            scope,
            create_if_absent: wanted.create,
            succeeds,
        }
    }

    /// Why this use is refused; `None` when it is not.
    pub(crate) fn refuses(&self, wanted: &SecretUse) -> Option<Reason> {
        match self.newest.get(&wanted.scope) {
            None if !wanted.create_if_absent => Some(Reason::ShredSecretMissing),
            None if wanted.succeeds.is_some() => Some(Reason::InvalidArgument),
            None => None,
            Some(id) => match self.secrets[id] {
                Secret::Live => None,
                Secret::Dead if wanted.create_if_absent && wanted.succeeds == Some(*id) => None,
                Secret::Dead | Secret::Blocked => Some(Reason::SubjectErased),
            },
        }
    }

    /// Why this wrap may be refused; none when it must succeed.
    pub(crate) fn refuses_wrap(&self, dataset: u8, uses: &[SecretUse]) -> Vec<Reason> {
        let mut reasons: Vec<_> = uses.iter().filter_map(|u| self.refuses(u)).collect();
        let twice = |(i, u): (usize, &SecretUse)| uses[i + 1..].iter().any(|v| v.scope == u.scope);
        if uses.len() > 4 || uses.iter().enumerate().any(twice) {
            reasons.push(Reason::InvalidArgument);
        }
        let required = &self.datasets[&dataset].required;
        if !required
            .iter()
            .all(|kind| uses.iter().any(|u| u.scope.kind == *kind))
        {
            reasons.push(Reason::ShredSecretRequired);
        }
        reasons
    }

    pub(crate) fn version(&self, dataset: u8, number: u32) -> Option<Version> {
        let index = usize::try_from(number).unwrap() - 1;
        self.datasets[&dataset].versions.get(index).copied()
    }

    /// Why this blob cannot be opened with its own context; `None` when it must open.
    pub(crate) fn refuses_open(&self, blob: &Blob) -> Option<Reason> {
        match self.version(blob.dataset, blob.version).unwrap().state {
            State::Wraps | State::Reads => {}
            State::Off | State::Doomed(_) => return Some(Reason::VersionDisabled),
            State::Gone => return Some(Reason::VersionDestroyed),
        }
        let live = |id| self.secrets[id] == Secret::Live;
        (!blob.secrets.iter().all(live)).then_some(Reason::SubjectErased)
    }

    /// A new version wraps from now on.
    pub(crate) fn rotated(&mut self, dataset: u8, emergency: bool) -> (u32, Vec<u32>) {
        let versions = &mut self.datasets.get_mut(&dataset).unwrap().versions;
        let mut marked = Vec::new();
        for (number, version) in (1..).zip(versions.iter_mut()) {
            if version.state == State::Wraps {
                version.state = State::Reads;
            }
            if emergency && version.state != State::Gone && !version.marked {
                version.marked = true;
                marked.push(number);
            }
        }
        versions.push(Version {
            state: State::Wraps,
            marked: false,
        });
        (u32::try_from(versions.len()).unwrap(), marked)
    }
}
