//! The approvers' word against the log's anchors: unseal this very log although those outside do not vouch for it. A
//! text that people read and sign as it is; worth nothing for another log, another size of this one, or later.

use super::standing::counts;
use crate::audit::ApprovalFacts;
use crate::cipher::sha256;
use crate::cipher::ssh_signature::SignerKey;
use crate::engine::view::View;
use crate::name::{ApprovalId, OperatorName, ReasonText};
use crate::policy::approval::LIFE_MAX;
use crate::reason::Reason;
use crate::time::Timestamp;
use std::collections::BTreeSet;

/// Fewest people, whatever the rules say: whoever unseals has no name yet.
pub const OVERRIDERS_MIN: u8 = 2;
/// Most signatures that are looked at.
const SIGNATURES_MAX: usize = 16;

/// What was given.
#[derive(Debug, Clone, Copy)]
pub struct Overriding<'a> {
    /// The signed text.
    pub statement: &'a str,
    /// SSHSIG each.
    pub signatures: &'a [Vec<u8>],
}

/// What the log says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overridden {
    /// Why.
    pub reason: ReasonText,
    /// The statement's hash and the signatures that counted.
    pub facts: ApprovalFacts,
}

/// Whether enough people signed that `standoff`, what the daemon itself says of its log and its anchors, is overridden.
///
/// # Errors
/// APPROVAL_MISMATCH for a statement about anything else, or not of its form; APPROVAL_OVER past its end; QUORUM_UNREACHABLE
/// without a roster; SIGNATURE_REFUSED; APPROVAL_REQUIRED when too few of those who signed count.
pub fn overrides(
    view: &View<'_>,
    now: Timestamp,
    standoff: &str,
    given: Overriding<'_>,
) -> Result<Overridden, Reason> {
    let rest = given.statement.strip_prefix(standoff);
    let (reason, until) = rest.and_then(read).ok_or(Reason::ApprovalMismatch)?;
    if until <= now.max(view.time_mark.high_water) || until > now.saturating_add(LIFE_MAX) {
        return Err(Reason::ApprovalOver);
    }
    let roster = view.snapshot.approvals.roster.as_ref();
    let rules = &roster.ok_or(Reason::QuorumUnreachable)?.record.rules;
    if given.signatures.len() > SIGNATURES_MAX {
        return Err(Reason::SignatureRefused);
    }
    let (mut people, mut signatures) = (BTreeSet::new(), Vec::new());
    for signature in given.signatures {
        let key = SignerKey::named_by(signature);
        let key = key.map_err(|_| Reason::SignatureRefused)?;
        let verified = key.verify(given.statement.as_bytes(), signature);
        verified.map_err(|_| Reason::SignatureRefused)?;
        let who = owner(view, &key).filter(|who| counts(view, who, key.blob(), now));
        if who.is_some_and(|who| people.insert(who)) {
            signatures.push(signature.as_slice().into());
        }
    }
    if people.len() < usize::from(rules.most().max(OVERRIDERS_MIN)) {
        return Err(Reason::ApprovalRequired);
    }
    let statement = sha256(&[given.statement.as_bytes()]);
    let (id, _) = statement.split_first_chunk().ok_or(Reason::Internal)?;
    Ok(Overridden {
        reason,
        facts: ApprovalFacts {
            id: ApprovalId(*id),
            statement,
            signatures,
        },
    })
}

/// Whose key it is.
fn owner<'a>(view: &View<'a>, key: &SignerKey) -> Option<&'a OperatorName> {
    let mut approvers = view.snapshot.approvals.approvers();
    let found = approvers.find(|kept| {
        let mut keys = kept.record.keys.iter();
        keys.any(|enrolled| *enrolled.blob == *key.blob())
    })?;
    Some(&found.record.operator)
}

/// The lines that people add: why, and until when (seconds since 1970).
fn read(text: &str) -> Option<(ReasonText, Timestamp)> {
    let (reason, until) = text.strip_prefix("reason ")?.split_once("\nuntil ")?;
    let until = until.strip_suffix('\n')?;
    let seconds: i64 = until.parse().ok()?;
    let is_plain = seconds.to_string() == until;
    let until = Timestamp::from_micros(seconds.checked_mul(1_000_000)?);
    Some((ReasonText::parse(reason).ok()?, until)).filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_lines_are_read() {
        let (reason, until) = read("reason the restore was meant\nuntil 1800000000\n").unwrap();
        assert_eq!(reason.as_str(), "the restore was meant");
        assert_eq!(until, Timestamp::from_micros(1_800_000_000_000_000));
        for bad in [
            "",
            "reason x\n",
            "reason x\nuntil 1800000000",
            "reason x\nuntil 01800000000\n",
            "reason x\nuntil +1800000000\n",
            "reason x\nuntil 1800000000\nmore\n",
            "reason \nuntil 1800000000\n",
            "log 4 x\nreason x\nuntil 1800000000\n",
        ] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
    }
}
