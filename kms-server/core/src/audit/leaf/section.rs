//! Sections at the end of a leaf: a count, then for each a tag and a short. Tag 1 says on whose word a call
//! rests, tag 2 whom it was about.

use super::entry::{Entry, Section};
use super::keys::PrincipalId;
use crate::audit::facts::ApprovalFacts;
use crate::codec::{Malformed, Reader, Writer};
use crate::name::ApprovalId;

/// Tag of an approval.
const APPROVAL: u8 = 1;
/// Tag of whom a call was about.
const SUBJECT: u8 = 2;

/// Writes a head's sections.
pub(super) fn write(
    w: &mut Writer,
    approval: Option<&ApprovalFacts>,
    subject: Option<PrincipalId>,
) {
    w.u8(u8::from(approval.is_some()) + u8::from(subject.is_some()));
    if let Some(approval) = approval {
        let count = u8::try_from(approval.signatures.len()).unwrap_or(u8::MAX);
        let mut section = Writer::default();
        section.bytes(&approval.id.0).bytes(&approval.statement);
        section.u8(count);
        for signature in approval.signatures.iter().take(usize::from(count)) {
            section.short(signature);
        }
        w.u8(APPROVAL).short(&section.finish());
    }
    if let Some(subject) = subject {
        w.u8(SUBJECT).short(&subject.0);
    }
}

/// What stands for the person whom a call was about; `None` where the leaf says nothing of it.
#[must_use]
pub fn subject_of(entry: &Entry) -> Option<PrincipalId> {
    let section = entry.sections.iter().find(|it| it.tag == SUBJECT)?;
    <[u8; 16]>::try_from(&*section.bytes).ok().map(PrincipalId)
}

/// On whose word a call rests, or which word it gave; `None` where the leaf says nothing of it.
#[must_use]
pub fn approval_of(entry: &Entry) -> Option<ApprovalFacts> {
    let section = entry.sections.iter().find(|it| it.tag == APPROVAL)?;
    read(section).ok()
}

fn read(section: &Section) -> Result<ApprovalFacts, Malformed> {
    let mut r = Reader::new(&section.bytes);
    let (id, statement, count) = (ApprovalId(r.array()?), r.array()?, r.u8()?);
    let signatures: Result<_, _> = (0..count).map(|_| r.short().map(Into::into)).collect();
    r.finish()?;
    Ok(ApprovalFacts {
        id,
        statement,
        signatures: signatures?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Counting, call, caller, encode, service};
    use super::super::{LeafKeys, decode, encode_call};
    use super::*;
    use crate::audit::{Detail, Facts, Outcome};
    use crate::policy::Action;

    #[test]
    fn an_approval_is_read_as_it_was_written() {
        let wanted = ApprovalFacts {
            id: ApprovalId([3; 16]),
            statement: [4; 32],
            signatures: vec![Box::from(&b"one"[..]), Box::from(&[7; 900][..])],
        };
        let mut facts = Facts::single(Action::RemoveOperator, Detail::new(Outcome::Ok));
        let leaf = |facts: &Facts| {
            let leaves = encode(facts, LeafKeys::Missing).unwrap();
            decode(&leaves[0]).unwrap()
        };
        assert_eq!(approval_of(&leaf(&facts)), None);
        facts.approval = Some(Box::new(wanted.clone()));
        assert_eq!(approval_of(&leaf(&facts)), Some(wanted));
    }
    #[test]
    fn whom_a_call_was_about_stands_behind_whose_word_it_rests_on() {
        let mut facts = Facts::single(Action::SetOperatorRoles, Detail::new(Outcome::Ok));
        let mut call = call();
        call.subject = Some(PrincipalId([9; 16]));
        for approval in [false, true] {
            facts.approval = approval.then(|| {
                Box::new(ApprovalFacts {
                    id: ApprovalId([3; 16]),
                    statement: [4; 32],
                    signatures: Vec::new(),
                })
            });
            let (name, entropy) = (service(), Counting::new());
            let leaves =
                encode_call(&facts, &caller(&name), &call, LeafKeys::Missing, &entropy).unwrap();
            let entry = decode(&leaves[0]).unwrap();
            assert_eq!(subject_of(&entry), Some(PrincipalId([9; 16])));
            assert_eq!(approval_of(&entry).is_some(), approval);
        }
    }
}
