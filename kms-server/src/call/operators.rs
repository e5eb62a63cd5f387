//! The RPCs of `AuthService`: sessions, second factors, and what operators do to one another.

pub(super) mod administration;
pub(super) mod enrolment;
pub(super) mod recovery;
pub(super) mod session;

use super::lane::Lane;
use super::operation::Refused;
use super::road::Incoming;
use super::ticket::Ticket;
use super::{Service, dry_run, render};
use crate::live::Live;
use crate::live::state::Held;
use kms_core::cipher::password::SALT_LEN;
use kms_core::engine::operator::attempts::Standing;
use kms_core::engine::operator::login::standing;
use kms_core::engine::operator::{Trial, Tried};
use kms_core::engine::snapshot::Operator;
use kms_core::engine::{Moment, Refusal, View};
use kms_core::key::record::OperatorState;
use kms_core::name::{OperatorName, PrincipalName};
use kms_core::policy::{ActionKind, Authorised, Role, Roles};
use kms_core::reason::Reason;
use kms_core::secret::PasswordHash;
use kms_proto::v1;
use std::collections::HashMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Most bytes of a user's name as typed.
const USER_MAX: usize = 256;
/// Most bytes of a code or token as typed.
const CODE_MAX: usize = 64;

/// Methods that a certificate of operators calls by itself: for the others a session speaks, if there is one.
pub(super) const BY_CERTIFICATE: [&str; 6] = [
    "Login",
    "BeginEnrolment",
    "ConfirmEnrolment",
    "Unseal",
    "RecoverOperator",
    "RenewService",
];

/// A field within its length.
fn bounded(text: &str, most: usize, field: &str) -> Result<(), Refusal> {
    if text.len() <= most {
        return Ok(());
    }
    let description = match most {
        USER_MAX => "at most 256 bytes",
        CODE_MAX => "at most 64 bytes",
        _ => "at most 1,024 bytes",
    };
    Err(Refusal::field(field, description))
}

/// Who is tried, from which certificate, with which password.
struct Typed<'a> {
    account: Option<OperatorName>,
    certificate: &'a PrincipalName,
    password: Option<Zeroizing<Vec<u8>>>,
    code: &'a str,
}

impl<'a> Typed<'a> {
    fn new(user: &str, certificate: &'a PrincipalName, code: &'a str) -> Self {
        Self {
            account: OperatorName::canonical(user).ok(),
            certificate,
            password: None,
            code,
        }
    }

    fn trial<'t>(&'t self, password: &'t PasswordHash, steps_back: u32) -> Trial<'t> {
        Trial {
            account: self.account.as_ref(),
            certificate: self.certificate,
            password,
            code: self.code,
            steps_back,
        }
    }
}

