//! Sections at the end of a leaf: a count, then for each a tag and a short. So far there is one, with tag 1: on
//! whose word a call rests.

use super::entry::{Entry, Section};
use crate::audit::facts::ApprovalFacts;
use crate::codec::{Malformed, Reader, Writer};
use crate::name::ApprovalId;

/// Tag of an approval.
const APPROVAL: u8 = 1;

/// Writes a head's sections.
pub(super) fn write(w: &mut Writer, approval: Option<&ApprovalFacts>) {
    let Some(approval) = approval else {
        w.u8(0);
        return;
    };
    let count = u8::try_from(approval.signatures.len()).unwrap_or(u8::MAX);
    let mut section = Writer::default();
    section.bytes(&approval.id.0).bytes(&approval.statement);
    section.u8(count);
    for signature in approval.signatures.iter().take(usize::from(count)) {
        section.short(signature);
    }
    w.u8(1).u8(APPROVAL).short(&section.finish());
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
    use super::super::tests::encode;
    use super::super::{LeafKeys, decode};
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
}
