//! What keeps the audit log signed: its key, checkpoints in time, and the newest signed root in the store. Never signs
//! by itself: the log does, after it has compared.

use super::Service;
use super::lane::Lane;
use super::road::Incoming;
use super::ticket::Ticket;
use crate::audit_log::{CHECKPOINT_EVERY, Signer};
use crate::live::Live;
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::cipher::signature::LogKey;
use kms_core::engine::{Change, Decision, Moment, Refusal};
use kms_core::key::record::{Expect, LogHead, LogKeyRecord, PastLogKey, Record, RecordKey, Write};
use kms_core::policy::{Action, ActionKind as _, act};
use kms_core::reason::Reason;
use kms_core::secret::LogSeed;
use kms_proto::v1;
use tlog::{Certificate, Checkpoint, Hash, VerifierKey, signature_line};

impl Service {
    /// The RPC. The old key signs what is durable and puts the pen down; its last checkpoint is where the new one begins.
    /// The new key, its certificate and the end of the old seed are one transaction.
    pub(super) async fn rotate_log_key(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
    ) -> Result<v1::RotateLogKeyResponse, Refusal> {
        ticket.action = Action::RotateLogKey;
        let live = self.unsealed(lane, ticket).await?;
        self.read::<act::RotateLogKey, v1::RotateLogKeyRequest>(lane, ticket, call, &live, |_| {
            Ok(())
        })
        .await?;
        let _turn = self.log_key_turn.lock().await;
        let audit = self.audit.clone();
        let last = tokio::task::spawn_blocking(move || audit.pen_down()).await;
        let handed = last.ok().flatten().zip(live.state.log_key());
        let rotated = match handed {
            None => {
                let refused = Reason::AuditUnavailable.into();
                Err(self.refuse(lane, ticket, Some(&live), refused).await)
            }
            Some((last, before)) => {
                let from = &last.checkpoint;
                let step = async |ticket: &Ticket<'_>| {
                    let held = live.state.hold();
                    self.proof::<act::RotateLogKey>(ticket)?;
                    let decision = next_log_key(&live, from, &before, &self.moment(ticket))?;
                    Ok((decision, held))
                };
                self.change(lane, ticket, &live, step).await
            }
        };
        // the new key, or the old one again
        self.give_log_key(&live);
        rotated
    }

    /// Gives the log the newest key, unless it was sealed meanwhile.
    fn give_log_key(&self, live: &Live) -> bool {
        let head = live.state.log_head().map(|(head, _)| head);
        let key = live.state.log_key();
        let signer = key.and_then(|key| signer(&key, self.audit.origin(), head));
        let is_usable = signer.is_some();
        if let Some(signer) = signer.filter(|_| self.gate.live().is_some()) {
            self.audit.sign_with(signer);
            if self.gate.live().is_none() {
                let audit = self.audit.clone();
                // sealing waits for what is signed; this must not be waited for here
                drop(tokio::task::spawn_blocking(move || audit.sign_off()));
            }
        }
        is_usable
    }

    /// Gives the log its key, when it has none and nobody is changing it; `false` when it cannot be used.
    pub fn keep_log_key(&self, live: &Live) -> bool {
        match self.log_key_turn.try_lock() {
            Ok(_turn) if self.audit.signs_with().is_none() => self.give_log_key(live),
            _ => true,
        }
    }

    /// Sees to it that no entry waits longer than ten seconds for a checkpoint, for ever.
    pub async fn keep_checkpoints(&self) {
        loop {
            let next = self.clock.monotonic() + CHECKPOINT_EVERY;
            self.clock.wait_until(next).await;
            self.audit.checkpoint_soon();
        }
    }

    /// Tells the store what was signed, so that who takes the tree's files away takes less than all of it; at most
    /// every ten seconds, for ever.
    pub async fn keep_log_head(&self) {
        let mut checkpoints = self.audit.checkpoints();
        while checkpoints.changed().await.is_ok() {
            let signed = checkpoints.borrow_and_update().clone();
            if let (Some(signed), Some(live)) = (signed, self.gate.live()) {
                live.store_log_head(&signed).await;
            }
            let next = self.clock.monotonic() + CHECKPOINT_EVERY;
            self.clock.wait_until(next).await;
        }
    }

    /// Makes the first key that signs the audit log's checkpoints, certified by the instance key.
    ///
    /// # Errors
    /// As [`Service::internal`].
    pub async fn make_log_key(&self, lane: &Lane) -> Result<(), Refusal> {
        let (gate, origin) = (&self.gate, self.audit.origin());
        self.internal::<act::CreateLogKey, ()>(lane, None, &[], |_, moment, _| {
            let live = gate.live().ok_or(Reason::Sealed)?;
            let record = first_log_key(&live, origin, moment)?;
            Ok(Decision {
                reply: (),
                facts: Facts::single(act::CreateLogKey::ACTION, Detail::new(Outcome::Ok)),
                change: Some(Change {
                    writes: vec![Write {
                        key: RecordKey::log_key(record.number),
                        expect: Expect::Absent,
                        record: Some(Record::LogKey(record)),
                    }],
                    restricts: false,
                }),
            })
        })
        .await
    }
}

