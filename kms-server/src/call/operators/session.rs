//! Login, Logout, WhoAmI, ChangePassword, and who speaks on a connection that carries a session.

use super::{BY_CERTIFICATE, CODE_MAX, Typed, USER_MAX, bounded, words};
use crate::call::lane::Lane;
use crate::call::operation::Refused;
use crate::call::road::{Credentials, Incoming};
use crate::call::ticket::Ticket;
use crate::call::{Service, password, render};
use crate::identity::Connection;
use crate::live::Live;
use crate::live::sessions::{LIFE, Session, token_hash};
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::operator::{Trial, accept_code, change_password, login};
use kms_core::engine::{Moment, Refusal, View};
use kms_core::entropy::make_bytes;
use kms_core::name::OperatorName;
use kms_core::policy::{Action, Authentication, Authorised, Principal, Roles, SecondFactor, act};
use kms_core::reason::Reason;
use kms_core::secret::SessionToken;
use kms_proto::v1;
use zeroize::Zeroizing;

impl Service {
    /// Who speaks: the operator of the session that the call carries, if it is open and bound to this very
    /// certificate; else the certificate alone, which is then told to log in where that is not enough.
    pub(in crate::call) fn speaker(
        &self,
        certificate: &Principal,
        connection: &Connection,
        method: &str,
        credentials: Option<&Credentials>,
    ) -> Option<(Principal, Session)> {
        use kms_core::policy::Role::OperatorCertificate;
        let token = credentials?.session.as_ref()?;
        // a certificate alone: a token stands for a service, and no service is a way around a second factor
        let is_desk = certificate.authentication == Authentication::Certificate
            && certificate.roles.contains(OperatorCertificate);
        if BY_CERTIFICATE.contains(&method) || !is_desk {
            return None;
        }
        let live = self.gate.live()?;
        let now = self.clock.monotonic();
        let presented = connection.presented()?.sha256();
        let session = live.sessions.using(token, presented, now)?;
        let held = live.state.hold();
        let operator = held.snapshot.operators.get(&session.operator)?;
        let record = &operator.record;
        if !record.can_act() || record.generation != session.generation {
            live.sessions.close(token);
            return None;
        }
        let age = now.saturating_sub(session.code_at);
        let principal = Principal {
            name: record.name.principal(),
            authentication: Authentication::OperatorSession,
            roles: Roles::of_person(record.roles),
            attributes: None,
            second_factor: Some(SecondFactor {
                at: self.clock.now().saturating_sub(age),
                with_this_request: false,
            }),
        };
        Some((principal, session))
    }

