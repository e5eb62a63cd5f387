//! The parallel functions: bounded memory, order, progress, failures of either side.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;

use cobblestone::{
    CHUNK_LEN, Error, HEADER_LEN, Key, Parallel, Salt, TAG_LEN, open_parallel, seal, seal_parallel,
};

use crate::rough::FailsOnce;
use crate::text;

const SALT: Salt = Salt::from_bytes([0x53; 24]);
const MIB: u64 = 1 << 20;

fn key() -> Key {
    Key::new(&[0x4B; 32])
}

/// Counts what has been read and not yet written, and holds the first batch back until the
/// readers have taken all they ever will.
struct Flow {
    read: AtomicU64,
    written: AtomicU64,
    most: AtomicU64,
    hold_until: u64,
}

struct Input<'a, R>(R, &'a Flow);

impl<R: Read> Read for Input<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.0.read(buf)?;
        let read = self.1.read.fetch_add(len as u64, SeqCst) + len as u64;
        let in_flight = read.saturating_sub(self.1.written.load(SeqCst));
        self.1.most.fetch_max(in_flight, SeqCst);
        Ok(len)
    }
}

struct Output<'a>(&'a Flow);

impl Write for Output<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        while buf.len() > HEADER_LEN && self.0.read.load(SeqCst) < self.0.hold_until {
            thread::yield_now();
        }
        self.0.written.fetch_add(buf.len() as u64, SeqCst);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn memory_is_bounded_whatever_the_input() {
    for (threads, batches) in [(1, 4), (2, 6), (5, 12), (1000, 62)] {
        let flow = Flow {
            read: AtomicU64::new(0),
            written: AtomicU64::new(0),
            most: AtomicU64::new(0),
            hold_until: batches * MIB,
        };
        let len = (batches + 20) * MIB + 12345;
        let input = Input(io::repeat(7).take(len), &flow);
        let done = seal_parallel(&key(), b"", &SALT, input, Output(&flow), threads).unwrap();
        assert_eq!(done, len);
        let most = flow.most.load(SeqCst);
        // the writer held on until all buffers were full; nothing more was read meanwhile
        assert!(most >= (batches - 1) * MIB, "{threads} threads: {most}");
        assert!(most <= batches * MIB, "{threads} threads: {most}");
        assert!(most <= 64 * MIB);
    }
}

#[test]
fn progress_grows_to_the_length() {
    let text = text(5 * MIB as usize + 99);
    let seen = RefCell::new(Vec::new());
    let progress = |done| seen.borrow_mut().push(done);
    let options = Parallel {
        threads: 2,
        progress: Some(&progress),
    };
    let mut message = Vec::new();
    seal_parallel(&key(), b"", &SALT, &*text, &mut message, options).unwrap();
    let expected: Vec<_> = (1..=5)
        .map(|n| n * MIB)
        .chain([text.len() as u64])
        .collect();
    assert_eq!(seen.take(), expected);
    let mut opened = Vec::new();
    open_parallel(&key(), b"", &*message, &mut opened, options).unwrap();
    assert_eq!(seen.take(), expected);
    assert_eq!(opened, text);
}

#[test]
fn order_is_kept_with_every_number_of_threads() {
    let text = text(9 * MIB as usize + 1);
    let expected = seal(&key(), b"", &SALT, &text).unwrap();
    for threads in [0, 1, 2, 3, 8, usize::MAX] {
        let (mut message, mut opened) = (Vec::new(), Vec::new());
        seal_parallel(&key(), b"", &SALT, &*text, &mut message, threads).unwrap();
        assert!(message == expected, "{threads} threads");
        open_parallel(&key(), b"", &*message, &mut opened, threads).unwrap();
        assert!(opened == text, "{threads} threads");
    }
}

#[test]
fn a_failing_reader_leaves_whole_chunks_and_no_message() {
    let text = text(3 * MIB as usize);
    let sealed_batch = 64 * (CHUNK_LEN + TAG_LEN);
    for (left, batches) in [
        (0, 0),
        (1, 0),
        (MIB as usize + 100_000, 1),
        (2 * MIB as usize, 2),
    ] {
        let input = FailsOnce {
            inner: &*text,
            left: Some(left),
        };
        let mut message = Vec::new();
        let error = seal_parallel(&key(), b"", &SALT, input, &mut message, 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // not one byte of the batch that failed: it was not encrypted yet
        let expected = seal(&key(), b"", &SALT, &text).unwrap();
        assert_eq!(message, expected[..HEADER_LEN + batches * sealed_batch]);
    }
    let message = seal(&key(), b"", &SALT, &text).unwrap();
    let input = FailsOnce {
        inner: &*message,
        left: Some(sealed_batch + HEADER_LEN + 5),
    };
    let mut opened = Vec::new();
    let error = open_parallel(&key(), b"", input, &mut opened, 2).unwrap_err();
    assert_eq!(
        (error.kind(), Error::of(&error)),
        (ErrorKind::TimedOut, None)
    );
    assert!(opened == text[..MIB as usize]);
}

#[test]
fn a_failing_writer_ends_it() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(1).ok_or(ErrorKind::StorageFull)?;
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for writes in 0..4 {
        // endless: only the writer's failure can end it
        let error = seal_parallel(&key(), b"", &SALT, io::repeat(1), Full(writes), 2).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }
}

#[test]
fn a_panicking_reader_or_writer_is_passed_on() {
    struct Panics;
    impl Read for Panics {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("as asked")
        }
    }
    impl Write for Panics {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            assert!(buf.len() == HEADER_LEN, "as asked");
            Ok(buf.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let key = key();
    let reader = || seal_parallel(&key, b"", &SALT, Panics, io::sink(), 3);
    assert!(catch_unwind(AssertUnwindSafe(reader)).is_err());
    let writer = || seal_parallel(&key, b"", &SALT, io::repeat(1), Panics, 3);
    assert!(catch_unwind(AssertUnwindSafe(writer)).is_err());
}