/// What the log is given to sign with.
fn signer(record: &LogKeyRecord, origin: &str, head: Option<LogHead>) -> Option<Signer> {
    let key = LogKey::new(&record.seed).ok()?;
    let verifier = VerifierKey::new(origin, key.public().0).ok()?;
    Some(Signer {
        number: record.number.into(),
        key,
        verifier,
        certificate: record.certificate.to_string(),
        head: head.map(|head| Checkpoint {
            origin: head.origin.into(),
            size: head.size,
            root: Hash(head.root),
        }),
    })
}

/// The key that follows `before` from `from` on. Of `before` the certificate stays.
fn next_log_key(
    live: &Live,
    from: &Checkpoint,
    before: &LogKeyRecord,
    moment: &Moment<'_>,
) -> Result<Decision<v1::RotateLogKeyResponse>, Reason> {
    let number = before.number.checked_add(1).ok_or(Reason::Internal)?;
    let record = certified(live, number, from, Some(before), moment)?;
    let mut detail = Detail::new(Outcome::Ok);
    detail.note = format!("log key {number} signs from {} entries on", from.size).into();
    let reply = v1::RotateLogKeyResponse {
        number,
        certificate: record.certificate.to_string(),
        from_size: from.size,
    };
    let past = PastLogKey {
        number: before.number,
        certificate: before.certificate.clone(),
    };
    Ok(Decision {
        reply,
        facts: Facts::single(Action::RotateLogKey, detail),
        change: Some(Change {
            writes: vec![
                Write {
                    key: RecordKey::log_key(number),
                    expect: Expect::Absent,
                    record: Some(Record::LogKey(record)),
                },
                Write {
                    key: RecordKey::log_key(before.number),
                    // whoever has the turn is its only writer
                    expect: Expect::Anything,
                    record: Some(Record::PastLogKey(past)),
                },
            ],
            restricts: false,
        }),
    })
}

/// The first log key of an origin: it signs from the empty tree on.
fn first_log_key(live: &Live, origin: &str, moment: &Moment<'_>) -> Result<LogKeyRecord, Reason> {
    let from = Checkpoint {
        origin: origin.to_owned(),
        size: 0,
        root: Hash::empty(),
    };
    certified(live, 1, &from, None, moment)
}

/// A new log key that signs from the checkpoint `from` on, certified by the instance key and, but for the first, by the
/// key before.
fn certified(
    live: &Live,
    number: u32,
    from: &Checkpoint,
    before: Option<&LogKeyRecord>,
    moment: &Moment<'_>,
) -> Result<LogKeyRecord, Reason> {
    let seed = LogSeed::make_random(moment.keys).map_err(Reason::from)?;
    let key = LogKey::new(&seed).map_err(|_| Reason::Internal)?;
    let origin = from.origin.as_str();
    let name = origin.rsplit_once('/').map_or(origin, |(name, _)| name);
    let named = |name, public| VerifierKey::new(name, public).map_err(|_| Reason::Internal);
    let certificate = Certificate {
        origin: origin.to_owned(),
        number: number.into(),
        key: named(origin, key.public().0)?,
        from_size: from.size,
        from_root: from.root,
    };
    let instance = named(name, live.keys.instance.public().0)?;
    let text = certificate.text();
    let signature = live.keys.instance.sign(text.as_bytes());
    let mut note = format!("{text}\n{}", signature_line(&instance, &signature));
    if let Some(before) = before {
        let key = LogKey::new(&before.seed).map_err(|_| Reason::Internal)?;
        let verifier = named(origin, key.public().0)?;
        note.push_str(&signature_line(&verifier, &key.sign(text.as_bytes())));
    }
    Ok(LogKeyRecord {
        number,
        seed,
        certificate: note.into(),
    })
}
