//! The master keys, wrapped to every seal: one HPKE message in PSK mode for each, bound to everything
//! else in the keyring. Needs the pre-shared key, never a seal's private half.

use super::error::{NotMade, UnsealError};
use super::{Keyring, MASTER_KEYS_MAX, Seal, Unsealed, file};
use kms_core::cipher::label;
use kms_core::cipher::seal_key::{self, PreShared};
use kms_core::codec::{Malformed, Reader};
use kms_core::entropy::{Entropy, EntropyUnavailable};
use kms_core::format::stored::MasterKeys;
use kms_core::secret::{MasterKey, SealPrivateKey, SealPsk};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

impl Keyring {
    /// Wraps the master keys to every seal's public half. Needs no secret of a seal but the PSK.
    pub(super) fn wrap(
        &mut self,
        master_keys: &MasterKeys,
        psk: &SealPsk,
        entropy: &dyn Entropy,
    ) -> Result<(), NotMade> {
        let plaintext = encode_master_keys(master_keys);
        let psk_id = self.psk_id();
        let pre_shared = PreShared {
            key: psk,
            id: &psk_id,
        };
        self.wraps = self
            .seals
            .iter()
            .map(|seal| {
                let bound = self.wrap_context(seal);
                seal_key::encrypt_to_seal(
                    &seal.public,
                    pre_shared,
                    label::SEAL_MASTER,
                    &bound,
                    &plaintext,
                    entropy,
                )
            })
            .collect::<Result<_, _>>()
            .map_err(|_| EntropyUnavailable)?;
        Ok(())
    }

    pub(super) fn unwrap(
        &self,
        seal: &Seal,
        wrap: &[u8],
        private: &SealPrivateKey,
        psk: SealPsk,
    ) -> Result<Unsealed, UnsealError> {
        let psk_id = self.psk_id();
        let pre_shared = PreShared {
            key: &psk,
            id: &psk_id,
        };
        let bound = self.wrap_context(seal);
        let plaintext = seal_key::decrypt_with_seal(
            private.expose_bytes(),
            pre_shared,
            label::SEAL_MASTER,
            &bound,
            wrap,
        )
        .map_err(|_| UnsealError::Altered)?;
        let master_keys = decode_master_keys(&plaintext).map_err(|_| UnsealError::Altered)?;
        Ok(Unsealed {
            master_keys,
            seal: seal.id,
            psk,
        })
    }

    fn psk_id(&self) -> Vec<u8> {
        [label::SEAL_PSK, &self.id].concat()
    }

    /// What a wrap is bound to: everything in the file but the wraps, and the seal that it is for.
    pub(super) fn wrap_context(&self, seal: &Seal) -> Vec<u8> {
        let mut bytes = file::encode_head(self);
        bytes.bytes(&seal.id);
        bytes.finish()
    }
}

/// `current 4 | n 2 | n x (version 4, key 32)`.
pub(super) fn encode_master_keys(master_keys: &MasterKeys) -> Zeroizing<Vec<u8>> {
    let count = master_keys.keys().len();
    let mut bytes = Zeroizing::new(Vec::with_capacity(6 + count * 36));
    bytes.extend_from_slice(&master_keys.current().to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(count).unwrap_or(u16::MAX).to_be_bytes());
    for (version, key) in master_keys.keys() {
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(key.expose_bytes());
    }
    bytes
}

fn decode_master_keys(bytes: &[u8]) -> Result<MasterKeys, Malformed> {
    let mut reader = Reader::new(bytes);
    let (current, count) = (reader.u32()?, reader.u16()?);
    if usize::from(count) > MASTER_KEYS_MAX {
        return Err(Malformed);
    }
    let mut keys = BTreeMap::new();
    for _ in 0..count {
        let version = reader.u32()?;
        let key = MasterKey::from_slice(reader.bytes(32)?).ok_or(Malformed)?;
        if keys.insert(version, key).is_some() {
            return Err(Malformed);
        }
    }
    reader.finish()?;
    MasterKeys::new(current, keys).ok_or(Malformed)
}
