//! Reading rows. One answer of the service for a page of rows; a row that cannot be opened is an error
//! of its own, never an empty or an encrypted value.

use super::cell::{RowId, RowKey};
use super::{RowEnvelope, for_the_good};
use crate::data_key::{UnwrapRequest, UnwrappedDataKey};
use crate::error::Error;
use crate::name::KeyContext;
use crate::source::{KeySource, only};
use crate::wrapped::WrappedDataKey;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// A row, or the columns of it that are wanted, as the database has it.
#[derive(Debug, Clone)]
pub struct StoredRow<'a> {
    /// Its primary key.
    pub id: RowId,
    /// Exactly as when it was encrypted.
    pub key_context: KeyContext,
    /// From the wrapped-key column.
    pub wrapped: &'a [u8],
    /// Ciphertext by column; `None` for NULL.
    pub fields: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// A row in the clear. Wiped on drop.
pub struct OpenedRow {
    /// Plaintext by column; `None` for NULL.
    pub fields: BTreeMap<String, Option<Zeroizing<Vec<u8>>>>,
    /// Version that wrapped its data key.
    pub version: u32,
    /// False when that version is not the ACTIVE one: the next [`RowEnvelope::update`] mends it.
    pub version_active: bool,
    /// The version is marked compromised: update the row soon.
    pub version_compromised: bool,
}

/// Shows the columns, never what is in them.
impl std::fmt::Debug for OpenedRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedRow")
            .field("columns", &self.fields.keys())
            .field("version", &self.version)
            .field("version_active", &self.version_active)
            .finish_non_exhaustive()
    }
}

impl StoredRow<'_> {
    pub(super) fn unwrap_request(&self) -> Result<UnwrapRequest, Error> {
        Ok(UnwrapRequest {
            wrapped: WrappedDataKey::parse(self.wrapped)?,
            key_context: self.key_context.clone(),
        })
    }
}

impl RowEnvelope {
    /// Opens a page of rows with one call for a thousand of them, in their order.
    pub async fn open_rows(
        &self,
        source: &impl KeySource,
        rows: &[StoredRow<'_>],
    ) -> Vec<Result<OpenedRow, Error>> {
        let requests = rows.iter().map(|row| {
            self.check_columns(row.fields.iter().map(|(column, _)| *column))?;
            row.unwrap_request()
        });
        let requests = requests.collect();
        let keys = for_the_good(requests, async |requests| source.unwrap(requests).await).await;
        let opened = rows.iter().zip(keys);
        let opened = opened.map(|(row, key)| self.open_under(row, &*key?));
        opened.collect()
    }

    /// Opens one row.
    ///
    /// # Errors
    /// The service's; [`ErrorKind::Undecryptable`](crate::ErrorKind::Undecryptable) for a cell that is
    /// damaged, of another place or under another data key.
    pub async fn open(
        &self,
        source: &impl KeySource,
        row: StoredRow<'_>,
    ) -> Result<OpenedRow, Error> {
        only(self.open_rows(source, &[row]).await)
    }

    fn open_under(&self, row: &StoredRow<'_>, key: &UnwrappedDataKey) -> Result<OpenedRow, Error> {
        let row_key = RowKey::new(&key.data_key, &self.table, &row.id);
        let fields = row.fields.iter().map(|(column, cell)| {
            let text = cell.map(|cell| row_key.open(column, cell)).transpose()?;
            Ok(((*column).to_owned(), text))
        });
        Ok(OpenedRow {
            fields: fields.collect::<Result<_, Error>>()?,
            version: key.version,
            version_active: key.version_active,
            version_compromised: key.version_compromised,
        })
    }
}
