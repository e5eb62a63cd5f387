//! `SystemService`: status, seal, unseal, confirm the clock. Status and unseal answer while sealed.

use super::lane::Lane;
use super::operation::Refused;
use super::render;
use super::road::Incoming;
use super::ticket::Ticket;
use super::{Service, dry_run, parse};
use crate::live::gate::NotUnsealed;
use crate::live::{Live, alarms};
use crate::seal::passphrase::Passphrase;
use crate::seal::{Method, UnsealError};
use crate::system::disk;
use kms_core::audit::{Detail, Facts as EntryFacts, Outcome};
use kms_core::engine::approval::overriding::Overriding;
use kms_core::engine::approval::{Mode, mode};
use kms_core::engine::{Change, Decision, Refusal};
use kms_core::key::record::{Expect, Record, RecordKey, TimeMark, Write};
use kms_core::policy::{
    Action, ActionKind, Authorised, ByRole, Decide, NotAllowed, Resource, act, authorise,
};
use kms_core::reason::Reason;
use kms_core::time::Timestamp;
use kms_proto::v1;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// Largest difference between the operator's clock and the daemon's.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(300);

/// A disk that lasts no longer is an alarm.
const DISK_WARNING: Duration = Duration::from_hours(14 * 24);

/// What the status says of the daemon.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Everything that unseals it lies beside the data.
    pub dev_mode: bool,
    /// It unseals itself from a file.
    pub unseals_itself: bool,
    /// When it started.
    pub started_at: Timestamp,
    /// The data directory.
    pub data: PathBuf,
    /// `local` or `remote(n)`.
    pub key_durability: String,
    /// Steps before the present one whose codes an authenticator may show.
    pub totp_steps_back: u32,
    /// Why it only reports: a self test that failed.
    pub failed: Option<String>,
    /// Whole months after which a month of the audit log is anonymised.
    pub anonymise_after_months: u16,
    /// Why the audit log is not anonymised, if it must not be.
    pub anonymisation_hold: Option<String>,
}

impl Service {
    pub(super) fn proof<A: ActionKind>(
        &self,
        ticket: &Ticket<'_>,
    ) -> Result<Authorised<A>, Reason> {
        let here = ticket.circumstances();
        // while sealed nobody can read policies: the table of roles says who may unseal
        let held = self.gate.live().map(|live| live.state.hold());
        let decide: &dyn Decide = match &held {
            Some(held) => {
                self.stands(&held.snapshot, ticket)?;
                &*held.in_force
            }
            None => &ByRole,
        };
        let decide = ticket.deciding(decide);
        let proof = authorise(decide, ticket.principal, &Resource::default(), &here);
        proof.map_err(NotAllowed::reason)
    }

    fn allowed<A: ActionKind>(&self, ticket: &Ticket<'_>) -> Result<(), Reason> {
        self.proof::<A>(ticket).map(drop)
    }

    /// Logs a call of this service and gives its answer or refusal out.
    async fn finish<T>(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        result: Result<T, Refused>,
    ) -> Result<T, Refusal> {
        let live = self.gate.live();
        match result {
            Ok(answer) => {
                let facts = EntryFacts::single(ticket.action, Detail::new(Outcome::Ok));
                self.log(lane, ticket, live.as_deref(), &facts).await?;
                Ok(answer)
            }
            Err(refused) => Err(self.refuse(lane, ticket, live.as_deref(), refused).await),
        }
    }

