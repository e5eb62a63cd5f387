//! Pages, filters, both directions.

use super::*;
use kms_core::name::KeyId;
use kms_core::reason::Reason;

const CALLS: u64 = 1_000;

/// Call `n`: principal `n % 3`, dataset `n % 2`, denied when `n % 5 == 0`.
fn filled(dir: &Path) -> AuditLog {
    let (log, _) = open(dir);
    for n in 0..CALLS {
        let outcome = match n % 5 {
            0 => Outcome::Refused(Reason::Denied),
            _ => Outcome::Ok,
        };
        let mut detail = Detail::new(outcome);
        detail.dataset = Some(dataset(n % 2));
        let facts = Facts::single(Action::Encrypt, detail);
        log.append_blocking(submission(call(n, &facts))).unwrap();
    }
    assert!(log.figures().segments >= 2);
    log
}

fn dataset(n: u64) -> KeyId {
    KeyId([u8::try_from(n).unwrap(); 16])
}

/// All pages one after the other.
fn read_all(log: &AuditLog, mut query: Query) -> Vec<u64> {
    let mut sequences = Vec::new();
    loop {
        let page = log.read(&query).unwrap();
        assert!(page.entries.len() <= query.limit);
        sequences.extend(page.entries.iter().map(|logged| {
            assert_eq!(logged.entry, decode(&logged.leaf).ok());
            logged.sequence
        }));
        match page.next {
            Some(next) => query.from_sequence = next,
            None => return sequences,
        }
    }
}

fn query(newest_first: bool, filter: Filter) -> Query {
    Query {
        from_sequence: if newest_first { u64::MAX } else { 0 },
        newest_first,
        filter,
        limit: 37,
    }
}

#[test]
fn pages_follow_one_another_both_ways() {
    let dir = TempDir::new().unwrap();
    let log = filled(dir.path());
    let all: Vec<_> = (0..CALLS).collect();
    assert_eq!(read_all(&log, query(false, Filter::default())), all);
    let back: Vec<_> = (0..CALLS).rev().collect();
    assert_eq!(read_all(&log, query(true, Filter::default())), back);
    for from in [0, 1, 399, 400, 999, 1_000, u64::MAX] {
        let forward = Query {
            from_sequence: from,
            ..query(false, Filter::default())
        };
        assert_eq!(
            read_all(&log, forward),
            (from..CALLS.max(from)).collect::<Vec<_>>()
        );
        let backward = Query {
            from_sequence: from,
            ..query(true, Filter::default())
        };
        let expected: Vec<_> = (0..CALLS).filter(|n| *n <= from).rev().collect();
        assert_eq!(read_all(&log, backward), expected);
    }
    drop(log);
    // once more from the files alone
    let (log, _) = open(dir.path());
    assert_eq!(read_all(&log, query(true, Filter::default())), back);
}

#[test]
fn each_filter_passes_exactly_its_own() {
    let dir = TempDir::new().unwrap();
    let log = filled(dir.path());
    let check = |filter: Filter, expected: &dyn Fn(u64) -> bool| {
        let expected: Vec<_> = (0..CALLS).filter(|n| expected(*n)).collect();
        assert_eq!(read_all(&log, query(false, filter.clone())), expected);
        let expected: Vec<_> = expected.into_iter().rev().collect();
        assert_eq!(read_all(&log, query(true, filter)), expected);
    };
    let all = Filter::default();
    let one = |change: &dyn Fn(&mut Filter)| {
        let mut filter = all.clone();
        change(&mut filter);
        filter
    };
    check(one(&|f| f.principal = Some(principal(2))), &|n| n % 3 == 2);
    check(one(&|f| f.dataset = Some(dataset(1))), &|n| n % 2 == 1);
    check(one(&|f| f.action = Some(Action::Encrypt)), &|_| true);
    check(one(&|f| f.action = Some(Action::Decrypt)), &|_| false);
    check(one(&|f| f.outcome = Some(Outcome::Ok)), &|n| n % 5 != 0);
    let denied = Outcome::Refused(Reason::Denied);
    check(one(&|f| f.outcome = Some(denied)), &|n| n % 5 == 0);
    let during = one(&|f| (f.from_time, f.to_time) = (Some(time(10)), Some(time(20))));
    check(during, &|n| (10..20).contains(&n));
    let both = one(&|f| (f.dataset, f.outcome) = (Some(dataset(1)), Some(denied)));
    check(both, &|n| n % 2 == 1 && n % 5 == 0);
}

#[test]
fn details_pass_with_their_heads_principal() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    log.append_blocking(batch_call(1, 3)).unwrap();
    log.append_blocking(batch_call(2, 3)).unwrap();
    let filter = Filter {
        principal: Some(principal(2)),
        ..Filter::default()
    };
    assert_eq!(read_all(&log, query(false, filter)), [4, 5, 6, 7]);
}

#[test]
fn a_log_that_grows_while_it_is_read_shows_no_gap() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    (0..10).for_each(|n| assert_eq!(log.append_blocking(status_call(n)), Ok(n)));
    let mut seen = Vec::new();
    reading::walk_forward(&log.shared.segments, 0, |sequence, _| {
        if seen.is_empty() {
            // enough to fill this segment and to begin the next
            (10..800).for_each(|n| assert_eq!(log.append_blocking(status_call(n)), Ok(n)));
        }
        seen.push(sequence);
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    assert!(log.figures().segments >= 1);
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    assert_eq!(read_all(&log, query(false, Filter::default())).len(), 800);
}