impl Service {
    pub(super) fn operator_view<'a>(
        &self,
        live: &'a Live,
        held: &'a Held,
        none: &'a Nothing,
    ) -> View<'a> {
        View {
            snapshot: &held.snapshot,
            by_scope: &none.by_scope,
            by_id: &none.by_id,
            index: &live.keys.index,
            time_mark: live.state.time_mark().0,
        }
    }

    /// One try at being somebody: its turn, the hash of what was typed (unless the account is locked), the
    /// decision, its entry. `salt` is used where the account has no password.
    async fn try_as<A: ActionKind, R>(
        &self,
        scene: (&Lane, &mut Ticket<'_>, &Live),
        typed: &Typed<'_>,
        salt: [u8; SALT_LEN],
        decide: impl Fn(&View<'_>, &Moment<'_>, &Authorised<A>, &Trial<'_>) -> Result<Tried<R>, Refusal>,
    ) -> Result<R, Refusal> {
        let (lane, ticket, live) = scene;
        let _turn = self.gatekeeper.turn(typed.account.as_ref()).await;
        let hashed = self.password_of(live, typed, salt, ticket.at.time).await;
        let password = match hashed {
            Ok(password) => password,
            Err(reason) => return Err(self.refuse(lane, ticket, Some(live), reason.into()).await),
        };
        let none = Nothing::default();
        let step = async |ticket: &Ticket<'_>| {
            let held: Arc<Held> = live.state.hold();
            let proof = self.proof::<A>(ticket)?;
            let moment = Moment {
                now: ticket.at.time,
                keys: &*self.entropy,
                salts: &*self.entropy,
            };
            let view = self.operator_view(live, &held, &none);
            let trial = typed.trial(&password, self.facts.totp_steps_back);
            let decision = decide(&view, &moment, &proof, &trial).map_err(Refused::from)?;
            Ok((decision, held))
        };
        let tried = self.change(lane, ticket, live, step).await?;
        if tried.is_ok() {
            self.gatekeeper.give_back(typed.certificate);
        }
        tried.map_err(Refusal::from)
    }

    /// Argon2id of what was typed; of a locked account nothing is computed.
    async fn password_of(
        &self,
        live: &Live,
        typed: &Typed<'_>,
        salt: [u8; SALT_LEN],
        now: kms_core::time::Timestamp,
    ) -> Result<PasswordHash, Reason> {
        let zero = || PasswordHash::take_bytes(&mut [0; 32]);
        let Some(password) = &typed.password else {
            return Ok(zero());
        };
        let salt = {
            let held = live.state.hold();
            let none = Nothing::default();
            let view = self.operator_view(live, &held, &none);
            let account = typed.account.as_ref();
            if standing(&view, account, typed.certificate, now) != Standing::Open {
                return Ok(zero());
            }
            let known = account.and_then(|name| held.snapshot.operators.get(name));
            let stored = known.and_then(|operator| operator.record.password.as_ref());
            stored.map_or(salt, |stored| stored.salt)
        };
        self.gatekeeper
            .hash(typed.certificate, password.clone(), salt)
            .await
    }

    /// Unsealed, and with an audit key for this month.
    pub(super) async fn unsealed(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
    ) -> Result<Arc<Live>, Refusal> {
        let Some(live) = self.gate.live() else {
            return Err(self.refuse(lane, ticket, None, Reason::Sealed.into()).await);
        };
        self.ensure_month(lane, &live).await;
        Ok(live)
    }

    /// Allowed, then read: in that order.
    pub(super) async fn read<A: ActionKind, M: prost::Message + Default>(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
        live: &Live,
        check: impl Fn(&M) -> Result<(), Refusal>,
    ) -> Result<M, Refusal> {
        let read = || -> Result<M, Refused> {
            self.proof::<A>(ticket)?;
            let message: M = self.decode(call.method, call.body.clone())?;
            check(&message)?;
            dry_run::ends(ticket, A::ACTION)?;
            Ok(message)
        };
        match read() {
            Ok(message) => Ok(message),
            Err(refused) => Err(self.refuse(lane, ticket, Some(live), refused).await),
        }
    }
}

/// Calls about operators gather no shred secrets.
#[derive(Default)]
pub(super) struct Nothing {
    by_scope: HashMap<kms_core::name::ShredScope, Option<kms_core::engine::Named>>,
    by_id: HashMap<kms_core::name::SecretId, Option<Arc<kms_core::engine::ShredEntry>>>,
}

/// Roles in words.
fn words(roles: Roles) -> Vec<String> {
    roles.iter().map(|role| role.as_str().to_owned()).collect()
}

/// Roles from words.
fn roles(words: &[String]) -> Result<Roles, Refusal> {
    const FORM: &str = "of security-admin, key-admin, auditor, approver, break-glass";
    let roles: Option<Vec<Role>> = words.iter().map(|word| Role::of_person(word)).collect();
    let roles = roles.ok_or_else(|| Refusal::field("roles", FORM))?;
    Ok(Roles::of(&roles))
}

/// An operator as others see it.
pub(super) fn rendered(operator: &Operator) -> v1::Operator {
    let record = &operator.record;
    let state = match record.state {
        OperatorState::Disabled { .. } => v1::OperatorState::Disabled,
        OperatorState::Removed { .. } => v1::OperatorState::Removed,
        OperatorState::Enabled if record.can_act() => v1::OperatorState::Enabled,
        OperatorState::Enabled => v1::OperatorState::Enrolling,
    };
    v1::Operator {
        name: record.name.principal().as_str().to_owned(),
        roles: words(Roles::of_person(record.roles)),
        state: state.into(),
        created_at: Some(render::timestamp(record.created_at)),
        recovery_codes_left: u32::try_from(record.recovery.len()).unwrap_or(0),
    }
}
