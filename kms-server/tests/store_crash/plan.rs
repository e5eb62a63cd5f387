//! What parent and child agree on: keys, records, and what each change of the plan does.

use kms_core::cipher::{sha256, system_entropy::SystemEntropy};
use kms_core::format::stored::{MasterKeys, RecordCipher};
use kms_core::key::record::{
    Expect, Record, RecordKey, ShredRecord, ShredState, SystemKeys, Write,
};
use kms_core::name::{AccountName, RetentionClass, SecretId, SecretKind, ShredScope};
use kms_core::secret::{IndexKey, InstanceSeed, IntakeKey, MasterKey, SetHashKey, ShredSecret};
use kms_core::time::Timestamp;
use kms_server::store::sled::SledStore;
use kms_server::store::{CreateError, Records, create};
use kms_server::system::clock::SystemClock;
use std::error::Error;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// One change.
pub(crate) struct Planned {
    pub(crate) creates: Range<u64>,
    pub(crate) destroys: Option<u64>,
}

impl Planned {
    /// Every tenth is large, every third destroys what an earlier one made.
    pub(crate) fn new(number: u64) -> Self {
        let count = if number % 10 == 9 { 300 } else { 1 };
        let first = number * 1_000;
        // never of a large one: a tombstone of what was lost would make it look half there
        let destroys = number % 3 == 2 && number % 10 != 9 && number > 50;
        let destroys = destroys.then(|| first - 50_000);
        Self {
            creates: first..first + count,
            destroys,
        }
    }

    pub(crate) fn writes(&self) -> Vec<Write> {
        let create = |id| write(id, Expect::Absent, ShredState::Active);
        let destroyed = ShredState::Destroyed {
            at: Timestamp::from_micros(1),
        };
        let destroy = |id| write(id, Expect::Anything, destroyed);
        let creates = self.creates.clone().map(create);
        creates.chain(self.destroys.map(destroy)).collect()
    }

    /// Two large ones for a large change.
    pub(crate) fn leaves(&self) -> Vec<Vec<u8>> {
        if self.creates.end - self.creates.start > 1 {
            vec![vec![1; 30_000]; 2]
        } else {
            vec![vec![1; 300]]
        }
    }
}

fn write(id: u64, expect: Expect, state: ShredState) -> Write {
    Write {
        key: shred_key(id),
        expect,
        record: Some(Record::Shred(shred(id, state))),
    }
}

#[expect(clippy::expect_used, reason = "fixed names are well-formed")]
fn shred(id: u64, state: ShredState) -> ShredRecord {
    let account = AccountName::parse("acme").expect("a name");
    let class = RetentionClass::parse("customer").expect("a class");
    let destroyed = matches!(state, ShredState::Destroyed { .. });
    ShredRecord {
        id: secret_id(id),
        scope: ShredScope::new(SecretKind::Subject, account, &id.to_string(), class)
            .expect("a scope"),
        state,
        created_at: Timestamp::from_micros(1),
        succeeds: None,
        secret: (!destroyed).then(|| ShredSecret::take_bytes(&mut sha256(&[&id.to_be_bytes()]))),
    }
}

fn secret_id(id: u64) -> SecretId {
    let hash = sha256(&[&id.to_be_bytes()]);
    SecretId(hash.first_chunk().copied().unwrap_or_default())
}

pub(crate) fn shred_key(id: u64) -> RecordKey {
    RecordKey::shred(secret_id(id))
}

/// Opens the store in `dir`, makes it if it was never made.
pub(crate) fn open(dir: &Path) -> Result<Records, Box<dyn Error>> {
    let store = SledStore::open(dir, Arc::new(SystemClock::new()))?;
    let master = [(1, MasterKey::take_bytes(&mut [1; 32]))].into();
    let master = MasterKeys::new(1, master).ok_or("no master key")?;
    let records = Records::new(Arc::new(store), Arc::new(RecordCipher::new(&master)));
    let keys = SystemKeys {
        index: IndexKey::take_bytes(&mut [2; 32]),
        set_hash: SetHashKey::take_bytes(&mut [3; 32]),
        directory: IndexKey::take_bytes(&mut [4; 32]),
        instance: InstanceSeed::take_bytes(&mut [5; 32]),
        intake: IntakeKey::take_bytes(&mut [6; 32]),
    };
    let first = Write {
        key: RecordKey::system_keys(),
        expect: Expect::Absent,
        record: Some(Record::SystemKeys(keys)),
    };
    match create(&records, [0; 32], vec![first], &SystemEntropy::new()) {
        Ok(()) | Err(CreateError::Exists) => Ok(records),
        Err(error) => Err(error.into()),
    }
}
