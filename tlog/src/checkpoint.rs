//! Checkpoints (C2SP tlog-checkpoint): what a log says of itself at one size. Signed as a note.

use crate::hash::Hash;
use crate::note::BadNote;

/// Begins the extension line that names the checkpoint before.
const BEFORE: &str = "before ";

/// Origin, size and root of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log's life.
    pub origin: String,
    /// Leaves.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root)
    }

    /// The text that a log signs that names the size of its checkpoint before, in an extension line: so that none can be
    /// taken out of the middle unnoticed. The first one names 0.
    #[must_use]
    pub fn text_after(&self, before: u64) -> String {
        format!("{}{BEFORE}{before}\n", self.text())
    }

    /// The size of the checkpoint before, as a note's text names it; `None`: it names none.
    #[must_use]
    pub fn before(text: &str) -> Option<u64> {
        let extensions = text.lines().skip(3);
        extensions
            .filter_map(|line| line.strip_prefix(BEFORE))
            .find_map(parse_number)
    }

    /// Reads a note's text. Lines behind the third are extensions, which bind nobody who does not know them.
    ///
    /// # Errors
    /// [`BadNote`].
    pub fn parse(text: &str) -> Result<Self, BadNote> {
        let bad = BadNote("checkpoint");
        let mut lines = text.strip_suffix('\n').ok_or(bad)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(bad);
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(bad);
        }
        Ok(Self {
            origin: origin.to_owned(),
            size: parse_number(size).ok_or(bad)?,
            root: Hash::parse(root).ok_or(bad)?,
        })
    }
}

/// A number as [`std::fmt::Display`] writes it: no sign, no zeros in front.
pub(crate) fn parse_number(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_may_name_the_one_before() {
        let checkpoint = Checkpoint {
            origin: "kms/1".to_owned(),
            size: 42,
            root: Hash([7; 32]),
        };
        let text = checkpoint.text_after(7);
        assert_eq!(Checkpoint::parse(&text), Ok(checkpoint.clone()));
        assert_eq!(Checkpoint::before(&text), Some(7));
        for silent in [checkpoint.text(), text.replace("before 7", "before 07")] {
            assert_eq!(Checkpoint::before(&silent), None);
        }
    }

    #[test]
    fn checkpoints_read_as_written() {
        let checkpoint = Checkpoint {
            origin: "kms/1".to_owned(),
            size: 42,
            root: Hash([7; 32]),
        };
        let text = checkpoint.text();
        assert_eq!(Checkpoint::parse(&text), Ok(checkpoint.clone()));
        assert_eq!(
            Checkpoint::parse(&format!("{text}extension\n")),
            Ok(checkpoint)
        );
        for bad in [
            "",
            "kms/1\n42\n",
            &text.replace("42", "042"),
            &text.replace("42", "+42"),
            &text.replace("42", "-1"),
            text.trim_end(),
            &format!("{text}\n"),
            &text.replace("kms/1", ""),
            &text.replace('B', "*"),
        ] {
            assert!(Checkpoint::parse(bad).is_err(), "{bad:?}");
        }
    }
}
