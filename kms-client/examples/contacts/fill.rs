//! From the CSV file into the encrypted table, a thousand rows with one call.

use crate::person::Contact;
use crate::progress;
use crate::run::Run;
use crate::table::{key_context, subject};
use anyhow::{Context as _, Result};
use kms_client::{Error, NewRow, RowId, ShredUse};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Rows of one call.
const BATCH: usize = 1_000;

/// Writes the contacts that a CRM would already have.
pub(crate) fn write_csv(path: &Path, seed: u32, rows: usize) -> Result<u64> {
    let bar = progress::bar("writing contacts.csv", rows);
    let mut file = csv::Writer::from_path(path).context("the CSV file cannot be made")?;
    file.write_record(["id", "account", "name", "email", "phone", "notes"])?;
    for number in 0..rows {
        let c = Contact::of(seed, number);
        file.write_record([&c.id, &c.account, &c.name, &c.email, &c.phone, &c.notes])?;
        bar.inc(1);
    }
    file.flush()?;
    bar.finish();
    Ok(std::fs::metadata(path)?.len())
}

/// Encrypts every row of the file; rows per second.
pub(crate) async fn encrypt_csv(run: &Arc<Run>, path: &Path) -> Result<f64> {
    let bar = progress::bar("encrypting", run.table.len());
    let mut file = csv::Reader::from_path(path)?;
    let mut records = file.records();
    let began = Instant::now();
    let mut calls: JoinSet<Result<usize>> = JoinSet::new();
    let mut first = 0;
    loop {
        let batch = records.by_ref().take(BATCH).map(|record| contact(&record?));
        let batch = batch.collect::<Result<Vec<_>>>()?;
        if batch.is_empty() {
            break;
        }
        let count = batch.len();
        calls.spawn(encrypt(Arc::clone(run), first, batch));
        // the first batch makes the accounts' secrets; then several calls at a time
        while calls.len() >= if first == 0 { 1 } else { run.in_flight } {
            let done = calls.join_next().await.context("no call under way")???;
            bar.inc(done as u64);
        }
        first += count;
    }
    while let Some(done) = calls.join_next().await {
        bar.inc(done?? as u64);
    }
    bar.finish();
    Ok(run.table.len() as f64 / began.elapsed().as_secs_f64())
}

async fn encrypt(run: Arc<Run>, first: usize, batch: Vec<Contact>) -> Result<usize> {
    let rows = batch.iter().map(new_row).collect::<Result<Vec<_>, _>>()?;
    let sealed = run.envelope.seal_rows(&run.service, &rows).await;
    for (number, sealed) in (first..).zip(sealed) {
        run.table.insert(number, sealed?);
    }
    Ok(batch.len())
}

/// Each contact is a subject of its own, made by the call that first uses it.
pub(crate) fn new_row(contact: &Contact) -> Result<NewRow<'_>, Error> {
    Ok(NewRow {
        id: RowId::new(&contact.id)?,
        key_context: key_context(contact)?,
        subject: Some(subject(contact)?.create_if_absent()),
        others: vec![ShredUse::account(&contact.account)?.create_if_absent()],
        fields: vec![
            ("email", contact.email.as_bytes()),
            ("notes", contact.notes.as_bytes()),
            ("phone", contact.phone.as_bytes()),
        ],
    })
}

fn contact(record: &csv::StringRecord) -> Result<Contact> {
    let field = |index| {
        record
            .get(index)
            .map(str::to_owned)
            .context("a short CSV record")
    };
    Ok(Contact {
        id: field(0)?,
        account: field(1)?,
        name: field(2)?,
        email: field(3)?,
        phone: field(4)?,
        notes: field(5)?,
    })
}
