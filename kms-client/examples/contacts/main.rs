//! A million CRM contacts, encrypted, rotated and read back; one of them shredded.
//!
//! ```sh
//! cargo run --release -p kms-client --example contacts -- \
//!     --profile kms-dev/service.toml --operator-profile kms-dev/operator.toml [--rows N]
//! ```
//!
//! Exits with 0 only when every field read back was right, no update was lost, and the shredded contact
//! was gone while its neighbours were not. Each run needs contacts that were never shredded: it takes a
//! seed from the clock unless told one, and names its contacts by it.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

mod fill;
mod pages;
mod person;
mod progress;
mod rotate;
mod run;
mod shred;
mod table;

use anyhow::Result;
use clap::Parser;
use run::Run;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug, Parser)]
struct Args {
    /// Profile of a service.
    #[arg(long)]
    profile: PathBuf,
    /// Profile of an operator, who rotates and shreds.
    #[arg(long)]
    operator_profile: PathBuf,
    /// How many contacts.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(200..))]
    rows: u64,
    /// Where contacts.csv is kept; without it in a temporary directory.
    #[arg(long)]
    directory: Option<PathBuf>,
    /// Seed of the contacts.
    #[arg(long)]
    seed: Option<u32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match contacts(Args::parse()).await {
        Ok(()) => {
            println!("all of it held");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn contacts(args: Args) -> Result<()> {
    let rows = usize::try_from(args.rows)?;
    let seed = args.seed.map_or_else(seed_from_the_clock, Ok)?;
    let run = Run::start(&args.profile, &args.operator_profile, rows, seed).await?;
    let run = Arc::new(run);
    let temporary = tempfile::tempdir()?;
    let directory = args.directory.as_deref().unwrap_or(temporary.path());
    let path = directory.join("contacts.csv");
    println!("seed {seed}, {rows} contacts in 50 accounts");

    let bytes = fill::write_csv(&path, seed, rows)?;
    println!(
        "contacts.csv: {} bytes per row in the clear",
        bytes / args.rows
    );
    let rate = fill::encrypt_csv(&run, &path).await?;
    println!("encrypted: {rate:.0} rows/s, each contact a new subject");
    let stored = |number| run.table.select(number).stored_bytes();
    let stored = (0..rows).map(stored).sum::<usize>() / rows;
    println!("stored: {stored} bytes per row in wrapped key, email, notes and phone");
    let (p50, p99) = pages::cold_pages(&run).await?;
    println!("cold page of 100 rows: p50 {p50:.2?}, p99 {p99:.2?}");

    let began = Instant::now();
    let rotation = rotate::rotate_under_load(&run).await?;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::SeqCst);
    println!(
        "rotation under two writers: {} updates under their data key, {} rekeyed, {} started over, \
         {} pages compared meanwhile, {:.1?}",
        count(&rotation.kept),
        count(&rotation.rekeyed),
        count(&rotation.conflicts),
        count(&rotation.pages),
        began.elapsed(),
    );
    let rate = pages::read_all(&run).await?;
    println!("read back after the rotation: all {rows} rows, {rate:.0} rows/s");
    let id = shred::shred_one(&run).await?;
    println!("shredded: {id} is gone and stays gone, its neighbours read on");
    Ok(())
}

fn seed_from_the_clock() -> Result<u32> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(u32::try_from(since.as_millis() & u128::from(u32::MAX))?)
}
