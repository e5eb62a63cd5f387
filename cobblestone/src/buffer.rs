//! Memory that plaintext passes through. Never freed before it is wiped. (`Zeroizing<Vec<u8>>`
//! does that too, but wipes byte by byte: slower than the encryption.)

use std::ops::{Deref, DerefMut};

use zeroize::Zeroize;

/// Bytes that are zeroed on drop; their number is fixed, so no reallocation leaves a copy.
#[derive(Default)]
pub(crate) struct Buffer(Box<[u8]>);

impl Buffer {
    /// `len` zeros.
    pub(crate) fn new(len: usize) -> Self {
        Self(vec![0; len].into_boxed_slice())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // of the slice, not of the box: that one goes byte by byte
        self.0.as_mut().zeroize();
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
