//! Randomness as an argument. Never a source of its own: the daemon hands one in, tests a fixed one.

/// The random source failed; nothing may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no randomness available")]
pub struct EntropyUnavailable;

/// A cryptographically secure random source.
///
/// One fresh call to the operating system per request or batch: a resumed snapshot of a virtual
/// machine must not repeat keys.
pub trait Entropy: Send + Sync {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    /// [`EntropyUnavailable`] when the source fails; `bytes` must then not be used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable>;
}

/// `N` random bytes that are not secret: ids and salts.
///
/// # Errors
/// [`EntropyUnavailable`] when the source fails.
pub fn make_bytes<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], EntropyUnavailable> {
    let mut bytes = [0; N];
    entropy.fill(&mut bytes)?;
    Ok(bytes)
}
