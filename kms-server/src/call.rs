//! The one road of every call: identify, decode within bounds, resolve and authorise, gather, decide, commit
//! or append, answer. No second way leads to a key: jobs and the administration take the same road.

mod approval;
mod bounds;
pub mod code;
mod control;
mod data_plane;
mod dry_run;
mod entries;
mod gatekeeper;
pub mod internal;
mod lane;
mod log_signing;
mod methods;
mod operation;
mod operators;
mod page;
mod parse;
mod password;
mod policies;
mod render;
pub mod road;
mod scribe;
mod services;
mod shred;
mod system;
mod ticket;
mod travel;
mod trust;

pub use entries::forwarded::Batch;
pub use lane::Lane;
pub use system::Facts as SystemFacts;

use crate::audit_log::AuditLog;
use crate::audit_log::counted::CountedCalls;
use crate::audit_log::intake::Intake;
use crate::config::services::Services;
use crate::forward::Destination;
use crate::identity::Identity;
use crate::live::Live;
use crate::live::gate::Gate;
use crate::live::gather::Gathered;
use crate::live::state::Held;
use crate::store::ChangeError;
use crate::system::clock::Clock;
use crate::system::notice::Notices;
use bounds::Bounds;
use bytes::Bytes;
use gatekeeper::Gatekeeper;
use kms_core::audit::Outcome;
use kms_core::audit::leaf::BootId;
use kms_core::engine::approval::gate::Gated;
use kms_core::engine::index::request_fingerprint;
use kms_core::engine::{Moment, Refusal, Snapshot, View};
use kms_core::entropy::{Entropy, make_bytes};
use kms_core::name::{KeyId, TrustDomain, VersionNumber};
use kms_core::policy::ApprovalRules;
use kms_core::reason::Reason;
use operation::{At, Operation, Refused, Scene};
use page::Pager;
use prost::Message as _;
use render::Renderer;
use road::{Incoming, Method};
use scribe::Scribe;
use std::sync::{Arc, Mutex};
use ticket::{Decided, Ticket};

/// How often a change that ran into another is decided again.
const ATTEMPTS: u32 = 4;
/// Shorter bodies cannot repeat anything often enough to hurt.
const UNCHECKED_LEN: usize = 4 * 1024;

/// What the road is built from.
pub struct Parts {
    /// Who is at the other end of a connection.
    pub identity: Arc<Identity>,
    /// Sealed or not.
    pub gate: Arc<Gate>,
    /// The log.
    pub audit: AuditLog,
    /// What stands for the policies of the configured directory.
    pub policy_files: Option<String>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// What the status says of the daemon.
    pub facts: SystemFacts,
    /// What is configured to need the word of others.
    pub rules: ApprovalRules,
    /// Where people are told what they should hear of without asking.
    pub notices: Notices,
    /// The built-in certificate authority; `None` where it is off.
    pub services: Option<Services>,
    /// Where the log is forwarded to.
    pub forwards: Vec<Destination>,
    /// To whom personal values are encrypted while sealed.
    pub intake: Intake,
}

/// The road.
pub struct Service {
    identity: Arc<Identity>,
    gate: Arc<Gate>,
    audit: AuditLog,
    policy_files: Mutex<Option<String>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    facts: SystemFacts,
    rules: ApprovalRules,
    notices: Notices,
    services: Option<Services>,
    forwards: Vec<Destination>,
    /// Whoever changes the log key, or gives it to the log, holds this.
    log_key_turn: tokio::sync::Mutex<()>,
    bounds: Bounds,
    gatekeeper: Gatekeeper,
    scribe: Scribe,
    strangers: CountedCalls,
}

