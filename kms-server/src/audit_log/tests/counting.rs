//! Uses, counted calls, names.

use super::counted::{CountedCalls, Row, WINDOW};
use super::names::Names;
use super::*;
use kms_core::audit::leaf::{
    Body, Count, DirectoryKeys, encode_counted, encode_dataset_introduction,
};
use kms_core::name::{DatasetName, PrincipalName};
use kms_core::reason::Reason;
use kms_core::secret::IndexKey;
use std::net::IpAddr;

fn key_id(n: u8) -> KeyId {
    KeyId([n; 16])
}

fn version(n: u32) -> VersionNumber {
    VersionNumber::new(n).unwrap()
}

/// A data-plane call that used `items` of a version, and what the road says of it.
fn using(n: u64, key: u8, number: u32, items: u32) -> Submission {
    let mut detail = Detail::new(Outcome::Ok);
    detail.dataset = Some(key_id(key));
    detail.version = Some(version(number));
    detail.count = items;
    let facts = Facts::batch(Action::UnwrapDataKey, [detail]);
    let usage = facts.uses().map(|used| UsageMark {
        key_id: used.key_id,
        version: used.version,
        items: used.items,
        at: time(n),
    });
    Submission {
        usage: usage.collect(),
        leaves: call(n, &facts),
        space: Space::Data,
    }
}

#[test]
fn uses_survive_a_restart_from_the_store_or_from_the_tail() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    log.append_blocking(using(1, 1, 1, 10)).unwrap();
    log.append_blocking(using(2, 2, 1, 5)).unwrap();
    let stored = log.usage_all();
    let through = stored[0].1.through_sequence;
    assert_eq!(through, log.len());
    log.append_blocking(using(3, 1, 1, 7)).unwrap();
    log.append_blocking(status_call(4)).unwrap();
    assert_eq!(log.usage(key_id(1), version(1)).uses, 17);
    let changed = log.usage_since(through);
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].0, (key_id(1), version(1)));
    drop(log);

    for known in [&stored[..], &[]] {
        let (log, _) = open(dir.path());
        assert_eq!(log.usage(key_id(1), version(1)).uses, 0);
        log.append_blocking(using(5, 1, 2, 1)).unwrap();
        log.seed_usage(known).unwrap();
        // once is enough
        log.seed_usage(known).unwrap();
        let usage = log.usage(key_id(1), version(1));
        assert_eq!((usage.uses, usage.last_used_at), (17, time(3)));
        assert_eq!(usage.through_sequence, log.len());
        assert_eq!(log.usage(key_id(2), version(1)).uses, 5);
        assert!(log.usage(key_id(1), version(2)).uses >= 1);
        assert_eq!(log.usage(key_id(9), version(1)).uses, 0);
    }
}

