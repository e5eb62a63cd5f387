//! Key material of one request or batch: one call to the system's entropy, then split up. Never drawn ahead.

use crate::entropy::{Entropy, EntropyUnavailable};
use crate::reason::Reason;
use zeroize::Zeroizing;

/// Bytes of a key or secret.
pub(super) const KEY: usize = 32;
/// Bytes of an id.
pub(super) const ID: usize = 16;

/// What was drawn and is not yet given out.
pub(super) struct Material {
    bytes: Zeroizing<Vec<u8>>,
    used: usize,
}

impl Material {
    /// Draws `len` bytes with one call.
    pub(super) fn draw(entropy: &dyn Entropy, len: usize) -> Result<Self, EntropyUnavailable> {
        let mut bytes = Zeroizing::new(vec![0; len]);
        if len > 0 {
            entropy.fill(&mut bytes)?;
        }
        Ok(Self { bytes, used: 0 })
    }

    /// The next bytes; whoever takes them wipes them. INTERNAL when too few were drawn.
    pub(super) fn take<const N: usize>(&mut self) -> Result<&mut [u8; N], Reason> {
        let end = self.used.checked_add(N).ok_or(Reason::Internal)?;
        let bytes = self.bytes.get_mut(self.used..end).ok_or(Reason::Internal)?;
        self.used = end;
        bytes.try_into().map_err(|_| Reason::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Counting(AtomicUsize);
    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyUnavailable> {
            self.0.fetch_add(1, Ordering::Relaxed);
            bytes.iter_mut().enumerate().for_each(|(i, b)| *b = i as u8);
            Ok(())
        }
    }

    #[test]
    fn one_draw_gives_each_byte_once_and_no_more() {
        let entropy = Counting::default();
        let mut material = Material::draw(&entropy, KEY + ID).unwrap();
        assert_eq!(material.take::<KEY>().unwrap()[0], 0);
        assert_eq!(material.take::<ID>().unwrap()[0], 32);
        assert_eq!(material.take::<1>(), Err(Reason::Internal));
        assert_eq!(entropy.0.load(Ordering::Relaxed), 1);
    }
}