    pub(super) async fn get_status(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::GetStatusResponse, Refusal> {
        ticket.action = Action::GetStatus;
        let decoded = self.decode::<v1::GetStatusRequest>(call.method, call.body.clone());
        let result = self
            .allowed::<act::GetStatus>(ticket)
            .map_err(Refused::from)
            .and_then(|()| decoded.map_err(Refused::from))
            .map(|_| self.status());
        self.finish(lane, ticket, result).await
    }

    fn status(&self) -> v1::GetStatusResponse {
        let live = self.gate.live();
        let seal_state = match (&self.facts.failed, &live) {
            (Some(_), _) => v1::SealState::Failed,
            (None, Some(_)) => v1::SealState::Unsealed,
            (None, None) => v1::SealState::Sealed,
        };
        let seals = self.gate.keyring().seals();
        let room = disk::room(&self.facts.data).unwrap_or_default();
        let lasts = self.disk_lasts(room.free);
        let mut status = v1::GetStatusResponse {
            seal_state: seal_state.into(),
            seals: seals
                .iter()
                .map(|seal| self.seal_info(&seal.method))
                .collect(),
            weakest_seal: self.weakest_seal().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            dev_mode: self.facts.dev_mode,
            started_at: Some(render::timestamp(self.facts.started_at)),
            now: Some(render::timestamp(self.clock.now())),
            audit_entries: self.audit.len(),
            audit_origin: self.audit.origin().to_owned(),
            key_durability: self.facts.key_durability.clone(),
            disk_free_bytes: room.free,
            disk_total_bytes: room.total,
            disk_full_in_seconds: lasts.map_or(0, |lasts| lasts.as_secs()),
            ..Default::default()
        };
        status.alarms.extend(self.facts.failed.iter().cloned());
        status.alarms.extend(self.audit.tree_problem());
        if let Some(lasts) = lasts.filter(|lasts| *lasts < DISK_WARNING) {
            let days = lasts.as_secs() / 86_400;
            let text = format!("the disk is full in {days} days at the log's pace since the start");
            status.alarms.push(text);
        }
        status.alarms.extend(self.gate.anchors().problems());
        status.override_statement = self.gate.standoff().unwrap_or_default();
        if let Some(live) = live {
            self.live_status(&live, &mut status);
        }
        status
    }

    /// How long the disk lasts at the log's pace: each entry lies in a segment and in a bundle, and has a hash.
    fn disk_lasts(&self, free: u64) -> Option<Duration> {
        let figures = self.audit.figures();
        let written = figures.bytes.saturating_mul(2);
        let written = written.saturating_add(figures.entries.saturating_mul(33));
        let free = free.saturating_sub(self.audit.reserve_bytes());
        disk::lasts(free, written, self.clock.now().since(self.facts.started_at))
    }

    fn live_status(&self, live: &Live, status: &mut v1::GetStatusResponse) {
        let held = live.state.hold();
        let mark = live.state.time_mark().0;
        let now = self.clock.now();
        let mut overdue = 0;
        for dataset in held.snapshot.after(None) {
            overdue += u64::from(dataset.record.next_rotation_at < now);
            if dataset.quarantined {
                let name = render::dataset_name(&dataset.record.name);
                status
                    .alarms
                    .push(format!("{name} is quarantined: a record is damaged"));
            }
        }
        let team = mode(&held.snapshot, now.max(mark.high_water));
        status.roster_mode = match team {
            Mode::Founding => "founding".to_owned(),
            Mode::Undeclared => "undeclared".to_owned(),
            Mode::Quorum => "quorum".to_owned(),
            Mode::SmallTeam { delay } => {
                format!(
                    "small team: a delay of {} s replaces a missing approval",
                    delay.as_secs()
                )
            }
            Mode::Unreachable { delay } => {
                format!(
                    "unreachable: a delay of {} s replaces a missing approval of changes of the roster",
                    delay.as_secs()
                )
            }
        };
        status.alarms.extend(match team {
            Mode::Founding => Some(
                "no roster is declared: on the first day one operator changes operators and policies alone \
                 (`kms approval declare`)"
                    .to_owned(),
            ),
            Mode::Undeclared => Some(
                "no roster is declared: a delay stands in for a missing approval (`kms approval declare`)"
                    .to_owned(),
            ),
            Mode::Unreachable { .. } => Some(
                "too few people could ever approve: give more of them the role `approver` and a key \
                 (`kms approval key add`)"
                    .to_owned(),
            ),
            Mode::Quorum | Mode::SmallTeam { .. } => None,
        });
        status.dataset_count = u64::try_from(held.snapshot.len()).unwrap_or(u64::MAX);
        status.rotations_overdue = overdue;
        status.timers_paused = mark.paused;
        if mark.paused {
            let doubt = live.alarms.get(alarms::CLOCK);
            status.timers_paused_reason = doubt.unwrap_or_else(|| {
                "the clock is in doubt: confirm it with `kms clock confirm`".to_owned()
            });
        }
        self.forward_status(status);
        status.alarms.extend(self.policy_alarm(&held));
        status.alarms.extend(self.trust_alarm(&held));
        status.alarms.extend(live.alarms.texts());
    }

    fn seal_info(&self, method: &Method) -> v1::SealInfo {
        match method {
            Method::Passphrase(protected) => v1::SealInfo {
                method: v1::SealMethod::Passphrase.into(),
                detail: if self.facts.unseals_itself {
                    "file".to_owned()
                } else {
                    protected.strength().as_str().to_owned()
                },
            },
            Method::Unknown { .. } => v1::SealInfo::default(),
        }
    }

    /// "HSM protected" is said only where no weaker seal exists; there is none of that sort yet.
    const fn weakest_seal(&self) -> &'static str {
        if self.facts.unseals_itself {
            "a passphrase in a file that the daemon reads by itself"
        } else {
            "a passphrase"
        }
    }

