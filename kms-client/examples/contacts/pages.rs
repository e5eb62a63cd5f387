//! Reading pages of 100 random rows and comparing every field.

use crate::progress;
use crate::run::Run;
use crate::table::COLUMNS;
use anyhow::{Context as _, Result, ensure};
use rand::rngs::SmallRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Rows of one page.
const PAGE: usize = 100;

/// Opens a page and compares it; how long the call took.
pub(crate) async fn read_page(run: &Run, numbers: &[usize]) -> Result<Duration> {
    let contacts: Vec<_> = numbers
        .iter()
        .map(|number| run.table.contact(*number))
        .collect();
    let rows: Vec<_> = numbers
        .iter()
        .map(|number| run.table.select(*number))
        .collect();
    let stored = rows.iter().zip(&contacts);
    let stored = stored.map(|(row, contact)| row.stored(contact));
    let stored = stored.collect::<Result<Vec<_>, _>>()?;
    let began = Instant::now();
    let opened = run.envelope.open_rows(&run.service, &stored).await;
    let took = began.elapsed();
    for ((number, row), opened) in numbers.iter().zip(&rows).zip(opened) {
        let opened = opened.with_context(|| format!("row {number} does not open"))?;
        for (column, expected) in COLUMNS.into_iter().zip(run.table.expected(*number, row)) {
            let text = opened.fields.get(column).and_then(Option::as_ref);
            let same = text.is_some_and(|text| text.as_slice() == expected.as_bytes());
            ensure!(same, "row {number}: {column} is not what was written last");
        }
    }
    Ok(took)
}

/// One random page.
pub(crate) fn random_page(run: &Run, random: &mut SmallRng) -> Vec<usize> {
    (0..PAGE)
        .map(|_| random.random_range(0..run.table.len()))
        .collect()
}

/// Median and 99th percentile of single pages, one at a time, no cache.
pub(crate) async fn cold_pages(run: &Run) -> Result<(Duration, Duration)> {
    let mut random = SmallRng::seed_from_u64(u64::from(run.seed) + 1);
    let count = 1_000;
    let bar = progress::bar("cold pages", count);
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        times.push(read_page(run, &random_page(run, &mut random)).await?);
        bar.inc(1);
    }
    bar.finish();
    times.sort_unstable();
    let at = |percent: usize| {
        times
            .get(count * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    Ok((at(50), at(99)))
}

/// Reads every row once, in pages of random rows; rows per second.
pub(crate) async fn read_all(run: &Arc<Run>) -> Result<f64> {
    let mut numbers: Vec<usize> = (0..run.table.len()).collect();
    numbers.shuffle(&mut SmallRng::seed_from_u64(u64::from(run.seed) + 2));
    let bar = progress::bar("reading all rows back", numbers.len());
    let began = Instant::now();
    let mut calls: JoinSet<Result<usize>> = JoinSet::new();
    for page in numbers.chunks(PAGE) {
        if calls.len() >= run.in_flight {
            let done = calls.join_next().await.context("no call under way")???;
            bar.inc(done as u64);
        }
        let (run, page) = (Arc::clone(run), page.to_vec());
        calls.spawn(async move { read_page(&run, &page).await.map(|_| page.len()) });
    }
    while let Some(done) = calls.join_next().await {
        bar.inc(done?? as u64);
    }
    bar.finish();
    Ok(numbers.len() as f64 / began.elapsed().as_secs_f64())
}
