//! The operating system's random source, through ring. The daemon's only one; tests hand in a fixed one.

use crate::entropy::{Entropy, EntropyUnavailable};
use ring::rand::{SecureRandom, SystemRandom};

/// `getrandom(2)` by way of ring: no state of its own that a fork or a snapshot could repeat.
#[derive(Debug)]
pub struct SystemEntropy(SystemRandom);

impl SystemEntropy {
    /// Ready for use.
    #[must_use]
    pub fn new() -> Self {
        Self(SystemRandom::new())
    }
}

impl Default for SystemEntropy {
    fn default() -> Self {
        Self::new()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
        self.0.fill(bytes).map_err(|_| EntropyUnavailable)
    }
}
