//! The process that is killed: commits bursts of changes for ever and says which are acknowledged.

use crate::plan::{self, Planned};
use kms_core::cipher::system_entropy::SystemEntropy;
use kms_server::store::writer::WriterParts;
use kms_server::store::{Change, Committed, Published, Sink, Writer, load};
use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Changes submitted at once.
pub(crate) const BURST: u64 = 8;

/// Answers at once: what is tested here is the store, not the log.
struct Answering;

impl Sink for Answering {
    fn generation(&self) -> u64 {
        0
    }

    fn committed(&self, changes: Vec<Committed>) {
        for committed in changes {
            let published = Published {
                change: committed.change,
                revision: committed.revision,
            };
            // the receiver waits below
            let _ = committed.done.send(Ok(published));
        }
    }
}

fn stamp(leaf: &mut [u8], change: u64) {
    if let Some(head) = leaf.first_chunk_mut() {
        *head = change.to_be_bytes();
    }
}

pub(crate) fn run(dir: &Path, first: u64) -> Result<(), Box<dyn Error>> {
    let records = plan::open(dir)?;
    let loaded = load(&records)?;
    let writer = Writer::start(WriterParts {
        records,
        root: loaded.root,
        set_hash: loaded.set_hash,
        sink: Arc::new(Answering),
        entropy: Arc::new(SystemEntropy::new()),
        stamp_change: stamp,
    })?;
    let mut output = std::io::stdout().lock();
    for burst in (0..).map(|i| first + i * BURST) {
        let numbers = burst..burst + BURST;
        let ends: Vec<_> = numbers.clone().map(|n| submit(&writer, n)).collect();
        for (number, end) in numbers.zip(ends) {
            let Published { change, revision } = end.blocking_recv()??;
            // one write each, and a last field that shows that the line is whole
            let line = format!("{number} {change} {} 0\n", revision.0);
            output.write_all(line.as_bytes())?;
            output.flush()?;
            if change % 3 == 0 {
                writer.logged(change - 2, change);
            }
        }
    }
    Ok(())
}

fn submit(
    writer: &Writer,
    number: u64,
) -> oneshot::Receiver<Result<Published, kms_server::store::ChangeError>> {
    let planned = Planned::new(number);
    let (done, end) = oneshot::channel();
    writer.submit(Change {
        writes: planned.writes(),
        leaves: planned.leaves(),
        generation: 0,
        restricts: false,
        done,
    });
    end
}
