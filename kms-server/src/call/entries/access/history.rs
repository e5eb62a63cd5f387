//! What the log says was done to people, services, rosters and policies. An entry names a person by what stands for the
//! name, which lasts as long as the log; entries of older versions by the name itself, which dies with its month's key.

use super::super::shown::personal;
use crate::audit_log::{AuditLog, Filter, Query};
use crate::call::{Service, render};
use crate::live::Live;
use crate::live::state::Held;
use kms_core::audit::Outcome;
use kms_core::audit::leaf::{Entry, PrincipalId, subject_of};
use kms_core::engine::access::Happened;
use kms_core::engine::service::service_said;
use kms_core::name::{OperatorName, ServiceName};
use kms_core::policy::Action;
use kms_core::time::{DAY, Timestamp};
use kms_proto::v1;
use std::collections::BTreeMap;
use std::io;

/// Most entries that are read; beyond them the answer says that it does not know.
const ENTRIES_MAX: usize = 50_000;
/// Most entries of one page of them.
const PAGE: usize = 1_000;
/// Most changes that are answered.
const CHANGES_MAX: usize = 1_000;

/// What changes who may do what.
const ACTIONS: [Action; 16] = [
    Action::AddOperator,
    Action::DisableOperator,
    Action::EnableOperator,
    Action::ResetOperatorMfa,
    Action::RemoveOperator,
    Action::SetOperatorRoles,
    Action::ConfirmEnrolment,
    Action::RecoverOperator,
    Action::AddApproverKey,
    Action::RemoveApproverKey,
    Action::AddService,
    Action::RevokeService,
    Action::EnrolService,
    Action::DeclareRoster,
    Action::ApplyPolicies,
    Action::ReloadPolicies,
];

/// One of them, as the log has it.
pub(super) struct Told {
    sequence: u64,
    entry: Entry,
    happened: Happened,
    /// Who did it.
    pub(super) by: Option<PrincipalId>,
}

/// All of them, in the order of the log.
pub(super) struct Read {
    pub(super) entries: Vec<Told>,
    /// There are more.
    cut: bool,
    /// When the log begins.
    begins: Option<Timestamp>,
}

/// Reads them. Blocking.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn read(audit: &AuditLog) -> io::Result<Read> {
    let first = audit.read(&Query {
        from_sequence: 0,
        newest_first: false,
        filter: Filter::default(),
        limit: 1,
    })?;
    let first = first.entries.first().and_then(|one| one.entry.as_ref());
    let mut read = Read {
        entries: Vec::new(),
        cut: false,
        begins: first.map(|entry| entry.prefix.at.time),
    };
    for action in ACTIONS {
        read.add(audit, action)?;
    }
    read.entries.sort_unstable_by_key(|told| told.sequence);
    Ok(read)
}

impl Read {
    fn add(&mut self, audit: &AuditLog, action: Action) -> io::Result<()> {
        let mut next = Some(0);
        while let Some(from_sequence) = next {
            if self.entries.len() > ENTRIES_MAX {
                self.cut = true;
                return Ok(());
            }
            let page = audit.read(&Query {
                from_sequence,
                newest_first: false,
                filter: Filter {
                    action: Some(action),
                    outcome: Some(Outcome::Ok),
                    ..Filter::default()
                },
                limit: PAGE,
            })?;
            next = page.next;
            for logged in page.entries {
                let Some(entry) = logged.entry else {
                    continue;
                };
                let note = entry.item().map(|item| item.note.clone());
                self.entries.push(Told {
                    sequence: logged.sequence,
                    happened: Happened {
                        at: entry.prefix.at.time,
                        action,
                        note: note.unwrap_or_default(),
                    },
                    by: entry.principal(),
                    entry,
                });
            }
        }
        Ok(())
    }
}

/// Whom something was done to.
#[derive(Clone, PartialEq, Eq)]
enum About {
    Operator(OperatorName),
    Service(ServiceName),
    /// A roster or policies: everybody.
    All,
    /// The entry does not say any more.
    Unknown,
}

/// The same, by person and service.
pub(super) struct History {
    all: Vec<(Told, About)>,
    operators: BTreeMap<OperatorName, Vec<Happened>>,
    services: BTreeMap<ServiceName, Vec<Happened>>,
    cut: bool,
    begins: Option<Timestamp>,
}

