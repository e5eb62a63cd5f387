//! One cell: key and context. `key = HKDF-SHA-512(ikm = data key, info = label || counted(table) ||
//! counted(row) || counted(column))`, context = label || canonical item context, which holds the three
//! as `table`, `row` and `column` beside what the caller adds.

use crate::data_key::{DataKey, Deriver};
use crate::error::Error;
use crate::label;
use crate::name::{ItemContext, push_counted};
use cobblestone::Salt;
use zeroize::Zeroizing;

/// Keys of the item context that the envelope sets itself.
const RESERVED: [&str; 3] = ["table", "row", "column"];

/// Names a row of a table: its primary key as text, and whatever else its cells are to be bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RowId {
    row: Box<str>,
    more: ItemContext,
}

impl RowId {
    /// 1 to 1,024 bytes, in one spelling for ever: a number without leading zeros, a UUID in lower case.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument).
    pub fn new(primary_key: &str) -> Result<Self, Error> {
        if !(1..=1024).contains(&primary_key.len()) {
            return Err(Error::invalid("row id", "1 to 1,024 bytes"));
        }
        Ok(Self {
            row: primary_key.into(),
            more: ItemContext::default(),
        })
    }

    /// Binds the row's cells to `more` as well. It must be given again, exactly, to open them.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) when it has a key `table`,
    /// `row` or `column`, or more than 61 pairs or 6 KiB.
    pub fn bound_to(mut self, more: ItemContext) -> Result<Self, Error> {
        let reserved = RESERVED.iter().any(|key| more.pairs().contains_key(*key));
        if reserved || more.pairs().len() > 61 || more.canonical().len() > 6 * 1024 {
            let limit = "at most 61 pairs and 6 KiB, without `table`, `row` and `column`";
            return Err(Error::invalid("item_context", limit));
        }
        self.more = more;
        Ok(self)
    }
}

/// The data key of one row, ready for its cells.
#[derive(Debug)]
pub(super) struct RowKey<'a> {
    deriver: Deriver,
    table: &'a str,
    id: &'a RowId,
}

impl<'a> RowKey<'a> {
    pub(super) fn new(data_key: &DataKey, table: &'a str, id: &'a RowId) -> Self {
        let deriver = data_key.deriver();
        Self { deriver, table, id }
    }

    pub(super) fn seal(&self, column: &str, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let salt = Salt::random()?;
        let context = self.context(column)?;
        Ok(cobblestone::seal(
            &self.key(column),
            &context,
            &salt,
            plaintext,
        )?)
    }

    pub(super) fn open(&self, column: &str, cell: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(cobblestone::open(
            &self.key(column),
            &self.context(column)?,
            cell,
        )?)
    }

    fn key(&self, column: &str) -> cobblestone::Key {
        let mut place = Vec::new();
        for name in [self.table, &self.id.row, column] {
            push_counted(&mut place, name.as_bytes());
        }
        self.deriver.derive_key(&[label::ROW_KEY, &place])
    }

    fn context(&self, column: &str) -> Result<Vec<u8>, Error> {
        let place = [
            ("table", self.table),
            ("row", &self.id.row),
            ("column", column),
        ];
        let more = self.id.more.pairs().iter();
        let more = more.map(|(key, value)| (key.as_str(), value.as_str()));
        let item = ItemContext::new(place.into_iter().chain(more))?;
        Ok([label::ROW_CONTEXT, &item.canonical()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_key() -> DataKey {
        DataKey::from_slice(&[7; 32]).unwrap()
    }

    #[test]
    fn a_cell_costs_72_bytes() {
        let id = RowId::new("4711").unwrap();
        for len in [0, 1, 100, 16_383] {
            let cell = RowKey::new(&data_key(), "contacts", &id)
                .seal("email", &vec![b'x'; len])
                .unwrap();
            assert_eq!(cell.len(), len + 72);
        }
    }

    #[test]
    fn a_cell_opens_in_its_place_only() {
        let id = RowId::new("4711").unwrap();
        let cell = RowKey::new(&data_key(), "contacts", &id)
            .seal("email", b"jane@example.com")
            .unwrap();
        let open = |table: &str, id: &RowId, column: &str| {
            let opened = RowKey::new(&data_key(), table, id).open(column, &cell);
            opened.map(|text| text.to_vec()).ok()
        };
        assert_eq!(open("contacts", &id, "email").unwrap(), b"jane@example.com");
        assert_eq!(open("leads", &id, "email"), None);
        assert_eq!(open("contacts", &id, "phone"), None);
        assert_eq!(
            open("contacts", &RowId::new("4712").unwrap(), "email"),
            None
        );
        let item = ItemContext::new([("region", "eu")]).unwrap();
        assert_eq!(open("contacts", &id.bound_to(item).unwrap(), "email"), None);
    }

    #[test]
    fn the_envelopes_own_keys_cannot_be_taken() {
        let id = RowId::new("1").unwrap();
        for key in RESERVED {
            let item = ItemContext::new([(key, "x")]).unwrap();
            assert!(id.clone().bound_to(item).is_err());
        }
        assert!(RowId::new("").is_err());
    }

    #[test]
    fn the_format_stays_as_documented() {
        // computed by Python (hmac, hashlib, cryptography) from docs/formats.md alone
        let id = RowId::new("4711").unwrap();
        let key = RowKey::new(&data_key(), "contacts", &id);
        let salt = Salt::from_bytes([1; 24]);
        let context = key.context("email").unwrap();
        let cell = cobblestone::seal(&key.key("email"), &context, &salt, b"jane").unwrap();
        let expected = "010101010101010101010101010101010101010101010101706a7c3b499c35e3fe7c76d6078b\
                        0a317d41fcee0ff9eac25e79916c40262e27cd32a8f4fc42912c5b5b515191f3e3e4a341ac74";
        assert_eq!(data_encoding::HEXLOWER.encode(&cell), expected);
    }
}
