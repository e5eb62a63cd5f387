//! What keeps the audit log signed: its key, checkpoints in time, and the newest signed root in the store. Never signs
//! by itself: the log does, after it has compared.

use super::Service;
use super::lane::Lane;
use crate::audit_log::CHECKPOINT_EVERY;
use crate::live::Live;
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::cipher::signature::LogKey;
use kms_core::engine::{Change, Decision, Moment, Refusal};
use kms_core::key::record::{Expect, LogKeyRecord, Record, RecordKey, Write};
use kms_core::policy::{ActionKind as _, act};
use kms_core::reason::Reason;
use kms_core::secret::LogSeed;
use tlog::{Certificate, Hash, VerifierKey, signature_line};

impl Service {
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

/// The first log key of an origin: it signs from the empty tree on.
fn first_log_key(live: &Live, origin: &str, moment: &Moment<'_>) -> Result<LogKeyRecord, Reason> {
    let seed = LogSeed::make_random(moment.keys).map_err(Reason::from)?;
    let key = LogKey::new(&seed).map_err(|_| Reason::Internal)?;
    let name = origin.rsplit_once('/').map_or(origin, |(name, _)| name);
    let named = |name, public| VerifierKey::new(name, public).map_err(|_| Reason::Internal);
    let certificate = Certificate {
        origin: origin.to_owned(),
        number: 1,
        key: named(origin, key.public().0)?,
        from_size: 0,
        from_root: Hash::empty(),
    };
    let instance = named(name, live.keys.instance.public().0)?;
    let text = certificate.text();
    let signature = live.keys.instance.sign(text.as_bytes());
    Ok(LogKeyRecord {
        number: 1,
        seed,
        certificate: format!("{text}\n{}", signature_line(&instance, &signature)).into(),
    })
}