impl Service {
    /// Ready for calls.
    ///
    /// # Errors
    /// INTERNAL without randomness or with a broken descriptor.
    pub fn new(parts: Parts) -> Result<Self, Reason> {
        let boot = BootId(make_bytes(&*parts.entropy)?);
        Ok(Self {
            scribe: Scribe::new(
                boot,
                Arc::clone(&parts.clock),
                Arc::clone(&parts.entropy),
                parts.intake,
            ),
            bounds: Bounds::new().map_err(|_| Reason::Internal)?,
            gatekeeper: Gatekeeper::new(Arc::clone(&parts.clock), &*parts.entropy)?,
            strangers: CountedCalls::new(),
            identity: parts.identity,
            gate: parts.gate,
            audit: parts.audit,
            policy_files: Mutex::new(parts.policy_files),
            clock: parts.clock,
            entropy: parts.entropy,
            facts: parts.facts,
            rules: parts.rules,
            notices: parts.notices,
            services: parts.services,
            forwards: parts.forwards,
            log_key_turn: tokio::sync::Mutex::default(),
        })
    }

    /// Decodes within bounds.
    fn decode<M: prost::Message + Default>(
        &self,
        method: &Method,
        body: Bytes,
    ) -> Result<M, Refusal> {
        if body.len() > UNCHECKED_LEN {
            let message = format!(".kms.v1.{}Request", method.name);
            self.bounds
                .check(&message, &body)
                .map_err(|error| match error {
                    bounds::OutOfBounds::Field(field) if field == "items" => {
                        Refusal::field(field, "at most 1,000 items")
                    }
                    bounds::OutOfBounds::Field(field) => {
                        Refusal::field(field, "at most 64 entries")
                    }
                    bounds::OutOfBounds::Malformed => Reason::InvalidArgument.into(),
                })?;
        }
        M::decode(body).map_err(|_| Reason::InvalidArgument.into())
    }

