//! Changing rows so that neither a rotation nor another writer orphans a cell.
//!
//! While the version of the row's data key is ACTIVE, changed cells are encrypted under it. Else the
//! whole row moves to a new data key. Either way the row is to be written with a comparison, in one
//! statement, and read again when the comparison fails. Never reuses a remembered answer: whether the
//! version is ACTIVE is asked anew.

use super::cell::RowKey;
use super::open::StoredRow;
use super::{RowEnvelope, for_the_good};
use crate::data_key::{GeneratedDataKey, UnwrappedDataKey};
use crate::error::Error;
use crate::name::{SecretKind, ShredUse};
use crate::source::{KeySource, only};
use crate::wrapped::{SecretRef, WrappedDataKey};
use std::collections::BTreeMap;

/// A change of a row.
#[derive(Debug, Clone)]
pub struct RowChange<'a> {
    /// The row as it was read, with **every** column of the envelope.
    pub stored: StoredRow<'a>,
    /// The person that the row is about: the same as when it was made.
    pub subject: Option<ShredUse>,
    /// Further shred secrets: the same as when it was made, but for a period, which is the current one.
    pub others: Vec<ShredUse>,
    /// New plaintext by column; `None` sets NULL.
    pub changes: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// What to write: `UPDATE t SET wrapped = new_wrapped, each of fields WHERE id = .. AND wrapped =
/// expected_wrapped AND each of expected_fields`. No row updated: read it again and start over.
#[derive(Debug, Clone)]
pub struct RowUpdate {
    /// The wrapped-key column must still be this.
    pub expected_wrapped: WrappedDataKey,
    /// These cells must still be these (`None`: IS NULL). They were carried over to the new data key,
    /// so another writer's newer value must not be overwritten. Empty unless the row was rekeyed.
    pub expected_fields: BTreeMap<String, Option<Vec<u8>>>,
    /// For the wrapped-key column; the same as expected when the data key stays.
    pub new_wrapped: WrappedDataKey,
    /// Cells to write; `None` sets NULL.
    pub fields: BTreeMap<String, Option<Vec<u8>>>,
}

impl RowUpdate {
    /// Whether the row moves to a new data key.
    #[must_use]
    pub fn rekeyed(&self) -> bool {
        self.expected_wrapped != self.new_wrapped
    }
}

