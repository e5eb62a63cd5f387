//! GetTrust and ApproveTrust: what says who is who, in force and configured; and the daemon's own adoption of a first
//! configuration. What the files say counts only once the roster agreed to it.

use super::Service;
use super::lane::Lane;
use super::operation::{Marked, Refused};
use super::operators::Nothing;
use super::render::timestamp;
use super::road::Incoming;
use super::ticket::Ticket;
use crate::live::state::Held;
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::approval::statement::etag;
use kms_core::engine::trust::{Configured, adopt_trust, approve_trust, fingerprint};
use kms_core::engine::{Moment, Refusal, View};
use kms_core::policy::{Action, Authorised, Principal, Role, act};
use kms_core::reason::Reason;
use kms_proto::v1;
use prost::Message as _;
use std::sync::Arc;

impl Service {
    /// What was approved counts from here on, whatever the files say.
    pub fn enforce_trust(&self) {
        if let Some(live) = self.gate.live() {
            let held = live.state.hold();
            self.identity
                .enforce(held.snapshot.trust.as_ref().map(|kept| &kept.record));
        }
    }

    pub(super) async fn get_trust(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::GetTrustResponse, Refusal> {
        ticket.action = Action::GetTrust;
        let live = self.unsealed(lane, ticket).await?;
        let read =
            self.read::<act::GetTrust, v1::GetTrustRequest>(lane, ticket, call, &live, |_| Ok(()));
        read.await?;
        let facts = Facts::single(ticket.action, Detail::new(Outcome::Ok));
        self.log(lane, ticket, Some(&live), &facts).await?;
        let held = live.state.hold();
        let approved = held.snapshot.trust.as_ref().map(|kept| &kept.record);
        let configured = self.identity.document();
        Ok(v1::GetTrustResponse {
            is_approved: approved.is_none_or(|approved| self.identity.is_approved(approved)),
            approved_by: approved.map_or_else(String::new, |it| it.approved_by.as_str().to_owned()),
            approved_at: approved.map(|it| timestamp(it.approved_at)),
            approved_document: approved.map_or_else(String::new, |it| it.document.to_string()),
            configured_document: configured.to_string(),
        })
    }

    pub(super) async fn approve_trust(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
        certificate: &Principal,
    ) -> Result<v1::ApproveTrustResponse, Refusal> {
        ticket.action = Action::ApproveTrust;
        let live = self.unsealed(lane, ticket).await?;
        let message = self
            .read::<act::ApproveTrust, v1::ApproveTrustRequest>(lane, ticket, call, &live, |_| {
                Ok(())
            })
            .await?;
        let none = Nothing::default();
        let step = async |ticket: &Ticket<'_>| {
            let held: Arc<Held> = live.state.hold();
            let proof = self.proof::<act::ApproveTrust>(ticket)?;
            if !self.keeps_this_desk(ticket, certificate) {
                return Err(Reason::LastAdministrator.into());
            }
            let view = self.operator_view(&live, &held, &none);
            let moment = self.moment(ticket);
            let document = self.identity.document();
            let wanted = (&*message.document, self.configured(&document));
            let decision = approve_trust(&view, &moment, &proof, wanted)?;
            let revision = held
                .snapshot
                .trust
                .as_ref()
                .map_or(0, |kept| kept.revision.0);
            let marked = Marked {
                action: Action::ApproveTrust,
                etag: etag(&[b"trust", &revision.to_be_bytes()]),
            };
            let asked = Some((marked, message.encode_to_vec()));
            let gated = self.gated(&live, ticket, (&view, &moment), asked, decision)?;
            Ok::<_, Refused>((gated, held))
        };
        let reply = self.change(lane, ticket, &live, step).await?;
        self.tell_of_use(ticket, &live.state.hold().snapshot, &reply);
        reply?;
        self.enforce_trust();
        Ok(v1::ApproveTrustResponse {
            fingerprint: fingerprint(&message.document),
        })
    }

    /// Whether people could still log in from where the caller is: else nobody might find a way back.
    fn keeps_this_desk(&self, ticket: &Ticket<'_>, certificate: &Principal) -> bool {
        let roles = self.identity.roles_of(&certificate.name);
        let by_record = !roles.contains(Role::OperatorCertificate);
        let now = ticket.at.time;
        let connection = ticket.connection;
        connection.is_some_and(|it| self.identity.would_let_in(it, by_record, now))
    }

    fn configured<'a>(&self, document: &'a str) -> Configured<'a> {
        Configured {
            document,
            development: self.identity.development(),
        }
    }

    /// Takes the first configuration for approved, and any of a development installation.
    ///
    /// # Errors
    /// As the engine refuses.
    pub async fn adopt_trust(&self, lane: &Lane) -> Result<(), Refusal> {
        let Some(live) = self.gate.live() else {
            return Ok(());
        };
        let document = self.identity.document();
        let is_new = {
            let held = live.state.hold();
            let kept = held.snapshot.trust.as_ref();
            kept.is_none_or(|kept| {
                self.identity.is_approved(&kept.record) && *kept.record.document != **document
            })
        };
        if !is_new {
            return Ok(());
        }
        let decide = |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<_>| {
            adopt_trust(view, moment, proof, self.configured(&document))
        };
        self.internal::<act::AdoptTrust, _>(lane, None, &[], decide)
            .await
    }

    /// What an operator must hear of it.
    pub(super) fn trust_alarm(&self, held: &Held) -> Option<String> {
        let kept = held.snapshot.trust.as_ref()?;
        let changed = !self.identity.is_approved(&kept.record);
        changed.then(|| {
            "the configured authorities, principals and issuers are not in force: `kms config show`, `kms config approve`"
                .to_owned()
        })
    }
}
