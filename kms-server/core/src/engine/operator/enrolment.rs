//! How a person comes to a password and an authenticator: with a token that another operator made, once, in two
//! steps. The second shows that the authenticator works; only then anything is valid.

use super::login::{cleared, failed, locked, operator};
use super::{
    RECOVERY_LEN, Trial, Tried, about, changed, enrolment_hash, printed, recovery_hash, replacing,
};
use crate::audit::Outcome;
use crate::cipher::password::{Cost, SALT_LEN};
use crate::cipher::{constant_time_eq, totp};
use crate::engine::Refusal;
use crate::engine::snapshot::Operator;
use crate::engine::view::{Moment, View};
use crate::entropy::make_bytes;
use crate::key::record::{
    Enrolment, OperatorRecord, OperatorState, Pending, RECOVERY_CODES, StoredPassword,
};
use crate::policy::{Action, Authorised, act};
use crate::reason::Reason;
use crate::secret::{PasswordHash, TotpSecret};
use crate::time::Timestamp;
use zeroize::Zeroizing;

/// What the first step hands out.
#[derive(Debug)]
pub struct Began {
    /// For the authenticator.
    pub totp: TotpSecret,
}

/// What the second step hands out.
pub struct Enrolled {
    /// Each works once in place of a code; shown once, stored hashed.
    pub recovery_codes: Vec<Zeroizing<String>>,
}

impl std::fmt::Debug for Enrolled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enrolled(<redacted>)")
    }
}

/// The enrolment that `token` permits now.
fn permitted<'a>(
    view: &View<'_>,
    operator: Option<&'a Operator>,
    token: &str,
    now: Timestamp,
) -> Option<(&'a Operator, &'a Enrolment)> {
    let operator = operator?;
    let enrolment = operator.record.enrolment.as_ref()?;
    let hash = enrolment_hash(view.index, &operator.record.name, token);
    let right = constant_time_eq(&hash, &enrolment.token);
    let open = operator.record.state == OperatorState::Enabled && now < enrolment.expires_at;
    (right && open).then_some((operator, enrolment))
}

fn stored(salt: [u8; SALT_LEN], hash: &PasswordHash) -> StoredPassword {
    StoredPassword {
        salt,
        cost: Cost::OPERATOR,
        hash: PasswordHash::take_bytes(&mut hash.expose_bytes().clone()),
    }
}

/// First step: token and password are right (a password that exists is asked for, a new one is taken); the
/// authenticator's secret is made. `salt` is the one that `trial.password` was computed with.
///
/// # Errors
/// INTERNAL without randomness.
pub fn begin_enrolment(
    view: &View<'_>,
    moment: &Moment<'_>,
    _proof: &Authorised<act::BeginEnrolment>,
    trial: &Trial<'_>,
    token: &str,
    salt: [u8; SALT_LEN],
) -> Result<Tried<Began>, Refusal> {
    let now = moment.now;
    if let Some(refused) = locked::<act::BeginEnrolment, _>(view, trial, now) {
        return Ok(refused);
    }
    let permitted = permitted(view, operator(view, trial), token, now);
    let known = permitted.filter(|(operator, _)| match &operator.record.password {
        Some(old) => constant_time_eq(old.hash.expose_bytes(), trial.password.expose_bytes()),
        None => true,
    });
    let Some((operator, enrolment)) = known else {
        return Ok(failed::<act::BeginEnrolment, _>(view, trial, now));
    };
    let secret = TotpSecret::make_random(moment.keys).map_err(Reason::from)?;
    let handed_out = TotpSecret::from_slice(secret.expose_bytes()).ok_or(Reason::Internal)?;
    let mut record = operator.record.duplicate();
    let name = record.name.clone();
    record.enrolment = Some(Enrolment {
        token: enrolment.token,
        expires_at: enrolment.expires_at,
        pending: Some(Pending {
            totp: secret,
            password: stored(salt, trial.password),
        }),
    });
    let writes = vec![replacing(view.index, operator, record)];
    let detail = about(&name, Outcome::Ok, "");
    let reply = Began { totp: handed_out };
    Ok(changed(
        Action::BeginEnrolment,
        Ok(reply),
        detail,
        writes,
        false,
    ))
}

