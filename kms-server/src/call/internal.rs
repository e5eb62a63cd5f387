//! The daemon's own jobs on the road: under the internal principal, authorised and logged like everybody's
//! calls. Never a way around a refusal.

use super::Service;
use super::lane::Lane;
use super::operation::Refused;
use super::ticket::{Decided, Ticket};
use crate::audit_log::counted::Row;
use crate::audit_log::{AuditLog, Space, Submission};
use crate::live::gate::Gate;
use crate::live::state::Held;
use crate::live::{Live, Submitted};
use crate::store::ChangeError;
use crate::system::clock::Clock;
use kms_core::audit::leaf::{Month, SystemEvent};
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::{Change, Decision, Moment, NewDataset, Refusal, View, create_dataset};
use kms_core::key::record::{Expect, Record, RecordKey, Write};
use kms_core::name::{KeyId, ShredScope};
use kms_core::policy::{ActionKind, Authorised, Principal, Resource, act, authorise};
use kms_core::reason::Reason;
use kms_core::secret::AuditMonthKey;
use std::cell::Cell;
use std::sync::Arc;

/// Says what a job may do to `A`, given state and proof.
pub trait Decider<A, R>:
    Fn(&View<'_>, &Moment<'_>, &Authorised<A>) -> Result<Decision<R>, Refusal>
{
}

impl<A, R, F> Decider<A, R> for F where
    F: Fn(&View<'_>, &Moment<'_>, &Authorised<A>) -> Result<Decision<R>, Refusal>
{
}