impl RowEnvelope {
    /// Prepares changes of rows, in their order: one call to open their data keys, one more for those
    /// that need a new one.
    pub async fn update_rows(
        &self,
        source: &impl KeySource,
        changes: &[RowChange<'_>],
    ) -> Vec<Result<RowUpdate, Error>> {
        let requests = changes.iter().map(|change| {
            self.check_change(change)?;
            change.stored.unwrap_request()
        });
        let requests = requests.collect();
        let old_keys = for_the_good(requests, async |asked| source.unwrap_fresh(asked).await).await;
        let requests = changes
            .iter()
            .zip(&old_keys)
            .map(|(change, key)| match key {
                Ok(key) if key.version_active => Ok(None),
                Ok(_) => self.new_key_request(change).map(Some),
                Err(error) => Err(error.clone()),
            });
        let requests: Vec<_> = requests.collect();
        let wanted = requests
            .iter()
            .filter_map(|request| request.as_ref().ok()?.clone());
        let wanted: Vec<_> = wanted.collect();
        let new_keys = match wanted.as_slice() {
            [] => Vec::new(),
            wanted => source.generate(wanted).await,
        };
        let mut new_keys = new_keys.into_iter();
        let missing = || Error::corrupted("fewer answers than requests");
        let updates = changes.iter().zip(old_keys).zip(requests);
        let updates = updates.map(|((change, old_key), request)| {
            let new_key = request?.map(|_| new_keys.next().unwrap_or_else(|| Err(missing())));
            self.update_under(change, &old_key?, new_key.transpose()?)
        });
        updates.collect()
    }

    /// Prepares the change of one row.
    ///
    /// # Errors
    /// The service's; [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable) when a cell that
    /// must be carried over does not open;
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for missing or foreign columns,
    /// or for shred secrets that are not the row's.
    pub async fn update(
        &self,
        source: &impl KeySource,
        change: RowChange<'_>,
    ) -> Result<RowUpdate, Error> {
        only(self.update_rows(source, &[change]).await)
    }

    fn check_change(&self, change: &RowChange<'_>) -> Result<(), Error> {
        let stored = &change.stored.fields;
        self.check_columns(stored.iter().map(|(column, _)| *column))?;
        self.check_columns(change.changes.iter().map(|(column, _)| *column))?;
        if stored.len() != self.columns.len() {
            let limit = "every column of the envelope, so that none stays under the old data key";
            return Err(Error::invalid("stored.fields", limit));
        }
        Ok(())
    }

    fn new_key_request(
        &self,
        change: &RowChange<'_>,
    ) -> Result<crate::data_key::DataKeyRequest, Error> {
        // the row's secrets exist; making one here would bring an erased person back
        let present = |shred: &ShredUse| match shred.kind() {
            SecretKind::Period => shred.clone(),
            SecretKind::Subject | SecretKind::Account => shred.only_if_present(),
        };
        let subject = change.subject.as_ref().map(present);
        let others: Vec<_> = change.others.iter().map(present).collect();
        self.request(&change.stored.key_context, &subject, &others)
    }

    fn update_under(
        &self,
        change: &RowChange<'_>,
        old_key: &UnwrappedDataKey,
        new_key: Option<GeneratedDataKey>,
    ) -> Result<RowUpdate, Error> {
        let stored = &change.stored;
        let expected_wrapped = WrappedDataKey::parse(stored.wrapped)?;
        let old = RowKey::new(&old_key.data_key, &self.table, &stored.id);
        let Some(new_key) = new_key else {
            return Ok(RowUpdate {
                new_wrapped: expected_wrapped.clone(),
                expected_wrapped,
                expected_fields: BTreeMap::new(),
                fields: seal_changes(&old, change)?,
            });
        };
        check_same_owner(&expected_wrapped, &new_key.wrapped)?;
        let new = RowKey::new(&new_key.data_key, &self.table, &stored.id);
        let mut fields = seal_changes(&new, change)?;
        let mut expected_fields = BTreeMap::new();
        for (column, cell) in &stored.fields {
            if fields.contains_key(*column) {
                continue;
            }
            let carried = cell.map(|cell| new.seal(column, &old.open(column, cell)?));
            fields.insert((*column).to_owned(), carried.transpose()?);
            expected_fields.insert((*column).to_owned(), cell.map(<[u8]>::to_vec));
        }
        Ok(RowUpdate {
            expected_wrapped,
            expected_fields,
            new_wrapped: new_key.wrapped,
            fields,
        })
    }
}

fn seal_changes(
    key: &RowKey<'_>,
    change: &RowChange<'_>,
) -> Result<BTreeMap<String, Option<Vec<u8>>>, Error> {
    let cells = change.changes.iter().map(|(column, text)| {
        let cell = text.map(|text| key.seal(column, text)).transpose()?;
        Ok(((*column).to_owned(), cell))
    });
    cells.collect()
}

/// A new data key must die with the same person and account, in the same dataset, as the old one.
fn check_same_owner(old: &WrappedDataKey, new: &WrappedDataKey) -> Result<(), Error> {
    let lasting = |wrapped: &WrappedDataKey| -> Vec<SecretRef> {
        let secrets = wrapped.header().secrets.iter();
        secrets
            .filter(|secret| secret.kind != SecretKind::Period)
            .copied()
            .collect()
    };
    if old.header().key_id != new.header().key_id {
        return Err(Error::invalid("dataset", "the one that the row is in"));
    }
    if lasting(old) != lasting(new) {
        let limit = "those that the row was made with";
        return Err(Error::invalid("subject and others", limit));
    }
    Ok(())
}
