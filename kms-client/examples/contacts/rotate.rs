//! Two writers change the same rows and a reader compares random pages, while the operator rotates the
//! key beneath them.

use crate::pages::{random_page, read_page};
use crate::progress;
use crate::run::Run;
use crate::table::{COLUMNS, subject};
use anyhow::{Context as _, Result, ensure};
use indicatif::ProgressBar;
use kms_client::proto::v1;
use kms_client::proto::v1::dataset_service_client::DatasetServiceClient;
use kms_client::{RowChange, ShredUse, make_request_id};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::sync::{Notify, watch};

/// Rows that both writers change.
const CHANGED_MAX: usize = 20_000;
/// Rows that a writer prepares with one call.
const BATCH: usize = 50;

/// What happened while the key rotated.
#[derive(Debug, Default)]
pub(crate) struct Rotation {
    /// Rows written under the row's own data key.
    pub(crate) kept: AtomicU64,
    /// Rows moved to a new data key.
    pub(crate) rekeyed: AtomicU64,
    /// Updates that found another writer's row and started over.
    pub(crate) conflicts: AtomicU64,
    /// Pages read and compared meanwhile.
    pub(crate) pages: AtomicU64,
    halfway: Notify,
    /// Under the new version; the last rows of each writer wait for it, so that some are always rekeyed.
    rotated: watch::Sender<bool>,
    finished: AtomicBool,
}

/// Runs writers, reader and operator to the end.
pub(crate) async fn rotate_under_load(run: &Arc<Run>) -> Result<Arc<Rotation>> {
    let rows = run.table.len().div_ceil(10).min(CHANGED_MAX);
    let bar = progress::bar("two writers, one rotation", 2 * rows);
    let rotation = Arc::new(Rotation::default());
    let writer = |which| {
        write(
            Arc::clone(run),
            Arc::clone(&rotation),
            bar.clone(),
            which,
            rows,
        )
    };
    let writers = [tokio::spawn(writer(0)), tokio::spawn(writer(1))];
    let reader = tokio::spawn(read(Arc::clone(run), Arc::clone(&rotation)));
    rotation.halfway.notified().await;
    let before = run.service.active_version(&run.dataset).await?;
    rotate(run).await?;
    let after = run.service.active_version(&run.dataset).await?;
    ensure!(after > before, "the rotation made no new version");
    rotation.rotated.send_replace(true);
    let mut failed = None;
    for writer in writers {
        failed = writer.await?.err().or(failed);
    }
    rotation.finished.store(true, Ordering::SeqCst);
    reader.await??;
    bar.finish();
    failed.map_or(Ok(()), Err)?;
    ensure!(
        rotation.rekeyed.load(Ordering::SeqCst) > 0,
        "no row was rekeyed"
    );
    Ok(rotation)
}

async fn rotate(run: &Run) -> Result<()> {
    let message = v1::RotateDatasetRequest {
        name: run.dataset.resource(),
        request_id: make_request_id()?.to_vec().into(),
        validate_only: false,
    };
    let rotated = run
        .operator
        .repeat(&message, |channel, request| async move {
            DatasetServiceClient::new(channel)
                .rotate_dataset(request)
                .await
        });
    rotated.await.context("the operator cannot rotate")?;
    Ok(())
}

/// Changes one column of each row, in an order of its own; starts over where the other one was faster.
async fn write(
    run: Arc<Run>,
    rotation: Arc<Rotation>,
    bar: ProgressBar,
    which: usize,
    rows: usize,
) -> Result<()> {
    let mut todo: Vec<usize> = (0..rows).collect();
    todo.shuffle(&mut SmallRng::seed_from_u64(
        u64::from(run.seed) + 3 + which as u64,
    ));
    let half = rows / 2;
    let mut written = 0;
    let outcome = loop {
        if written >= half {
            rotation.halfway.notify_one();
        }
        let at = todo.len().saturating_sub(BATCH);
        let batch = todo.split_off(at);
        if batch.is_empty() {
            break Ok(());
        }
        if at <= rows / 4 {
            rotation.rotated.subscribe().wait_for(|done| *done).await?;
        }
        match write_batch(&run, &rotation, which, &batch).await {
            Err(error) => break Err(error),
            Ok(again) => {
                written += batch.len() - again.len();
                bar.inc((batch.len() - again.len()) as u64);
                todo.extend(again);
            }
        }
    };
    rotation.halfway.notify_one();
    outcome
}

/// The rows that have to be done again.
async fn write_batch(
    run: &Run,
    rotation: &Rotation,
    which: usize,
    batch: &[usize],
) -> Result<Vec<usize>> {
    let rows: Vec<_> = batch
        .iter()
        .map(|number| run.table.select(*number))
        .collect();
    let contacts: Vec<_> = batch
        .iter()
        .map(|number| run.table.contact(*number))
        .collect();
    let column = |number: usize| {
        *COLUMNS
            .get((number + which) % COLUMNS.len())
            .unwrap_or(&"notes")
    };
    let texts: Vec<_> = batch
        .iter()
        .map(|number| format!("writer {which} changed {} of row {number}", column(*number)))
        .collect();
    let mut changes = Vec::with_capacity(batch.len());
    for (((number, row), contact), text) in batch.iter().zip(&rows).zip(&contacts).zip(&texts) {
        changes.push(RowChange {
            stored: row.stored(contact)?,
            subject: Some(subject(contact)?),
            others: vec![ShredUse::account(&contact.account)?],
            changes: vec![(column(*number), Some(text.as_bytes()))],
        });
    }
    let updates = run.envelope.update_rows(&run.service, &changes).await;
    let mut again = Vec::new();
    for ((number, text), update) in batch.iter().zip(&texts).zip(updates) {
        let update = update.with_context(|| format!("row {number} cannot be changed"))?;
        let counter = if update.rekeyed() {
            &rotation.rekeyed
        } else {
            &rotation.kept
        };
        if run.table.update(*number, update, column(*number), text) {
            counter.fetch_add(1, Ordering::Relaxed);
        } else {
            rotation.conflicts.fetch_add(1, Ordering::Relaxed);
            again.push(*number);
        }
    }
    Ok(again)
}

async fn read(run: Arc<Run>, rotation: Arc<Rotation>) -> Result<()> {
    let mut random = SmallRng::seed_from_u64(u64::from(run.seed) + 5);
    while !rotation.finished.load(Ordering::SeqCst) {
        read_page(&run, &random_page(&run, &mut random)).await?;
        rotation.pages.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
