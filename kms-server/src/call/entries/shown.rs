//! One entry as a message: every field that can be read, names where they are known.

use crate::audit_log::Logged;
use crate::call::{Service, render};
use crate::live::Live;
use kms_core::audit::leaf::{
    Body, Entry, Head, Introduction, Personal, PersonalKey, PrincipalId, approval_of,
};
use kms_core::audit::{ApprovalFacts, Outcome};
use kms_core::cipher::ssh_signature::SignerKey;
use kms_core::codec::hex;
use kms_core::engine::Snapshot;
use kms_core::name::KeyId;
use kms_core::policy::Authentication;
use kms_proto::v1;
use std::collections::BTreeMap;

/// `OK` or a reason.
pub(super) fn outcome_text(outcome: Outcome) -> String {
    match outcome {
        Outcome::Ok => "OK".to_owned(),
        Outcome::Refused(reason) => reason.as_str().to_owned(),
    }
}

impl Service {
    /// `open` says what an entry's personal group is, as far as whoever gets it may read it.
    pub(super) fn entry(
        &self,
        logged: Logged,
        snapshot: &Snapshot,
        open: impl Fn(&Entry) -> Opened,
    ) -> v1::AuditEntry {
        let mut answer = v1::AuditEntry {
            sequence: logged.sequence,
            ..Default::default()
        };
        if let Some(entry) = &logged.entry {
            (answer.personal_state, answer.personal) = open(entry);
            self.describe(entry, snapshot, &mut answer);
        } else {
            answer.kind = "unreadable".to_owned();
        }
        answer.leaf = logged.leaf.into();
        answer
    }

    fn describe(&self, entry: &Entry, snapshot: &Snapshot, answer: &mut v1::AuditEntry) {
        let prefix = &entry.prefix;
        answer.time = Some(render::timestamp(prefix.at.time));
        answer.kind = kind(&entry.body).to_owned();
        answer.request_id = prefix.id.to_string();
        answer.change = prefix.change;
        answer.approval = approval_of(entry).as_ref().map(approval);
        answer.node = prefix.at.node;
        answer.boot = hex(&prefix.at.boot.0);
        answer.uptime = Some(render::duration(prefix.at.monotonic));
        answer.action = entry
            .action()
            .map(|action| action.as_str().to_owned())
            .unwrap_or_default();
        answer.principal = self.principal(entry.principal(), &answer.personal);
        if let Some(id) = entry.dataset() {
            answer.dataset = self.dataset(id, snapshot);
        }
        if let Some(item) = entry.item() {
            answer.version = item.version.map_or(0, kms_core::name::VersionNumber::get);
            answer.lasting_context = item
                .lasting
                .iter()
                .map(|(key, value)| (key.to_string(), value.to_string()))
                .collect();
            answer.shred_secrets = item.secrets.iter().map(|hash| hex(hash)).collect();
            answer.count = item.count;
            answer.detail = item.note.to_string();
            answer.outcome = outcome_text(item.outcome);
        }
        match &entry.body {
            Body::Head(head) => {
                answer.outcome = outcome_text(head.outcome);
                answer.count = head.items;
                called(head, answer);
            }
            Body::Counted(counted) => {
                answer.count = u32::try_from(counted.count).unwrap_or(u32::MAX);
                answer.outcome = counted.reason.as_str().to_owned();
            }
            Body::System(record) => {
                answer.action = record.event.as_str().to_owned();
                answer.outcome = outcome_text(record.outcome);
                answer.detail = record.text.to_string();
            }
            Body::Introduction(Introduction::Caller { connection, .. }) => {
                answer.detail = format!("connection {connection}");
            }
            Body::Detail(_) | Body::Introduction(Introduction::Dataset { .. }) => {}
        }
    }

    /// A dataset's name, as far as it is known; else its key's id.
    pub(super) fn dataset(&self, id: KeyId, snapshot: &Snapshot) -> String {
        let known = snapshot
            .by_id(id)
            .map(|dataset| dataset.record.name.clone());
        let known = known.or_else(|| self.scribe.names.dataset(id));
        known.map_or_else(|| id.to_string(), |name| render::dataset_name(&name))
    }

