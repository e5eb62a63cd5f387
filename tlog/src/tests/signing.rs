//! Keys of the tests' own, that sign as an instance or a log does. Never in the product.

use crate::certificate::Certificate;
use crate::checkpoint::Checkpoint;
use crate::note::{VerifierKey, signature_line};
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// A key pair under a name.
pub(crate) struct TestKey {
    pair: Ed25519KeyPair,
    pub(crate) verifier: VerifierKey,
}

impl TestKey {
    pub(crate) fn new(name: &str, seed: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        let verifier = VerifierKey::new(name, public).unwrap();
        Self { pair, verifier }
    }

    pub(crate) fn line(&self, text: &str) -> String {
        signature_line(&self.verifier, self.pair.sign(text.as_bytes()).as_ref())
    }
}

/// A note signed by all of them.
pub(crate) fn signed(text: &str, keys: &[&TestKey]) -> String {
    let lines: String = keys.iter().map(|key| key.line(text)).collect();
    format!("{text}\n{lines}")
}

/// The certificate of a log key that takes over at a checkpoint.
pub(crate) fn certificate(number: u64, key: &TestKey, from: &Checkpoint) -> Certificate {
    Certificate {
        origin: from.origin.clone(),
        number,
        key: key.verifier.clone(),
        from_size: from.size,
        from_root: from.root,
    }
}
