//! From the transport onto the road: who calls, which method, and what never got so far.

use super::Service;
use super::dry_run;
use super::lane::Lane;
use super::operation::Refused;
use super::road::{Credentials, Early, Incoming, Road, Shed};
use super::ticket::Ticket;
use crate::live::sessions::Session;
use bytes::Bytes;
use kms_core::audit::{Detail, Outcome};
use kms_core::engine::Refusal;
use kms_core::name::CallId;
use kms_core::policy::{Action, Principal};
use kms_core::reason::Reason;
use std::cell::Cell;
use std::sync::Arc;

impl Service {
    fn ticket<'a>(
        &'a self,
        lane: &'a Lane,
        principal: &'a Principal,
        call: (
            &'a CallId,
            &'a crate::identity::Connection,
            Option<[u8; 16]>,
        ),
    ) -> Ticket<'a> {
        let (id, connection, trace) = call;
        Ticket {
            id: *id,
            at: self.scribe.now(),
            principal,
            connection: Some(connection),
            trace,
            enrolment: None,
            session: None,
            method: "",
            action: Action::Refuse,
            service: self,
            lane,
            approval: None,
            policy: Cell::new(0),
            dry_run: false,
            is_logged: false,
            handed_in: None,
        }
    }

    /// Who calls, then the road.
    async fn journey(&self, lane: &Lane, mut call: Incoming) -> Result<Bytes, Refusal> {
        let now = self.clock.now();
        self.enforce_trust();
        let known = self
            .identity
            .identify(&call.connection, &call.authorization, now);
        let known = known
            .await
            .and_then(|principal| self.enrolled(principal, &call.connection));
        let (principal, enrolment) = match known {
            Ok(principal) => (principal, None),
            Err(reason) => match self.enrolling(&call, now) {
                Some((principal, token)) => (principal, Some(token)),
                None => {
                    let source = call.connection.peer().ip();
                    self.strangers.note(source, reason, now);
                    return Err(reason.into());
                }
            },
        };
        let certificate = principal;
        let mut session = None;
        if let Some(credentials) = call.credentials.as_deref() {
            session = Box::pin(self.in_session(lane, &call, &certificate, credentials)).await?;
        }
        let principal = session.as_ref().map_or(&certificate, |it| &it.0);
        let about = (&call.id, &*call.connection, call.trace_id);
        let mut ticket = self.ticket(lane, principal, about);
        ticket.method = call.method.name;
        let credentials = call.credentials.as_deref();
        ticket.approval = credentials.and_then(|given| given.approval);
        ticket.enrolment = enrolment;
        ticket.session = session.as_ref().map(|it| it.1.speaks());
        (call.body, ticket.dry_run) = dry_run::split(std::mem::take(&mut call.body));
        let result = self.dispatch(lane, &mut ticket, &call, &certificate).await;
        dry_run::answer(result)
    }

    /// The operator who speaks, with the code that came along taken; `None`: the certificate speaks for itself.
    async fn in_session(
        &self,
        lane: &Lane,
        call: &Incoming,
        certificate: &Principal,
        credentials: &Credentials,
    ) -> Result<Option<(Principal, Session)>, Refusal> {
        let method = call.method.name;
        let spoken = self.speaker(certificate, &call.connection, method, Some(credentials));
        let Some((mut principal, session)) = spoken else {
            return Ok(None);
        };
        // the taking of a code is an act of its own, with an entry of its own
        let id = self.scribe.next_id();
        let mut ticket = self.ticket(lane, &principal, (&id, &*call.connection, call.trace_id));
        ticket.method = call.method.name;
        ticket.session = Some(session.speaks());
        let taken = self.take_code(lane, &mut ticket, certificate, (&session, credentials));
        let taken = taken.await;
        // without a code nothing happened that could be logged
        ticket.is_logged = true;
        drop(ticket);
        match taken {
            Ok(None) => {}
            Ok(factor) => principal.second_factor = factor,
            Err(refusal) => {
                let about = (&call.id, &*call.connection, call.trace_id);
                let mut ticket = self.ticket(lane, &principal, about);
                let live = self.gate.live();
                let refused = refusal.into();
                return Err(self
                    .refuse(lane, &mut ticket, live.as_deref(), refused)
                    .await);
            }
        }
        Ok(Some((principal, session)))
    }
}

impl Road for Service {
    type Lane = Lane;

    fn lane(&self) -> Lane {
        Lane::new(
            self.audit.local(),
            Arc::clone(&self.entropy),
            Arc::clone(&self.clock),
        )
    }

    fn next_id(&self, _: &Lane) -> CallId {
        self.scribe.next_id()
    }

    fn travel(&self, lane: &Lane, call: Incoming) -> impl Future<Output = Result<Bytes, Refusal>> {
        // boxed: the transport moves a call's future several times before it is polled
        Box::pin(self.journey(lane, call))
    }

    async fn refused(&self, lane: &Lane, early: Early) {
        let now = self.clock.now();
        let connection = &*early.connection;
        let known = self
            .identity
            .identify(connection, &early.authorization, now)
            .await
            .and_then(|principal| self.enrolled(principal, connection));
        let (Ok(principal), false) = (known, early.reason == Reason::ResourceExhausted) else {
            self.strangers
                .note(connection.peer().ip(), early.reason, now);
            return;
        };
        let mut ticket = self.ticket(lane, &principal, (&early.id, connection, early.trace_id));
        let mut detail = Detail::new(Outcome::Refused(early.reason));
        detail.note = early.note.into();
        let refused = Refused {
            refusal: early.reason.into(),
            detail: Box::new(detail),
        };
        let live = self.gate.live();
        // the caller is told the transport's reason whatever becomes of the entry: nothing is handed out
        let _ = self
            .refuse(lane, &mut ticket, live.as_deref(), refused)
            .await;
    }

    fn shed(&self, shed: Shed) {
        self.strangers
            .note(shed.source, shed.reason, self.clock.now());
    }
}
