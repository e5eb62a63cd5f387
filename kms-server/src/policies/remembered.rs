//! Verdicts that a thread gave before. Bounded, without a lock: each runtime has its own table. Only for verdicts that
//! depend on nothing but what [`Asked`] holds; whoever asks sees to that. Finding one allocates nothing.

use kms_core::key::record::Revision;
use kms_core::name::{KeyId, PrincipalName};
use kms_core::policy::{Action, Attributes, Authentication, Principal, Roles, Verdict};
use std::cell::RefCell;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Verdicts of one thread; one that falls on a taken place replaces what is there.
const PLACES: usize = 2_048;

/// Who, what, which dataset, under which policies.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Of the set of policies, unique in the process.
    pub serial: u64,
    pub principal: &'a Principal,
    pub action: Action,
    /// With the revision of its record: policies see what that says.
    pub dataset: Option<(KeyId, Revision)>,
}

struct Given {
    serial: u64,
    name: PrincipalName,
    authentication: Authentication,
    roles: Roles,
    attributes: Attributes,
    action: Action,
    dataset: Option<(KeyId, Revision)>,
    verdict: Verdict,
}

struct Table {
    hasher: RandomState,
    places: Box<[Option<Given>]>,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::new(Table {
        hasher: RandomState::new(),
        places: std::iter::repeat_with(|| None).take(PLACES).collect(),
    });
}

impl Given {
    fn is_to(&self, asked: &Asked<'_>) -> bool {
        let principal = asked.principal;
        self.serial == asked.serial
            && self.action == asked.action
            && self.dataset == asked.dataset
            && self.roles == principal.roles
            && self.authentication == principal.authentication
            && self.name == principal.name
            && same(&self.attributes, &principal.attributes)
    }
}

fn same(one: &Attributes, other: &Attributes) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
        (None, None) => true,
        _ => false,
    }
}

/// The verdict of before, or `decide`'s.
pub(super) fn verdict(asked: &Asked<'_>, decide: impl FnOnce() -> Verdict) -> Verdict {
    TABLE.with_borrow_mut(|table| {
        let key = (&asked.principal.name, asked.action, asked.dataset);
        let hash = table.hasher.hash_one(key);
        let place = usize::try_from(hash % PLACES as u64).unwrap_or_default();
        let Some(place) = table.places.get_mut(place) else {
            return decide();
        };
        if let Some(given) = place.as_ref().filter(|given| given.is_to(asked)) {
            return given.verdict;
        }
        let principal = asked.principal;
        let verdict = decide();
        *place = Some(Given {
            serial: asked.serial,
            name: principal.name.clone(),
            authentication: principal.authentication,
            roles: principal.roles,
            attributes: principal.attributes.clone(),
            action: asked.action,
            dataset: asked.dataset,
            verdict,
        });
        verdict
    })
}
