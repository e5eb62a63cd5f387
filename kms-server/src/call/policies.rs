//! The RPCs of `PolicyService`, and the daemon's own reload: policies are read and judged before they are put into
//! force, and none are that would leave nobody who can put others there.

mod asking;

use super::Service;
use super::lane::Lane;
use super::operation::{Marked, Refused};
use super::operators::Nothing;
use super::road::Incoming;
use super::ticket::Ticket;
use crate::live::state::Held;
use crate::policies::in_force::{InForce, judge};
use crate::policies::{ByPolicy, keeps_quorum, keeps_somebody};
use kms_core::engine::approval::roster::rules;
use kms_core::engine::approval::statement::etag;
use kms_core::engine::approval::{Mode, mode};
use kms_core::engine::{
    Moment, NewPolicies, Refusal, View, apply_policies, refused_policies, reload_policies,
};
use kms_core::key::record::PolicyText as Kept;
use kms_core::policy::{Action, Authorised, Circumstances, Principal, act};
use kms_core::reason::Reason;
use kms_policies::{PolicyText, TEXTS_BYTES_MAX, fingerprint};
use kms_proto::v1;
use prost::Message as _;
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// Why a set of texts is not put into force.
const FITS: &str = "policies that fit the schema: `kms policy check` says where they do not";

/// Texts that were read, with what they say.
struct Judged {
    policies: ByPolicy,
    new: NewPolicies,
}

async fn judged(texts: Vec<PolicyText>, replaces: u64) -> Result<Judged, Refusal> {
    // validation takes milliseconds: not on a thread that serves calls
    let judging = tokio::task::spawn_blocking(move || {
        let policies = judge(&texts)?;
        let fingerprint = fingerprint(&texts).into();
        let kept = |text: PolicyText| Kept {
            name: text.name.into(),
            text: text.text.into(),
        };
        Ok(Judged {
            policies,
            new: NewPolicies {
                fingerprint,
                texts: texts.into_iter().map(kept).collect(),
                replaces: (replaces > 0).then_some(replaces),
            },
        })
    });
    let judged = judging.await.map_err(|_| Reason::Internal)?;
    judged.map_err(|broken: kms_policies::BrokenPolicy| {
        Refusal::field(format!("texts[{}:{}]", broken.file, broken.line), FITS)
    })
}

