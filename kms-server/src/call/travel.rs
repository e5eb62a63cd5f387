//! From the transport onto the road: who calls, which method, and what never got so far.

use super::lane::Lane;
use super::operation::{Operation, Refused};
use super::road::{Credentials, Early, Incoming, Road, Shed};
use super::ticket::Ticket;
use super::{Service, approval, control, data_plane, operators, render, services, shred};
use bytes::Bytes;
use kms_core::audit::{Detail, Outcome};
use kms_core::engine::Refusal;
use kms_core::name::CallId;
use kms_core::policy::{Action, Principal};
use kms_core::reason::Reason;
use kms_proto::v1;
use prost::Message as _;
use std::cell::Cell;
use std::sync::Arc;

fn encoded<M: prost::Message>(answer: &M) -> Bytes {
    answer.encode_to_vec().into()
}

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
            method: "",
            action: Action::Refuse,
            service: self,
            lane,
            approval: None,
            policy: Cell::new(0),
            is_logged: false,
        }
    }

    /// Who calls, then the road.
    async fn journey(&self, lane: &Lane, call: Incoming) -> Result<Bytes, Refusal> {
        let now = self.clock.now();
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
        let principal = session.as_ref().unwrap_or(&certificate);
        let about = (&call.id, &*call.connection, call.trace_id);
        let mut ticket = self.ticket(lane, principal, about);
        ticket.method = call.method.name;
        let credentials = call.credentials.as_deref();
        ticket.approval = credentials.and_then(|given| given.approval);
        ticket.enrolment = enrolment;
        self.dispatch(lane, &mut ticket, &call, &certificate).await
    }

    /// The operator who speaks, with the code that came along taken; `None`: the certificate speaks for itself.
    async fn in_session(
        &self,
        lane: &Lane,
        call: &Incoming,
        certificate: &Principal,
        credentials: &Credentials,
    ) -> Result<Option<Principal>, Refusal> {
        let method = call.method.name;
        let spoken = self.speaker(certificate, &call.connection, method, Some(credentials));
        let Some((mut principal, session)) = spoken else {
            return Ok(None);
        };
        // the taking of a code is an act of its own, with an entry of its own
        let id = self.scribe.next_id();
        let mut ticket = self.ticket(lane, &principal, (&id, &*call.connection, call.trace_id));
        ticket.method = call.method.name;
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
        Ok(Some(principal))
    }

    async fn one<O: Operation>(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<Bytes, Refusal> {
        let answer = self.run::<O>(lane, ticket, call).await?;
        Ok(encoded(&answer))
    }

    /// One message of the stream: what is wrong with it is the item's status. What is wrong with the whole
    /// stream ends it.
    async fn rewrap(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<Bytes, Refusal> {
        let refusal = match self
            .one::<data_plane::rewrap::Rewrap>(lane, ticket, call)
            .await
        {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal,
        };
        let whole = matches!(
            refusal.reason,
            Reason::Sealed | Reason::AuditUnavailable | Reason::StoreUnavailable
        );
        match v1::RewrapRequest::decode(call.body.clone()) {
            Ok(message) if !whole => Ok(encoded(&v1::RewrapResponse {
                reference: message.reference,
                error: Some(render::item_error(&refusal)),
                ..Default::default()
            })),
            _ => Err(refusal),
        }
    }

    /// Each RPC's future is boxed: the largest of them must not be the size of all.
    async fn dispatch(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
        certificate: &Principal,
    ) -> Result<Bytes, Refusal> {
        use control::{dataset, listing, rotation, version};
        use data_plane::{direct, generate, unwrap};
        match call.method.name {
            "GenerateDataKey" => Box::pin(self.one::<generate::Single>(lane, ticket, call)).await,
            "GenerateDataKeys" => Box::pin(self.one::<generate::Batch>(lane, ticket, call)).await,
            "UnwrapDataKey" => Box::pin(self.one::<unwrap::Single>(lane, ticket, call)).await,
            "UnwrapDataKeys" => Box::pin(self.one::<unwrap::Batch>(lane, ticket, call)).await,
            "Encrypt" => Box::pin(self.one::<direct::Encrypt>(lane, ticket, call)).await,
            "Decrypt" => Box::pin(self.one::<direct::Decrypt>(lane, ticket, call)).await,
            "Rewrap" => Box::pin(self.rewrap(lane, ticket, call)).await,
            "ReportCachedUses" => {
                Box::pin(self.one::<data_plane::cached_use::Report>(lane, ticket, call)).await
            }
            "CreateDataset" => Box::pin(self.one::<dataset::Create>(lane, ticket, call)).await,
            "GetDataset" => Box::pin(self.one::<dataset::Get>(lane, ticket, call)).await,
            "UpdateDataset" => Box::pin(self.one::<dataset::Update>(lane, ticket, call)).await,
            "ListDatasets" => Box::pin(self.one::<listing::Datasets>(lane, ticket, call)).await,
            "ListVersions" => Box::pin(self.one::<listing::Versions>(lane, ticket, call)).await,
            "RotateDataset" => Box::pin(self.one::<rotation::Rotate>(lane, ticket, call)).await,
            "EmergencyRotateDataset" => {
                Box::pin(self.one::<rotation::Emergency>(lane, ticket, call)).await
            }
            "DisableVersion" => Box::pin(self.one::<version::Disable>(lane, ticket, call)).await,
            "EnableVersion" => Box::pin(self.one::<version::Enable>(lane, ticket, call)).await,
            "RestoreVersion" => Box::pin(self.one::<version::Restore>(lane, ticket, call)).await,
            "ScheduleVersionDestruction" => {
                Box::pin(self.one::<version::Schedule>(lane, ticket, call)).await
            }
            "CreateShredSecrets" => Box::pin(self.one::<shred::Create>(lane, ticket, call)).await,
            "GetShredSecret" => Box::pin(self.one::<shred::Get>(lane, ticket, call)).await,
            "BlockShredSecret" => Box::pin(self.one::<shred::Block>(lane, ticket, call)).await,
            "UnblockShredSecret" => Box::pin(self.one::<shred::Unblock>(lane, ticket, call)).await,
            "DestroyShredSecret" => Box::pin(self.one::<shred::Destroy>(lane, ticket, call)).await,
            "GetStatus" => Ok(encoded(
                &Box::pin(self.get_status(lane, ticket, call)).await?,
            )),
            "Seal" => Ok(encoded(&Box::pin(self.seal(lane, ticket, call)).await?)),
            "Unseal" => Ok(encoded(&Box::pin(self.unseal(lane, ticket, call)).await?)),
            "ConfirmClock" => Ok(encoded(
                &Box::pin(self.confirm_clock(lane, ticket, call)).await?,
            )),
            "ListEntries" => Ok(encoded(
                &Box::pin(self.list_entries(lane, ticket, call)).await?,
            )),
            "GetLogFiles" => Ok(encoded(
                &Box::pin(self.get_log_files(lane, ticket, call)).await?,
            )),
            "SummarizeEntries" => Ok(encoded(
                &Box::pin(self.summarize_entries(lane, ticket, call)).await?,
            )),
            "GetAccess" => Ok(encoded(
                &Box::pin(self.get_access(lane, ticket, call)).await?,
            )),
            "RotateLogKey" => Ok(encoded(
                &Box::pin(self.rotate_log_key(lane, ticket, call)).await?,
            )),
            "SignExport" => Ok(encoded(
                &Box::pin(self.sign_export(lane, ticket, call)).await?,
            )),
            _ => self.dispatch_auth(lane, ticket, call, certificate).await,
        }
    }

    /// `AuthService`.
    async fn dispatch_auth(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
        certificate: &Principal,
    ) -> Result<Bytes, Refusal> {
        use operators::administration::{
            Add, Disable, Enable, List, Remove, ResetMfa, SetRoles, Unlock,
        };
        match call.method.name {
            "Login" => Ok(encoded(&Box::pin(self.login(lane, ticket, call)).await?)),
            "Logout" => Ok(encoded(&Box::pin(self.logout(lane, ticket, call)).await?)),
            "WhoAmI" => Ok(encoded(&Box::pin(self.who_am_i(lane, ticket, call)).await?)),
            "ChangePassword" => Ok(encoded(
                &Box::pin(self.change_password(lane, ticket, call, certificate)).await?,
            )),
            "BeginEnrolment" => Ok(encoded(
                &Box::pin(self.begin_enrolment(lane, ticket, call)).await?,
            )),
            "ConfirmEnrolment" => Ok(encoded(
                &Box::pin(self.confirm_enrolment(lane, ticket, call)).await?,
            )),
            "RecoverOperator" => Ok(encoded(
                &Box::pin(self.recover_operator(lane, ticket, call)).await?,
            )),
            "AddOperator" => Box::pin(self.one::<Add>(lane, ticket, call)).await,
            "ListOperators" => Box::pin(self.one::<List>(lane, ticket, call)).await,
            "DisableOperator" => Box::pin(self.one::<Disable>(lane, ticket, call)).await,
            "EnableOperator" => Box::pin(self.one::<Enable>(lane, ticket, call)).await,
            "RemoveOperator" => Box::pin(self.one::<Remove>(lane, ticket, call)).await,
            "UnlockOperator" => Box::pin(self.one::<Unlock>(lane, ticket, call)).await,
            "ResetOperatorMfa" => Box::pin(self.one::<ResetMfa>(lane, ticket, call)).await,
            "SetOperatorRoles" => Box::pin(self.one::<SetRoles>(lane, ticket, call)).await,
            _ => {
                self.dispatch_identity(lane, ticket, call, certificate)
                    .await
            }
        }
    }

    /// `IdentityService`; what is no method of it either does not exist.
    async fn dispatch_identity(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
        certificate: &Principal,
    ) -> Result<Bytes, Refusal> {
        use services::{Add, Enrol, List, Renew, Revoke};
        match call.method.name {
            "AddService" => Box::pin(self.one::<Add>(lane, ticket, call)).await,
            "ListServices" => Box::pin(self.one::<List>(lane, ticket, call)).await,
            "RevokeService" => Box::pin(self.one::<Revoke>(lane, ticket, call)).await,
            "EnrolService" => Box::pin(self.one::<Enrol>(lane, ticket, call)).await,
            "RenewService" => Box::pin(self.one::<Renew>(lane, ticket, call)).await,
            _ => {
                self.dispatch_approval(lane, ticket, call, certificate)
                    .await
            }
        }
    }

    /// `ApprovalService`; what is no method of it either does not exist.
    async fn dispatch_approval(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
        certificate: &Principal,
    ) -> Result<Bytes, Refusal> {
        use approval::{listing, roster, vote};
        match call.method.name {
            "ListApprovals" => Box::pin(self.one::<listing::List>(lane, ticket, call)).await,
            "GetApproval" => Box::pin(self.one::<listing::Get>(lane, ticket, call)).await,
            "Approve" => Box::pin(self.one::<vote::Approve>(lane, ticket, call)).await,
            "RejectApproval" => Box::pin(self.one::<vote::Reject>(lane, ticket, call)).await,
            "CancelApproval" => Box::pin(self.one::<vote::Cancel>(lane, ticket, call)).await,
            "AddApproverKey" => Box::pin(self.one::<roster::AddKey>(lane, ticket, call)).await,
            "RemoveApproverKey" => {
                Box::pin(self.one::<roster::RemoveKey>(lane, ticket, call)).await
            }
            "GetRoster" => Box::pin(self.one::<roster::Get>(lane, ticket, call)).await,
            "DeclareRoster" => Box::pin(self.one::<roster::Declare>(lane, ticket, call)).await,
            _ => {
                self.dispatch_policies(lane, ticket, call, certificate)
                    .await
            }
        }
    }

    /// `PolicyService`; what is no method of it either does not exist.
    async fn dispatch_policies(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
        certificate: &Principal,
    ) -> Result<Bytes, Refusal> {
        match call.method.name {
            "ApplyPolicies" => Ok(encoded(
                &Box::pin(self.apply_policies(lane, ticket, call, certificate)).await?,
            )),
            "GetPolicies" => Ok(encoded(
                &Box::pin(self.get_policies(lane, ticket, call)).await?,
            )),
            "TestPolicies" => Ok(encoded(
                &Box::pin(self.test_policies(lane, ticket, call)).await?,
            )),
            _ => {
                let live = self.gate.live();
                let refused = Reason::Unimplemented.into();
                Err(self.refuse(lane, ticket, live.as_deref(), refused).await)
            }
        }
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
