//! Who may do what. Only [`authorise`] makes the [`Authorised`] that the engine asks for, and only the
//! road of a call (`call.rs`) calls it.

pub mod action;
pub mod approval;
pub mod freshness;
pub mod limits;
pub mod role;

pub use action::{Action, ActionKind, act};
pub use approval::ApprovalRules;
pub use freshness::Freshness;
pub use role::{ByRole, Role, RoleTable, Roles};

use crate::format::place::Revision;
use crate::name::{
    DatasetName, KeyContext, KeyId, Labels, PrincipalName, RetentionClass, ShredScope,
};
use crate::reason::Reason;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::sync::Arc;

/// How a principal proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Authentication {
    /// A client certificate that the configured authority signed.
    Certificate = 1,
    /// The daemon itself: its jobs.
    Internal = 2,
    /// A session of an operator: password, code and an operator's certificate.
    OperatorSession = 3,
    /// An access token of a configured issuer.
    Token = 4,
    /// Both, for the same principal or bound to one another.
    CertificateAndToken = 5,
    /// A one-time token of the built-in authority, without a certificate: good for one call.
    EnrolmentToken = 6,
}

/// Who calls, once identified.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Canonical name.
    pub name: PrincipalName,
    /// How it proved that.
    pub authentication: Authentication,
    /// What it is there for.
    pub roles: Roles,
    /// What its credentials or the configuration say of it, for policies.
    pub attributes: Attributes,
    /// Of a person: the code that was accepted last.
    pub second_factor: Option<SecondFactor>,
}

/// Words about a principal; empty for most.
pub type Attributes = Option<Arc<BTreeMap<Box<str>, Box<str>>>>;

/// A one-time code that a person gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecondFactor {
    /// When it was accepted.
    pub at: Timestamp,
    /// It came with this very request.
    pub with_this_request: bool,
}

impl Principal {
    /// A person: the name stands encrypted in the log, a service's in the clear.
    #[must_use]
    pub fn is_person(&self) -> bool {
        self.authentication != Authentication::Internal
            && !self.roles.contains(Role::Service)
            && !self.roles.contains(Role::Enrolling)
    }

    /// The roles that count: a certificate or token is nobody's person, and a session nobody's service.
    #[must_use]
    pub fn standing(&self) -> Roles {
        let counts = |role: Role| match self.authentication {
            Authentication::Internal => role == Role::Internal,
            Authentication::OperatorSession => Role::PEOPLE.contains(&role),
            Authentication::Certificate
            | Authentication::Token
            | Authentication::CertificateAndToken => {
                matches!(role, Role::Service | Role::OperatorCertificate)
            }
            Authentication::EnrolmentToken => role == Role::Enrolling,
        };
        self.roles.only(counts)
    }

    /// The daemon itself: its jobs. No certificate can carry this name: it is neither a SPIFFE id nor a
    /// DNS name, and the authentication tells the two apart besides.
    #[must_use]
    pub fn internal() -> Self {
        Self {
            name: PrincipalName::internal(),
            authentication: Authentication::Internal,
            roles: Roles::of(&[Role::Internal]),
            attributes: None,
            second_factor: None,
        }
    }
}

/// Where from and when.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances {
    /// The other end of the connection; `None` for the daemon's own jobs.
    pub source: Option<IpAddr>,
    /// The wall clock.
    pub now: Timestamp,
}

/// A dataset, as far as the decision may depend on it.
#[derive(Debug, Clone, Copy)]
pub struct AboutDataset<'a> {
    /// Names its key.
    pub key_id: KeyId,
    /// Its name.
    pub name: &'a DatasetName,
    /// Retention classes that it allows.
    pub classes: &'a [RetentionClass],
    /// What its labels say.
    pub labels: &'a Labels,
    /// Of its record: an answer that was remembered holds for no later one.
    pub revision: Revision,
}

/// What a call is about, as far as the decision may depend on it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Resource<'a> {
    /// The dataset; `None` where the action has none, or none of that name exists ("nobody's").
    pub dataset: Option<AboutDataset<'a>>,
    /// The action is about a dataset, and there is no such one: always denied.
    pub unknown: bool,
    /// The key context, where the call has one.
    pub context: Option<&'a KeyContext>,
    /// Shred secrets that the call names or touches.
    pub scopes: &'a [ShredScope],
}

/// What is decided of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Yes or no.
    pub allowed: bool,
    /// What is asked of a person's second factor; it counts where [`Freshness::of`] asks for less.
    pub asks: Freshness,
}

impl Verdict {
    /// Yes or no, and the table of freshness alone.
    #[must_use]
    pub const fn plain(allowed: bool) -> Self {
        Self {
            allowed,
            asks: Freshness::None,
        }
    }
}

/// Decides. Implementations never look at the store: they see what is given here.
pub trait Decide: Send + Sync {
    /// May `principal` do `action` to `resource`?
    fn decide(
        &self,
        principal: &Principal,
        action: Action,
        resource: &Resource<'_>,
        circumstances: &Circumstances,
    ) -> Verdict;
    /// Number of the policy generation that decides; stands in every audit entry.
    fn revision(&self) -> u64;
}

/// Proof that action `A` on one resource was allowed. Cannot be made elsewhere, copied or stored.
#[derive(Debug)]
pub struct Authorised<A> {
    dataset: Option<KeyId>,
    principal: PrincipalName,
    action: PhantomData<A>,
}

impl<A: ActionKind> Authorised<A> {
    /// The dataset that it is about.
    #[must_use]
    pub const fn dataset(&self) -> Option<KeyId> {
        self.dataset
    }

    /// Who may.
    #[must_use]
    pub const fn principal(&self) -> &PrincipalName {
        &self.principal
    }
}

/// Why there is no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// The decision was no, or there is no such thing; the two look the same.
    #[error("not allowed, or no such thing")]
    Denied,
    /// An operator's certificate alone: who is behind it must log in before anything is decided.
    #[error("a session is needed")]
    NoSession,
    /// The decision was yes, but the person's second factor is not as fresh as this asks.
    #[error("a fresher code is needed")]
    Stale(Freshness),
}

impl NotAllowed {
    /// What the caller is told.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Denied => Reason::Denied,
            Self::NoSession | Self::Stale(Freshness::None | Freshness::Session) => {
                Reason::SessionRequired
            }
            Self::Stale(Freshness::Recent) => Reason::RecentCodeRequired,
            Self::Stale(Freshness::Each) => Reason::NewCodeRequired,
        }
    }
}

/// Asks `decide` and makes the proof.
///
/// # Errors
/// [`NotAllowed`] when it says no, the resource is unknown, or a person's second factor is not fresh enough.
pub fn authorise<A: ActionKind>(
    decide: &(impl Decide + ?Sized),
    principal: &Principal,
    resource: &Resource<'_>,
    circumstances: &Circumstances,
) -> Result<Authorised<A>, NotAllowed> {
    // asked in every case: a decision must not cost less for what does not exist
    let verdict = decide.decide(principal, A::ACTION, resource, circumstances);
    let allowed = verdict.allowed && limits::is_open_to(principal, A::ACTION);
    if !allowed || resource.unknown {
        return Err(if principal.roles.contains(Role::OperatorCertificate) {
            NotAllowed::NoSession
        } else {
            NotAllowed::Denied
        });
    }
    let asked = Freshness::of(A::ACTION).max(verdict.asks);
    if !asked.is_met(principal, circumstances) {
        return Err(NotAllowed::Stale(asked));
    }
    Ok(Authorised {
        dataset: resource.dataset.map(|dataset| dataset.key_id),
        principal: principal.name.clone(),
        action: PhantomData,
    })
}