impl History {
    /// Puts names to what was read.
    pub(super) fn new(read: Read, live: &Live, held: &Held) -> Self {
        let known = held.snapshot.operators.after(None);
        let ids: BTreeMap<[u8; 16], &OperatorName> = known
            .map(|operator| {
                let name = &operator.record.name;
                (live.keys.directory.principal_id(&name.principal()).0, name)
            })
            .collect();
        let mut history = Self {
            all: Vec::with_capacity(read.entries.len()),
            operators: BTreeMap::new(),
            services: BTreeMap::new(),
            cut: read.cut,
            begins: read.begins,
        };
        for mut told in read.entries {
            let about = about(&mut told, &ids, live);
            match &about {
                About::Operator(name) => {
                    let happened = history.operators.entry(name.clone()).or_default();
                    happened.push(told.happened.clone());
                }
                About::Service(name) => {
                    let happened = history.services.entry(name.clone()).or_default();
                    happened.push(told.happened.clone());
                }
                About::All | About::Unknown => {}
            }
            history.all.push((told, about));
        }
        history
    }

    /// What happened to an operator, oldest first.
    pub(super) fn of_operator(&self, name: &OperatorName) -> &[Happened] {
        self.operators.get(name).map_or(&[], Vec::as_slice)
    }

    /// What happened to a service or desk, oldest first.
    pub(super) fn of_service(&self, name: &ServiceName) -> &[Happened] {
        self.services.get(name).map_or(&[], Vec::as_slice)
    }

    /// The rules that were declared last before `at`, in words.
    pub(super) fn rules_at(&self, at: Timestamp) -> Option<&str> {
        let declared = self.all.iter().rev().map(|(told, _)| &told.happened);
        let mut declared = declared.filter(|it| it.action == Action::DeclareRoster && it.at <= at);
        declared.next().map(|it| &*it.note)
    }

    /// What it leaves open.
    pub(super) fn not_known(&self, at: Timestamp) -> Vec<String> {
        let mut open = Vec::new();
        if self.begins.is_none_or(|begins| begins > at) {
            open.push("the log begins after that time: what was changed before is not told".into());
        }
        let nameless = self
            .all
            .iter()
            .filter(|(_, about)| *about == About::Unknown);
        let nameless = nameless.count();
        if nameless > 0 {
            open.push(format!(
                "{nameless} changes of operators, written by an older version, do not say any more whom they were about"
            ));
        }
        if self.cut {
            open.push(format!("only the first {ENTRIES_MAX} changes were read"));
        }
        if self.rules_at(at) == Some("") {
            open.push("the approval rules of then: an older version did not write them".into());
        }
        open
    }
}

fn about(told: &mut Told, ids: &BTreeMap<[u8; 16], &OperatorName>, live: &Live) -> About {
    match told.happened.action {
        Action::AddService | Action::RevokeService | Action::EnrolService => {
            let Some((name, _, more)) = service_said(&told.happened.note) else {
                return About::Unknown;
            };
            told.happened.note = more.into();
            About::Service(name)
        }
        Action::DeclareRoster | Action::ApplyPolicies | Action::ReloadPolicies => About::All,
        _ => {
            let by_id = subject_of(&told.entry).and_then(|id| ids.get(&id.0).copied().cloned());
            let named = || {
                let (_, pairs) = personal(&told.entry, live);
                OperatorName::parse(pairs.get("operator")?).ok()
            };
            by_id.or_else(named).map_or(About::Unknown, About::Operator)
        }
    }
}

impl Service {
    /// What was changed within a day from `at` on.
    pub(super) fn changes(&self, history: &History, at: Timestamp) -> Vec<v1::AccessChange> {
        let until = at.saturating_add(DAY);
        let day = history.all.iter();
        let day = day.filter(|(told, _)| (at..until).contains(&told.happened.at));
        let change = |(told, about): &(Told, About)| v1::AccessChange {
            sequence: told.sequence,
            time: Some(render::timestamp(told.happened.at)),
            principal: self.principal(told.by, &BTreeMap::new()),
            action: told.happened.action.as_str().to_owned(),
            about: match about {
                About::Operator(name) => name.principal().as_str().to_owned(),
                About::Service(name) => name.resource(),
                About::All | About::Unknown => String::new(),
            },
            detail: told.happened.note.to_string(),
        };
        day.take(CHANGES_MAX).map(change).collect()
    }
}
