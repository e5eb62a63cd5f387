//! What entries say of an operator's roles, written and read in one place: who had which roles on a day is told by it
//! for as long as the log is kept.

use crate::policy::{Role, Roles};

const BEFORE: &str = "; before: ";

/// What an entry says of somebody's roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolesSaid {
    /// From then on.
    pub after: Roles,
    /// Until then; `None` for a new operator, and where an older version wrote the entry.
    pub before: Option<Roles>,
}

/// `auditor, approver; before: auditor`.
pub(in crate::engine) fn roles_note(after: u16, before: Option<u16>) -> String {
    let before = before.map(|before| format!("{BEFORE}{}", words(before)));
    words(after) + &before.unwrap_or_default()
}

/// Reads it back; `None` for anything else.
#[must_use]
pub fn roles_said(note: &str) -> Option<RolesSaid> {
    let (after, before) = match note.split_once(BEFORE) {
        Some((after, before)) => (after, Some(before)),
        None => (note, None),
    };
    let before = match before {
        Some("") => Some(Roles::default()),
        Some(before) => Some(roles(before)?),
        None => None,
    };
    let after = roles(after)?;
    Some(RolesSaid { after, before })
}

fn words(bits: u16) -> String {
    let words: Vec<_> = Roles::of_person(bits).iter().map(Role::as_str).collect();
    words.join(", ")
}

fn roles(words: &str) -> Option<Roles> {
    let roles: Option<Vec<_>> = words.split(", ").map(Role::of_person).collect();
    roles.map(|roles| Roles::of(&roles))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let (one, two) = (
            Roles::of(&[Role::Auditor]),
            Roles::of(&[Role::SecurityAdmin, Role::Approver]),
        );
        for (after, before) in [(one, None), (two, Some(one)), (one, Some(Roles::default()))] {
            let note = roles_note(after.bits(), before.map(Roles::bits));
            assert_eq!(
                roles_said(&note),
                Some(RolesSaid { after, before }),
                "{note}"
            );
        }
        for other in [
            "",
            "auditor,",
            "a code of the authenticator",
            "auditor; before: nobody",
        ] {
            assert_eq!(roles_said(other), None, "{other}");
        }
    }
}