impl Service {
    /// One call of a job, about `dataset` and these scopes: authorised, gathered, decided, committed, logged.
    ///
    /// # Errors
    /// As the engine refuses; SEALED; STORE_UNAVAILABLE; CONFLICT when it ran into others four times.
    pub async fn internal<A: ActionKind, R>(
        &self,
        lane: &Lane,
        dataset: Option<KeyId>,
        scopes: &[ShredScope],
        decide: impl Decider<A, R>,
    ) -> Result<R, Refusal> {
        let live = self.gate.live().ok_or(Reason::Sealed)?;
        let principal = Principal::internal();
        let mut ticket = self.internal_ticket::<A>(lane, &principal);
        let step = async |ticket: &Ticket<'_>| {
            self.internal_step(&live, ticket, dataset, scopes, &decide)
                .await
        };
        self.change(lane, &mut ticket, &live, step).await
    }

    /// Decides, commits and logs until it went through; `step` gives a decision and the snapshot that it
    /// was made on, and is asked again after a conflict.
    ///
    /// # Errors
    /// As `step` refuses, logged; STORE_UNAVAILABLE; CONFLICT.
    pub(super) async fn change<R>(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        live: &Live,
        step: impl AsyncFn(&Ticket<'_>) -> Result<(Decision<R>, Arc<Held>), Refused>,
    ) -> Result<R, Refusal> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let (decision, held) = match step(ticket).await {
                Ok(step) => step,
                Err(refused) if refused.is_conflict() && attempt < super::ATTEMPTS => continue,
                Err(refused) => return Err(self.refuse(lane, ticket, Some(live), refused).await),
            };
            if ticket.dry_run {
                return Err(self.not_done(lane, ticket, live, decision.facts).await);
            }
            let Some(change) = decision.change else {
                self.log(lane, ticket, Some(live), &decision.facts).await?;
                return Ok(decision.reply);
            };
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
            let change = Decided {
                change,
                leaves,
                usage: Vec::new(),
                generation: held.generation(),
            };
            match ticket.hand_in(live, change, held).await {
                Ok(_) => return Ok(decision.reply),
                Err(ChangeError::Conflict) if attempt < super::ATTEMPTS => live.settled().await,
                Err(error) => return Err(self.not_committed(lane, ticket, live, error).await),
            }
        }
    }

    /// Writes what needs no entry: marks, counts, forgotten request ids. Not asked again after a conflict.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn housekeep(&self, live: &Live, change: Change) -> Result<(), ChangeError> {
        let committed = live.submit(Submitted {
            id: self.scribe.next_id(),
            writes: change.writes,
            leaves: Vec::new(),
            generation: live.state.generation(),
            restricts: false,
            usage: Vec::new(),
        });
        committed.await.map(drop)
    }

    async fn internal_step<A: ActionKind, R>(
        &self,
        live: &Live,
        ticket: &Ticket<'_>,
        dataset: Option<KeyId>,
        scopes: &[ShredScope],
        decide: &impl Decider<A, R>,
    ) -> Result<(Decision<R>, Arc<Held>), Refused> {
        let about = |refusal: Refusal| Refused::about(dataset, refusal);
        let held = live.state.hold();
        let found = dataset.and_then(|id| held.snapshot.by_id(id));
        let resource = Resource {
            dataset: found.map(|found| found.about()),
            unknown: dataset.is_some() && found.is_none(),
            context: None,
            scopes,
        };
        let allowed = authorise::<A>(
            ticket.deciding(&*held.in_force),
            ticket.principal,
            &resource,
            &ticket.circumstances(),
        );
        let authorised = allowed.map_err(|refused| about(refused.reason().into()))?;
        let gathered = live.gather(&held, scopes, &[]).await;
        let gathered = gathered.map_err(|reason| about(reason.into()))?;
        let view = View {
            snapshot: &held.snapshot,
            by_scope: &gathered.by_scope,
            by_id: &gathered.by_id,
            index: &live.keys.index,
            time_mark: live.state.time_mark().0,
        };
        let moment = Moment {
            now: ticket.at.time,
            keys: &*self.entropy,
            salts: &*self.entropy,
        };
        let decision = decide(&view, &moment, &authorised).map_err(about)?;
        drop(gathered);
        Ok((decision, held))
    }

    fn internal_ticket<'a, A: ActionKind>(
        &'a self,
        lane: &'a Lane,
        principal: &'a Principal,
    ) -> Ticket<'a> {
        Ticket {
            id: self.scribe.next_id(),
            at: self.scribe.now(),
            principal,
            connection: None,
            trace: None,
            enrolment: None,
            session: None,
            method: A::ACTION.as_str(),
            action: A::ACTION,
            service: self,
            lane,
            approval: None,
            policy: Cell::new(0),
            dry_run: false,
            is_logged: false,
            handed_in: None,
        }
    }

    /// Makes a dataset unless there is one of that name.
    ///
    /// # Errors
    /// As [`Service::internal`].
    pub async fn make_dataset(&self, lane: &Lane, new: NewDataset) -> Result<(), Refusal> {
        let live = self.gate.live().ok_or(Reason::Sealed)?;
        if live.state.hold().snapshot.by_name(&new.name).is_some() {
            return Ok(());
        }
        drop(live);
        let decide = |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<_>| {
            create_dataset(view, moment, proof, &new, None)
        };
        let made = self
            .internal::<act::CreateDataset, _>(lane, None, &[], decide)
            .await;
        made.map(drop)
    }

    /// Appends an entry about the daemon itself and waits until it is durable. Blocks: never call it on a
    /// runtime's own thread.
    pub fn record(&self, event: SystemEvent, text: &str) {
        let leaf = self.scribe.system(event, text);
        let Ok(leaf) = leaf else {
            return;
        };
        let submission = Submission {
            leaves: vec![leaf],
            usage: Vec::new(),
            space: Space::Operator,
        };
        if self.audit.append_blocking(submission).is_err() {
            tracing::error!(event = event.as_str(), "the audit log cannot be written");
        }
    }

    /// Writes what was counted of strangers every ten seconds, for ever.
    pub async fn count_strangers(&self) {
        let encode = |row: &Row| self.scribe.counted(row, self.gate.live().as_deref());
        self.strangers.run(&*self.clock, &self.audit, encode).await;
    }

    /// Writes what was counted so far: a daemon that stops must not lose it.
    pub async fn write_counted(&self) {
        let encode = |row: &Row| self.scribe.counted(row, self.gate.live().as_deref());
        self.strangers.flush(&self.audit, encode).await;
    }

    /// A self test failed: nothing but the status is answered.
    #[must_use]
    pub const fn only_reports(&self) -> bool {
        self.facts.failed.is_some()
    }

    /// Whole months after which a month of the log is anonymised.
    #[must_use]
    pub const fn anonymise_after_months(&self) -> u16 {
        self.facts.anonymise_after_months
    }

    /// Why the audit log must not be anonymised now.
    #[must_use]
    pub fn anonymisation_hold(&self) -> Option<&str> {
        self.facts.anonymisation_hold.as_deref()
    }

    /// Sealed or not.
    #[must_use]
    pub const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Time.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Passwords hashed so far.
    #[must_use]
    pub fn passwords_hashed(&self) -> u64 {
        self.gatekeeper.hashed()
    }

    /// The log.
    #[must_use]
    pub const fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// Makes the audit key of the month of now, should no job have done so ahead of time.
    pub(super) async fn ensure_month(&self, lane: &Lane, live: &Live) {
        let month = Month::of(self.clock.now());
        if live.state.month(month).is_none() {
            // a refusal is logged; entries without the key say so
            let _ = self.make_month(lane, month).await;
        }
    }

    /// Says to whom personal values are encrypted, should it be sealed in these months.
    ///
    /// # Errors
    /// The disk's.
    pub async fn publish_intake(
        &self,
        live: &Live,
        months: impl Iterator<Item = Month>,
    ) -> std::io::Result<()> {
        let keys = months.filter_map(|month| live.state.month(month));
        let mut keys: Vec<_> = keys.map(|keys| keys.intake()).collect();
        keys.dedup();
        self.scribe.intake.publish(keys, &live.keys.instance).await
    }

    /// Makes a month's audit key. One that exists stays as it is.
    ///
    /// # Errors
    /// As [`Service::internal`].
    pub async fn make_month(&self, lane: &Lane, month: Month) -> Result<(), Refusal> {
        let gate = &self.gate;
        // boxed: a call contains this, and this is a call
        Box::pin(
            self.internal::<act::CreateAuditKey, ()>(lane, None, &[], |_, moment, _| {
                let mut detail = Detail::new(Outcome::Ok);
                detail.note = month.to_string().into();
                let is_there = gate
                    .live()
                    .is_none_or(|live| live.state.month(month).is_some());
                let change = if is_there {
                    None
                } else {
                    let key = AuditMonthKey::make_random(moment.keys).map_err(Reason::from)?;
                    Some(Change {
                        writes: vec![Write {
                            key: RecordKey::audit_key(&month.to_string()),
                            expect: Expect::Absent,
                            record: Some(Record::AuditKey(key)),
                        }],
                        restricts: false,
                    })
                };
                let action = act::CreateAuditKey::ACTION;
                Ok(Decision {
                    reply: (),
                    facts: Facts::single(action, detail),
                    change,
                })
            }),
        )
        .await
    }
}
