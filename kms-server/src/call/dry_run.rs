//! Dry runs: `validate_only`, one field of every request that changes something or uses a key. The call travels the whole
//! road up to the commit; what it would have done is entered as refused for `DRY_RUN`, and nothing of it is answered.

use super::Service;
use super::bounds::{skip, varint};
use super::lane::Lane;
use super::ticket::Ticket;
use crate::live::Live;
use bytes::Bytes;
use kms_core::audit::{Detail, Facts, Outcome};
use kms_core::engine::Refusal;
use kms_core::policy::Action;
use kms_core::reason::Reason;

/// The field's key on the wire: number 15 in every request, and a varint.
const KEY: u64 = 15 << 3;
/// How an entry says that a refusal was a dry run's.
const NOTE: &str = "dry run";

/// The request without the field, and whether that asked for a dry run. Nothing behind this sees the field: what is
/// decided, fingerprinted and approved is the request as it would be made.
pub(super) fn split(body: Bytes) -> (Bytes, bool) {
    match flag(&body) {
        Some(asked) => (without(&body).into(), asked),
        None => (body, false),
    }
}

/// The fields of a message, each with its key; ends at what is no message.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let field = rest;
        let key = varint(&mut rest).ok()?;
        skip(&mut rest, key & 7).ok()?;
        let length = field.len() - rest.len();
        Some((key, field.get(..length)?))
    })
}

/// What the field says, where it stands; the last one counts, as protobuf has it.
fn flag(body: &[u8]) -> Option<bool> {
    let flags = fields(body).filter(|(key, _)| *key == KEY);
    let (_, mut last) = flags.last()?;
    varint(&mut last).ok()?;
    Some(varint(&mut last).ok()? != 0)
}

fn without(body: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(body.len());
    let mut read = 0;
    for (key, field) in fields(body) {
        read += field.len();
        if key != KEY {
            kept.extend_from_slice(field);
        }
    }
    // what is no message is refused where it is decoded
    kept.extend_from_slice(body.get(read..).unwrap_or_default());
    kept
}

/// What a dry run does not even try: a secret that is typed would be guessed without being counted, and what ends the
/// unsealed state or a session leaves nothing to decide.
const fn is_not_tried(action: Action) -> bool {
    use Action as A;
    matches!(
        action,
        A::Login
            | A::Logout
            | A::BeginEnrolment
            | A::ConfirmEnrolment
            | A::ChangePassword
            | A::RecoverOperator
            | A::Seal
            | A::Unseal
    )
}

/// Ends a dry run here, where more would be trying.
///
/// # Errors
/// DRY_RUN.
pub(super) fn ends(ticket: &Ticket<'_>, action: Action) -> Result<(), Reason> {
    if ticket.dry_run && is_not_tried(action) {
        return Err(Reason::DryRun);
    }
    Ok(())
}

/// What the entry says of something that was only tried.
pub(super) fn mark(detail: &mut Detail) {
    match detail.outcome {
        Outcome::Ok => detail.outcome = Outcome::Refused(Reason::DryRun),
        Outcome::Refused(Reason::DryRun) => {}
        // no approval was made: the entry names none
        Outcome::Refused(Reason::ApprovalRequired) => detail.note = NOTE.into(),
        Outcome::Refused(_) if detail.note.is_empty() => detail.note = NOTE.into(),
        Outcome::Refused(_) => detail.note = format!("{NOTE}; {}", detail.note).into(),
    }
}

/// What would have been refused of a call, first of all its items; DRY_RUN when nothing.
fn only_tried(mut facts: Facts) -> (Facts, Reason) {
    let outcomes = facts.details.iter().map(|detail| detail.outcome);
    let refused = outcomes
        .chain([facts.outcome])
        .find_map(|outcome| match outcome {
            Outcome::Refused(reason) => Some(reason),
            Outcome::Ok => None,
        });
    let reason = refused.unwrap_or(Reason::DryRun);
    facts.details.iter_mut().for_each(mark);
    facts.outcome = Outcome::Refused(reason);
    facts.approval = None;
    (facts, reason)
}

impl Service {
    /// Enters what would have been done, and gives the refusal that stands for it.
    pub(super) async fn not_done(
        &self,
        lane: &Lane,
        ticket: &mut Ticket<'_>,
        live: &Live,
        facts: Facts,
    ) -> Refusal {
        let (facts, reason) = only_tried(facts);
        match self.log(lane, ticket, Some(live), &facts).await {
            Ok(()) => reason.into(),
            Err(refusal) => refusal,
        }
    }
}

/// A dry run that found nothing is answered with an empty message.
pub(super) fn answer(result: Result<Bytes, Refusal>) -> Result<Bytes, Refusal> {
    match result {
        Err(refusal) if refusal.reason == Reason::DryRun => Ok(Bytes::new()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kms_proto::v1;
    use proptest::prelude::*;
    use prost::Message as _;

    fn request(validate_only: bool) -> v1::GenerateDataKeyRequest {
        v1::GenerateDataKeyRequest {
            dataset: "datasets/xxxx".into(),
            reference: "x".repeat(99),
            validate_only,
            ..Default::default()
        }
    }

    #[test]
    fn the_flag_is_taken_off_and_the_last_one_counts() {
        let plain: Bytes = request(false).encode_to_vec().into();
        assert_eq!(split(plain.clone()), (plain.clone(), false));
        let flagged = request(true).encode_to_vec();
        assert_eq!(split(flagged.clone().into()), (plain.clone(), true));
        let taken_back = [&flagged[..], &[120, 0]].concat();
        let oddly_written = [&plain[..], &[0xf8, 0, 0x81, 0]].concat();
        assert_eq!(split(oddly_written.into()), (plain.clone(), true));
        assert_eq!(split(taken_back.into()), (plain, false));
    }

    #[test]
    fn equal_items_are_entered_with_what_they_would_have_met() {
        let refused = Detail::new(Outcome::Refused(Reason::SubjectErased));
        let items = [Detail::new(Outcome::Ok), refused];
        let (facts, reason) = only_tried(Facts::batch(Action::UnwrapDataKey, items));
        assert_eq!(reason, Reason::SubjectErased);
        let outcomes: Vec<_> = facts.details.iter().map(|detail| detail.outcome).collect();
        let expected = [Reason::DryRun, Reason::SubjectErased].map(Outcome::Refused);
        assert_eq!(outcomes, expected);
        assert_eq!(facts.uses().count(), 0, "nothing was used");
    }

    proptest! {
        /// As the decoder of the messages sees it, whatever the bytes.
        #[test]
        fn the_road_and_the_decoder_agree(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            type Empty = v1::SealRequest;
            let (rest, asked) = split(bytes.clone().into());
            if let Ok(message) = Empty::decode(&*bytes) {
                prop_assert_eq!(message.validate_only, asked);
                prop_assert!(!Empty::decode(&*rest).unwrap().validate_only);
            }
        }
    }
}
