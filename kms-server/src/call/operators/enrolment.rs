//! BeginEnrolment and ConfirmEnrolment.

use super::{CODE_MAX, Typed, USER_MAX, bounded};
use crate::call::lane::Lane;
use crate::call::road::Incoming;
use crate::call::ticket::Ticket;
use crate::call::{Service, password};
use kms_core::cipher::totp;
use kms_core::engine::operator::{Trial, begin_enrolment, confirm_enrolment};
use kms_core::engine::{Moment, Refusal, View};
use kms_core::entropy::make_bytes;
use kms_core::name::OperatorName;
use kms_core::policy::{Action, Authorised, act};
use kms_core::reason::Reason;
use kms_core::secret::TotpSecret;
use kms_proto::v1;
use zeroize::Zeroizing;

impl Service {
    pub(in crate::call) async fn begin_enrolment(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::BeginEnrolmentResponse, Refusal> {
        ticket.action = Action::BeginEnrolment;
        let live = self.unsealed(lane, ticket).await?;
        let check = |message: &v1::BeginEnrolmentRequest| {
            bounded(&message.user, USER_MAX, "user")?;
            bounded(&message.enrolment_token, CODE_MAX, "enrolment_token")?;
            bounded(&message.password, password::LEN_MAX, "password")
        };
        let message = self.read::<act::BeginEnrolment, _>(lane, ticket, call, &live, check);
        let message: v1::BeginEnrolmentRequest = message.await?;
        let token = Zeroizing::new(message.enrolment_token);
        let principal = ticket.principal;
        let (new, user) = (&message.password, &message.user);
        let judged = self
            .gatekeeper
            .judge(&principal.name, new, user, "password");
        if let Err(refusal) = judged.await {
            return Err(self.refuse(lane, ticket, Some(&live), refusal.into()).await);
        }
        let mut typed = Typed::new(&message.user, &principal.name, "");
        typed.password = Some(Zeroizing::new(message.password.into_bytes()));
        let salt = match make_bytes(&*self.entropy) {
            Ok(salt) => salt,
            Err(_) => {
                let refused = Reason::Internal.into();
                return Err(self.refuse(lane, ticket, Some(&live), refused).await);
            }
        };
        let decide =
            |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<_>, trial: &Trial<'_>| {
                let stored = typed
                    .account
                    .as_ref()
                    .and_then(|name| view.snapshot.operators.get(name))
                    .and_then(|operator| operator.record.password.as_ref());
                let salt = stored.map_or(salt, |stored| stored.salt);
                begin_enrolment(view, moment, proof, trial, &token, salt)
            };
        let scene = (lane, &mut *ticket, &*live);
        let began = self
            .try_as::<act::BeginEnrolment, _>(scene, &typed, salt, decide)
            .await?;
        Ok(v1::BeginEnrolmentResponse {
            otpauth_uri: typed
                .account
                .as_ref()
                .map(|name| otpauth(name, &began.totp, self.audit.origin()))
                .unwrap_or_default(),
            totp_secret: began.totp.expose_bytes().to_vec().into(),
        })
    }

    pub(in crate::call) async fn confirm_enrolment(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::ConfirmEnrolmentResponse, Refusal> {
        ticket.action = Action::ConfirmEnrolment;
        let live = self.unsealed(lane, ticket).await?;
        let check = |message: &v1::ConfirmEnrolmentRequest| {
            bounded(&message.user, USER_MAX, "user")?;
            bounded(&message.enrolment_token, CODE_MAX, "enrolment_token")?;
            bounded(&message.code, CODE_MAX, "code")
        };
        let message = self.read::<act::ConfirmEnrolment, _>(lane, ticket, call, &live, check);
        let message: v1::ConfirmEnrolmentRequest = message.await?;
        let token = Zeroizing::new(message.enrolment_token);
        let code = Zeroizing::new(message.code);
        let principal = ticket.principal;
        // nothing is hashed here: what bounds the counters that strange names leave behind is the bucket
        if let Err(reason) = self.gatekeeper.take(&principal.name) {
            return Err(self.refuse(lane, ticket, Some(&live), reason.into()).await);
        }
        let typed = Typed::new(&message.user, &principal.name, &code);
        let decide =
            |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<_>, trial: &Trial<'_>| {
                confirm_enrolment(view, moment, proof, trial, &token)
            };
        let scene = (lane, &mut *ticket, &*live);
        let enrolled = self
            .try_as::<act::ConfirmEnrolment, _>(scene, &typed, [0; 16], decide)
            .await?;
        let codes = enrolled.recovery_codes.iter();
        Ok(v1::ConfirmEnrolmentResponse {
            recovery_codes: codes.map(|code| code.to_string()).collect(),
        })
    }
}

/// What authenticators read (the key URI format of Google Authenticator, which all of them follow). The log's
/// origin names the installation; nothing in it needs escaping.
fn otpauth(name: &OperatorName, secret: &TotpSecret, origin: &str) -> String {
    let issuer = origin.split('/').next().unwrap_or("kms");
    let secret = totp::expose_text(secret);
    format!(
        "otpauth://totp/{issuer}:{}?secret={}&issuer={issuer}&algorithm=SHA1&digits=6&period=30",
        name.as_str(),
        &*secret
    )
}
