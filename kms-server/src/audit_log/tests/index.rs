//! With an index, without one, and with a bad one: the same answers.

use super::*;
use kms_core::audit::leaf::PrincipalId;
use kms_core::name::KeyId;
use kms_core::reason::Reason;

const CALLS: u64 = 3_000;

/// Call `n`: principal `n % 3`, but one call in 500 by principal 77; dataset `n / 1000`.
fn filled(dir: &Path) -> AuditLog {
    let (log, _) = open(dir);
    for n in 0..CALLS {
        let outcome = match n % 7 {
            0 => Outcome::Refused(Reason::Denied),
            _ => Outcome::Ok,
        };
        let mut detail = Detail::new(outcome);
        detail.dataset = Some(dataset(n / 1_000));
        detail.version = VersionNumber::new(1 + u32::from(n % 10 == 0));
        let facts = Facts::single(Action::Encrypt, detail);
        let who = if n % 500 == 499 { 77 } else { n % 3 };
        let leaves = call_of(who, n, &facts);
        log.append_blocking(submission(leaves)).unwrap();
    }
    log
}

fn dataset(n: u64) -> KeyId {
    KeyId([u8::try_from(n).unwrap(); 16])
}

fn filters() -> Vec<Filter> {
    let by = |n| Filter {
        principal: Some(principal(n)),
        ..Filter::default()
    };
    vec![
        by(1),
        by(77),
        by(5_000),
        Filter {
            dataset: Some(dataset(1)),
            ..by(77)
        },
        Filter {
            dataset: Some(dataset(2)),
            version: VersionNumber::new(2),
            ..Filter::default()
        },
        Filter {
            outcome: Some(Outcome::Refused(Reason::Denied)),
            from_time: Some(time(700)),
            to_time: Some(time(1_500)),
            ..Filter::default()
        },
        Filter {
            action: Some(Action::Decrypt),
            ..Filter::default()
        },
        Filter {
            secrets: Some(std::collections::BTreeMap::new()),
            ..Filter::default()
        },
    ]
}

fn all(log: &AuditLog, filter: &Filter, newest_first: bool, from: u64) -> Vec<u64> {
    let mut query = Query {
        from_sequence: from,
        newest_first,
        filter: filter.clone(),
        limit: 41,
    };
    let mut found = Vec::new();
    loop {
        let page = log.read(&query).unwrap();
        found.extend(page.entries.iter().map(|logged| logged.sequence));
        match page.next {
            Some(next) => query.from_sequence = next,
            None => return found,
        }
    }
}

/// What a look at every entry finds.
fn expected(log: &AuditLog, filter: &Filter) -> Vec<u64> {
    let mut found = Vec::new();
    reading::walk_forward(&log.shared.segments, 0, |sequence, leaf| {
        if filter.passes(decode(leaf).ok().as_ref()) {
            found.push(sequence);
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    found
}

fn assert_same_answers(log: &AuditLog) {
    for filter in filters() {
        let expected = expected(log, &filter);
        assert_eq!(all(log, &filter, false, 0), expected, "{filter:?}");
        let behind: Vec<_> = expected.iter().copied().filter(|n| *n >= 1_111).collect();
        assert_eq!(all(log, &filter, false, 1_111), behind, "{filter:?}");
        for from in [u64::MAX, 2_900, 1_111] {
            let mut before: Vec<_> = expected.iter().copied().filter(|n| *n <= from).collect();
            before.reverse();
            assert_eq!(all(log, &filter, true, from), before, "{filter:?} {from}");
        }
    }
}

fn blocks(log: &AuditLog) -> u64 {
    super::super::index::advance(&log.shared).unwrap();
    let by = Filter {
        principal: Some(PrincipalId([1; 16])),
        ..Filter::default()
    };
    log.shared.index.blocks_for(&by).unwrap_or(0)
}

#[test]
fn answers_are_those_of_a_look_at_every_entry() {
    let dir = TempDir::new().unwrap();
    let log = filled(dir.path());
    assert_eq!(blocks(&log), CALLS / 256);
    assert_same_answers(&log);
    // most blocks need not be read for one who calls seldom
    let rare = Filter {
        principal: Some(principal(77)),
        ..Filter::default()
    };
    let candidates = log.shared.index.candidates(&rare, 11, 0, false);
    assert!(candidates.unwrap().count() <= 7);
}

#[test]
fn an_index_that_is_gone_torn_or_wrong_is_written_again() {
    let dir = TempDir::new().unwrap();
    drop(filled(dir.path()));
    let path = dir.path().join("index");
    let good = {
        let (log, _) = open(dir.path());
        blocks(&log);
        std::fs::read(&path).unwrap()
    };
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(16 + 512 * 3 + 77),
        |bytes| bytes[16 + 512 * 5 + 40] ^= 0xff,
        |bytes| bytes[0] ^= 1,
        |bytes| bytes.extend(vec![0; 5_000]),
    ];
    for damage in damages {
        let mut bytes = good.clone();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        let (log, _) = open(dir.path());
        assert_eq!(blocks(&log), CALLS / 256);
        assert_same_answers(&log);
        drop(log);
        assert_eq!(std::fs::read(&path).unwrap(), good);
    }
    std::fs::remove_file(&path).unwrap();
    let (log, _) = open(dir.path());
    blocks(&log);
    drop(log);
    assert_eq!(std::fs::read(&path).unwrap(), good);
}

#[test]
fn an_index_of_another_log_is_not_believed() {
    let (one, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    blocks(&filled(one.path()));
    let (log, _) = open(other.path());
    for n in 0..CALLS {
        log.append_blocking(status_call(n + 1_000_000)).unwrap();
    }
    drop(log);
    std::fs::copy(one.path().join("index"), other.path().join("index")).unwrap();
    let (log, _) = open(other.path());
    assert_eq!(blocks(&log), CALLS / 256);
    assert_same_answers(&log);
}

#[test]
fn a_record_that_was_damaged_while_it_is_used_hides_nothing() {
    use std::os::unix::fs::FileExt;
    let dir = TempDir::new().unwrap();
    let log = filled(dir.path());
    blocks(&log);
    let file = std::fs::OpenOptions::new();
    let file = file
        .clone()
        .write(true)
        .open(dir.path().join("index"))
        .unwrap();
    file.write_all_at(&[0; 2_000], 16 + 512).unwrap();
    assert_same_answers(&log);
}