#[test]
fn refused_items_are_no_uses() {
    let mut detail = Detail::new(Outcome::Refused(Reason::Undecryptable));
    detail.dataset = Some(key_id(1));
    detail.version = Some(version(1));
    let facts = Facts::single(Action::UnwrapDataKey, detail.clone());
    assert_eq!(facts.uses().count(), 0);
    detail.outcome = Outcome::Ok;
    let control = Facts::single(Action::DisableVersion, detail.clone());
    assert_eq!(control.uses().count(), 0);
    let facts = Facts::single(Action::UnwrapDataKey, detail);
    assert_eq!(facts.uses().count(), 1);
    let leaf = call(0, &facts).remove(0);
    assert_eq!(decode(&leaf).unwrap().used(), facts.uses().next());
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn counted_leaf(row: &Row, clock: &dyn Clock) -> Option<Vec<u8>> {
    let source = row.source.map(|source| source.to_string());
    let count = Count {
        source: source.as_deref(),
        reason: row.reason,
        count: row.count,
        from: row.from,
        until: row.until,
    };
    let at = Coordinates {
        time: clock.now(),
        monotonic: clock.monotonic(),
        node: 1,
        boot: BootId([1; 8]),
    };
    encode_counted(&count, id(0), at, LeafKeys::Missing, &NoEntropy).ok()
}

#[test]
fn strangers_cost_one_entry_for_each_source_and_reason_in_ten_seconds() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let clock = clock();
    let table = Arc::new(CountedCalls::new());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (task_clock, task_table, task_log) = (clock.clone(), table.clone(), log.clone());
        let task = tokio::spawn(async move {
            let encode = |row: &Row| counted_leaf(row, &*task_clock);
            task_table.run(&*task_clock, &task_log, encode).await;
        });
        let settle = async |entries| {
            while log.len() < entries {
                tokio::task::yield_now().await;
            }
        };
        tokio::task::yield_now().await;
        for _ in 0..1_000 {
            let now = clock.now();
            table.note(address("192.0.2.1"), Reason::Unauthenticated, now);
            table.note(address("192.0.2.1"), Reason::ResourceExhausted, now);
            table.note(address("::ffff:192.0.2.1"), Reason::Unauthenticated, now);
        }
        clock.advance(WINDOW - Duration::from_micros(1));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(log.len(), 0);
        clock.advance(Duration::from_micros(1));
        settle(2).await;
        // a window without calls writes nothing
        clock.advance(WINDOW);
        table.note(address("2001:db8::1"), Reason::Unauthenticated, clock.now());
        table.note(address("2001:db8::2"), Reason::Unauthenticated, clock.now());
        clock.advance(WINDOW);
        settle(3).await;
        task.abort();
    });
    let page = log.read(&Query {
        from_sequence: 0,
        newest_first: false,
        filter: Filter::default(),
        limit: 10,
    });
    let mut counts: Vec<_> = page
        .unwrap()
        .entries
        .iter()
        .map(|logged| match logged.entry.as_ref().unwrap().body {
            Body::Counted(counted) => (counted.reason.number(), counted.count),
            _ => panic!("a counted entry"),
        })
        .collect();
    counts.sort_unstable();
    let unauthenticated = Reason::Unauthenticated.number();
    let exhausted = Reason::ResourceExhausted.number();
    assert_eq!(
        counts,
        [
            (unauthenticated, 2),
            (unauthenticated, 2_000),
            (exhausted, 1_000)
        ]
    );
}

#[test]
fn the_table_is_bounded_and_keeps_what_cannot_be_written() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let table = CountedCalls::new();
    for n in 0..5_000_u32 {
        let source = IpAddr::from(n.to_be_bytes());
        table.note(source, Reason::Unauthenticated, time(0));
    }
    log.close();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let encode = |row: &Row| counted_leaf(row, &*clock());
    runtime.block_on(table.flush(&log, encode));
    let rows = table.take();
    assert!(rows.len() <= 1_025, "{}", rows.len());
    assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 5_000);
    assert!(rows.iter().any(|row| row.source.is_none()));
}

#[test]
fn a_flush_that_is_dropped_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path());
    let table = CountedCalls::new();
    for n in 0..5_u32 {
        let source = IpAddr::from(n.to_be_bytes());
        table.note(source, Reason::Unauthenticated, time(0));
    }
    let encode = |row: &Row| counted_leaf(row, &*clock());
    // the committer cannot acknowledge meanwhile
    let held = lock(&log.shared.usage);
    {
        let mut flush = std::pin::pin!(table.flush(&log, encode));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(flush.as_mut().poll(&mut context).is_pending());
    }
    drop(held);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(table.flush(&log, encode));
    assert!(table.take().is_empty());
    assert_eq!(log.len(), 5);
}

#[test]
fn names_are_learned_from_introductions() {
    let names = Names::new();
    let directory = DirectoryKeys::new(1, &IndexKey::take_bytes(&mut [1; 32]));
    let name = PrincipalName::parse("spiffe://crm.example/service/web").unwrap();
    names.know_principal(directory.principal_id(&name), name.clone());
    assert_eq!(names.principal(directory.principal_id(&name)), Some(name));
    let at = Coordinates {
        time: time(0),
        monotonic: Duration::ZERO,
        node: 1,
        boot: BootId([1; 8]),
    };
    let dataset = DatasetName::parse("customers").unwrap();
    let leaf = encode_dataset_introduction(key_id(1), &dataset, id(0), at).unwrap();
    assert_eq!(names.dataset(key_id(1)), None);
    names.learn(&decode(&leaf).unwrap(), Some(&directory));
    assert_eq!(names.dataset(key_id(1)), Some(dataset));
}