    pub(super) async fn seal(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::SealResponse, Refusal> {
        ticket.action = Action::Seal;
        let decoded = self.decode::<v1::SealRequest>(call.method, call.body.clone());
        // sealed means sealed: a session ended with the unsealed state
        let unsealed = self.gate.live().map(drop).ok_or(Reason::Sealed);
        let allowed = unsealed
            .and_then(|()| self.allowed::<act::Seal>(ticket))
            .map_err(Refused::from)
            .and_then(|()| decoded.map_err(Refused::from))
            .and_then(|_| dry_run::ends(ticket, Action::Seal).map_err(Refused::from));
        if let Err(refused) = allowed {
            return self.finish(lane, ticket, Err(refused)).await;
        }
        // acts first; the entry follows, under the intake's key
        if !self.gate.seal().await {
            return self.finish(lane, ticket, Err(Reason::Sealed.into())).await;
        }
        tracing::warn!("sealed by an operator");
        self.finish(lane, ticket, Ok(v1::SealResponse {})).await
    }

    pub(super) async fn unseal(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::UnsealResponse, Refusal> {
        ticket.action = Action::Unseal;
        let result = self.try_unseal(ticket, call).await;
        let answer = result.map(|()| v1::UnsealResponse {
            seal_state: v1::SealState::Unsealed.into(),
        });
        self.finish(lane, ticket, answer).await
    }

    async fn try_unseal(&self, ticket: &Ticket<'_>, call: &Incoming) -> Result<(), Refused> {
        self.allowed::<act::Unseal>(ticket)?;
        let message: v1::UnsealRequest = self.decode(call.method, call.body.clone())?;
        if message.passphrase.is_empty() || message.passphrase.len() > 1_024 {
            return Err(Refusal::field("passphrase", "1 to 1,024 bytes").into());
        }
        if self.facts.failed.is_some() {
            return Err(Reason::Internal.into());
        }
        dry_run::ends(ticket, Action::Unseal)?;
        let passphrase = Passphrase::new(Zeroizing::new(message.passphrase.to_vec()));
        let signatures: Vec<Vec<u8>> = message.signatures.iter().map(|it| it.to_vec()).collect();
        let overriding = (!message.override_statement.is_empty()).then_some(Overriding {
            statement: &message.override_statement,
            signatures: &signatures,
        });
        let asker = ticket.shown().certificate;
        let unsealed = self
            .gate
            .unseal_against(passphrase, overriding, asker.as_ref());
        let unsealed = unsealed.await;
        self.enforce_trust();
        unsealed.map_err(|error| {
            tracing::error!(%error, "not unsealed");
            match error {
                NotUnsealed::Seal(UnsealError::TooManyAttempts { .. }) => Reason::ResourceExhausted,
                NotUnsealed::Seal(_) => Reason::UnsealFailed,
                NotUnsealed::NotAnchored(_) => Reason::NotAnchored,
                NotUnsealed::NotOverridden(reason) => reason,
                NotUnsealed::OtherInstance(_) | NotUnsealed::Open(_) => Reason::Internal,
            }
        })?;
        Ok(())
    }

    pub(super) async fn confirm_clock(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::ConfirmClockResponse, Refusal> {
        ticket.action = Action::ConfirmClock;
        let Some(live) = self.gate.live() else {
            return self.finish(lane, ticket, Err(Reason::Sealed.into())).await;
        };
        let read = self.read_confirmation(ticket, call);
        let now = match read {
            Ok(now) => now,
            Err(refused) => return self.finish(lane, ticket, Err(refused)).await,
        };
        let step = async |_: &Ticket<'_>| {
            let (_, revision) = live.state.time_mark();
            let mark = TimeMark {
                high_water: now,
                paused: false,
            };
            let decision = Decision {
                reply: (),
                facts: EntryFacts::single(Action::ConfirmClock, Detail::new(Outcome::Ok)),
                change: Some(Change {
                    writes: vec![Write {
                        key: RecordKey::time_mark(),
                        expect: Expect::Unchanged(revision),
                        record: Some(Record::TimeMark(mark)),
                    }],
                    restricts: false,
                }),
            };
            Ok((decision, live.state.hold()))
        };
        self.change(lane, ticket, &live, step).await?;
        Ok(v1::ConfirmClockResponse {})
    }

    fn read_confirmation(
        &self,
        ticket: &Ticket<'_>,
        call: &Incoming,
    ) -> Result<Timestamp, Refused> {
        self.allowed::<act::ConfirmClock>(ticket)?;
        let message: v1::ConfirmClockRequest = self.decode(call.method, call.body.clone())?;
        let given = message.now.as_ref();
        let given = given.ok_or_else(|| Refusal::field("now", "is required"))?;
        let given = parse::timestamp(given, "now")?;
        let now = self.clock.now();
        if given.since(now).max(now.since(given)) > CLOCK_DIFFERENCE_MAX {
            return Err(Refusal::field("now", "within 5 minutes of the daemon's clock").into());
        }
        Ok(now)
    }
}
