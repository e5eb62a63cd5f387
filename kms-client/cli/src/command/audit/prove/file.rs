//! A proof as a file: JSON with everything that a verifier needs but the public key (docs/formats.md, "Proof of an
//! entry").

use crate::command::audit::verify::{self, check};
use crate::exit::Failure;
use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use tlog::proof::check_inclusion;
use tlog::{Checkpoint, Hash, Keychain, VerifierKey, leaf_hash};

/// Name and number of the form.
const FORMAT: &str = "kms-audit-proof/1";

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofFile {
    format: String,
    /// The entry's place in the log.
    sequence: u64,
    /// Its exact bytes, base64.
    leaf: String,
    /// Hashes beside the way from the leaf to the root, base64, lowest first.
    inclusion: Vec<String>,
    /// The signed note of the checkpoint.
    checkpoint: String,
    /// The signed notes that certify the log keys, from the first on.
    certificates: Vec<String>,
}

impl ProofFile {
    /// Of its parts, not verified.
    pub(super) fn new(
        sequence: u64,
        leaf: &[u8],
        inclusion: &[Hash],
        checkpoint: String,
        certificates: Vec<String>,
    ) -> Self {
        Self {
            format: FORMAT.to_owned(),
            sequence,
            leaf: BASE64.encode(leaf),
            inclusion: inclusion.iter().map(Hash::to_string).collect(),
            checkpoint,
            certificates,
        }
    }

    /// The place that it is about.
    pub(crate) const fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The entry's bytes in hex.
    pub(crate) fn leaf_hex(&self) -> String {
        let leaf = BASE64.decode(self.leaf.as_bytes()).unwrap_or_default();
        HEXLOWER.encode(&leaf)
    }

    /// Verifies it with nothing but the instance's key.
    ///
    /// # Errors
    /// What does not hold.
    pub(crate) fn verify(&self, key: &VerifierKey) -> Result<Checkpoint, Failure> {
        let bad = |what: &str| Failure::failed(format!("the proof does not hold: {what}"));
        if self.format != FORMAT {
            return Err(bad("it is of another format"));
        }
        let leaf = BASE64.decode(self.leaf.as_bytes());
        let leaf = leaf.map_err(|_| bad("its entry is not base64"))?;
        check(self.sequence, &leaf).map_err(|damage| bad(&damage.to_string()))?;
        let hashes: Option<Vec<_>> = self
            .inclusion
            .iter()
            .map(|text| Hash::parse(text))
            .collect();
        let hashes = hashes.ok_or_else(|| bad("a hash is malformed"))?;
        let keys = Keychain::follow(key, &self.certificates).map_err(verify::untrusted)?;
        let checkpoint = keys
            .checkpoint(&self.checkpoint)
            .map_err(verify::untrusted)?;
        let (size, root) = (checkpoint.size, &checkpoint.root);
        check_inclusion(&hashes, size, self.sequence, &leaf_hash(&leaf), root)
            .map_err(|_| bad("the entry is not in the tree that was signed"))?;
        Ok(checkpoint)
    }
}