fn read_texts(message: &v1::ApplyPoliciesRequest) -> Result<Vec<PolicyText>, Refusal> {
    let length = message
        .texts
        .iter()
        .map(|text| text.name.len() + text.text.len());
    if message.texts.is_empty() || length.sum::<usize>() > TEXTS_BYTES_MAX {
        return Err(Refusal::field("texts", "1 to 49,152 bytes, names included"));
    }
    let mut texts: Vec<_> = message
        .texts
        .iter()
        .map(|text| PolicyText {
            name: text.name.clone(),
            text: text.text.clone(),
        })
        .collect();
    texts.sort_by(|a, b| a.name.cmp(&b.name));
    let plain = |name: &str| {
        (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
    };
    let distinct = texts
        .iter()
        .zip(texts.iter().skip(1))
        .all(|(a, b)| a.name != b.name);
    if !distinct || !texts.iter().all(|text| plain(&text.name)) {
        return Err(Refusal::field(
            "texts",
            "distinct names of 1 to 128 visible characters, no '/'",
        ));
    }
    if !message.fingerprint.is_empty() && message.fingerprint != fingerprint(&texts) {
        return Err(Refusal::field("fingerprint", "that of the texts"));
    }
    Ok(texts)
}

impl Service {
    /// The RPC. That the call's own principal may is decided by the policies of now; that others agree to exactly these
    /// texts, by the gate of approvals.
    pub(super) async fn apply_policies(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        call: &Incoming,
        certificate: &Principal,
    ) -> Result<v1::ApplyPoliciesResponse, Refusal> {
        ticket.action = Action::ApplyPolicies;
        let live = self.unsealed(lane, ticket).await?;
        let message = self
            .read::<act::ApplyPolicies, v1::ApplyPoliciesRequest>(lane, ticket, call, &live, |_| {
                Ok(())
            })
            .await?;
        let judging = async { judged(read_texts(&message)?, message.replaces).await };
        let judged = match judging.await {
            Ok(judged) => judged,
            Err(refusal) => {
                return Err(self.refuse(lane, ticket, Some(&live), refusal.into()).await);
            }
        };
        let here = ticket.circumstances();
        let none = Nothing::default();
        let step = async |ticket: &Ticket<'_>| {
            let about = |refusal: Refusal| Refused {
                detail: Box::new(refused_policies(&judged.new.fingerprint, refusal.reason)),
                refusal,
            };
            let held: Arc<Held> = live.state.hold();
            let proof = self.proof::<act::ApplyPolicies>(ticket)?;
            let operators = &held.snapshot.operators;
            if !keeps_somebody(&judged.policies, operators, Some(certificate), &here) {
                return Err(about(Reason::LastAdministrator.into()));
            }
            let view = self.operator_view(&live, &held, &none);
            let moment = self.moment(ticket);
            let rules = rules(&view, &self.rules, moment.now);
            let required = match mode(&held.snapshot, view.latest(moment.now)) {
                Mode::Quorum => rules.required(Action::ApplyPolicies),
                _ => None,
            };
            let required = required.map_or(0, |count| usize::from(count.get()));
            if !keeps_quorum(&judged.policies, &held.snapshot, required, &here) {
                return Err(about(Reason::QuorumUnreachable.into()));
            }
            let decision = apply_policies(&view, &moment, &proof, &judged.new).map_err(about)?;
            let marked = Marked {
                action: Action::ApplyPolicies,
                etag: etag(&[
                    b"policies",
                    &held.snapshot.policies.current_number().to_be_bytes(),
                ]),
            };
            // the texts themselves stand in what is signed, byte for byte
            let asked = Some((marked, message.encode_to_vec()));
            let gated = self.gated(&live, ticket, (&view, &moment), asked, decision);
            Ok((gated.map_err(about)?, held))
        };
        let reply = self.change(lane, ticket, &live, step).await?;
        self.tell_of_use(ticket, &live.state.hold().snapshot, &reply);
        Ok(v1::ApplyPoliciesResponse {
            generation: reply?,
            fingerprint: judged.new.fingerprint.to_string(),
        })
    }

    pub(super) fn moment(&self, ticket: &Ticket<'_>) -> Moment<'_> {
        Moment {
            now: ticket.at.time,
            keys: &*self.entropy,
            salts: &*self.entropy,
        }
    }

    /// Puts the policies of `directory` into force if they were before: SIGHUP brings no word of anybody's.
    pub async fn reload_policies(&self, lane: &Lane, directory: &Path) {
        let path = directory.to_owned();
        let read = tokio::task::spawn_blocking(move || kms_policies::read(&[path])).await;
        let texts = match read {
            Ok(Ok(texts)) => texts,
            Ok(Err(error)) => return tracing::error!(%error, "policies are not reloaded"),
            Err(_) => return,
        };
        let given = fingerprint(&texts);
        self.note_policy_files(&given);
        let judged = match judged(texts, 0).await {
            Ok(judged) => judged,
            Err(refusal) => {
                return tracing::error!(?refusal, "policies are not reloaded: they cannot be read");
            }
        };
        let decide = |view: &View<'_>, moment: &Moment<'_>, proof: &Authorised<_>| {
            let here = Circumstances {
                source: None,
                now: moment.now,
            };
            if !keeps_somebody(&judged.policies, &view.snapshot.operators, None, &here) {
                return Err(Reason::LastAdministrator.into());
            }
            reload_policies(view, moment, proof, &judged.new)
        };
        let loaded = self
            .internal::<act::ReloadPolicies, _>(lane, None, &[], decide)
            .await;
        match loaded {
            Ok(generation) => tracing::info!(generation, %given, "policies reloaded"),
            Err(refusal) if refusal.reason == Reason::Denied => {
                tracing::error!(%given, "policies are not reloaded: nobody approved them; `kms policy apply`");
            }
            Err(refusal) => tracing::error!(%refusal, "policies are not reloaded"),
        }
    }

    /// Remembers what the files of the configured directory say.
    fn note_policy_files(&self, fingerprint: &str) {
        let files = self.policy_files.lock();
        *files.unwrap_or_else(PoisonError::into_inner) = Some(fingerprint.to_owned());
    }

    /// What an operator must hear of policies.
    pub(super) fn policy_alarm(&self, held: &Held) -> Option<String> {
        if let InForce::Unreadable(generation) = &*held.in_force {
            return Some(format!(
                "the policies of generation {generation} cannot be read: `kms policy apply` others"
            ));
        }
        let files = self.policy_files.lock();
        let files = files.unwrap_or_else(PoisonError::into_inner);
        let current = held.snapshot.policies.current();
        let in_force = current.map(|current| &*current.fingerprint);
        let given = files.as_deref().filter(|given| Some(*given) != in_force)?;
        Some(format!(
            "the policies of the configured directory are not in force: `kms policy apply` ({given})"
        ))
    }
}
