//! What the row envelope promises, against a database of one row whose updates compare and set.

use super::*;
use crate::ErrorKind;
use crate::source::local::LocalService;
use proptest::prelude::*;
use std::sync::atomic::Ordering;

const COLUMNS: [&str; 3] = ["email", "notes", "phone"];

fn envelope() -> RowEnvelope {
    let dataset = DatasetName::parse("customers").unwrap();
    RowEnvelope::new("contacts", dataset, &COLUMNS).unwrap()
}

fn context() -> KeyContext {
    KeyContext::new([("tenant", "acme"), ("purpose", "crm")]).unwrap()
}

fn jane() -> ShredUse {
    let jane = ShredUse::subject("jane").unwrap();
    jane.of_account("acme").unwrap()
}

/// One row of a table.
#[derive(Clone)]
struct Table {
    wrapped: Vec<u8>,
    fields: BTreeMap<String, Option<Vec<u8>>>,
}

impl Table {
    async fn insert(service: &LocalService, subject: ShredUse) -> Self {
        let row = NewRow {
            id: RowId::new("1").unwrap(),
            key_context: context(),
            subject: Some(subject.create_if_absent()),
            others: vec![ShredUse::account("acme").unwrap().create_if_absent()],
            fields: COLUMNS.map(|column| (column, b"first".as_slice())).into(),
        };
        let sealed = envelope().seal(service, row).await.unwrap();
        let fields = sealed.fields.into_iter();
        Self {
            wrapped: sealed.wrapped.as_bytes().to_vec(),
            fields: fields.map(|(column, cell)| (column, Some(cell))).collect(),
        }
    }

    fn stored(&self) -> StoredRow<'_> {
        let fields = self.fields.iter();
        StoredRow {
            id: RowId::new("1").unwrap(),
            key_context: context(),
            wrapped: &self.wrapped,
            fields: fields
                .map(|(column, cell)| (column.as_str(), cell.as_deref()))
                .collect(),
        }
    }

    fn change<'a>(&'a self, changes: Vec<(&'a str, Option<&'a [u8]>)>) -> RowChange<'a> {
        RowChange {
            stored: self.stored(),
            subject: Some(jane()),
            others: vec![ShredUse::account("acme").unwrap()],
            changes,
        }
    }

    /// The one statement that [`RowUpdate`] describes; false when no row matched.
    fn write(&mut self, update: RowUpdate) -> bool {
        let same = |(column, cell): (&String, &Option<Vec<u8>>)| self.fields[column] == *cell;
        if self.wrapped != update.expected_wrapped.as_bytes()
            || !update.expected_fields.iter().all(same)
        {
            return false;
        }
        self.wrapped = update.new_wrapped.as_bytes().to_vec();
        self.fields.extend(update.fields);
        true
    }

    async fn read(&self, service: &LocalService) -> BTreeMap<String, Option<Vec<u8>>> {
        let opened = envelope().open(service, self.stored()).await.unwrap();
        let fields = opened.fields.into_iter();
        fields
            .map(|(column, text)| (column, text.map(|text| text.to_vec())))
            .collect()
    }
}

#[tokio::test]
async fn a_row_keeps_its_data_key_until_a_rotation() {
    let service = LocalService::new();
    let mut table = Table::insert(&service, jane()).await;
    let change = table.change(vec![("email", Some(b"second"))]);
    let update = envelope().update(&service, change).await.unwrap();
    assert!(!update.rekeyed());
    assert_eq!(update.fields.keys().collect::<Vec<_>>(), ["email"]);
    assert!(table.write(update));

    service.rotate();
    let change = table.change(vec![("email", Some(b"third")), ("phone", None)]);
    let update = envelope().update(&service, change).await.unwrap();
    assert!(update.rekeyed());
    assert_eq!(update.fields.len(), 3);
    assert_eq!(update.expected_fields.keys().collect::<Vec<_>>(), ["notes"]);
    assert_eq!(update.new_wrapped.header().version, 2);
    assert!(table.write(update));
    let fields = table.read(&service).await;
    assert_eq!(fields["email"].as_deref().unwrap(), b"third");
    assert_eq!(fields["notes"].as_deref().unwrap(), b"first");
    assert_eq!(fields["phone"], None);
}

