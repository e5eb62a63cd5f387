//! Gives the audit log the key that signs its checkpoints; makes one when there is none yet. Never replaces one.

use crate::audit_log::Signer;
use crate::call::{Lane, Service};
use crate::live::Live;
use kms_core::cipher::signature::LogKey;
use kms_core::key::record::{LogHead, LogKeyRecord};
use tlog::{Checkpoint, Hash, VerifierKey};

const JOB: &str = "making the key of the audit log";

pub(super) async fn pass(service: &Service, lane: &Lane, live: &Live) {
    if service.audit().signs_with().is_some() {
        return;
    }
    if live.state.log_key().is_none()
        && let Err(refusal) = service.make_log_key(lane).await
    {
        super::failed(live, JOB, &refusal);
        return;
    }
    let signer = live.state.log_key().and_then(|key| {
        let origin = service.audit().origin();
        signer(&key, origin, live.state.log_head().map(|(head, _)| head))
    });
    match signer {
        Some(signer) => {
            live.alarms.clear(JOB);
            service.audit().sign_with(signer);
        }
        None => {
            let _ = live
                .alarms
                .raise(JOB, "the key of the audit log is not usable");
        }
    }
}

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