    /// The road itself, once the caller is identified: read it from top to bottom. What most calls do not need
    /// is boxed, so that a call's future stays small.
    async fn run<O: Operation>(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<O::Answer, Refusal> {
        ticket.action = O::ACTION;
        // sealed means sealed
        let Some(live) = self.gate.live() else {
            return Err(self.refuse(lane, ticket, None, Reason::Sealed.into()).await);
        };
        let live = &live;
        if live.month(ticket.at.time).is_none() {
            Box::pin(self.ensure_month(lane, live)).await;
        }
        // decode
        let message: O::Message = match self.decode(call.method, call.body.clone()) {
            Ok(message) => message,
            Err(refusal) => {
                return Err(self.refuse(lane, ticket, Some(live), refusal.into()).await);
            }
        };
        let mut attempt = 0;
        loop {
            attempt += 1;
            let held = live.state.hold();
            // resolve, authorise, validate; gather; decide
            let step = self
                .decide::<O>(lane, ticket, live, &held, &message, &call.body)
                .await;
            let (decision, generation) = match step {
                Ok(decision) => (decision, held.generation()),
                // a restriction came between: begin again under the new generation
                Err(refused) if refused.is_conflict() && attempt < ATTEMPTS => continue,
                Err(refused) => return Err(self.refuse(lane, ticket, Some(live), refused).await),
            };
            if ticket.dry_run {
                return Err(Box::pin(self.not_done(lane, ticket, live, decision.facts)).await);
            }
            let keys = self.scribe.keys(Some(live), ticket.at);
            let leaves = self
                .scribe
                .leaves(&ticket.author(), &decision.facts, &keys)?;
            self.scribe.introduce(
                lane,
                &ticket.author(),
                &decision.facts,
                Some(&held.snapshot),
                &keys,
            );
            let usage = scribe::usage(&decision.facts, ticket.at);
            let Some(change) = decision.change else {
                // audit durable, answer
                ticket.append(lane, leaves, usage).await?;
                let reply = decision.reply?;
                return Ok(self.answer::<O>(ticket, live, &held.snapshot, &message, reply));
            };
            let word = decision.facts.approval;
            // commit, audit durable, answer
            let change = Decided {
                change,
                leaves,
                usage,
                generation,
            };
            match Box::pin(ticket.hand_in(live, change, held)).await {
                Ok(_held) => {
                    let now = live.state.hold();
                    self.announce(ticket, &now.snapshot, word.as_deref(), &decision.reply);
                    let reply = decision.reply?;
                    return Ok(self.answer::<O>(ticket, live, &now.snapshot, &message, reply));
                }
                Err(ChangeError::Conflict) if attempt < ATTEMPTS => live.settled().await,
                Err(error) => {
                    let refused = self.not_committed(lane, ticket, live, error);
                    return Err(Box::pin(refused).await);
                }
            }
        }
    }

    async fn decide<O: Operation>(
        &self,
        lane: &Lane,
        ticket: &Ticket<'_>,
        live: &Live,
        held: &Held,
        message: &O::Message,
        body: &Bytes,
    ) -> Result<Gated<O::Reply>, Refused> {
        // revoked meanwhile: what is decided on this snapshot is decided by it alone
        self.stands(&held.snapshot, ticket)?;
        let at = At {
            snapshot: &held.snapshot,
            principal: ticket.principal,
            decide: ticket.deciding(&*held.in_force),
            circumstances: ticket.circumstances(),
            pager: self.pager(live, ticket),
            shown: ticket.shown(),
            domain: self.domain(),
        };
        let prepared = O::prepare(message, &at)?;
        let refused = |refusal: Refusal| {
            let described = O::describe(&prepared.input, &held.snapshot);
            let mut detail = described.unwrap_or_else(|| prepared.detail.clone());
            detail.outcome = Outcome::Refused(refusal.reason);
            Refused {
                refusal,
                detail: Box::new(detail),
            }
        };
        let needs = &prepared.needs;
        let gathered = if needs.scopes.is_empty() && needs.ids.is_empty() {
            Gathered::default()
        } else {
            let gathered = Box::pin(live.gather(held, &needs.scopes, &needs.ids)).await;
            gathered.map_err(|reason| refused(reason.into()))?
        };
        let idempotency = match needs.request_id {
            None => None,
            Some(id) => {
                let fingerprint = request_fingerprint(&live.keys.index, O::ACTION, body);
                let name = &ticket.principal.name;
                let found =
                    live.idempotency(held, name, O::ACTION, id, fingerprint, ticket.at.time);
                Some(
                    Box::pin(found)
                        .await
                        .map_err(|reason| refused(reason.into()))?,
                )
            }
        };
        let scene = Scene {
            view: View {
                snapshot: &held.snapshot,
                by_scope: &gathered.by_scope,
                by_id: &gathered.by_id,
                index: &live.keys.index,
                time_mark: live.state.time_mark().0,
            },
            moment: Moment {
                now: ticket.at.time,
                keys: &*self.entropy,
                salts: &lane.salts,
            },
            idempotency,
            rules: &self.rules,
            in_force: &held.in_force,
            anonymisation_held: self.anonymisation_hold().is_some(),
            issuing: self.issuing(live),
        };
        let decided = O::decide(&prepared.input, &scene).await;
        let decided = decided.map_err(&refused)?;
        let marked = O::marked(&prepared.input, &scene.view);
        let asked = marked.map(|marked| (marked, message.encode_to_vec()));
        self.gated(live, ticket, (&scene.view, &scene.moment), asked, decided)
            .map_err(refused)
    }

    fn domain(&self) -> Option<&TrustDomain> {
        self.services.as_ref().map(|it| &it.trust_domain)
    }

    fn pager<'a>(&self, live: &'a Live, ticket: &Ticket<'a>) -> Pager<'a> {
        Pager {
            key: &live.keys.index,
            method: ticket.method,
            principal: &ticket.principal.name,
        }
    }

    fn answer<O: Operation>(
        &self,
        ticket: &Ticket<'_>,
        live: &Live,
        snapshot: &Snapshot,
        message: &O::Message,
        reply: O::Reply,
    ) -> O::Answer {
        let usage = |id: KeyId, number: VersionNumber| self.audit.usage(id, number);
        let renderer = Renderer {
            snapshot,
            usage: &usage,
            pager: self.pager(live, ticket),
            domain: self.domain(),
            now: ticket.at.time,
        };
        O::answer(message, reply, &renderer)
    }
}
