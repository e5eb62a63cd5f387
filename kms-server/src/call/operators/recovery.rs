//! RecoverOperator: with the recovery passphrase, over a certificate of operators, when nobody can log in any more.
//! Never quicker than a day, never unheard.

use super::{Nothing, USER_MAX, bounded, rendered};
use crate::call::Service;
use crate::call::lane::Lane;
use crate::call::operation::Refused;
use crate::call::road::Incoming;
use crate::call::ticket::Ticket;
use crate::live::Live;
use crate::seal::UnsealError;
use crate::seal::passphrase::Passphrase;
use kms_core::engine::approval::statement::etag;
use kms_core::engine::approval::{Asked, recover};
use kms_core::engine::{Moment, Refusal, View};
use kms_core::name::OperatorName;
use kms_core::policy::{Action, act};
use kms_core::reason::Reason;
use kms_proto::v1;
use prost::Message as _;
use zeroize::Zeroizing;

/// Most bytes of a passphrase.
const PASSPHRASE_MAX: usize = 1_024;

/// The account alone: whoever may disable it does not end its recovery by that.
fn account_etag(view: &View<'_>, name: &OperatorName) -> [u8; 32] {
    let operator = view.snapshot.operators.get(name);
    let made = operator.map(|operator| operator.record.created_at.as_micros().to_be_bytes());
    let made = made.as_ref().map_or(&[][..], |made| made);
    etag(&[b"recovery", name.as_str().as_bytes(), made])
}

impl Service {
    pub(in crate::call) async fn recover_operator(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::RecoverOperatorResponse, Refusal> {
        ticket.action = Action::RecoverOperator;
        let live = self.unsealed(lane, ticket).await?;
        let check = |message: &v1::RecoverOperatorRequest| {
            bounded(&message.user, USER_MAX, "user")?;
            OperatorName::canonical(&message.user).map_err(|e| Refusal::field("user", e.0))?;
            if (1..=PASSPHRASE_MAX).contains(&message.passphrase.len()) {
                return Ok(());
            }
            Err(Refusal::field("passphrase", "1 to 1,024 bytes"))
        };
        let message = self.read::<act::RecoverOperator, _>(lane, ticket, call, &live, check);
        let message: v1::RecoverOperatorRequest = message.await?;
        if let Err(reason) = self.is_recovery_passphrase(&message.passphrase).await {
            return Err(self.refuse(lane, ticket, Some(&live), reason.into()).await);
        }
        let name = OperatorName::canonical(&message.user);
        let name = name.map_err(|error| Refusal::field("user", error.0))?;
        self.let_in(lane, ticket, &live, &name).await
    }

    /// The seals' passphrase stands in until there are recovery recipients. Guesses cost as those at unsealing do.
    async fn is_recovery_passphrase(&self, typed: &[u8]) -> Result<(), Reason> {
        let passphrase = Passphrase::new(Zeroizing::new(typed.to_vec()));
        let right = self.gate.check(passphrase).await;
        right.map_err(|error| match error {
            UnsealError::TooManyAttempts { .. } => Reason::ResourceExhausted,
            _ => Reason::UnsealFailed,
        })
    }

    async fn let_in(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        live: &Live,
        name: &OperatorName,
    ) -> Result<v1::RecoverOperatorResponse, Refusal> {
        // what is shown and kept of the request has no passphrase
        let request = v1::RecoverOperatorRequest {
            user: name.as_str().to_owned(),
            passphrase: bytes::Bytes::new(),
            validate_only: false,
        };
        let request = request.encode_to_vec();
        let none = Nothing::default();
        let step = async |ticket: &Ticket<'_>| {
            let held = live.state.hold();
            let proof = self.proof::<act::RecoverOperator>(ticket)?;
            let view = self.operator_view(live, &held, &none);
            let moment = Moment {
                now: ticket.at.time,
                keys: &*self.entropy,
                salts: &*self.entropy,
            };
            let asked = Asked {
                action: Action::RecoverOperator,
                method: ticket.method,
                request: &request,
                etag: account_etag(&view, name),
                requester: &ticket.principal.name,
                policy: ticket.policy.get(),
                origin: self.audit.origin(),
                instance: live.keys.instance.public().fingerprint().0,
                approval: ticket.approval,
            };
            let decision = recover(&view, &moment, &proof, name, &asked).map_err(Refused::from)?;
            Ok((decision, held))
        };
        let reply = self.change(lane, ticket, live, step).await?;
        let now = live.state.hold();
        self.tell_of_use(ticket, &now.snapshot, &reply);
        Ok(v1::RecoverOperatorResponse {
            enrolment_token: reply?.to_string(),
            operator: now.snapshot.operators.get(name).map(rendered),
        })
    }
}
