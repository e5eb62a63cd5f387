//! The thread that writes the index: from the first record that does not hold, block after block, as far as the log
//! is durable.

use super::record::{RECORD_LEN, Record};
use super::{BLOCK, CHUNK, HEADER_LEN, NAME, offset, read_records};
use crate::audit_log::reading::walk_forward;
use crate::audit_log::{Shared, lock};
use kms_core::audit::leaf::{Prefix, decode};
use rustix::process::nice;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

/// First bytes of the file; the last two are the format.
const MAGIC: [u8; HEADER_LEN as usize] = *b"kms-audit-index\x01";
/// Least priority (nice(2)); on Linux it is the calling thread's alone.
const NICE: i32 = 19;

pub(in crate::audit_log) fn start(shared: Arc<Shared>) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("audit-index".to_owned())
        .spawn(move || run(&shared))
}

fn run(shared: &Shared) {
    // without the right to it the work is felt more, and still off the answers' way
    let _ = nice(NICE);
    // a first look at what a start finds
    shared.index.ask(|_| {});
    loop {
        let closed = {
            let mut state = lock(&shared.index.state);
            while !state.wanted {
                let woken = shared.index.changed.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
            }
            state.wanted = false;
            state.closed
        };
        if closed {
            return;
        }
        if let Err(error) = advance(shared) {
            // lists are slower until it can be written again, and say the same
            tracing::warn!(%error, "the audit log's index cannot be written");
        }
    }
}

/// Writes the records of all full blocks that have none.
pub(in crate::audit_log) fn advance(shared: &Shared) -> io::Result<()> {
    let index = &shared.index;
    let _writing = lock(&index.writing);
    let opened = lock(&index.state).file.clone();
    let file = match opened {
        Some(file) => file,
        None => {
            let (file, blocks) = open(shared)?;
            index.blocks.store(blocks, Ordering::Release);
            let file = Arc::new(file);
            lock(&index.state).file = Some(Arc::clone(&file));
            file
        }
    };
    let mut block = index.blocks.load(Ordering::Acquire);
    let mut record = Record::new();
    let mut failed = None;
    walk_forward(&shared.segments, block * BLOCK, |sequence, leaf| {
        // a gap in a damaged log: what is missing is nowhere to be found
        while sequence >= (block + 1) * BLOCK {
            if let Err(error) = write(
                shared,
                &file,
                block,
                std::mem::replace(&mut record, Record::new()),
            ) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            block += 1;
        }
        record.add(decode(leaf).ok().as_ref());
        if sequence + 1 == (block + 1) * BLOCK {
            let full = std::mem::replace(&mut record, Record::new());
            if let Err(error) = write(shared, &file, block, full) {
                failed = Some(error);
                return ControlFlow::Break(());
            }
            block += 1;
            if lock(&index.state).closed {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    failed.map_or(Ok(()), Err)
}

fn write(shared: &Shared, file: &File, block: u64, record: Record) -> io::Result<()> {
    file.write_all_at(&record.finish(block), offset(block))?;
    shared.index.blocks.store(block + 1, Ordering::Release);
    Ok(())
}

/// The file, and how many of its records hold: none of another log's.
fn open(shared: &Shared) -> io::Result<(File, u64)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = options.mode(0o600).open(shared.dir.join(NAME))?;
    let mut magic = [0; MAGIC.len()];
    let is_ours = file.read_exact_at(&mut magic, 0).is_ok() && magic == MAGIC;
    let blocks = if is_ours { sound(shared, &file)? } else { 0 };
    file.set_len(offset(blocks))?;
    file.write_all_at(&MAGIC, 0)?;
    Ok((file, blocks))
}

fn sound(shared: &Shared, file: &File) -> io::Result<u64> {
    let records = file.metadata()?.len().saturating_sub(HEADER_LEN) / RECORD_LEN as u64;
    let written = records.min(shared.segments.len() / BLOCK);
    let mut blocks = 0;
    let mut last = None;
    'reading: while blocks < written {
        let bytes = read_records(file, blocks, (written - blocks).min(CHUNK))?;
        for bytes in bytes.chunks_exact(RECORD_LEN) {
            let Some(record) = Record::read(blocks, bytes) else {
                break 'reading;
            };
            last = Some(record);
            blocks += 1;
        }
    }
    let Some(last) = last else { return Ok(0) };
    let mut same = false;
    walk_forward(&shared.segments, blocks * BLOCK - 1, |_, leaf| {
        same = Prefix::read(leaf).is_ok_and(|prefix| last.ends_with(prefix.id));
        ControlFlow::Break(())
    })?;
    Ok(if same { blocks } else { 0 })
}