    /// The name behind an id: known, or told by the entry itself (written while sealed), or the id.
    pub(super) fn principal(
        &self,
        id: Option<PrincipalId>,
        personal: &BTreeMap<String, String>,
    ) -> String {
        let Some(id) = id else {
            return String::new();
        };
        let known = self.scribe.names.principal(id);
        let known = known.map(|name| name.as_str().to_owned());
        known
            .or_else(|| personal.get("principal").cloned())
            .unwrap_or_else(|| {
                if id == PrincipalId::default() {
                    String::new()
                } else {
                    id.to_string()
                }
            })
    }
}

/// On whose word a call rested, each signature checked.
fn approval(facts: &ApprovalFacts) -> v1::EntryApproval {
    let signature = |signature: &[u8]| {
        let key = SignerKey::named_by(signature).ok();
        let holds = key
            .as_ref()
            .is_some_and(|key| key.verify(&facts.statement, signature).is_ok());
        v1::EntrySignature {
            sshsig: signature.to_vec().into(),
            key: key.map(|key| key.fingerprint()).unwrap_or_default(),
            holds,
        }
    };
    v1::EntryApproval {
        name: format!("approvals/{}", facts.id),
        statement_sha256: facts.statement.to_vec().into(),
        signatures: facts.signatures.iter().map(|it| signature(it)).collect(),
    }
}

fn kind(body: &Body) -> &'static str {
    match body {
        Body::Head(_) => "call",
        Body::Detail(_) => "detail",
        Body::Introduction(_) => "introduction",
        Body::Counted(_) => "counted",
        Body::System(_) => "system",
    }
}

/// How a call was made.
fn called(head: &Head, answer: &mut v1::AuditEntry) {
    answer.authentication = match head.authentication {
        None => "",
        Some(Authentication::Certificate) => "certificate",
        Some(Authentication::Token) => "token",
        Some(Authentication::CertificateAndToken) => "certificate and token",
        Some(Authentication::EnrolmentToken) => "enrolment token",
        Some(Authentication::OperatorSession) => "operator session",
        Some(Authentication::Internal) => "internal",
    }
    .to_owned();
    answer.mfa_age = head.mfa_age.map(render::duration);
    answer.connection = head.connection;
    answer.trace_id = head.trace.map(|trace| hex(&trace)).unwrap_or_default();
    answer.policy_revision = head.policy_revision;
    answer.details = head.details.map_or(0, |(count, _)| count.into());
}

/// Whether a personal group could be opened, and what is in it.
pub(super) type Opened = (String, BTreeMap<String, String>);

/// Of a personal group that nobody tried to open.
pub(super) fn left_closed(entry: &Entry) -> Opened {
    let state = match entry.personal {
        Personal::None => "none",
        Personal::Withheld => "withheld",
        Personal::Intake { .. } | Personal::Month { .. } => "closed",
    };
    (state.to_owned(), BTreeMap::new())
}

/// The personal group, and whether it could be opened.
pub(super) fn personal(entry: &Entry, live: &Live) -> Opened {
    let opened = match &entry.personal {
        Personal::None => return ("none".to_owned(), BTreeMap::new()),
        Personal::Withheld => return ("withheld".to_owned(), BTreeMap::new()),
        // from before each month had an intake of its own
        Personal::Intake { .. } if entry.prefix.month.is_none() => {
            entry.open_personal(PersonalKey::Intake(&live.keys.intake))
        }
        group => {
            let month = entry.prefix.month.and_then(|month| live.state.month(month));
            let Some(month) = month else {
                return ("closed".to_owned(), BTreeMap::new());
            };
            match group {
                Personal::Intake { .. } => {
                    entry.open_personal(PersonalKey::Intake(&month.derive_intake()))
                }
                _ => entry.open_personal(PersonalKey::Month(&month)),
            }
        }
    };
    match opened {
        Ok(pairs) => ("open".to_owned(), pairs.into_iter().collect()),
        Err(_) => ("closed".to_owned(), BTreeMap::new()),
    }
}
