//! The first records of an installation: its own random keys, the first month's audit key, the time mark.

use crate::store::{CreateError, Records, Store, create};
use kms_core::audit::leaf::{Month, MonthIntake, MonthKeys};
use kms_core::entropy::{Entropy, EntropyUnavailable};
use kms_core::format::stored::{MasterKeys, RecordCipher};
use kms_core::key::record::{Expect, Record, RecordKey, SystemKeys, TimeMark, Write};
use kms_core::secret::{AuditMonthKey, IndexKey, InstanceSeed, IntakeKey, SetHashKey};
use kms_core::time::Timestamp;
use std::sync::Arc;

/// Draws the installation's own keys. Their public halves go into the keyring before it is sealed.
///
/// # Errors
/// [`EntropyUnavailable`].
pub fn make_system_keys(entropy: &dyn Entropy) -> Result<SystemKeys, EntropyUnavailable> {
    Ok(SystemKeys {
        index: IndexKey::make_random(entropy)?,
        set_hash: SetHashKey::make_random(entropy)?,
        directory: IndexKey::make_random(entropy)?,
        instance: InstanceSeed::make_random(entropy)?,
        intake: IntakeKey::make_random(entropy)?,
    })
}

/// Sets an empty store up, with the first operators; blocking. The first month's public key comes back.
///
/// # Errors
/// [`CreateError`]; [`CreateError::Exists`] when it was set up before.
pub fn create_store(
    store: Arc<dyn Store>,
    master: &MasterKeys,
    seals: [u8; 32],
    system: SystemKeys,
    operators: Vec<Write>,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<MonthIntake, CreateError> {
    let records = Records::new(store, Arc::new(RecordCipher::new(master)));
    let month_key = AuditMonthKey::make_random(entropy).map_err(|_| CreateError::Entropy)?;
    let mark = TimeMark {
        high_water: now,
        paused: false,
    };
    let first = |key, record| Write {
        key,
        expect: Expect::Absent,
        record: Some(record),
    };
    let month = Month::of(now);
    let intake = MonthKeys::new(month, &month_key).intake();
    let month = month.to_string();
    let mut writes = vec![
        first(RecordKey::system_keys(), Record::SystemKeys(system)),
        first(RecordKey::audit_key(&month), Record::AuditKey(month_key)),
        first(RecordKey::time_mark(), Record::TimeMark(mark)),
    ];
    writes.extend(operators);
    create(&records, seals, writes, entropy)?;
    Ok(intake)
}
