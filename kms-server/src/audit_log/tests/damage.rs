//! Damage among acknowledged entries, and writes that fail.

use super::*;
use std::os::unix::fs::FileExt;

fn overwrite(file: &Path, at: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(file).unwrap();
    file.write_all_at(bytes, at).unwrap();
}

#[test]
fn damage_among_acknowledged_entries_is_named_and_cuts_nothing() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    for n in 0..20 {
        log.append_blocking(status_call(n)).unwrap();
    }
    let end = log.shared.segments.at(0).unwrap().newest.unwrap().end;
    drop(log);
    let each = (end - segment::HEADER_LEN) / 20;
    let file = segment_files(dir.path()).remove(0);
    // one byte of call 7; then the whole of calls 12 and 13, as zeros
    overwrite(&file, segment::HEADER_LEN + 7 * each + 30, &[0xEE]);
    let zeros = vec![0; usize::try_from(2 * each).unwrap()];
    overwrite(&file, segment::HEADER_LEN + 12 * each, &zeros);
    let (log, opened) = open(dir.path());
    assert_eq!((opened.next_sequence, opened.cut_bytes), (20, 0));
    let place = |n| segment::HEADER_LEN + n * each;
    let damage = |from, to| Damage {
        path: file.clone(),
        from: place(from),
        to: place(to),
    };
    assert_eq!(opened.damaged, [damage(7, 8), damage(12, 14)]);
    assert_eq!(log.append_blocking(status_call(20)), Ok(20));
    let query = Query {
        from_sequence: 0,
        newest_first: false,
        filter: Filter::default(),
        limit: 100,
    };
    let read: Vec<_> = log.read(&query).unwrap().entries;
    let sequences: Vec<_> = read.iter().map(|logged| logged.sequence).collect();
    let expected: Vec<_> = (0..=20).filter(|n| ![7, 12, 13].contains(n)).collect();
    assert_eq!(sequences, expected);
}

#[test]
fn a_sequence_number_that_nobody_counts_to_is_refused() {
    for sequence in [u64::MAX, u64::MAX - 1, 1 << 62] {
        let dir = TempDir::new().unwrap();
        let (log, _) = open(dir.path());
        log.append_blocking(status_call(0)).unwrap();
        let end = log.shared.segments.at(0).unwrap().newest.unwrap().end;
        drop(log);
        let mut leaves = status_call(1).leaves;
        kms_core::audit::leaf::stamp_sequence(&mut leaves[0], sequence);
        let mut edited = Vec::new();
        frame::write(&leaves, u32::try_from(end).unwrap(), &mut edited);
        overwrite(&segment_files(dir.path())[0], end, &edited);
        let refused = AuditLog::open(dir.path(), "test/1", SMALL, clock());
        let message = refused.err().unwrap().to_string();
        assert!(message.contains("out of range"), "{message}");
    }
}

#[test]
fn another_logs_segments_are_refused() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()));
    let other = AuditLog::open(dir.path(), "test/2", SMALL, clock());
    let message = other.err().unwrap().to_string();
    assert!(message.contains("\"test/1\", not \"test/2\""), "{message}");
    let file = segment_files(dir.path()).remove(0);
    overwrite(&file, 20, &[0xEE]);
    let damaged = AuditLog::open(dir.path(), "test/1", SMALL, clock());
    assert!(matches!(damaged, Err(OpenError::Header { .. })));
}

#[test]
fn settings_out_of_range_are_refused() {
    let dir = TempDir::new().unwrap();
    let short = Options {
        segment_bytes: 1_024,
        ..SMALL
    };
    assert!(AuditLog::open(dir.path(), "a", short, clock()).is_err());
    assert!(AuditLog::open(dir.path(), "", SMALL, clock()).is_err());
    assert!(AuditLog::open(dir.path(), "a\n", SMALL, clock()).is_err());
    assert!(segment_files(dir.path()).is_empty());
}

#[test]
fn what_was_only_prepared_is_removed() {
    let dir = TempDir::new().unwrap();
    drop(open(dir.path()));
    std::fs::write(dir.path().join("prepared-00000002"), [1; 100]).unwrap();
    std::fs::write(dir.path().join("index-principal"), [1; 100]).unwrap();
    drop(open(dir.path()));
    let names: Vec<_> = segment_files(dir.path())
        .iter()
        .map(|file| file.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "index-principal",
            "segment-00000001-00000000000000000000.log"
        ]
    );
}

#[test]
fn after_a_failed_write_nobody_is_told_yes_and_the_log_goes_on_in_a_new_segment() {
    let dir = TempDir::new().unwrap();
    let (log, opened) = open(dir.path());
    log.append_blocking(status_call(0)).unwrap();
    drop(log);
    // the same log, but its segment is a device that is always full: the write fails for real
    let recovered = recovery::recover(dir.path(), "test/1", SMALL, &*clock()).unwrap();
    let mut active = recovered.active;
    active.file = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let shared = Arc::new(Shared {
        dir: dir.path().to_owned(),
        origin: "test/1".to_owned(),
        options: SMALL,
        clock: clock(),
        queue: Queue::new(),
        segments: recovered.segments,
        usage: Mutex::new(Usage::new(1)),
        lanes: Mutex::default(),
        counters: Counters::default(),
        desk: tree::Desk::default(),
        index: super::super::index::Index::default(),
    });
    assert_eq!(opened.next_sequence, 0);
    let handle = committer::start(Arc::clone(&shared), active, &recovered.opened).unwrap();
    let log = AuditLog {
        shared: Arc::clone(&shared),
        thread: Arc::new(CommitterThread {
            shared,
            handle: Mutex::new(Some(handle)),
            tree: Mutex::new(None),
            index: Mutex::new(None),
        }),
    };
    assert_eq!(log.append_blocking(status_call(1)), Err(AuditUnavailable));
    assert_eq!(log.figures().failures, 1);
    assert_eq!(log.append_blocking(status_call(2)), Ok(1));
    assert_eq!(log.figures().segments, 1);
    assert_eq!(all_ids(&log), [id(0), id(2)]);
    drop(log);
    let (log, opened) = open(dir.path());
    assert_eq!((opened.next_sequence, opened.segments), (2, 2));
    assert_eq!(all_ids(&log), [id(0), id(2)]);
}