    /// Takes the code that came with a call: an entry of its own, before the call's.
    pub(in crate::call) async fn take_code(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        certificate: &Principal,
        spoken: (&Session, &Credentials),
    ) -> Result<Option<SecondFactor>, Refusal> {
        let (session, credentials) = spoken;
        let Some(code) = credentials.code.as_deref() else {
            return Ok(None);
        };
        ticket.action = Action::AcceptCode;
        let live = self.unsealed(lane, ticket).await?;
        let typed = Typed {
            account: Some(session.operator.clone()),
            certificate: &certificate.name,
            password: None,
            code,
        };
        let scene = (lane, ticket, &*live);
        let decide =
            |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<_>, trial: &Trial<'_>| {
                Ok(accept_code(view, moment, proof, trial))
            };
        self.try_as::<act::AcceptCode, _>(scene, &typed, [0; 16], decide)
            .await?;
        if let Some(token) = &credentials.session {
            live.sessions.took_code(token, self.clock.monotonic());
        }
        Ok(Some(SecondFactor {
            at: self.clock.now(),
            with_this_request: true,
        }))
    }

    pub(in crate::call) async fn login(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::LoginResponse, Refusal> {
        ticket.action = Action::Login;
        let live = self.unsealed(lane, ticket).await?;
        let check = |message: &v1::LoginRequest| {
            bounded(&message.user, USER_MAX, "user")?;
            bounded(&message.password, password::LEN_MAX, "password")?;
            bounded(&message.code, CODE_MAX, "code")
        };
        let message = self.read::<act::Login, _>(lane, ticket, call, &live, check);
        let message: v1::LoginRequest = message.await?;
        let code = Zeroizing::new(message.code);
        let principal = ticket.principal;
        let mut typed = Typed::new(&message.user, &principal.name, &code);
        typed.password = Some(Zeroizing::new(message.password.into_bytes()));
        let salt = self.gatekeeper.salt_of_nobody();
        let decide = |view: &View<'_>,
                      moment: &Moment<'_>,
                      proof: &Authorised<_>,
                      trial: &Trial<'_>| Ok(login(view, moment, proof, trial));
        let scene = (lane, &mut *ticket, &*live);
        let entered = self
            .try_as::<act::Login, _>(scene, &typed, salt, decide)
            .await?;
        self.open_session(ticket, &live, &entered.name, entered.generation)
            .map(|mut answer| {
                answer.recovery_codes_left = entered
                    .recovery_left
                    .and_then(|left| u32::try_from(left).ok());
                answer
            })
            .map_err(Refusal::from)
    }

    fn open_session(
        &self,
        ticket: &Ticket<'_>,
        live: &Live,
        name: &OperatorName,
        generation: u32,
    ) -> Result<v1::LoginResponse, Reason> {
        let token = SessionToken::make_random(&*self.entropy)?;
        let presented = ticket.connection.and_then(Connection::presented);
        let presented = presented.ok_or(Reason::Unauthenticated)?;
        let now = self.clock.monotonic();
        live.sessions.open(
            token_hash(&token),
            Session {
                operator: name.clone(),
                generation,
                certificate: *presented.sha256(),
                opened: now,
                used: now,
                code_at: now,
            },
        );
        let held = live.state.hold();
        let operator = held.snapshot.operators.get(name);
        let roles = operator.map_or(0, |operator| operator.record.roles);
        Ok(v1::LoginResponse {
            session_token: token.expose_bytes().to_vec().into(),
            expires_at: Some(render::timestamp(self.clock.now().saturating_add(LIFE))),
            operator: name.principal().as_str().to_owned(),
            roles: words(Roles::of_person(roles)),
            recovery_codes_left: None,
        })
    }

    pub(in crate::call) async fn logout(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::LogoutResponse, Refusal> {
        ticket.action = Action::Logout;
        let live = self.unsealed(lane, ticket).await?;
        let message =
            self.read::<act::Logout, v1::LogoutRequest>(lane, ticket, call, &live, |_| Ok(()));
        message.await?;
        if let Some(token) = call
            .credentials
            .as_ref()
            .and_then(|given| given.session.as_ref())
        {
            live.sessions.close(token);
        }
        let facts = Facts::single(ticket.action, Detail::new(Outcome::Ok));
        self.log(lane, ticket, Some(&live), &facts).await?;
        Ok(v1::LogoutResponse {})
    }

    pub(in crate::call) async fn who_am_i(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::WhoAmIResponse, Refusal> {
        ticket.action = Action::WhoAmI;
        let live = self.unsealed(lane, ticket).await?;
        let message =
            self.read::<act::WhoAmI, v1::WhoAmIRequest>(lane, ticket, call, &live, |_| Ok(()));
        message.await?;
        let facts = Facts::single(ticket.action, Detail::new(Outcome::Ok));
        self.log(lane, ticket, Some(&live), &facts).await?;
        self.own_session(ticket, call, &live)
            .ok_or_else(|| Reason::SessionRequired.into())
    }

    fn own_session(
        &self,
        ticket: &Ticket<'_>,
        call: &Incoming,
        live: &Live,
    ) -> Option<v1::WhoAmIResponse> {
        let token = call.credentials.as_ref()?.session.as_ref()?;
        let presented = ticket.connection?.presented()?.sha256();
        let now = self.clock.monotonic();
        let session = live.sessions.using(token, presented, now)?;
        let held = live.state.hold();
        let record = &held.snapshot.operators.get(&session.operator)?.record;
        let left = LIFE.saturating_sub(now.saturating_sub(session.opened));
        let code_age = now.saturating_sub(session.code_at);
        let wall = self.clock.now();
        Some(v1::WhoAmIResponse {
            operator: ticket.principal.name.as_str().to_owned(),
            roles: words(ticket.principal.roles),
            session_expires_at: Some(render::timestamp(wall.saturating_add(left))),
            code_accepted_at: Some(render::timestamp(wall.saturating_sub(code_age))),
            recovery_codes_left: u32::try_from(record.recovery.len()).unwrap_or(0),
        })
    }

    pub(in crate::call) async fn change_password(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
        certificate: &Principal,
    ) -> Result<v1::ChangePasswordResponse, Refusal> {
        ticket.action = Action::ChangePassword;
        let live = self.unsealed(lane, ticket).await?;
        let name = OperatorName::parse_resource(ticket.principal.name.as_str()).ok();
        let user = name.as_ref().map_or("", OperatorName::as_str).to_owned();
        let user = &*user;
        let check = |message: &v1::ChangePasswordRequest| {
            bounded(&message.old_password, password::LEN_MAX, "old_password")?;
            bounded(&message.new_password, password::LEN_MAX, "new_password")
        };
        let message = self.read::<act::ChangePassword, _>(lane, ticket, call, &live, check);
        let message: v1::ChangePasswordRequest = message.await?;
        let new = Zeroizing::new(message.new_password);
        let made = async {
            let keeper = &self.gatekeeper;
            let name = &certificate.name;
            keeper.judge(name, &new, user, "new_password").await?;
            let salt = make_bytes(&*self.entropy).map_err(Reason::from)?;
            let new = Zeroizing::new(new.as_bytes().to_vec());
            let hash = keeper.hash(name, new, salt).await?;
            keeper.give_back(name);
            Ok::<_, Refusal>((hash, salt))
        };
        let (hash, salt) = match made.await {
            Ok(made) => made,
            Err(refusal) => {
                let refused = Refused::from(refusal);
                return Err(self.refuse(lane, ticket, Some(&live), refused).await);
            }
        };
        let typed = Typed {
            account: name,
            certificate: &certificate.name,
            password: Some(Zeroizing::new(message.old_password.into_bytes())),
            code: "",
        };
        let decide =
            |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<_>, trial: &Trial<'_>| {
                change_password(view, moment, proof, trial, (&hash, salt))
            };
        let nobody = self.gatekeeper.salt_of_nobody();
        self.try_as::<act::ChangePassword, _>((lane, ticket, &live), &typed, nobody, decide)
            .await?;
        Ok(v1::ChangePasswordResponse {})
    }
}