/// Second step: a code of the new authenticator. Password, authenticator and recovery codes become valid
/// together, the token is used up, sessions end.
///
/// # Errors
/// INTERNAL without randomness.
pub fn confirm_enrolment(
    view: &View<'_>,
    moment: &Moment<'_>,
    _proof: &Authorised<act::ConfirmEnrolment>,
    trial: &Trial<'_>,
    token: &str,
) -> Result<Tried<Enrolled>, Refusal> {
    let now = moment.now;
    if let Some(refused) = locked::<act::ConfirmEnrolment, _>(view, trial, now) {
        return Ok(refused);
    }
    let permitted = permitted(view, operator(view, trial), token, now);
    let pending = permitted.and_then(|(operator, enrolment)| {
        let pending = enrolment.pending.as_ref()?;
        let step = totp::accept(&pending.totp, trial.code, now, 0, trial.steps_back)?;
        Some((operator, step))
    });
    let Some((operator, step)) = pending else {
        return Ok(failed::<act::ConfirmEnrolment, _>(view, trial, now));
    };
    let mut record = operator.record.duplicate();
    let pending = record
        .enrolment
        .take()
        .and_then(|enrolment| enrolment.pending);
    let pending = pending.ok_or(Reason::Internal)?;
    record.totp = Some(pending.totp);
    record.password = Some(pending.password);
    record.last_step = step;
    record.generation = record.generation.saturating_add(1);
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    record.recovery.clear();
    for _ in 0..RECOVERY_CODES {
        let bytes: [u8; RECOVERY_LEN] = make_bytes(moment.keys).map_err(Reason::from)?;
        let code = Zeroizing::new(printed(&bytes));
        record
            .recovery
            .push(recovery_hash(view.index, &record.name, &code));
        codes.push(code);
    }
    let detail = about(&record.name, Outcome::Ok, "");
    let mut writes = vec![replacing(view.index, operator, record)];
    writes.extend(cleared(view, trial));
    let reply = Enrolled {
        recovery_codes: codes,
    };
    Ok(changed(
        Action::ConfirmEnrolment,
        Ok(reply),
        detail,
        writes,
        true,
    ))
}

/// Takes a new password in the place of the old one, which must be given; sessions end.
///
/// # Errors
/// INTERNAL when the caller is no operator.
pub fn change_password(
    view: &View<'_>,
    moment: &Moment<'_>,
    _proof: &Authorised<act::ChangePassword>,
    trial: &Trial<'_>,
    new: (&PasswordHash, [u8; SALT_LEN]),
) -> Result<Tried<()>, Refusal> {
    if let Some(refused) = locked::<act::ChangePassword, _>(view, trial, moment.now) {
        return Ok(refused);
    }
    let operator = operator(view, trial).ok_or(Reason::Internal)?;
    let old = operator.record.password.as_ref().ok_or(Reason::Internal)?;
    if !constant_time_eq(old.hash.expose_bytes(), trial.password.expose_bytes()) {
        return Ok(failed::<act::ChangePassword, _>(view, trial, moment.now));
    }
    let (hash, salt) = new;
    let mut record = operator.record.duplicate();
    record.password = Some(stored(salt, hash));
    record.generation = record.generation.saturating_add(1);
    let detail = about(&record.name, Outcome::Ok, "");
    let mut writes = vec![replacing(view.index, operator, record)];
    writes.extend(cleared(view, trial));
    Ok(changed(
        Action::ChangePassword,
        Ok(()),
        detail,
        writes,
        true,
    ))
}

/// An operator who exists from the first moment on, with everything that enrolling gives but recovery codes.
#[must_use]
pub fn first_operator(
    name: crate::name::OperatorName,
    roles: u16,
    password: StoredPassword,
    totp: TotpSecret,
    now: Timestamp,
) -> OperatorRecord {
    OperatorRecord {
        name,
        roles,
        state: OperatorState::Enabled,
        password: Some(password),
        totp: Some(totp),
        last_step: 0,
        recovery: Vec::new(),
        enrolment: None,
        generation: 0,
        unlocks: 0,
        created_at: now,
        recovered_at: None,
    }
}
