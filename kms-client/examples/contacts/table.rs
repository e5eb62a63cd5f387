//! The CRM's table of contacts, as a database would hold it: encrypted columns, the wrapped key beside
//! them, updates that compare and set. Beside each row it keeps, for the comparison alone, what the row
//! must say when it is opened.

use crate::person::Contact;
use kms_client::{Error, KeyContext, RowId, RowUpdate, SealedRow, ShredUse, StoredRow};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The encrypted columns.
pub(crate) const COLUMNS: [&str; 3] = ["email", "notes", "phone"];

/// All rows; a row's number is its contact's.
pub(crate) struct Table {
    seed: u32,
    rows: Box<[Mutex<Row>]>,
}

/// One row as the database has it.
#[derive(Clone, Default)]
pub(crate) struct Row {
    pub(crate) wrapped: Box<[u8]>,
    cells: [Option<Box<[u8]>>; 3],
    /// Texts that differ from the seeded contact's.
    changed: [Option<Box<str>>; 3],
}

impl Table {
    pub(crate) fn new(seed: u32, rows: usize) -> Self {
        let rows = (0..rows).map(|_| Mutex::default()).collect();
        Self { seed, rows }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A consistent copy, as a SELECT gives it.
    pub(crate) fn select(&self, number: usize) -> Row {
        self.row(number).map(|row| row.clone()).unwrap_or_default()
    }

    fn row(&self, number: usize) -> Option<MutexGuard<'_, Row>> {
        let row = self.rows.get(number)?;
        Some(row.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn insert(&self, number: usize, sealed: SealedRow) {
        let Some(mut row) = self.row(number) else {
            return;
        };
        row.wrapped = sealed.wrapped.as_bytes().into();
        for (column, cell) in sealed.fields {
            row.set(&column, Some(cell));
        }
    }

    /// `UPDATE .. WHERE wrapped = .. AND ..`; false when no row matched.
    pub(crate) fn update(
        &self,
        number: usize,
        update: RowUpdate,
        column: &str,
        text: &str,
    ) -> bool {
        let Some(mut row) = self.row(number) else {
            return false;
        };
        let mut carried = update.expected_fields.iter();
        let same = carried.all(|(column, cell)| row.cell(column) == cell.as_deref());
        if *row.wrapped != *update.expected_wrapped.as_bytes() || !same {
            return false;
        }
        row.wrapped = update.new_wrapped.as_bytes().into();
        for (column, cell) in update.fields {
            row.set(&column, cell);
        }
        let places = COLUMNS.iter().zip(&mut row.changed);
        for (_, place) in places.filter(|(name, _)| **name == column) {
            *place = Some(text.into());
        }
        true
    }

    /// What the row must say, column by column.
    pub(crate) fn expected(&self, number: usize, row: &Row) -> [String; 3] {
        let contact = Contact::of(self.seed, number);
        let [email, notes, phone] = row.changed.clone();
        let or = |changed: Option<Box<str>>, seeded| changed.map_or(seeded, String::from);
        [
            or(email, contact.email),
            or(notes, contact.notes),
            or(phone, contact.phone),
        ]
    }

    pub(crate) fn contact(&self, number: usize) -> Contact {
        Contact::of(self.seed, number)
    }
}

impl Row {
    fn cell(&self, column: &str) -> Option<&[u8]> {
        let mut cells = COLUMNS.iter().zip(&self.cells);
        let (_, cell) = cells.find(|(name, _)| **name == column)?;
        cell.as_deref()
    }

    fn set(&mut self, column: &str, cell: Option<Vec<u8>>) {
        let mut places = COLUMNS.iter().zip(&mut self.cells);
        if let Some((_, place)) = places.find(|(name, _)| **name == column) {
            *place = cell.map(Vec::into_boxed_slice);
        }
    }

    /// Bytes that encryption put into the database: wrapped key and cells.
    pub(crate) fn stored_bytes(&self) -> usize {
        let cells = self.cells.iter().flatten();
        self.wrapped.len() + cells.map(|cell| cell.len()).sum::<usize>()
    }

    /// The row as the library wants it, with every column.
    pub(crate) fn stored<'a>(&'a self, contact: &Contact) -> Result<StoredRow<'a>, Error> {
        let cells = COLUMNS.into_iter().zip(&self.cells);
        Ok(StoredRow {
            id: RowId::new(&contact.id)?,
            key_context: key_context(contact)?,
            wrapped: &self.wrapped,
            fields: cells
                .map(|(column, cell)| (column, cell.as_deref()))
                .collect(),
        })
    }
}

/// Tenant and purpose, bound into each row's wrapped key and logged with each call.
pub(crate) fn key_context(contact: &Contact) -> Result<KeyContext, Error> {
    KeyContext::new([("tenant", contact.account.as_str()), ("purpose", "crm")])
}

/// The person behind a contact.
pub(crate) fn subject(contact: &Contact) -> Result<ShredUse, Error> {
    ShredUse::subject(&contact.id)?.of_account(&contact.account)
}
