//! To whom personal values are encrypted while the daemon is sealed: public keys of months, whose private halves die
//! with the months' audit keys. Signed by the instance key, so that nobody who only writes the disk can listen in.

use crate::system::private_file;
use arc_swap::ArcSwap;
use kms_core::audit::leaf::{Month, MonthIntake};
use kms_core::cipher::label;
use kms_core::cipher::signature::{InstanceKey, PublicKey};
use kms_core::codec::{Malformed, Reader, Writer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const MAGIC: &[u8; 8] = b"kms-intk";
const FORMAT: u8 = 1;
/// This month and the next, for which a key was made ahead.
const KEYS_MAX: usize = 2;

/// See the module.
pub struct Intake {
    path: PathBuf,
    keys: ArcSwap<Vec<MonthIntake>>,
}

impl Intake {
    /// Reads the file. Without a good one there is nobody to encrypt to: values are then withheld, and entries say so.
    #[must_use]
    pub fn open(path: &Path, instance: &PublicKey) -> Self {
        let keys = match std::fs::read(path) {
            Ok(bytes) => decode(&bytes, instance).unwrap_or_else(|Malformed| {
                tracing::error!(path = %path.display(), "is not signed by the instance key, and not used");
                Vec::new()
            }),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "personal values are withheld while sealed");
                Vec::new()
            }
        };
        Self {
            path: path.to_owned(),
            keys: ArcSwap::from_pointee(keys),
        }
    }

    /// The key for values of `month`: its own, or the newest before it, with whose month they then die. Never a later one,
    /// which would outlive them.
    #[must_use]
    pub fn of(&self, month: Month) -> Option<MonthIntake> {
        let keys = self.keys.load();
        let earlier = keys.iter().filter(|key| key.month <= month);
        earlier.max_by_key(|key| key.month).copied()
    }

    /// Takes these keys from now on, and after a restart.
    ///
    /// # Errors
    /// The disk's: they are then not taken.
    pub async fn publish(&self, keys: Vec<MonthIntake>, instance: &InstanceKey) -> io::Result<()> {
        if keys.is_empty() || **self.keys.load() == keys {
            return Ok(());
        }
        let (path, bytes) = (self.path.clone(), encode(&keys, instance));
        let written = tokio::task::spawn_blocking(move || private_file::replace(&path, &bytes));
        written.await.map_err(io::Error::other)??;
        self.keys.store(Arc::new(keys));
        Ok(())
    }
}

/// The file: docs/formats.md, "Intake".
#[must_use]
pub fn encode(keys: &[MonthIntake], instance: &InstanceKey) -> Vec<u8> {
    let mut w = Writer::default();
    w.bytes(MAGIC).u8(FORMAT);
    w.u8(u8::try_from(keys.len()).unwrap_or(u8::MAX));
    for key in keys {
        w.u16(key.month.number()).bytes(&key.public);
    }
    let mut bytes = w.finish();
    let signature = instance.sign(&signed(&bytes));
    bytes.extend_from_slice(&signature);
    bytes
}

fn signed(content: &[u8]) -> Vec<u8> {
    [label::AUDIT_INTAKE_FILE, content].concat()
}

fn decode(bytes: &[u8], instance: &PublicKey) -> Result<Vec<MonthIntake>, Malformed> {
    let (content, signature) = bytes.split_last_chunk::<64>().ok_or(Malformed)?;
    let verified = instance.verify(&signed(content), signature);
    verified.map_err(|_| Malformed)?;
    let mut r = Reader::new(content);
    let count = match (r.array()?, r.u8()?, usize::from(r.u8()?)) {
        (head, FORMAT, count) if head == *MAGIC && count <= KEYS_MAX => count,
        _ => return Err(Malformed),
    };
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        keys.push(MonthIntake {
            month: Month::from_number(r.u16()?).ok_or(Malformed)?,
            public: r.array()?,
        });
    }
    r.finish()?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kms_core::secret::InstanceSeed;

    fn instance(byte: u8) -> InstanceKey {
        InstanceKey::new(&InstanceSeed::take_bytes(&mut [byte; 32])).unwrap()
    }

    fn key(month: &str, byte: u8) -> MonthIntake {
        MonthIntake {
            month: Month::parse(month).unwrap(),
            public: [byte; 32],
        }
    }

    #[tokio::test]
    async fn values_go_to_their_month_or_an_earlier_one_and_never_to_a_later() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("intake");
        let own = instance(1);
        let intake = Intake::open(&path, &own.public());
        let (may, june) = (key("2026-05", 5), key("2026-06", 6));
        assert_eq!(intake.of(may.month), None);
        intake.publish(vec![may, june], &own).await.unwrap();
        for intake in [intake, Intake::open(&path, &own.public())] {
            assert_eq!(intake.of(key("2026-04", 0).month), None);
            assert_eq!(intake.of(may.month), Some(may));
            assert_eq!(intake.of(june.month), Some(june));
            assert_eq!(intake.of(key("2027-01", 0).month), Some(june));
        }
    }

    #[test]
    fn nothing_that_the_instance_key_did_not_sign_is_used() {
        let own = instance(1);
        let bytes = encode(&[key("2026-05", 5)], &own);
        assert_eq!(decode(&bytes, &own.public()).unwrap().len(), 1);
        assert!(decode(&bytes, &instance(2).public()).is_err());
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(decode(&changed, &own.public()).is_err(), "byte {at}");
        }
        assert!(decode(&bytes[..bytes.len() - 1], &own.public()).is_err());
    }
}