#[tokio::test]
async fn an_erased_subject_takes_its_row_and_no_other() {
    let service = LocalService::new();
    let table = Table::insert(&service, jane()).await;
    let john = ShredUse::subject("john")
        .unwrap()
        .of_account("acme")
        .unwrap();
    let neighbour = Table::insert(&service, john).await;
    service.erase(&jane());
    let rows = [table.stored(), neighbour.stored()];
    let opened = envelope().open_rows(&service, &rows).await;
    assert_eq!(opened[0].as_ref().unwrap_err().kind(), ErrorKind::Erased);
    assert!(opened[1].is_ok());
    let change = table.change(vec![("email", Some(b"back"))]);
    let error = envelope().update(&service, change).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Erased);
}

#[tokio::test]
async fn a_rekey_keeps_the_subject() {
    let service = LocalService::new();
    let table = Table::insert(&service, jane()).await;
    let john = ShredUse::subject("john")
        .unwrap()
        .of_account("acme")
        .unwrap();
    Table::insert(&service, john.clone()).await;
    service.rotate();
    for subject in [None, Some(john)] {
        let change = RowChange {
            subject,
            ..table.change(vec![("email", Some(b"x"))])
        };
        let error = envelope().update(&service, change).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

#[tokio::test]
async fn an_update_wants_every_column() {
    let service = LocalService::new();
    let table = Table::insert(&service, jane()).await;
    let mut change = table.change(vec![("email", Some(b"x"))]);
    change.stored.fields.pop();
    let error = envelope().update(&service, change).await.unwrap_err();
    assert_eq!(error.violations()[0].field, "stored.fields");
    let change = table.change(vec![("salary", Some(b"x"))]);
    assert!(envelope().update(&service, change).await.is_err());
    let mut twice = table.stored();
    twice.fields.push(("email", None));
    assert!(envelope().open(&service, twice).await.is_err());
}

#[tokio::test]
async fn a_page_is_one_call_and_a_bad_row_its_own_error() {
    let service = LocalService::new();
    let table = Table::insert(&service, jane()).await;
    let mut bad = table.clone();
    bad.wrapped.truncate(20);
    let mut damaged = table.clone();
    damaged.fields.insert("email".into(), Some(vec![0; 80]));
    let rows = [
        bad.stored(),
        table.stored(),
        damaged.stored(),
        table.stored(),
    ];
    let before = service.calls.load(Ordering::SeqCst);
    let opened = envelope().open_rows(&service, &rows).await;
    assert_eq!(service.calls.load(Ordering::SeqCst), before + 1);
    let kinds = opened
        .iter()
        .map(|row| row.as_ref().err().map(|error| error.kind()));
    let undecryptable = Some(ErrorKind::Undecryptable);
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        [undecryptable, None, undecryptable, None]
    );
}

/// What one of two writers does next.
#[derive(Debug, Clone)]
enum Step {
    Read(usize),
    Write(usize),
    Rotate,
    Rewrap,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_usize).prop_map(Step::Read),
        4 => (0..2_usize).prop_map(Step::Write),
        1 => Just(Step::Rotate),
        1 => Just(Step::Rewrap),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// However two writers, rotations and rewraps interleave, every cell opens and holds the last value
    /// that was written to it.
    #[test]
    fn no_interleaving_orphans_or_reverts_a_cell(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let service = LocalService::new();
            let mut table = Table::insert(&service, jane()).await;
            let mut expected = table.read(&service).await;
            let mut prepared: [Option<(String, Vec<u8>, RowUpdate)>; 2] = [None, None];
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Rotate => service.rotate(),
                    Step::Rewrap => {
                        let wrapped = WrappedDataKey::parse(&table.wrapped).unwrap();
                        table.wrapped = service.rewrap(&wrapped, &context()).as_bytes().to_vec();
                    }
                    Step::Read(writer) => {
                        let column = COLUMNS[(writer + number) % COLUMNS.len()];
                        let text = format!("{writer}/{number}").into_bytes();
                        let change = table.change(vec![(column, Some(text.as_slice()))]);
                        let update = envelope().update(&service, change).await.unwrap();
                        prepared[writer] = Some((column.to_owned(), text, update));
                    }
                    Step::Write(writer) => {
                        if let Some((column, text, update)) = prepared[writer].take()
                            && table.write(update)
                        {
                            expected.insert(column, Some(text));
                        }
                    }
                }
                assert_eq!(table.read(&service).await, expected);
            }
        });
    }
}
