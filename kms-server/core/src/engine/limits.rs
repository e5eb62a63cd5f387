//! The limits of the API in one place, and the paths of fields that break them. The proto's comments state
//! the same numbers.

use super::Refusal;

/// Most items of a batch.
pub const BATCH_MAX: usize = 1_000;
/// Most bytes of an item's reference.
pub const REFERENCE_MAX: usize = 128;
/// Most bytes that Encrypt takes.
pub const PLAINTEXT_MAX: usize = 64 * 1024;
/// Most bytes that Decrypt takes.
pub const CIPHERTEXT_MAX: usize = PLAINTEXT_MAX + 256;
/// Most kinds that a policy demands.
pub const REQUIRED_SECRETS_MAX: usize = 3;
/// Most retention classes of a policy.
pub const RETENTION_CLASSES_MAX: usize = 8;
/// Most lasting context keys of a policy.
pub const LASTING_KEYS_MAX: usize = 8;

/// A batch has 1 to 1,000 items.
///
/// # Errors
/// INVALID_ARGUMENT on `items`.
pub fn check_batch(len: usize) -> Result<(), Refusal> {
    if (1..=BATCH_MAX).contains(&len) {
        Ok(())
    } else {
        Err(Refusal::field("items", "1 to 1,000 items"))
    }
}

/// An item's reference has at most 128 bytes.
///
/// # Errors
/// INVALID_ARGUMENT on `reference`.
pub fn check_reference(reference: &str) -> Result<(), Refusal> {
    if reference.len() <= REFERENCE_MAX {
        Ok(())
    } else {
        Err(Refusal::field("reference", "at most 128 bytes"))
    }
}

impl Refusal {
    /// The same, as seen from the message that holds this one at `parent`: `context` becomes
    /// `items[3].context`.
    #[must_use]
    pub fn within(mut self, parent: &str) -> Self {
        for violation in &mut self.violations {
            violation.field = format!("{parent}.{}", violation.field);
        }
        self
    }

    /// The same, as seen from the batch that holds this item: `context` becomes `items[3].context`.
    #[must_use]
    pub fn within_item(self, index: usize) -> Self {
        if self.violations.is_empty() {
            return self;
        }
        self.within(&format!("items[{index}]"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_grow_from_the_inside() {
        let refusal = Refusal::field("scope.name", "text")
            .within("shred_secrets[1]")
            .within_item(3);
        assert_eq!(
            refusal.violations.first().unwrap().field,
            "items[3].shred_secrets[1].scope.name"
        );
    }

    #[test]
    fn ends_are_included() {
        assert!(check_batch(0).is_err());
        assert!(check_batch(1).is_ok());
        assert!(check_batch(1_000).is_ok());
        assert!(check_batch(1_001).is_err());
        assert!(check_reference(&"x".repeat(128)).is_ok());
        assert!(check_reference(&"x".repeat(129)).is_err());
    }
}
