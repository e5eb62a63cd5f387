//! What a log sends a witness (C2SP tlog-witness, `add-checkpoint`): the size that the witness knows, the proof from
//! there, and the checkpoint.

use crate::checkpoint::parse_number;
use crate::hash::Hash;
use crate::note::BadNote;

/// Most hashes of a proof: a tree has 64 levels at most, and a consistency proof one hash for each.
const PROOF_MAX: usize = 63;
/// Most bytes of a submission.
pub const SUBMISSION_MAX: usize = 80 * 1024;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Size of the last checkpoint that the witness cosigned; 0 for none.
    pub old_size: u64,
    /// Consistency proof from there.
    pub proof: Vec<Hash>,
    /// The checkpoint, a note.
    pub note: String,
}

impl Submission {
    /// The body of the request.
    #[must_use]
    pub fn text(&self) -> String {
        let proof: String = self.proof.iter().map(|hash| format!("{hash}\n")).collect();
        format!("old {}\n{proof}\n{}", self.old_size, self.note)
    }

    /// Reads a body; the note itself is not looked into.
    ///
    /// # Errors
    /// [`BadNote`].
    pub fn parse(text: &str) -> Result<Self, BadNote> {
        let bad = BadNote("submission");
        let (head, note) = text.split_once("\n\n").ok_or(bad)?;
        let mut lines = head.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| parse_number(line.strip_prefix("old ")?));
        let proof: Option<Vec<_>> = lines.map(Hash::parse).collect();
        let proof = proof.filter(|proof| proof.len() <= PROOF_MAX).ok_or(bad)?;
        Ok(Self {
            old_size: old_size.ok_or(bad)?,
            proof,
            note: note.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_read_as_written() {
        for count in [0, 1, 63] {
            let submission = Submission {
                old_size: 20_852_163,
                proof: (0..count).map(|n| Hash([n; 32])).collect(),
                note: "kms/1\n1\nroot\n\n\u{2014} kms/1 AAAA\n".to_owned(),
            };
            assert_eq!(Submission::parse(&submission.text()), Ok(submission));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        let hash = Hash([1; 32]);
        for bad in [
            String::new(),
            "old 1\n".to_owned(),
            "new 1\n\nnote\n".to_owned(),
            "old 01\n\nnote\n".to_owned(),
            "old -1\n\nnote\n".to_owned(),
            "old 1\nAAAA\n\nnote\n".to_owned(),
            format!("old 1\n{}\nnote\n", format!("{hash}\n").repeat(64)),
        ] {
            assert!(Submission::parse(&bad).is_err(), "{bad:?}");
        }
    }
}
