//! Batches of chunks through worker threads: each worker takes a free buffer, reads the next
//! batch into it (one worker at a time), and works on it; the calling thread writes the batches
//! in order and frees their buffers. Never more buffers than were made at the start, so a slow
//! writer holds the readers back; and a worker always has its buffer before it takes a batch
//! number, so the batch the writer waits for can always be finished.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::Parallel;
use crate::buffer::Buffer;
use crate::error::Error;
use crate::layout::SEALED_CHUNK_LEN;

/// Chunks of a batch: 1 MiB of plaintext.
pub(super) const BATCH_CHUNKS: usize = 64;
const BATCH_LEN: usize = BATCH_CHUNKS * SEALED_CHUNK_LEN;

/// With [`buffers`], keeps all buffers together below 64 MiB.
const MAX_THREADS: usize = 30;

/// One being worked on and one waiting for each worker, and two for the writer.
const fn buffers(threads: usize) -> usize {
    2 * threads + 2
}

const _: () = assert!(buffers(MAX_THREADS) * BATCH_LEN <= 64 << 20);

/// A run of chunks on its way.
pub(super) struct Batch {
    number: u64,
    /// [`BATCH_LEN`] bytes
    pub(super) buffer: Buffer,
    /// plaintext bytes: read, or opened; 0 before
    pub(super) text_len: usize,
    /// bytes of chunks with their tags: read, or sealed; 0 before, so that a batch that failed
    /// has nothing to write that should not be
    pub(super) sealed_len: usize,
    /// whether the input ended in this batch
    pub(super) last: bool,
    failure: Option<io::Error>,
}

/// What differs between encrypting and decrypting.
pub(super) trait Direction: Sync {
    /// Fills the buffer as far as the input goes; sets the length read, and `last` if the input
    /// ended there.
    fn read(&self, reader: &mut impl Read, batch: &mut Batch) -> io::Result<()>;
    /// Encrypts or decrypts in place and sets the other length; `first` is the number of the batch's first chunk.
    fn process(&self, first: u64, batch: &mut Batch) -> Result<(), Error>;
    /// Writes what has been processed, nothing else.
    fn write(&self, writer: &mut impl Write, batch: &Batch) -> io::Result<()>;
}

/// Runs all of `reader` through `direction` onto `writer`; the plaintext bytes.
pub(super) fn run<R: Read + Send>(
    direction: &impl Direction,
    reader: R,
    writer: impl Write,
    options: Parallel<'_>,
) -> io::Result<u64> {
    let threads = match options.threads {
        0 => thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let threads = threads.min(MAX_THREADS);
    // no send ever waits: there are as many places as buffers
    let (free, to_fill) = sync_channel(buffers(threads));
    let (done, to_write) = sync_channel(buffers(threads));
    for _ in 0..buffers(threads) {
        let _ = free.send(Buffer::default());
    }
    let source = Mutex::new(Source {
        reader,
        to_fill,
        number: 0,
        ended: false,
    });
    thread::scope(|scope| {
        for worker in 0..threads {
            let (source, done) = (&source, done.clone());
            let started = thread::Builder::new()
                .name("cobblestone".into())
                .spawn_scoped(scope, move || work(direction, source, &done));
            match started {
                // fewer workers than wished are workers still
                Err(error) if worker == 0 => return Err(error),
                Err(_) => break,
                Ok(_) => {}
            }
        }
        drop(done);
        // takes its ends of both channels with it, however it ends: that stops the workers
        write_in_order(direction, to_write, free, writer, options.progress)
    })
}

/// The input, behind the lock that makes reading one at a time.
struct Source<R> {
    reader: R,
    to_fill: Receiver<Buffer>,
    number: u64,
    ended: bool,
}

impl<R: Read> Source<R> {
    /// The next batch; `None` after the last, after a failure, or when nobody writes any more.
    fn next(&mut self, direction: &impl Direction) -> Option<Batch> {
        if self.ended {
            return None;
        }
        let mut buffer = self.to_fill.recv().ok()?;
        if buffer.is_empty() {
            buffer = Buffer::new(BATCH_LEN);
        }
        let mut batch = Batch {
            number: self.number,
            buffer,
            text_len: 0,
            sealed_len: 0,
            last: false,
            failure: None,
        };
        if let Err(error) = direction.read(&mut self.reader, &mut batch) {
            batch.failure = Some(error);
        }
        self.ended = batch.last || batch.failure.is_some();
        self.number += 1;
        Some(batch)
    }
}

fn work<R: Read>(direction: &impl Direction, source: &Mutex<Source<R>>, done: &SyncSender<Batch>) {
    loop {
        // poisoned: the reader panicked, and the scope will pass that on
        let next = source.lock().ok().and_then(|mut s| s.next(direction));
        let Some(mut batch) = next else { return };
        if batch.failure.is_none() {
            let first = batch.number.saturating_mul(BATCH_CHUNKS as u64);
            let result = direction.process(first, &mut batch);
            batch.failure = result.err().map(io::Error::from);
        }
        if done.send(batch).is_err() {
            return;
        }
    }
}

fn write_in_order(
    direction: &impl Direction,
    to_write: Receiver<Batch>,
    free: SyncSender<Buffer>,
    mut writer: impl Write,
    progress: Option<&dyn Fn(u64)>,
) -> io::Result<u64> {
    let mut early = BTreeMap::new();
    let (mut next, mut written) = (0, 0);
    for batch in to_write {
        early.insert(batch.number, batch);
        while let Some(batch) = early.remove(&next) {
            direction.write(&mut writer, &batch)?;
            written += batch.text_len as u64;
            if let Some(progress) = progress {
                progress(written);
            }
            if let Some(error) = batch.failure {
                return Err(error);
            }
            if batch.last {
                writer.flush()?;
                return Ok(written);
            }
            next += 1;
            let _ = free.send(batch.buffer);
        }
    }
    Err(io::Error::other("a worker thread died"))
}
