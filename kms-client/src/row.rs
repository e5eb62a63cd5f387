//! The row envelope: one data key for each row of a database (and retention class of its columns), its
//! wrapped key stored once in a column beside the encrypted ones.
//!
//! Each cell is a message of its own, bound to table, row and column, 72 bytes longer than its
//! plaintext. A page of rows opens with one call, and one person's rows die with that person's shred
//! secret. Never encrypts under a data key whose version is not ACTIVE, and never leaves a cell of a row
//! under another data key than the row's wrapped one: see [`RowEnvelope::update`].
//!
//! Columns that must die at different times belong to different envelopes, each with its own wrapped-key
//! column. Putting an older value of the same cell back cannot be noticed.

mod cell;
mod open;
mod update;

#[cfg(test)]
mod tests;

pub use cell::RowId;
pub use open::{OpenedRow, StoredRow};
pub use update::{RowChange, RowUpdate};

use crate::data_key::{DataKeyRequest, GeneratedDataKey};
use crate::error::Error;
use crate::name::{DatasetName, KeyContext, ShredUse};
use crate::source::{KeySource, only};
use crate::wrapped::WrappedDataKey;
use cell::RowKey;
use std::collections::BTreeMap;

/// The encrypted columns of one table that share a data key in each row.
#[derive(Debug, Clone)]
pub struct RowEnvelope {
    table: Box<str>,
    dataset: DatasetName,
    columns: Box<[Box<str>]>,
}

/// A row to encrypt for the first time.
#[derive(Debug, Clone)]
pub struct NewRow<'a> {
    /// Its primary key.
    pub id: RowId,
    /// Bound into the wrap: tenant, purpose, ...
    pub key_context: KeyContext,
    /// The person that the row is about; `None` when it is about nobody.
    pub subject: Option<ShredUse>,
    /// Further shred secrets: account, period.
    pub others: Vec<ShredUse>,
    /// Plaintext by column; a column that is not here is NULL.
    pub fields: Vec<(&'a str, &'a [u8])>,
}

/// A row as it is to be stored.
#[derive(Debug, Clone)]
pub struct SealedRow {
    /// For the wrapped-key column.
    pub wrapped: WrappedDataKey,
    /// Ciphertext by column.
    pub fields: BTreeMap<String, Vec<u8>>,
}

impl RowEnvelope {
    /// `table` and `columns` are bound into every cell: renaming one in the database must not rename it
    /// here. 1 to 256 bytes each, 1 to 256 columns.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn new(table: &str, dataset: DatasetName, columns: &[&str]) -> Result<Self, Error> {
        let named = |name: &&str| (1..=256).contains(&name.len());
        if !named(&table) {
            return Err(Error::invalid("table", "1 to 256 bytes"));
        }
        let mut sorted: Vec<Box<str>> = columns.iter().map(|&column| column.into()).collect();
        sorted.sort_unstable();
        let distinct = sorted.is_sorted_by(|a, b| a < b);
        if !(1..=256).contains(&columns.len()) || !distinct || !columns.iter().all(named) {
            let limit = "1 to 256 distinct names of 1 to 256 bytes";
            return Err(Error::invalid("columns", limit));
        }
        Ok(Self {
            table: table.into(),
            dataset,
            columns: sorted.into(),
        })
    }

    /// Encrypts new rows, each under a data key of its own, with one call for a thousand of them.
    pub async fn seal_rows(
        &self,
        source: &impl KeySource,
        rows: &[NewRow<'_>],
    ) -> Vec<Result<SealedRow, Error>> {
        let requests = rows.iter().map(|row| {
            self.check_columns(row.fields.iter().map(|(column, _)| *column))?;
            self.request(&row.key_context, &row.subject, &row.others)
        });
        let requests = requests.collect();
        let keys = for_the_good(requests, async |requests| source.generate(requests).await).await;
        let sealed = rows.iter().zip(keys);
        let sealed = sealed.map(|(row, key)| self.seal_under(row, key?));
        sealed.collect()
    }

    /// Encrypts one new row.
    ///
    /// # Errors
    /// The service's; [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) for a column
    /// that is not the envelope's.
    pub async fn seal(&self, source: &impl KeySource, row: NewRow<'_>) -> Result<SealedRow, Error> {
        only(self.seal_rows(source, &[row]).await)
    }

    fn seal_under(&self, row: &NewRow<'_>, key: GeneratedDataKey) -> Result<SealedRow, Error> {
        let row_key = RowKey::new(&key.data_key, &self.table, &row.id);
        let fields = row.fields.iter().map(|&(column, plaintext)| {
            let ciphertext = row_key.seal(column, plaintext)?;
            Ok((column.to_owned(), ciphertext))
        });
        Ok(SealedRow {
            fields: fields.collect::<Result<_, Error>>()?,
            wrapped: key.wrapped,
        })
    }

    fn request(
        &self,
        key_context: &KeyContext,
        subject: &Option<ShredUse>,
        others: &[ShredUse],
    ) -> Result<DataKeyRequest, Error> {
        let shred = subject.iter().chain(others).cloned().collect();
        DataKeyRequest::new(self.dataset.clone(), key_context.clone(), shred)
    }

    /// Each must be one of ours, and none stand twice.
    fn check_columns<'a>(&self, columns: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let mut seen = Vec::with_capacity(self.columns.len());
        for column in columns {
            let ours = self
                .columns
                .binary_search_by(|ours| (**ours).cmp(column))
                .is_ok();
            if !ours || seen.contains(&column) {
                let limit = "the envelope's columns, each once";
                return Err(Error::invalid("fields", limit));
            }
            seen.push(column);
        }
        Ok(())
    }
}

/// Asks for what could be asked for; what could not keeps its error and its place.
async fn for_the_good<Request, Answer>(
    requests: Vec<Result<Request, Error>>,
    ask: impl AsyncFnOnce(&[Request]) -> Vec<Result<Answer, Error>>,
) -> Vec<Result<Answer, Error>> {
    let mut good = Vec::with_capacity(requests.len());
    let places: Vec<Result<(), Error>> = requests
        .into_iter()
        .map(|request| request.map(|request| good.push(request)))
        .collect();
    if good.is_empty() {
        return places
            .into_iter()
            .filter_map(|place| place.err().map(Err))
            .collect();
    }
    let mut answers = ask(&good).await.into_iter();
    let missing = || Error::corrupted("fewer answers than requests");
    let placed = places.into_iter().map(|place| {
        place?;
        answers.next().unwrap_or_else(|| Err(missing()))
    });
    placed.collect()
}
