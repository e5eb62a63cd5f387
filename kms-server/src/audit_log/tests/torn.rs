//! Torn tails: cut where nothing was acknowledged, nowhere else.

use super::*;
use std::os::unix::fs::FileExt;

/// A log whose last group is three submissions; the offsets at which they start and the last one ends.
fn log_with_last_group(dir: &Path) -> Vec<u64> {
    let (log, _) = open(dir);
    for n in 0..3 {
        log.append_blocking(status_call(n)).unwrap();
    }
    let start = lock(&log.shared.usage);
    let waiting: Vec<_> = [status_call(3), batch_call(4, 2), status_call(5)]
        .into_iter()
        .map(|call| (frame::framed_len(&call.leaves).unwrap() as u64, call))
        .collect();
    // the committer stops at the end of the group of call 100, and takes all the rest at once
    let first = log.append(status_call(100));
    while log.shared.queue.waiting() > 0 {
        std::thread::yield_now();
    }
    let mut lens = Vec::new();
    let mut answers = Vec::new();
    for (len, call) in waiting {
        lens.push(len);
        answers.push(log.append(call));
    }
    drop(start);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        first.await.unwrap();
        for answer in answers {
            answer.await.unwrap();
        }
    });
    assert_eq!(log.figures().groups, 5);
    let end = log.shared.segments.at(0).unwrap().newest.unwrap().end;
    let mut places = vec![end];
    for len in lens.into_iter().rev() {
        places.insert(0, places[0] - len);
    }
    places
}

/// Sequence numbers in use when the log is cut off before `place`.
fn kept(places: &[u64], place: u64) -> u64 {
    match places[1..].iter().filter(|end| **end <= place).count() {
        0 => 4,
        1 => 5,
        2 => 8,
        _ => 9,
    }
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_back_to_whole_calls() {
    let dir = TempDir::new().unwrap();
    let places = log_with_last_group(dir.path());
    let (start, end) = (places[0], places[3]);
    let file = segment_files(dir.path()).remove(0);
    let torn = copy(dir.path());
    let torn_file = torn.path().join(file.file_name().unwrap());
    let whole = std::fs::read(&file).unwrap();
    let mut page = vec![0; usize::try_from(end - start).unwrap()];
    for cut in start..=end {
        for filler in [0x00, 0xFF] {
            let at = usize::try_from(cut - start).unwrap();
            let from = usize::try_from(start).unwrap();
            let len = page.len();
            page.copy_from_slice(&whole[from..][..len]);
            // what was never written reads as zeros, or as whatever the disk held
            page[at..].fill(filler);
            // where the frame held the same bytes anyway nothing is lost yet
            let lost = page
                .iter()
                .zip(&whole[from..])
                .position(|(now, then)| now != then);
            let lost = lost.map_or(end, |lost| start + lost as u64);
            let damaged = std::fs::OpenOptions::new()
                .write(true)
                .open(&torn_file)
                .unwrap();
            damaged.write_all_at(&page, start).unwrap();
            let (log, opened) = open(torn.path());
            assert_eq!(opened.next_sequence, kept(&places, lost), "cut at {cut}");
            assert!(opened.damaged.is_empty());
            assert_eq!(all_ids(&log)[..4], [id(0), id(1), id(2), id(100)]);
        }
    }
    // a byte of the last group was lost, later ones were not: still only the tail goes
    for hole in start..end {
        let damaged = std::fs::OpenOptions::new()
            .write(true)
            .open(&torn_file)
            .unwrap();
        damaged.write_all_at(&whole, 0).unwrap();
        let byte = whole[usize::try_from(hole).unwrap()];
        damaged.write_all_at(&[byte ^ 0x55], hole).unwrap();
        let (log, opened) = open(torn.path());
        assert_eq!(opened.next_sequence, kept(&places, hole), "hole at {hole}");
        assert!(opened.damaged.is_empty());
        all_ids(&log);
    }
}

#[test]
fn what_was_cut_never_comes_back() {
    let dir = TempDir::new().unwrap();
    let places = log_with_last_group(dir.path());
    let file = segment_files(dir.path()).remove(0);
    // the first of the group is torn, the two behind it are whole
    let torn = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    torn.write_all_at(&[0xFF], places[0] + 20).unwrap();
    let (log, opened) = open(dir.path());
    assert_eq!(opened.next_sequence, 4);
    // to the last byte that was not zero
    let cut = places[2] - places[0]..=places[3] - places[0];
    assert!(cut.contains(&opened.cut_bytes), "{}", opened.cut_bytes);
    // exactly as long as the one that was torn: without the cut the others would follow it
    assert_eq!(log.append_blocking(status_call(7)), Ok(4));
    drop(log);
    let (log, opened) = open(dir.path());
    assert_eq!((opened.next_sequence, opened.cut_bytes), (5, 0));
    assert_eq!(all_ids(&log).last(), Some(&id(7)));
}
